"""The graph: static, of plain operators, with the contract's inputs and outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from sightline.export.deploy import DeployedDetector
from sightline.export.graph_nodes import OPSET
from sightline.export.onnx import write_onnx
from sightline.models.deimv2.network import DeimV2
from sightline.models.deimv2.sizes import SIZES
from sightline.runtime.engines.onnx import open_session

pytestmark = pytest.mark.usefixtures("one_thread")

# Shape arithmetic, control flow, and what TensorFlow.js and others lack or get wrong.
FORBIDDEN = {
    "Shape", "NonZero", "Range", "ConstantOfShape", "GridSample", "GatherElements", "GatherND",
    "ScatterND", "ScatterElements", "If", "Loop", "Scan", "Where", "Einsum", "BatchNormalization",
}  # fmt: skip


def check_graph(model: onnx.ModelProto) -> None:
    """Static shapes throughout, and only operators that every target has."""
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert not model.functions
    operators = Counter(node.op_type for node in model.graph.node)
    assert not operators.keys() & FORBIDDEN, operators
    assert {node.domain for node in model.graph.node} == {""}
    assert operators["TopK"] == 3  # query selection, the edges' quality, the detections
    for node in model.graph.node:
        if node.op_type == "Gather":  # whole rows
            assert not node.attribute, node.name
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    graph = inferred.graph
    assert len(graph.value_info) > 400
    assert len(model.graph.node) < 700
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dimension in value.type.tensor_type.shape.dim:
            assert dimension.HasField("dim_value"), f"{value.name} has a symbolic dimension"


def test_graph_is_static_and_plain(atto_bundle: Path) -> None:
    check_graph(onnx.load(atto_bundle / "model.onnx"))


def test_inputs_and_outputs_are_the_contract_s(atto_bundle: Path) -> None:
    session = open_session(atto_bundle / "model.onnx", threads=1)
    ends = {
        end.name: (end.type, end.shape) for end in (*session.get_inputs(), *session.get_outputs())
    }
    assert ends == {
        "image": ("tensor(uint8)", [1, 320, 320, 3]),
        "boxes": ("tensor(float)", [1, 300, 4]),
        "scores": ("tensor(float)", [1, 300]),
        "labels": ("tensor(int32)", [1, 300]),
    }


def test_outputs_are_sorted_and_in_range(atto_bundle: Path, shared: Path) -> None:
    session = open_session(atto_bundle / "model.onnx", threads=1)
    golden = np.load(shared / "models" / "golden-atto.npz")
    for image, official in zip(golden["images_uint8"], golden["scores"], strict=True):
        boxes, scores, labels = session.run(["boxes", "scores", "labels"], {"image": image[None]})
        assert (np.diff(scores[0]) <= 0).all()
        assert ((boxes >= 0) & (boxes <= 1)).all()
        assert (boxes[..., 2:] >= boxes[..., :2]).all()
        assert ((labels >= 0) & (labels < 80)).all()
        np.testing.assert_allclose(scores[0], official, atol=1e-3)  # ranked: 2e-5 measured


def test_nothing_is_left_of_the_exporter_in_the_file(atto_bundle: Path) -> None:
    graph = atto_bundle / "model.onnx"
    model = onnx.load(graph)
    assert not model.metadata_props
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
    assert b"/home/" not in graph.read_bytes()
    assert b".py" not in graph.read_bytes()
    # 0.5 M parameters of four bytes, and as much again for nothing would be seen
    assert graph.stat().st_size < 2.4e6


@pytest.mark.parametrize(
    ("size", "side", "batch"),
    [
        *((size, 64, batch) for size in SIZES for batch in (1, 2)),
        ("atto", 832, 1),  # anchors near the image's edge are invalid on large maps
    ],
)
def test_the_graph_computes_what_the_network_computes(
    size: str, side: int, batch: int, made_up_network: Callable[[str, int, int], DeimV2],
    tmp_path: Path,
) -> None:  # fmt: skip
    network = made_up_network(size, 3, side)
    assert network.decoder.valid_mask.all() == (side < 832)
    graph = tmp_path / "made-up.onnx"
    kept = write_onnx(network, graph, batch=batch)
    check_graph(onnx.load(graph))
    images = torch.randint(0, 256, (batch, side, side, 3), dtype=torch.uint8)
    found = open_session(graph, threads=1).run(
        ["boxes", "scores", "labels"], {"image": images.numpy()}
    )
    with torch.no_grad():
        expected = DeployedDetector(network)(images)
    assert found[0].shape == (batch, kept, 4)
    assert np.ptp(found[0], axis=1).min() > 0.05  # the boxes are not all the same
    ours, theirs = (
        np.dstack([np.asarray(boxes), np.asarray(scores), np.asarray(labels)])
        for boxes, scores, labels in (found, expected)
    )
    np.testing.assert_allclose(ours[..., 4], theirs[..., 4], rtol=0, atol=1e-4)
    apart = np.abs(ours[:, :, None] - theirs[:, None]).max(-1)  # equal scores may change places
    # float32 in another order, through 60 layers of random weights
    assert max(apart.min(axis=1).max(), apart.min(axis=2).max()) < 1e-3


@pytest.mark.parametrize("size", ["atto", "femto"])
def test_official_images_are_scored_alike(
    size: str, shared: Path, coco_network: Callable[[str], DeimV2], tmp_path: Path
) -> None:
    golden = np.load(shared / "models" / f"golden-{size}.npz")
    write_onnx(coco_network(size), tmp_path / "model.onnx", batch=2)
    session = open_session(tmp_path / "model.onnx", threads=1)
    for first in (0, 2):
        images = golden["images_uint8"][first : first + 2]
        scores = session.run(["scores"], {"image": images})[0]
        np.testing.assert_allclose(scores, golden["scores"][first : first + 2], atol=1e-3)
