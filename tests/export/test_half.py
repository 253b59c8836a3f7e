"""Graphs with weights in 16 bits: as small as promised, near float32, and undone at loading."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import numpy_helper

from sightline.detections import Detections
from sightline.export.deploy import DeployedDetector
from sightline.export.half import EXACT_VALUES, fits_half, write_half
from sightline.export.onnx import write_onnx
from sightline.export.parity import compare
from sightline.models.deimv2.network import DeimV2
from sightline.runtime.engines.onnx import open_session

pytestmark = pytest.mark.usefixtures("one_thread")
LABELS = tuple(map(str, range(80)))


def detect(graph: Path, images: np.ndarray) -> list[Detections]:
    session = open_session(graph, threads=1)
    side = images.shape[1]
    found = []
    for image in images:
        boxes, scores, labels = session.run(["boxes", "scores", "labels"], {"image": image[None]})
        found.append(Detections(boxes[0] * side, scores[0], labels[0], LABELS, side, side))
    return found


def detect_with_torch(network: DeimV2, images: np.ndarray) -> list[Detections]:
    deployed = DeployedDetector(network).eval()
    side = images.shape[1]
    with torch.no_grad():
        boxes, scores, labels = (value.numpy() for value in deployed(torch.from_numpy(images)))
    return [
        Detections(boxes[n] * side, scores[n], labels[n], LABELS, side, side)
        for n in range(len(images))
    ]


def check_official(
    size: str, bundle: Path, network: DeimV2, shared: Path, tmp_path: Path, most_bytes: float
) -> None:
    half = tmp_path / "half.onnx"
    write_half(bundle / "model.onnx", half)
    assert half.stat().st_size < most_bytes
    images = np.load(shared / "models" / f"golden-{size}.npz")["images_uint8"]
    expected, found = detect_with_torch(network, images), detect(half, images)
    parity = compare("onnxruntime", list(zip(expected, found, strict=True)), score_bound=5e-3,
                     box_bound_px=1.0)  # fmt: skip
    assert parity.matched > 30
    assert parity.holds(), parity


def test_atto_stays_within_the_bounds(
    atto_bundle: Path, coco_network: Callable[[str], DeimV2], shared: Path, tmp_path: Path
) -> None:
    check_official("atto", atto_bundle, coco_network("atto"), shared, tmp_path, 1.3e6)


@pytest.mark.slow
def test_femto_stays_within_the_bounds(
    coco_bundle: Path, coco_network: Callable[[str], DeimV2], shared: Path, tmp_path: Path
) -> None:
    check_official("femto", coco_bundle, coco_network("femto"), shared, tmp_path, 2.3e6)


@pytest.mark.parametrize(
    "size", ["femto", *(pytest.param(size, marks=pytest.mark.slow) for size in ("pico", "n"))]
)
def test_a_new_network_is_half_the_size_and_near(size: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = DeimV2(size, 1, input_px=64).eval()
    graph, half = tmp_path / "graph.onnx", tmp_path / "half.onnx"
    write_onnx(network, graph)
    before = graph.read_bytes()
    write_half(graph, half)
    assert graph.read_bytes() == before
    assert half.stat().st_size <= 0.55 * len(before)
    images = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    session = open_session(half, threads=1)
    boxes, scores, _ = session.run(["boxes", "scores", "labels"], {"image": images.numpy()})
    with torch.no_grad():
        expected_boxes, expected_scores, _ = DeployedDetector(network)(images)
    # 1e-5 measured: scores of a new network are all about 0.01
    np.testing.assert_allclose(scores, expected_scores, atol=1e-4)
    np.testing.assert_allclose(np.sort(boxes, axis=1), expected_boxes.sort(dim=1)[0], atol=1 / 64)


def test_what_is_no_weight_keeps_its_type(atto_bundle: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.onnx"
    write_half(atto_bundle / "model.onnx", half)
    before, after = onnx.load(atto_bundle / "model.onnx"), onnx.load(half)
    ends = [[end.name for end in (*m.graph.input, *m.graph.output)] for m in (before, after)]
    assert ends[0] == ends[1]
    users: dict[str, set[str]] = {}
    for node in after.graph.node:
        for name in node.input:
            users.setdefault(name, set()).add(node.op_type)
    small = (onnx.TensorProto.FLOAT16, onnx.TensorProto.INT16)
    for tensor in after.graph.initializer:
        if tensor.data_type in small:
            assert users[tensor.name] == {"Cast"}
            assert len(tensor.dims) >= 2
    kernels = [t for t in after.graph.initializer if users[t.name] == {"Conv"} and len(t.dims) == 4]
    values = [int(np.prod(kernel.dims)) for kernel in kernels]
    assert 0 < sum(values) <= EXACT_VALUES
    first = next(node for node in after.graph.node if node.op_type == "Conv")
    assert first.input[1] in {kernel.name for kernel in kernels}


def test_nothing_is_left_to_do_for_each_image(atto_bundle: Path, tmp_path: Path) -> None:
    """ONNX Runtime undoes the 16 bits while it loads: no weight is cast or scaled afterwards."""
    half, loaded = tmp_path / "half.onnx", tmp_path / "loaded.onnx"
    write_half(atto_bundle / "model.onnx", half)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(loaded)
    onnxruntime.InferenceSession(str(half), options, providers=["CPUExecutionProvider"])
    model = onnx.load(loaded)
    kinds = {tensor.data_type for tensor in model.graph.initializer}
    assert onnx.TensorProto.FLOAT16 not in kinds
    assert onnx.TensorProto.INT16 not in kinds
    constant = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        assert not constant.issuperset(node.input), f"{node.op_type} of constants alone"


def test_values_beyond_float16_stay_float32(tmp_path: Path) -> None:
    weights = {
        "plain": np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8),
        "great": np.full((8, 8), 70000, np.float32),
        "slight": np.full((8, 8), 3e-8, np.float32),
    }
    nodes = []
    for number, name in enumerate(weights):
        taken = f"x{number}" if number else "x"
        nodes.append(onnx.helper.make_node("MatMul", [taken, name], [f"x{number + 1}"]))
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 8])
        for name in ("x", f"x{len(weights)}")
    ]
    tensors = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    graph = onnx.helper.make_graph(nodes, "three", ends[:1], ends[1:], tensors)
    opsets = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets), tmp_path / "three.onnx")
    write_half(tmp_path / "three.onnx", tmp_path / "half.onnx")
    after = onnx.load(tmp_path / "half.onnx")
    stored = [numpy_helper.to_array(tensor) for tensor in after.graph.initializer]
    assert [values.dtype for values in stored] == [np.float16, np.float32, np.float32]
    np.testing.assert_array_equal(stored[1], weights["great"])
    np.testing.assert_array_equal(stored[2], weights["slight"])


@given(
    arrays.arrays(
        np.float32, (4, 4), elements=st.floats(-60000, 60000, width=32, allow_subnormal=False)
    )
)
def test_what_fits_is_held_to_eleven_bits(values: np.ndarray) -> None:
    top = np.abs(values).max()
    error = np.abs(values.astype(np.float16).astype(np.float32) - values).max()
    assert fits_half(values) == (error <= top / 2048)
    if top > 0.01:
        assert fits_half(values)
    assert not fits_half(values + np.float32(2e5))
