"""A TensorFlow graph as the JSON that TensorFlow.js reads: nodes and signature, without values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sightline.errors import ExportError
from sightline.export.tensorflow.shards import Weight
from sightline.export.tensorflow.tfjs_ops import TFJS_OPS, TFJS_VERSION


def check_ops(graph: Any) -> None:
    """Raise ExportError naming the operations of the graph that TensorFlow.js cannot run."""
    unknown = {node.op: node.name for node in graph.node if node.op not in TFJS_OPS}
    if unknown:
        named = ", ".join(f"{op} (node {name})" for op, name in sorted(unknown.items()))
        raise ExportError(
            f"TensorFlow.js {TFJS_VERSION} does not know {named}; export to savedmodel, litert or "
            "onnx instead"
        )


def graph_topology(graph: Any) -> dict[str, Any]:
    """The "modelTopology" of model.json: a GraphDef whose constants have a shape and no values."""
    from google.protobuf.json_format import MessageToDict

    bare = type(graph)()
    bare.CopyFrom(graph)
    for node in bare.node:
        node.device = ""
        node.ClearField("experimental_debug_info")
        # one order only is possible for a graph without side effects
        inputs = [name for name in node.input if not name.startswith("^")]
        del node.input[:]
        node.input.extend(inputs)
        for key in [key for key in node.attr if key.startswith("_")]:
            del node.attr[key]
        if node.op == "Const":
            _drop_values(node.attr["value"].tensor)
    topology: dict[str, Any] = MessageToDict(bare)
    topology.pop("library", None)
    return topology


def graph_weights(graph: Any, stored: Mapping[str, Any]) -> list[Weight]:
    """The values of all constants, with their nodes' names and how they are `stored`, if said."""
    from tensorflow import make_ndarray

    return [
        Weight(node.name, make_ndarray(node.attr["value"].tensor), stored.get(node.name))
        for node in graph.node
        if node.op == "Const"
    ]


def graph_signature(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The "signature" of model.json from TensorSpecs by name, in the order given.

    TensorFlow.js hands out a model's outputs in this order.
    """
    return {
        "inputs": {name: _tensor_info(name, spec) for name, spec in inputs.items()},
        "outputs": {name: _tensor_info(name, spec) for name, spec in outputs.items()},
    }


def _tensor_info(name: str, spec: Any) -> dict[str, Any]:
    from tensorflow.core.framework import types_pb2

    sizes: Sequence[int | None] = spec.shape.as_list()
    return {
        "name": f"{name}:0",
        "dtype": types_pb2.DataType.Name(spec.dtype.as_datatype_enum),
        "tensorShape": {"dim": [{"size": str(-1 if size is None else size)} for size in sizes]},
    }


def _drop_values(tensor: Any) -> None:
    dtype, shape = tensor.dtype, type(tensor.tensor_shape)()
    shape.CopyFrom(tensor.tensor_shape)
    tensor.Clear()
    tensor.dtype = dtype
    tensor.tensor_shape.CopyFrom(shape)
