"""A graph with its weights in 16 bits: half the file, the same float32 arithmetic.

Linear layers' weights become float16 constants. A convolution's kernels become integers of 16 bits
with a scale for each channel: at the same size their rounding errors are an eighth of float16's,
which moved boxes by up to 17 pixels where they swapped queries. ONNX Runtime turns both
back into float32 once, while it loads. Knows nothing of bundles or of how near the result must be.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LINEAR = {"Gemm", "MatMul", "Slice", "Transpose"}  # the last two bring weights to the others
LEAST_VALUES = 64  # a smaller tensor saves fewer bytes than its Cast takes
# The first kernels stay float32, up to so many values: errors made there pass through all the rest.
EXACT_VALUES = 18_000  # the stem and the first stage, of all sizes


def write_half(graph: Path, out: Path) -> None:
    """Write the ONNX file `graph` to `out` with its weights in 16 bits.

    Anchors, tables, biases, scales and indices keep their type, and so do weights that float16
    cannot hold.
    """
    import onnx

    model = onnx.load(graph)
    halve_weights(model)
    shorten_names(model)
    onnx.save(model, out)


def halve_weights(model: Any) -> None:
    """Store the weights of an ONNX model (a ModelProto, changed in place) in 16 bits."""
    exact = EXACT_VALUES
    added = []
    for tensor, values, users in _weights(model):
        if users == {"Conv"}:
            exact -= values.size
            if exact < 0:
                added += _store_fixed(model, tensor, values, (1, 2, 3), np.int16)
        elif users <= LINEAR and fits_half(values):
            added += _store_half(tensor, values)
    _put_first(model, added)


def narrow_linear(model: Any) -> None:
    """Store the weights of an ONNX model's linear layers in 8 bits, with a scale for each row."""
    added = []
    for tensor, values, users in _weights(model):
        if users <= LINEAR:
            added += _store_fixed(model, tensor, values, (-1,), np.int8)
    _put_first(model, added)


def _weights(model: Any) -> list[tuple[Any, NDArray[np.float32], set[str]]]:
    """Float32 tensors of two dimensions or more that are not small, in the order of their use.

    Each with its values and the operators that take it.
    """
    from onnx import numpy_helper

    users: dict[str, set[str]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, set()).add(node.op_type)
    places = {name: place for place, name in enumerate(users)}
    tensors = [tensor for tensor in model.graph.initializer if tensor.name in places]
    tensors.sort(key=lambda tensor: places[tensor.name])
    found = [(tensor, numpy_helper.to_array(tensor), users[tensor.name]) for tensor in tensors]
    return [
        (tensor, values, names)
        for tensor, values, names in found
        if values.dtype == np.float32 and values.ndim >= 2 and values.size >= LEAST_VALUES
    ]


def _put_first(model: Any, added: list[Any]) -> None:
    nodes = [*added, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def fits_half(values: NDArray[np.float32]) -> bool:
    """Whether float16 holds the values to a 2048th of the greatest of them.

    Half a unit in the last of its 11 bits. What is beyond 65504 would be infinite; where all are
    under 6e-5, float16 has fewer bits left.
    """
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float16).astype(np.float32)
    return bool(np.abs(rounded - values).max() <= np.abs(values).max() / 2048)


def _store_half(tensor: Any, values: NDArray[np.float32]) -> list[Any]:
    """Make the tensor float16; returns the node that gives its float32 values its old name."""
    from onnx import TensorProto, helper, numpy_helper

    name, stored = tensor.name, f"{tensor.name}.half"
    tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
    return [helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT)]


def _store_fixed(
    model: Any,
    tensor: Any,
    values: NDArray[np.float32],
    axes: tuple[int, ...],
    kind: type[np.int8 | np.int16],
) -> list[Any]:
    """Make the tensor integers with one scale for all `axes`; returns the nodes that undo it."""
    from onnx import TensorProto, helper, numpy_helper

    name, stored, scale = tensor.name, f"{tensor.name}.fixed", f"{tensor.name}.scale"
    most = np.iinfo(kind).max
    top = np.abs(values).max(axis=axes, keepdims=True)
    step = np.where(top > 0, top, 1).astype(np.float32) / np.float32(most)
    fixed = np.rint(values / step).clip(-most, most).astype(kind)
    tensor.CopyFrom(numpy_helper.from_array(fixed, stored))
    model.graph.initializer.append(numpy_helper.from_array(step, scale))
    return [
        helper.make_node("Cast", [stored], [f"{stored}.wide"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{stored}.wide", scale], [name]),
    ]


def shorten_names(model: Any) -> None:
    """Number the values inside an ONNX model (changed in place): its file names each many times."""
    ends = {end.name for end in (*model.graph.input, *model.graph.output)}
    short: dict[str, str] = {}

    def shortened(name: str) -> str:
        # an input left out has no name
        return name if not name or name in ends else short.setdefault(name, f"{len(short):x}")

    for tensor in model.graph.initializer:
        tensor.name = shortened(tensor.name)
    for node in model.graph.node:
        node.name = ""
        node.input[:] = [shortened(name) for name in node.input]
        node.output[:] = [shortened(name) for name in node.output]
    del model.graph.value_info[:]
