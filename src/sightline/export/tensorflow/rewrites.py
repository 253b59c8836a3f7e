"""A TensorFlow graph rearranged for TensorFlow.js: the same numbers, from kernels that are quick.

Measured on TensorFlow.js 4.22's WebAssembly backend: `Gather` computes the place of each number on
its own and takes 20 times as long as `GatherNd`, which copies rows; `Concat` along the channels
runs in JavaScript, pixel by pixel; bias and ReLU are a pass over the map each, unless the
convolution does them as it writes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from sightline.export.tensorflow.graph_edit import GraphEdit

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
    edit = GraphEdit(graph)
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
            weights = edit.add_constant(f"{name}/kernel", part)
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
    edit = GraphEdit(graph)
    for gather in edit.nodes_of("GatherV2"):
        rows, index, axis = gather.input
        if edit.constant(axis) != 0 or gather.attr["batch_dims"].i:
            continue
        last = edit.add_constant(f"{gather.name}/last", np.int32(-1))
        edit.add(f"{gather.name}/index", "ExpandDims", [index, last])
        edit.add(gather.name, "GatherNd", [rows, f"{gather.name}/index"])
        edit.remove(gather)
    edit.finish()


def fuse_biases(graph: Any) -> None:
    """A product, its bias and perhaps a ReLU become one node, which takes the last one's name.

    A product that others read as well stays, and so does one with a transposed factor:
    TensorFlow.js 4.22's WebAssembly kernel adds its bias once for every 48 columns.
    """
    edit = GraphEdit(graph)
    for product in edit.nodes_of(*_FUSED):
        if product.attr["transpose_a"].b or product.attr["transpose_b"].b:
            continue
        added = edit.only_reader(product)
        bias = added and _bias_of(edit, added, product)
        if not bias:
            continue
        run, steps = [product, added], [b"BiasAdd"]
        relu = edit.only_reader(added)
        if relu is not None and relu.op == "Relu":
            run.append(relu)
            steps.append(b"Relu")
        fused = edit.add_like(product, run[-1].name, [*product.input, bias])
        fused.op = _FUSED[product.op]
        fused.attr["num_args"].i = 1
        fused.attr["fused_ops"].list.s.extend(steps)
        edit.remove(*run)
    edit.finish()


def drop_shape_checks(graph: Any) -> None:
    """`EnsureShape` becomes `Identity`: TensorFlow.js 4.22 looks for the shape where it is not."""
    for node in graph.node:
        if node.op == "EnsureShape":
            node.op = "Identity"


def _bias_of(edit: GraphEdit, added: Any, product: Any) -> str | None:
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
