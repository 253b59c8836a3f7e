"""Convolutions in 8 bits: where the ranges come from, what is left out, and when it is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from sightline.detections import Detections
from sightline.errors import ExportError
from sightline.export.parity import compare
from sightline.export.quantize import (
    SHARES,
    Calibration,
    Quantized,
    calibrate,
    correct_biases,
    quantize,
    rank_convolutions,
)
from sightline.runtime.engines.onnx import open_session

SIDE = 16
INTEGERS = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """A graph of eight convolutions in a row, ReLUs between them, whose output is "scores".

    The third has one kernel value a thousand times the rest, so that 8 bits of the channel's scale
    hold nothing of the others.
    """
    rng = np.random.default_rng(0)
    nodes = [
        onnx.helper.make_node("Cast", ["image"], ["float"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("Transpose", ["float"], ["x0"], perm=[0, 3, 1, 2]),
    ]
    tensors = []
    for index in range(8):
        inputs = 3 if index == 0 else 8
        kernel = rng.normal(0, 0.3, (8, inputs, 3, 3)).astype(np.float32)
        if index == 2:
            kernel[:, 0, 0, 0] = 300
        tensors += [
            numpy_helper.from_array(kernel, f"w{index}"),
            numpy_helper.from_array(rng.normal(0, 0.1, 8).astype(np.float32), f"b{index}"),
        ]
        nodes += [
            onnx.helper.make_node(
                "Conv", [f"x{index}", f"w{index}", f"b{index}"], [f"y{index}"], pads=[1, 1, 1, 1]
            ),
            onnx.helper.make_node("Relu", [f"y{index}"], [f"x{index + 1}"]),
        ]
    nodes.append(onnx.helper.make_node("Identity", ["x8"], ["scores"]))
    ends = [
        onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, [1, SIDE, SIDE, 3]),
        onnx.helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, [1, 8, SIDE, SIDE]),
    ]
    graph = onnx.helper.make_graph(nodes, "chain", ends[:1], ends[1:], tensors)
    opsets = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, ir_version=10, opset_imports=opsets), tmp_path / "g")
    return tmp_path / "g"


def write_layer(path: Path, activation: onnx.NodeProto, bound: float) -> None:
    """One convolution of pixels and what follows it, from "y" to "scores"."""
    kernel = np.random.default_rng(0).normal(0, 0.01, (4, 3, 1, 1)).astype(np.float32)
    tensors = [
        numpy_helper.from_array(kernel, "kernel"),
        numpy_helper.from_array(np.float32(bound), "bound"),
    ]
    nodes = [
        onnx.helper.make_node("Cast", ["image"], ["float"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("Transpose", ["float"], ["x"], perm=[0, 3, 1, 2]),
        onnx.helper.make_node("Conv", ["x", "kernel"], ["y"]),
        activation,
    ]
    ends = [
        onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, [1, SIDE, SIDE, 3]),
        onnx.helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, [1, 4, SIDE, SIDE]),
    ]
    graph = onnx.helper.make_graph(nodes, "layer", ends[:1], ends[1:], tensors)
    opsets = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, ir_version=10, opset_imports=opsets), path)


def noise(count: int, side: int = SIDE) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for _ in range(count)]


def count_floats(graph: Path) -> int:
    """Convolutions whose kernel is not stored in 8 bits."""
    model = onnx.load(graph)
    made_by = {node.output[0]: node for node in model.graph.node}
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    kernels = [node.input[1] for node in model.graph.node if node.op_type == "Conv"]
    assert kernels
    return sum(
        name not in made_by or kinds.get(made_by[name].input[0]) not in INTEGERS for name in kernels
    )


def test_every_convolution_is_quantised_where_ap_allows(
    chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    before = chain.read_bytes()
    small = tmp_path / "small"
    result = quantize(chain, small, noise(3), lambda graph: 0.5)
    assert result == Quantized(0.5, 0.5, convolutions=8, floats=0)
    assert count_floats(small) == 0
    onnx.checker.check_model(onnx.load(small), full_check=True)
    assert chain.read_bytes() == before
    assert not list(work.iterdir())
    assert capfd.readouterr() == ("", "")


def test_the_same_images_give_the_same_file(chain: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        quantize(chain, tmp_path / name, noise(3), score_by_floats(1))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def score_by_floats(needed: int, fall: float = 0.02) -> Callable[[Path], float]:
    """An AP of 0.5 that falls unless so many convolutions compute in float32."""

    def score(graph: Path) -> float:
        return 0.5 if count_floats(graph) >= needed else 0.5 - fall

    return score


@pytest.mark.parametrize(("needed", "floats"), [(1, 1), (2, 2), (3, 4)])
def test_more_is_left_out_until_ap_holds(
    chain: Path, tmp_path: Path, needed: int, floats: int
) -> None:
    """Of eight convolutions an eighth, a quarter, half."""
    result = quantize(chain, tmp_path / "small", noise(3), score_by_floats(needed))
    assert result == Quantized(0.5, 0.5, convolutions=8, floats=floats)
    assert count_floats(tmp_path / "small") == floats


def test_one_point_is_allowed_and_no_more(chain: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    assert quantize(chain, small, noise(2), score_by_floats(8, fall=0.0099)).floats == 0
    with pytest.raises(ExportError, match=r"AP 0\.500 falls to 0\.489 at best.*onnx-fp16"):
        quantize(chain, small, noise(2), score_by_floats(8, fall=0.011))
    assert not small.exists()
    assert SHARES[-1] < 1


def test_without_images_it_is_refused(chain: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="measured on images"):
        quantize(chain, tmp_path / "small", [], lambda graph: 0.5)
    assert not (tmp_path / "small").exists()


def test_ranges_hold_zero_and_all_but_a_few_values(chain: Path) -> None:
    model = onnx.load(chain)
    for index, node in enumerate(model.graph.node):
        node.name = str(index)
    dark = [image // 8 for image in noise(4)]
    ranges = calibrate(model, dark).ranges
    assert ranges["x0"] == (0, 255)  # pixels, however dark the images
    assert all(low <= 0 <= high for low, high in ranges.values())
    assert all(ranges[f"x{index}"][0] == 0 for index in range(1, 9))  # after a ReLU
    assert {f"y{index}" for index in range(8)} < set(ranges)


@pytest.mark.parametrize(("kind", "bound", "left"), [
    ("Relu", 0.0, 0), ("Clip", -0.5, 0),
    ("Clip", 0.5, 1),  # no end of a range with zero inside
])  # fmt: skip
def test_an_activation_is_the_end_of_a_range_where_it_can_be(
    tmp_path: Path, kind: str, bound: float, left: int
) -> None:
    inputs = ["y", "bound"] if kind == "Clip" else ["y"]
    write_layer(tmp_path / "g", onnx.helper.make_node(kind, inputs, ["scores"]), bound)
    images = noise(3)
    quantize(tmp_path / "g", tmp_path / "small", images, lambda graph: 0.5)
    kinds = [node.op_type for node in onnx.load(tmp_path / "small").graph.node]
    assert kinds.count(kind) == left
    expected, found = (
        open_session(tmp_path / name, threads=1).run(["scores"], {"image": images[0][None]})[0]
        for name in ("g", "small")
    )
    step = (expected.max() - min(bound, 0)) / 255
    assert (found >= bound - step).all()
    # Two roundings: kernels to a 254th of their range, results to a step. The very ends are clipped
    np.testing.assert_allclose(found, np.minimum(expected, found.max()), atol=4 * step)
    assert np.abs(found - expected).max() > 0


@pytest.mark.parametrize("groups", [1, 2])
def test_corrected_biases_keep_the_means(groups: int) -> None:
    """Kernels rounded to 8 bits, biases corrected: each channel's mean is what it was."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(0, 1, (4, 6 // groups, 1, 1)).astype(np.float32)
    kernel[:, 0] = 40  # a coarse step for the others
    tensors = [
        numpy_helper.from_array(kernel, "kernel"),
        numpy_helper.from_array(rng.normal(0, 1, 4).astype(np.float32), "bias"),
    ]
    conv = onnx.helper.make_node("Conv", ["x", "kernel", "bias"], ["y"], "conv", group=groups)
    model = onnx.helper.make_model(onnx.helper.make_graph([conv], "g", [], [], tensors))
    x = rng.uniform(0, 3, (1, 6, 5, 5)).astype(np.float32)
    calibration = Calibration({}, {"x": x.mean(axis=(0, 2, 3))})

    def mean_outputs(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
        tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        bias = numpy_helper.to_array(tensors[model.graph.node[0].input[2]])
        inputs = x.reshape(groups, 6 // groups, 25)
        kernels = kernel.reshape(groups, 4 // groups, 6 // groups)
        return (kernels @ inputs).mean(axis=2).reshape(4) + bias

    step = np.abs(kernel).max(axis=(1, 2, 3), keepdims=True) / 127
    rounded = np.rint(kernel / step) * step
    expected = mean_outputs(kernel)
    assert np.abs(mean_outputs(rounded) - expected).max() > 0.01
    correct_biases(model, calibration, ["another"])
    assert np.abs(mean_outputs(rounded) - expected).max() > 0.01
    correct_biases(model, calibration, ["conv"])
    np.testing.assert_allclose(mean_outputs(rounded), expected, atol=1e-3)


def test_the_convolution_that_suffers_most_is_named_first(chain: Path) -> None:
    model = onnx.load(chain)
    for index, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}.{index}"
    model = onnx.shape_inference.infer_shapes(model)
    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    ranked = rank_convolutions(model, calibrate(model, noise(3)), noise(2))
    assert sorted(ranked) == sorted(convolutions)
    assert ranked[0] == convolutions[2]


def test_atto_in_8_bits_is_a_third_and_finds_the_same_objects(
    atto_bundle: Path, shared: Path, tmp_path: Path
) -> None:
    graph, small = atto_bundle / "model.onnx", tmp_path / "small.onnx"
    images = np.load(shared / "models" / "golden-atto.npz")["images_uint8"][:3]
    quantize(graph, small, list(images), lambda graph: 0.3)
    assert small.stat().st_size < 0.35 * graph.stat().st_size
    labels = tuple(map(str, range(80)))
    found = []
    for path in (graph, small):
        session = open_session(path, threads=1)
        for image in images:
            boxes, scores, ids = session.run(["boxes", "scores", "labels"], {"image": image[None]})
            found.append(Detections(boxes[0] * 320, scores[0], ids[0], labels, 320, 320))
    pairs = list(zip(found[:3], found[3:], strict=True))
    # Sure ones are found again, a little less sure or more
    parity = compare("onnxruntime", pairs, floor=0.5, score_bound=0.3)
    assert parity.unmatched == 0, parity
    assert parity.max_score_drift < 0.3, parity
    assert parity.mean_box_drift_px < 10, parity
