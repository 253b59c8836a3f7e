"""Convolution, bias and ReLU as one node of a TensorFlow graph, as TensorFlow.js runs them.

Its WebAssembly and WebGL kernels add the bias and cut off at zero while they write the result;
as nodes of their own these two read and write the whole map again. TensorFlow's own rewriting
("remap") leaves depthwise convolutions alone.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

_FUSED = {
    "Conv2D": "_FusedConv2D",
    "DepthwiseConv2dNative": "FusedDepthwiseConv2dNative",
    "MatMul": "_FusedMatMul",
}
_BIASES = ("BiasAdd", "AddV2", "Add")


def fuse_biases(graph: Any) -> None:
    """Change the GraphDef in place: one node for each run of product, bias and perhaps ReLU.

    The fused node takes the last one's name. A product that others read as well stays, and so does
    one with a transposed factor: TensorFlow.js 4.22's WebAssembly kernel adds the bias of such a
    product once for every 48 columns.
    """
    nodes = {node.name: node for node in graph.node}
    readers: dict[str, list[Any]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            readers[name].append(node)
    gone: set[str] = set()
    for node in graph.node:
        if node.op not in _FUSED or node.attr["transpose_a"].b or node.attr["transpose_b"].b:
            continue
        added = _only_reader(node, readers)
        bias = None if added is None else _bias_of(added, node, nodes)
        if added is None or bias is None:
            continue
        last = _only_reader(added, readers)
        if last is None or last.op != "Relu":
            last = added
        gone.update(run.name for run in (added, last) if run is not last)
        gone.add(node.name)
        _become_fused(last, node, bias, ["BiasAdd"] if last is added else ["BiasAdd", "Relu"])
    kept = [node for node in graph.node if node.name not in gone]
    del graph.node[:]
    graph.node.extend(kept)


def _only_reader(node: Any, readers: dict[str, list[Any]]) -> Any | None:
    found = readers[node.name]
    return found[0] if len(found) == 1 else None


def _bias_of(added: Any, product: Any, nodes: dict[str, Any]) -> str | None:
    """The name of the constant that `added` adds to each channel of `product`, if it does that."""
    if added.op not in _BIASES:
        return None
    others = [name for name in added.input if name != product.name]
    channels = _shape_of(nodes.get(product.input[1]))
    bias = _shape_of(nodes.get(others[0])) if len(others) == 1 else None
    if channels is None or bias is None:
        return None
    outputs = channels[-1] * (channels[-2] if product.op == "DepthwiseConv2dNative" else 1)
    return others[0] if bias == [outputs] else None


def _shape_of(node: Any | None) -> list[int] | None:
    """The shape of a constant; None for anything else."""
    if node is None or node.op != "Const":
        return None
    return [dim.size for dim in node.attr["value"].tensor.tensor_shape.dim]


def _become_fused(last: Any, product: Any, bias: str, steps: list[str]) -> None:
    name = last.name
    last.CopyFrom(product)
    last.name = name
    last.op = _FUSED[product.op]
    last.input.append(bias)
    last.attr["num_args"].i = 1
    last.attr["fused_ops"].list.s.extend(step.encode() for step in steps)
