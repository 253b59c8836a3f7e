"""Kernels of a TensorFlow graph in 16 bits, for files of half the size.

Matrices become float16. A convolution's kernel becomes whole numbers with a scale for each output
channel, which the graph multiplies: as float16 its rounding errors are eight times as large, enough
to choose other queries, which moved boxes by up to 30 pixels.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sightline.export.tensorflow.graph_edit import GraphEdit

_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative", "_FusedConv2D", "FusedDepthwiseConv2dNative")
_PRODUCTS = ("MatMul", "_FusedMatMul")
_LEAST_VALUES = 64  # of a smaller one the entry in model.json is what takes bytes
# The first convolutions stay float32, up to so many values: their errors pass through all the rest.
_EXACT_VALUES = 18_000  # the stem and the first stage, of all sizes


def halve_kernels(graph: Any) -> dict[str, Literal["float16", "uint16"]]:
    """Change the GraphDef in place; returns how its constants are to be stored, by name."""
    edit = GraphEdit(graph)
    stored: dict[str, Literal["float16", "uint16"]] = {}
    for product in edit.nodes_of(*_PRODUCTS):
        values = edit.constant(product.input[1])
        if values is not None and values.size >= _LEAST_VALUES:
            stored[product.input[1]] = "float16"
    first = _EXACT_VALUES
    for conv in edit.nodes_of(*_CONVOLUTIONS):
        values = edit.constant(conv.input[1])
        if values is None:
            continue
        first -= values.size
        if first < 0 and values.size >= _LEAST_VALUES:
            stored[_scale_kernel(edit, conv, values)] = "uint16"
    edit.finish()
    return stored


def _scale_kernel(edit: GraphEdit, conv: Any, kernel: NDArray[np.float32]) -> str:
    """Give the convolution the product of a new constant of whole numbers, named, and scales."""
    others = (0, 1) if "Depthwise" in conv.op else (0, 1, 2)
    scale = np.abs(kernel).max(axis=others) / 32767
    scale[scale == 0] = 1
    name = f"{conv.name}/kernel"
    whole = edit.add_constant(f"{name}/whole", np.rint(kernel / scale))
    factors = edit.add_constant(f"{name}/scale", scale.astype(np.float32))
    edit.add(name, "Mul", [whole, factors])
    edit.add_like(conv, conv.name, [conv.input[0], name, *conv.input[2:]])
    edit.remove(conv)
    return whole
