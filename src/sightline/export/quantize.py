"""A graph whose convolutions compute in 8-bit integers, as far as AP allows.

Activations are uint8 with ranges seen on calibration images, kernels int8 with a scale for each
output channel (ONNX's QuantizeLinear and DequantizeLinear). What decides where a query looks, the
whole decoder, computes in float32. Knows nothing of data sets: the caller brings the images and
the score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ExportError
from sightline.export.half import halve_weights, narrow_linear, shorten_names
from sightline.runtime.engines.onnx import forbid_telemetry

MOST_FALL = 0.01  # of AP: one point
RANKING_IMAGES = 6  # enough to tell convolutions that suffer much from those that suffer little
# Of each image's values so many lie beyond the range at either end, and are clipped. The range of
# all values cost up to six times as much AP, that of the least squared error twice.
CLIPPED = 1e-4
SHARES = (0.0, 0.125, 0.25, 0.5)  # of the convolutions, left in float32; the first that holds

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Calibration:
    """What was seen on images, by the name of the value.

    ranges: the least and greatest of what convolutions take and give. means: (C,) float32, of each
    channel of what they take.
    """

    ranges: dict[str, tuple[float, float]]
    means: dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Quantized:
    """What 8 bits cost: AP before and after, and how many convolutions stayed float32."""

    ap_before: float
    ap_after: float
    convolutions: int
    floats: int


def quantize(
    graph: Path, out: Path, images: Sequence[Image], score: Callable[[Path], float]
) -> Quantized:
    """Write the ONNX file `graph` to `out`, its convolutions in 8 bits, and say what that costs.

    images: (S, S, 3) uint8 RGB of the graph's size, best such as were trained on. score: the AP in
    0..1 of an ONNX file. Where AP falls by more than one point, the convolutions that move the
    scores most are left in float32, up to half of them. Raises ExportError where that is not
    enough; then there is no `out`.
    """
    import onnx

    if not images:
        raise ExportError("8-bit ranges are measured on images, and there is none; give data")
    model = onnx.load(graph)
    # the quantizer picks nodes by name and looks up the types of values
    for index, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}.{index}"
    model = onnx.shape_inference.infer_shapes(model)
    calibration = calibrate(model, images)
    before = score(graph)
    best, order = -1.0, [node.name for node in _convolutions(model)]
    for share in SHARES:
        if share == SHARES[1]:
            order = rank_convolutions(model, calibration, images[:RANKING_IMAGES])
        floats = order[: round(share * len(order))]
        small = quantize_convolutions(model, calibration, order[len(floats) :])
        narrow_linear(small)
        halve_weights(small)
        shorten_names(small)
        onnx.save(small, out)
        after = score(out)
        best = max(best, after)
        if before - after <= MOST_FALL:
            return Quantized(before, after, len(order), len(floats))
    out.unlink()
    raise ExportError(
        f"8 bits cost too much: AP {before:.3f} falls to {best:.3f} at best, more than one point; "
        "export onnx-fp16 instead"
    )


def calibrate(model: Any, images: Sequence[Image]) -> Calibration:
    """Ranges and means of the values around convolutions, averaged over the images.

    Ranges hold all but a share of CLIPPED of an image's values at either end, and zero, as padding
    is zero.
    """
    names = sorted(_measured_values(model))
    extremes, means = [], []
    for values in _run(model, names, images):
        extremes.append([_inner_extremes(value) for value in values])
        means.append([value.mean(axis=(0, 2, 3)) for value in values])
    lows, highs = np.mean(extremes, axis=0).T.tolist()
    ranges = {
        name: (min(low, 0.0), max(high, 0.0))
        for name, low, high in zip(names, lows, highs, strict=True)
    }
    # Pixels are whole numbers: with a step of 1 nothing is lost
    ranges[_convolutions(model)[0].input[0]] = (0.0, 255.0)
    columns = zip(*means, strict=True)
    return Calibration(
        ranges,
        {name: np.mean(column, axis=0) for name, column in zip(names, columns, strict=True)},
    )


def rank_convolutions(model: Any, calibration: Calibration, images: Sequence[Image]) -> list[str]:
    """Names of the convolutions, first the one that in 8 bits by itself moves the scores most."""
    expected = [scores for (scores,) in _run(model, ["scores"], images)]
    drifts = {}
    for node in _convolutions(model):
        alone = quantize_convolutions(model, calibration, [node.name])
        found = [scores for (scores,) in _run(alone, ["scores"], images)]
        drifts[node.name] = float(np.abs(np.subtract(expected, found)).mean())
    return sorted(drifts, key=lambda name: -drifts[name])


def quantize_convolutions(model: Any, calibration: Calibration, names: Sequence[str]) -> Any:
    """A copy of the model in which the convolutions of these names compute in 8 bits."""
    import onnx

    forbid_telemetry()
    from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType, TensorsData

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if not names:
        return copy
    correct_biases(copy, calibration, names)
    after = _activations(model)
    limits = {
        name: (np.float32(low), np.float32(high))
        for name, (low, high) in calibration.ranges.items()
    }
    quantizer = QDQQuantizer(
        copy,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, limits),
        nodes_to_quantize=[*names, *(after[name].name for name in names if name in after)],
        nodes_to_exclude=[],
        op_types_to_quantize=["Conv", "Relu", "Clip"],
        extra_options={},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()  # onnxruntime-web refuses what comes before its inputs
    return quantizer.model.model


def correct_biases(model: Any, calibration: Calibration, names: Sequence[str]) -> None:
    """Add to biases (in place) what 8-bit kernels take from the means of the outputs.

    Data-dependent bias correction (arXiv 1906.04721, section 4.2), without the padding's share.
    """
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in _convolutions(model):
        if node.name not in names or len(node.input) < 3:
            continue
        kernel, bias = (numpy_helper.to_array(constants[name]) for name in node.input[1:])
        step = np.abs(kernel).max(axis=(1, 2, 3), keepdims=True) / 127
        step[step == 0] = 1
        lost = (kernel - np.rint(kernel / step) * step).sum(axis=(2, 3))  # (outputs, inputs)
        groups = calibration.means[node.input[0]].reshape(-1, kernel.shape[1])
        means = groups.repeat(len(kernel) // len(groups), axis=0)
        corrected = (bias + (lost * means).sum(axis=1)).astype(np.float32)
        node.input[2] = f"{node.name}.bias"  # its own, should several share the old one
        model.graph.initializer.append(numpy_helper.from_array(corrected, node.input[2]))


def _convolutions(model: Any) -> list[Any]:
    """Those that can be quantised: all but the ones whose results are added to others'.

    onnxruntime-web 1.30 cannot load a sum of two 8-bit values that is 8 bits again.
    """
    added = {name for node in model.graph.node if node.op_type == "Add" for name in node.input}
    for node in model.graph.node:
        if node.op_type in ("Relu", "Clip") and node.output[0] in added:
            added.add(node.input[0])
    return [
        node for node in model.graph.node if node.op_type == "Conv" and node.output[0] not in added
    ]


def _activations(model: Any) -> dict[str, Any]:
    """Nodes that the lower end of an 8-bit range stands for, by the convolution before them.

    A ReLU, or a Clip from below, that alone takes what the convolution gives. A bound above zero
    is no end of a range, as zero is always inside.
    """
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    takers: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for name in node.input:
            takers.setdefault(name, []).append(node)
    found = {}
    for node in _convolutions(model):
        following = takers.get(node.output[0], [])
        if len(following) != 1:
            continue
        (taker,) = following
        is_lower = taker.op_type == "Clip" and len(taker.input) == 2 and taker.input[1] in constants
        if taker.op_type == "Relu" or (
            is_lower and numpy_helper.to_array(constants[taker.input[1]]) <= 0
        ):
            found[node.name] = taker
    return found


def _measured_values(model: Any) -> set[str]:
    nodes = _convolutions(model)
    inner = {name for node in nodes for name in (node.input[0], node.output[0])}
    return inner | {node.output[0] for node in _activations(model).values()}


def _inner_extremes(values: NDArray[np.float32]) -> tuple[float, float]:
    """Least and greatest of the values without a share of CLIPPED at either end."""
    last = values.size - 1
    cut = round(last * CLIPPED)
    ordered = np.partition(values, (cut, last - cut), axis=None)
    return float(ordered[cut]), float(ordered[last - cut])


def _run(model: Any, names: Sequence[str], images: Sequence[Image]) -> Any:
    """For each image the values of these names, inner ones too."""
    import onnx

    forbid_telemetry()
    import onnxruntime

    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    ends = {end.name for end in shown.graph.output}
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in ends)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        shown.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    for image in images:
        yield session.run(list(names), {"image": image[None]})
