"""The graph: static, of plain operators, with the contract's inputs and outputs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from sightline.export.deploy import DeployedDetector
from sightline.export.onnx import OPSET, write_onnx
from sightline.models.deimv2.network import DeimV2
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
    constants = {constant.name: constant for constant in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Gather":  # whole rows, or one coordinate by a constant number
            indices = constants.get(node.input[1])
            is_slice = indices is not None and not indices.dims
            assert is_slice or node.attribute[0].i == 0, node.name
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    graph = inferred.graph
    assert len(graph.value_info) > 100
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
    ("size", "batch"),
    [("atto", 2), *(pytest.param(size, 1, marks=pytest.mark.slow) for size in ("pico", "n"))],
)
def test_a_new_network_is_exported_and_equal(size: str, batch: int, tmp_path: Path) -> None:
    """One class at 64 px, several images at once: everything that is no default."""
    torch.manual_seed(0)
    network = DeimV2(size, 1, input_px=64).eval()
    graph = tmp_path / "small.onnx"
    assert write_onnx(network, graph, batch=batch) == 20
    check_graph(onnx.load(graph))
    images = torch.randint(0, 256, (batch, 64, 64, 3), dtype=torch.uint8)
    boxes, scores, labels = open_session(graph, threads=1).run(
        ["boxes", "scores", "labels"], {"image": images.numpy()}
    )
    with torch.no_grad():
        expected_boxes, expected_scores, _ = DeployedDetector(network)(images)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-5)
    np.testing.assert_allclose(np.sort(boxes, axis=1), expected_boxes.sort(dim=1)[0], atol=1e-4)
    assert boxes.shape == (batch, 20, 4)
    assert (labels == 0).all()
