"""A TensorFlow graph rearranged for TensorFlow.js: the same numbers, from kernels that are quick.

Measured on TensorFlow.js 4.22's WebAssembly backend: `Gather` computes the place of each number on
its own and takes 20 times as long as `GatherNd`, which copies rows; `Concat` along the channels
runs in JavaScript, pixel by pixel; bias and ReLU are a pass over the map each, unless the
convolution does them as it writes.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import tensorflow as tf

_FUSED = {
    "Conv2D": "_FusedConv2D",
    "DepthwiseConv2dNative": "FusedDepthwiseConv2dNative",
    "MatMul": "_FusedMatMul",
}
_BIASES = ("BiasAdd", "AddV2", "Add")
# With so many pixels joining the maps costs more than adding the convolutions' results.
_LARGE_MAP = 5000


def rewrite_graph(graph: Any) -> None:
    """Change the GraphDef in place; inputs and outputs keep their names."""
    split_concats(graph)
    gather_rows(graph)
    fuse_biases(graph)
    drop_shape_checks(graph)


def split_concats(graph: Any) -> None:
    """A convolution of several large maps, joined, becomes the sum of each one's convolution."""
    edit = _Edit(graph)
    with tf.Graph().as_default() as known:
        tf.import_graph_def(graph, name="")
    for conv in edit.nodes_of("Conv2D"):
        joined, kernel = edit.nodes.get(conv.input[0]), edit.constant(conv.input[1])
        if joined is None or joined.op != "ConcatV2" or kernel is None:
            continue
        *maps, axis = joined.input
        channels = _channels_of_large_maps(known, maps)
        if not channels or edit.constant(axis) not in (-1, 3) or not edit.only_reader(joined):
            continue
        total = ""
        for index, part in enumerate(np.split(kernel, np.cumsum(channels)[:-1], axis=2)):
            name = f"{conv.name}/part{index}"
            weights = edit.add(f"{name}/kernel", "Const", [], tf.make_tensor_proto(part))
            edit.add_like(conv, name, [maps[index], weights])
            if index:
                is_last = index == len(maps) - 1
                sum_name = conv.name if is_last else f"{name}/sum"
                edit.add(sum_name, "AddV2", [total, name])
                name = sum_name
            total = name
        edit.remove(conv, joined)
    edit.finish()


def gather_rows(graph: Any) -> None:
    """`Gather` along the first axis becomes `GatherNd`."""
    edit = _Edit(graph)
    for gather in edit.nodes_of("GatherV2"):
        rows, index, axis = gather.input
        if edit.constant(axis) != 0 or gather.attr["batch_dims"].i:
            continue
        last = edit.add(f"{gather.name}/last", "Const", [], tf.make_tensor_proto(-1, tf.int32))
        edit.add(f"{gather.name}/index", "ExpandDims", [index, last])
        edit.add(gather.name, "GatherNd", [rows, f"{gather.name}/index"])
        edit.remove(gather)
    edit.finish()


def fuse_biases(graph: Any) -> None:
    """A product, its bias and perhaps a ReLU become one node, which takes the last one's name.

    A product that others read as well stays, and so does one with a transposed factor:
    TensorFlow.js 4.22's WebAssembly kernel adds its bias once for every 48 columns.
    """
    edit = _Edit(graph)
    for product in edit.nodes_of(*_FUSED):
        if product.attr["transpose_a"].b or product.attr["transpose_b"].b:
            continue
        added = edit.only_reader(product)
        bias = added and _bias_of(edit, added, product)
        if not bias:
            continue
        last = edit.only_reader(added)
        is_cut = last is not None and last.op == "Relu"
        last = last if is_cut else added
        fused = edit.add_like(product, last.name, [*product.input, bias])
        fused.op = _FUSED[product.op]
        fused.attr["num_args"].i = 1
        fused.attr["fused_ops"].list.s.extend([b"BiasAdd", b"Relu"] if is_cut else [b"BiasAdd"])
        edit.remove(product, added, last)
    edit.finish()


def drop_shape_checks(graph: Any) -> None:
    """`EnsureShape` becomes `Identity`: TensorFlow.js 4.22 looks for the shape where it is not."""
    for node in graph.node:
        if node.op == "EnsureShape":
            node.op = "Identity"


def _bias_of(edit: _Edit, added: Any, product: Any) -> str | None:
    """The name of the constant that `added` adds to each channel of `product`, if it does that."""
    if added.op not in _BIASES:
        return None
    others = [name for name in added.input if name != product.name]
    kernel = edit.constant(product.input[1])
    bias = edit.constant(others[0]) if len(others) == 1 else None
    if kernel is None or bias is None:
        return None
    is_depthwise = product.op == "DepthwiseConv2dNative"
    channels = kernel.shape[-1] * (kernel.shape[-2] if is_depthwise else 1)
    return others[0] if bias.shape == (channels,) else None


def _channels_of_large_maps(known: Any, names: list[str]) -> list[int]:
    """The channels of each map; [] unless all are known and the maps are large."""
    sizes = [known.as_graph_element(_tensor_name(name)).shape for name in names]
    if any(size.rank != 4 or None in size.as_list()[1:] for size in sizes):
        return []
    _, rows, columns, _ = sizes[0].as_list()
    return [size[3] for size in sizes] if rows * columns >= _LARGE_MAP else []


def _tensor_name(name: str) -> str:
    return name if ":" in name else f"{name}:0"


class _Edit:
    """Changes to a GraphDef, made all at once by finish()."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.nodes = {node.name: node for node in graph.node}
        self._readers: dict[str, list[Any]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self._readers[name].append(node)
        self._added: list[Any] = []
        self._removed: set[str] = set()

    def nodes_of(self, *ops: str) -> list[Any]:
        return [node for node in self.graph.node if node.op in ops]

    def only_reader(self, node: Any) -> Any | None:
        """The node that reads `node`, if there is one only."""
        found = self._readers[node.name]
        return found[0] if len(found) == 1 else None

    def constant(self, name: str) -> Any | None:
        """The values of a constant; None for the name of anything else."""
        node = self.nodes.get(name)
        if node is None or node.op != "Const":
            return None
        return tf.make_ndarray(node.attr["value"].tensor)

    def add(self, name: str, op: str, inputs: list[str], value: Any = None) -> str:
        """A new node, with a constant's value if it is one; returns its name."""
        node = type(self.graph)().node.add(name=name, op=op, input=inputs)
        if value is not None:
            node.attr["value"].tensor.CopyFrom(value)
            node.attr["dtype"].type = value.dtype
        self._added.append(node)
        return name

    def add_like(self, node: Any, name: str, inputs: list[str]) -> Any:
        """A new node with the operation and attributes of `node`."""
        copy = type(node)()
        copy.CopyFrom(node)
        copy.name = name
        copy.input[:] = inputs
        self._added.append(copy)
        return copy

    def remove(self, *nodes: Any) -> None:
        self._removed.update(node.name for node in nodes)

    def finish(self) -> None:
        """Put the changes into the graph. What is added may have the name of what is removed."""
        kept = [node for node in self.graph.node if node.name not in self._removed]
        del self.graph.node[:]
        self.graph.node.extend([*kept, *self._added])
