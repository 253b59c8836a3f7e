"""YOLOX exports, raw and decoded: letterboxed, decoded, coloured and named right."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sightline.errors import ForeignModelError
from sightline.runtime.detector import Detector
from sightline.workflow.adapters.config import ImportConfig
from sightline.workflow.import_model import import_model


@pytest.fixture
def config(tmp_path: Path) -> ImportConfig:
    names = tmp_path / "names.yaml"
    names.write_text("names:\n  0: red\n  1: blue\n", encoding="utf-8")
    return ImportConfig(labels=str(names))


@pytest.mark.parametrize("is_decoded", [False, True])
def test_a_square_is_found_where_it_is(
    foreign: SimpleNamespace, tmp_path: Path, config: ImportConfig, is_decoded: bool
) -> None:
    file = foreign.yolox(tmp_path / "m.onnx", is_decoded=is_decoded)
    imported = import_model(file, out=tmp_path / "bundle", config=config)
    manifest = imported.manifest
    assert (manifest.resize, manifest.nms_iou, manifest.score_threshold) == ("letterbox", 0.45, 0.3)
    assert ("come decoded" in imported.notes[0]) is is_decoded
    assert manifest.max_detections == 300  # of 336 cells
    found = Detector.load(tmp_path / "bundle")(foreign.draw_square(tmp_path / "photo.png"))
    assert found.labels == ["red"]  # blue, had red and blue changed places
    # 256 x 128 px stand on 128 x 64 of the input: the cell at (64, 32) is the square.
    np.testing.assert_allclose(found.boxes_xyxy, [[128, 64, 192, 128]], atol=1e-3)
    assert found.scores[0] > 0.99


def test_raw_and_decoded_exports_give_the_same(
    foreign: SimpleNamespace, tmp_path: Path, config: ImportConfig
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    outputs = []
    for is_decoded in (False, True):
        out = tmp_path / str(is_decoded)
        import_model(
            foreign.yolox(tmp_path / "m.onnx", is_decoded=is_decoded), out=out, config=config
        )
        outputs.append(Detector.load(out).infer(pixels))
    for raw, decoded in zip(*outputs, strict=True):
        np.testing.assert_allclose(raw, decoded, atol=1e-6)
    assert (np.diff(outputs[0].scores) <= 0).all()


def test_a_swapped_red_and_blue_is_told(
    foreign: SimpleNamespace, tmp_path: Path, config: ImportConfig
) -> None:
    photo = foreign.draw_square(tmp_path / "photo.png")
    file = foreign.yolox(tmp_path / "m.onnx", is_decoded=True)
    wrong = ImportConfig(labels=config.labels, pixels="unit")
    imported = import_model(file, out=tmp_path / "b", config=wrong, sample=photo)
    assert imported.sample is not None
    assert any("nothing is found" in doubt for doubt in imported.sample.doubts)
    assert any("255 fits this photo better" in doubt for doubt in imported.sample.doubts)


def test_another_number_of_classes_is_told(foreign: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(ForeignModelError, match=r"has 2 classes, but COCO's 80 names has 80"):
        import_model(foreign.yolox(tmp_path / "m.onnx", is_decoded=True), out=tmp_path / "b")
    assert not (tmp_path / "b").exists()
