"""A SavedModel answers clients of the TF Object Detection API, and finds what PyTorch finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import torch

from sightline.data.formats.labelmap import read_label_map
from sightline.data.images import decode_image, resize_stretch
from sightline.errors import ExportError
from sightline.export.tensorflow.savedmodel import write_savedmodel
from sightline.models.deimv2.box_ops import to_xyxy
from sightline.models.deimv2.network import DeimV2

LABELS = [f"kind {number}" for number in range(79)] + ["cat's"]


@pytest.fixture(scope="module")
def folder(coco_network: Callable[[str], DeimV2], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SavedModel of atto with COCO weights."""
    folder = tmp_path_factory.mktemp("savedmodel")
    write_savedmodel(coco_network("atto"), LABELS, folder)
    return folder


@pytest.fixture(scope="module")
def detect_fn(folder: Path) -> Any:
    return tf.saved_model.load(str(folder))


def test_the_files_are_those_of_a_savedmodel(folder: Path) -> None:
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "saved_model.pb",
        "fingerprint.pb",
        "variables/variables.data-00000-of-00001",
        "variables/variables.index",
        "labelmap.pbtxt",
    }
    # 0.5 M weights of four bytes once; a function traced twice would hold them twice
    assert 2e6 < (folder / "saved_model.pb").stat().st_size < 2.5e6
    items, faults = read_label_map((folder / "labelmap.pbtxt").read_text())
    assert not faults
    assert [(item.id, item.name) for item in items] == list(enumerate(LABELS, start=1))


def test_the_signature_is_the_api_s(detect_fn: Any) -> None:
    signature = detect_fn.signatures["serving_default"]
    ((name, image),) = signature.structured_input_signature[1].items()
    assert (name, image.dtype, image.shape.as_list()) == (
        "input_tensor",
        tf.uint8,
        [1, None, None, 3],
    )
    outputs = {
        name: (spec.dtype, spec.shape.as_list())
        for name, spec in signature.structured_outputs.items()
    }
    assert outputs == {
        "detection_boxes": (tf.float32, [1, 300, 4]),
        "detection_scores": (tf.float32, [1, 300]),
        "detection_classes": (tf.float32, [1, 300]),
        "num_detections": (tf.float32, [1]),
    }


def test_photos_of_any_size_give_what_pytorch_finds(
    detect_fn: Any, coco_network: Callable[[str], DeimV2], shared: Path
) -> None:
    network = coco_network("atto")
    photos = sorted((shared / "data" / "coco_val100").rglob("*.jpg"))[:4]
    strong = 0
    for photo in photos:
        image = decode_image(photo)
        pixels = resize_stretch(image, 320, 320)
        with torch.no_grad():
            final = network(torch.from_numpy(pixels[None]).permute(0, 3, 1, 2) / 255).final
        scores, picks = final.logits[0].sigmoid().flatten().sort(descending=True)
        found = detect_fn(tf.constant(np.asarray(image)[None]))
        np.testing.assert_allclose(found["detection_scores"][0], scores[:300], atol=1e-4)
        count = int((scores > 0.3).sum())
        best = picks[:count]
        assert found["detection_classes"][0, :count].numpy().tolist() == (best % 80 + 1).tolist()
        expected = to_xyxy(final.boxes[0, best // 80]).clamp(0, 1).numpy()[:, [1, 0, 3, 2]]
        px = np.tile([image.height, image.width], 2)
        boxes = found["detection_boxes"][0, :count].numpy()
        np.testing.assert_allclose(boxes * px, expected * px, atol=0.05)
        assert found["num_detections"].numpy().tolist() == [300]
        strong += count
    assert strong > 5


def test_calling_it_and_its_signature_are_one(detect_fn: Any, shared: Path) -> None:
    image = np.load(shared / "models" / "golden-atto.npz")["images_uint8"][:1, :200]
    called = detect_fn(tf.constant(image))
    signed = detect_fn.signatures["serving_default"](input_tensor=tf.constant(image))
    assert called.keys() == signed.keys()
    for name, values in called.items():
        assert (values.numpy() == signed[name].numpy()).all(), name


def test_even_one_pixel_is_an_image(detect_fn: Any) -> None:
    found = detect_fn(tf.constant(np.full((1, 1, 1, 3), 200, np.uint8)))
    assert np.isfinite(found["detection_boxes"].numpy()).all()


def test_writing_says_nothing(
    coco_network: Callable[[str], DeimV2], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_savedmodel(coco_network("atto"), LABELS, tmp_path)
    assert capfd.readouterr() == ("", "")


def test_a_place_that_cannot_be_written_is_told(
    coco_network: Callable[[str], DeimV2], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot be written"):
        write_savedmodel(coco_network("atto"), LABELS, tmp_path / "file" / "model")
