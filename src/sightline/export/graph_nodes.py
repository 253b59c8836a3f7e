"""An ONNX graph under construction: nodes, constants and the layers that several parts share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper
from torch import Tensor, nn

from sightline.models.deimv2.layers import MLP, RMSNorm, SelfAttention

OPSET = 18
# What readers of opset 18 from its first year accept.
IR_VERSION = 8


def modules_of(container: Any) -> list[Any]:
    """The modules of a ModuleList or Sequential, whose classes torch does not tell."""
    return list(container)


class Graph:
    """Nodes are added in the order in which they run; a value is known by its name.

    Forms that ONNX Runtime fuses when it loads a graph (SiLU, RMS norm, a transposition before a
    product) are written as it looks for them.
    """

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[tuple[str, tuple[int, ...], bytes], TensorProto] = {}

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """The name of the node's output: `name`, or one made up. An input "" is left out."""
        name = name or f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name, **attributes))
        return name

    def top(self, x: str, count: int) -> tuple[str, str]:
        """The `count` largest of the last dimension, sorted, and their places (int64)."""
        name = f"TopK_{len(self.nodes)}"
        outputs = [f"{name}_values", f"{name}_places"]
        inputs = [x, self.constant([count])]
        self.nodes.append(helper.make_node("TopK", inputs, outputs, name, axis=-1))
        return outputs[0], outputs[1]

    def constant(self, value: Tensor | NDArray[Any] | float | Sequence[int]) -> str:
        """The name of a constant; equal ones are stored once. Numbers: float32, int64 in lists."""
        array = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self.constants:
            name = f"constant_{len(self.constants)}"
            self.constants[key] = numpy_helper.from_array(np.array(array, order="C"), name)
        return str(self.constants[key].name)

    def reshape(self, x: str, *shape: int) -> str:
        return self.add("Reshape", x, self.constant(shape))

    def linear(self, x: str, weight: Tensor, bias: Tensor | str | None = None) -> str:
        """(M, outputs): x (M, inputs) by weight (outputs, inputs), plus bias or another value."""
        matrix = self.constant(weight.T)  # as it is multiplied: nothing to turn at run time
        if bias is None:
            return self.add("MatMul", x, matrix)
        return self.add("Gemm", x, matrix, bias if isinstance(bias, str) else self.constant(bias))

    def silu(self, x: str) -> str:
        return self.add("Mul", x, self.add("Sigmoid", x))

    def mlp(self, x: str, mlp: MLP) -> str:
        """Linear layers with SiLU between them."""
        for index, layer in enumerate(mlp.layers):
            assert isinstance(layer, nn.Linear)
            x = self.linear(self.silu(x) if index else x, layer.weight, layer.bias)
        return x

    def rms_norm(self, x: str, norm: RMSNorm) -> str:
        """x / rms(x) · scale over the last dimension."""
        mean = self.add("ReduceMean", self.add("Pow", x, self.constant(2.0)), self.constant([-1]))
        rms = self.add("Sqrt", self.add("Add", mean, self.constant(norm.eps)))
        return self.add("Mul", self.add("Div", x, rms), self.constant(norm.scale))

    def attention(
        self, queries_keys: str, values: str, module: SelfAttention, batch: int, count: int
    ) -> str:
        """(batch · count, C): multi-head self-attention over the `count` rows of each image.

        The keys' bias would add the same to all logits of a query, which softmax drops. The
        shares sum to one, so the values' bias passes into the output's.
        """
        width, heads = module.out_proj.in_features, module.heads
        q_weight, k_weight, v_weight = module.in_proj_weight.split(width)
        q_bias, _, v_bias = module.in_proj_bias.split(width)
        gain = 1 / math.sqrt(width / heads)
        # Without a batch dimension ONNX Runtime takes the transpositions into the products.
        lead = [batch] if batch > 1 else []
        rows, columns = ([*range(len(lead)), *(len(lead) + axis for axis in turn)]
                         for turn in ((1, 0, 2), (1, 2, 0)))  # fmt: skip

        def split_heads(x: str, turn: list[int]) -> str:
            parts = self.reshape(x, *lead, count, heads, width // heads)
            return self.add("Transpose", parts, perm=turn)

        q = split_heads(self.linear(queries_keys, q_weight * gain, q_bias * gain), rows)
        k = split_heads(self.linear(queries_keys, k_weight), columns)
        v = split_heads(self.linear(values, v_weight), rows)
        shares = self.add("Softmax", self.add("MatMul", q, k), axis=-1)
        mixed = self.add("Transpose", self.add("MatMul", shares, v), perm=rows)
        out = module.out_proj
        return self.linear(
            self.reshape(mixed, batch * count, width), out.weight, out.bias + out.weight @ v_bias
        )

    def model(
        self, inputs: Sequence[ValueInfoProto], outputs: Sequence[ValueInfoProto]
    ) -> ModelProto:
        graph = helper.make_graph(
            self.nodes, "detector", inputs, outputs, list(self.constants.values())
        )
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="sightline",
        )
