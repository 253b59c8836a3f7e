"""The tables of a .tflite file: its ends named, metadata put in, weights stored as float16.

Works on any .tflite with one signature; the tables are those of TFLite's schema.fbs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

# The operators whose second input is a kernel or matrix.
_WEIGHTED = {
    schema.BuiltinOperator.CONV_2D,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D,
    schema.BuiltinOperator.FULLY_CONNECTED,
}
LEAST_VALUES = 64  # a smaller tensor saves fewer bytes than its conversion takes
# The first kernels stay float32, up to so many values: errors made there pass through all the rest.
EXACT_VALUES = 18_000  # the stem and the first stage, of all sizes
_HALF_VERSION = 3  # of DEQUANTIZE, the first that takes float16


def read_model(content: bytes) -> Any:
    """The .tflite as a ModelT, free to change."""
    return schema.ModelT.InitFromPackedBuf(content)


def pack_model(model: Any) -> bytes:
    """The ModelT as a .tflite."""
    builder = _Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Builder(flatbuffers.Builder):  # type: ignore[misc]
    """Puts weights on addresses that are multiples of 16, as the schema demands (force_align).

    flatbuffers' Python writes vectors of bytes wherever they fall.
    """

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:
        if elemSize == 1:
            alignment = 16
        offset: int = super().StartVector(elemSize, numElems, alignment)
        return offset


def name_ends(model: Any, input_name: str, output_names: Mapping[str, str]) -> None:
    """Name the input's and outputs' tensors, and put the outputs in this order.

    output_names: the tensor's name by the signature's.
    """
    (graph,), (signature,) = model.subgraphs, model.signatureDefs
    (image,) = signature.inputs
    outputs = {entry.name.decode(): entry.tensorIndex for entry in signature.outputs}
    graph.tensors[image.tensorIndex].name = input_name
    for name, tensor_name in output_names.items():
        graph.tensors[outputs[name]].name = tensor_name
    graph.outputs = [outputs[name] for name in output_names]


def add_metadata(model: Any, metadata: bytes) -> None:
    """Put a metadata flatbuffer in, under the name by which the libraries look for it."""
    model.buffers.append(schema.BufferT(np.frombuffer(metadata, np.uint8)))
    entry = schema.MetadataT("TFLITE_METADATA", len(model.buffers) - 1)
    model.metadata = [*(model.metadata or []), entry]


def halve_weights(model: Any) -> None:
    """Store kernels and matrices as float16; the runtime makes them float32 while it loads.

    TensorFlow's own way takes every constant: anchors, and numbers that rows are counted by,
    which float16 cannot hold beyond 2048.
    """
    (graph,) = model.subgraphs
    users = defaultdict(set)  # in the order of first use
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex].builtinCode
        for place, tensor in enumerate(operator.inputs):
            users[tensor].add((code, place))
    model.operatorCodes.append(
        schema.OperatorCodeT(
            deprecatedBuiltinCode=schema.BuiltinOperator.DEQUANTIZE,
            builtinCode=schema.BuiltinOperator.DEQUANTIZE,
            version=_HALF_VERSION,
        )
    )
    exact, added = EXACT_VALUES, []
    for index, uses in users.items():
        values = _values(model, index)
        is_weight = all(code in _WEIGHTED and place == 1 for code, place in uses)
        if not is_weight or values.size < LEAST_VALUES:
            continue
        exact -= values.size
        if exact < 0:
            added.append(_halve(model, index, values))
    graph.operators = [*added, *graph.operators]


def _halve(model: Any, index: int, values: NDArray[np.float32]) -> Any:
    """The operator that makes constant `index` out of its float16 values, which take its place."""
    (graph,) = model.subgraphs
    tensor = graph.tensors[index]
    model.buffers[tensor.buffer].data = values.astype(np.float16).view(np.uint8)
    stored = schema.TensorT(
        shape=tensor.shape,
        type=schema.TensorType.FLOAT16,
        buffer=tensor.buffer,
        name=tensor.name + b"/half",
        hasRank=True,
    )
    graph.tensors.append(stored)
    tensor.buffer = 0  # the schema's empty one: a value that is computed
    return schema.OperatorT(
        opcodeIndex=len(model.operatorCodes) - 1,
        inputs=[len(graph.tensors) - 1],
        outputs=[index],
        builtinOptionsType=schema.BuiltinOptions.DequantizeOptions,
        builtinOptions=schema.DequantizeOptionsT(),
    )


def _values(model: Any, index: int) -> NDArray[np.float32]:
    """The constant's float32 values, flat; none for other types and for what is computed."""
    tensor = model.subgraphs[0].tensors[index]
    data = model.buffers[tensor.buffer].data
    if tensor.type != schema.TensorType.FLOAT32 or data is None:
        return np.zeros(0, np.float32)
    return np.asarray(data).view(np.float32)
