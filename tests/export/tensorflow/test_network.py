"""The TensorFlow twin computes what the PyTorch network computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import torch
from numpy.typing import NDArray
from torch import nn

from sightline.errors import ExportError
from sightline.export.tensorflow.network import build_twin
from sightline.models.deimv2.backbone import Affine
from sightline.models.deimv2.box_ops import to_xyxy
from sightline.models.deimv2.network import DeimV2
from sightline.models.deimv2.sizes import SIZES

pytestmark = pytest.mark.usefixtures("one_thread")

Arrays = list[NDArray[Any]]


def trace(network: DeimV2) -> Any:
    """The twin as a graph."""
    pixels = tf.TensorSpec([1, network.input_px, network.input_px, 3], tf.float32)
    return tf.function(build_twin(network), autograph=False).get_concrete_function(pixels)


@torch.no_grad()
def detect(network: DeimV2, image: NDArray[np.uint8]) -> Arrays:
    """Boxes (K, 4) xyxy in 0..1, scores and labels (K,) of the trained network itself."""
    final = network(torch.from_numpy(image[None]).permute(0, 3, 1, 2) / 255).final
    scores, picks = final.logits[0].sigmoid().flatten().sort(descending=True)
    picks = picks[:300]
    boxes = to_xyxy(final.boxes[0, picks // network.classes]).clamp(0, 1)
    return [part.numpy() for part in (boxes, scores[:300], picks % network.classes)]


def run_both(network: DeimV2, images: NDArray[np.uint8]) -> list[tuple[Arrays, Arrays]]:
    """For each image what PyTorch's network finds and what the twin finds."""
    twin = trace(network)
    return [
        (
            detect(network, image),
            [part[0].numpy() for part in twin(tf.constant(image[None], tf.float32))],
        )
        for image in images
    ]


def check_equal(network: DeimV2, images: NDArray[np.uint8], floor: float = 0.2) -> int:
    """Compare all scores and the detections above `floor`; returns how many those were."""
    compared = 0
    for (boxes, scores, labels), (twin_boxes, twin_scores, twin_labels) in run_both(
        network, images
    ):
        np.testing.assert_allclose(twin_scores, scores, atol=1e-4)  # 2e-5 measured
        strong = scores > floor
        assert (twin_labels[strong] == labels[strong]).all()
        px = network.input_px
        # .002 px measured; the image is 320 or more pixels wide
        np.testing.assert_allclose(twin_boxes[strong] * px, boxes[strong] * px, atol=0.05)
        compared += strong.sum()
    return compared


@pytest.mark.parametrize(("size", "count"), [("atto", 62), ("femto", 55)])
def test_real_detections_are_the_same(
    size: str, count: int, shared: Path, coco_network: Callable[[str], DeimV2]
) -> None:
    images = np.load(shared / "models" / f"golden-{size}.npz")["images_uint8"]
    assert check_equal(coco_network(size), images) == count


def made_up_network(size: str) -> DeimV2:
    """A network for 64 px and 3 classes in which no weight is a default."""
    torch.manual_seed(0)
    network = DeimV2(size, 3, input_px=64).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.3, 0.3)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
            if isinstance(module, Affine):  # negative scales cannot be folded into the kernel
                module.scale.uniform_(-0.5, 1.5)
        for head in (network.decoder.enc_score_head, *network.decoder.dec_score_head):
            nn.init.normal_(head.weight)  # scores far apart: all choose the same queries
    return network


@pytest.mark.parametrize("size", SIZES)
def test_every_size_is_the_same_with_any_weights(size: str) -> None:
    network = made_up_network(size)
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    for (boxes, scores, _), (twin_boxes, twin_scores, twin_labels) in run_both(network, images):
        assert len(scores) == 60
        assert np.ptp(scores) > 0.1
        assert np.ptp(boxes, axis=0).min() > 0.1
        np.testing.assert_allclose(twin_scores, scores, atol=1e-4)
        # sorted: near-ties may swap rows
        np.testing.assert_allclose(np.sort(twin_boxes, 0), np.sort(boxes, 0), atol=1e-3)
        assert set(twin_labels.tolist()) == {0, 1, 2}


def test_large_maps_leave_out_the_rim(coco_network: Callable[[str], DeimV2]) -> None:
    """From 50 cells a side on there are anchors too near the rim, whose tokens count as zeros.

    The head prefers zeros here, so that those tokens become the queries, all alike.
    """
    network = coco_network("atto")
    network.set_input_size(832)
    assert (~network.decoder.valid_mask).sum() > network.size.queries
    with torch.no_grad():
        network.decoder.enc_score_head.weight.fill_(-1)
    images = np.random.default_rng(0).integers(0, 256, (1, 832, 832, 3), dtype=np.uint8)
    ((expected, found),) = run_both(network, images)
    assert np.ptp(expected[0], axis=0).max() < 1e-3
    np.testing.assert_allclose(found[0], expected[0], atol=1e-3)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-4)


def test_shapes_are_static_and_numbers_narrow(coco_network: Callable[[str], DeimV2]) -> None:
    """TensorFlow.js has neither int64 nor float64."""
    graph = trace(coco_network("atto"))
    kinds = set()
    for operation in graph.graph.get_operations():
        for output in operation.outputs:
            assert output.shape.is_fully_defined(), operation.name
            kinds.add(output.dtype.name)
    assert kinds == {"float32", "int32"}
    boxes, scores, labels = graph.structured_outputs
    assert (boxes.dtype, scores.dtype, labels.dtype) == (tf.float32, tf.float32, tf.int32)
    assert (boxes.shape, scores.shape, labels.shape) == ((1, 300, 4), (1, 300), (1, 300))


def test_too_small_an_input_is_refused() -> None:
    with pytest.raises(ExportError, match="64 px or more"):
        build_twin(DeimV2("atto", 1, input_px=32))
