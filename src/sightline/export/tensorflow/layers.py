"""The blocks of models/deimv2/layers.py in TensorFlow, reading the PyTorch modules' weights.

Maps are (1, H, W, C), tokens and queries (N, C): without a batch dimension every product is one
plain matrix product. Only operators that TensorFlow.js and LiteRT have as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import tensorflow as tf
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sightline.errors import ExportError
from sightline.export.deploy import Shift
from sightline.models.deimv2.backbone import Affine
from sightline.models.deimv2.layers import MLP, ConvNorm, RMSNorm, SelfAttention


def constant(values: Tensor) -> NDArray[np.float32]:
    """The values as TensorFlow takes them into a graph."""
    return np.ascontiguousarray(values.detach().numpy(), dtype=np.float32)


def members(container: nn.Module) -> tuple[Any, ...]:
    """The modules of a list or a sequence, whose kinds PyTorch's annotations leave open."""
    return tuple(cast(Iterable[Any], container))


def convolve(module: nn.Conv2d, x: tf.Tensor, padding: str | None = None) -> tf.Tensor:
    """The convolution; `padding` in place of the module's own.

    With strides, TensorFlow's SAME pads the other side.
    """
    stride, pad = module.stride[0], int(module.padding[0])
    zeros = [[0, 0], [pad, pad], [pad, pad], [0, 0]]
    keeps_size = stride == 1 and module.kernel_size == (2 * pad + 1, 2 * pad + 1)
    where = padding or ("SAME" if keeps_size else zeros)
    strides = [1, stride, stride, 1]
    if module.groups == 1:
        y = tf.nn.conv2d(x, constant(module.weight.permute(2, 3, 1, 0)), strides, where)
    else:
        assert module.groups == module.in_channels == module.out_channels
        if where == zeros:  # TensorFlow 2.21 aborts when it optimises a padded depthwise one
            x, where = tf.pad(x, zeros), "VALID"
        y = tf.nn.depthwise_conv2d(x, constant(module.weight.permute(2, 3, 0, 1)), strides, where)
    return y if module.bias is None else tf.nn.bias_add(y, constant(module.bias))


def activate(module: nn.Module, x: tf.Tensor) -> tf.Tensor:
    """What the modules behind a folded convolution do."""
    match module:
        case nn.Identity():
            return x
        case nn.ReLU():
            return tf.nn.relu(x)
        case nn.SiLU():
            return silu(x)
        case Shift():
            return x + float(module.bias)
        case Affine():
            return x * float(module.scale) + float(module.bias)
    raise ExportError(f"{type(module).__name__} has no twin in TensorFlow; add it to layers.py")


def conv_norm(module: ConvNorm, x: tf.Tensor) -> tf.Tensor:
    return activate(module.act, convolve(module.conv, x))


def silu(x: tf.Tensor) -> tf.Tensor:
    return x * tf.sigmoid(x)


def matmul(x: tf.Tensor, weight: Tensor, bias: Tensor) -> tf.Tensor:
    """x (N, inputs) · weight (outputs, inputs) transposed + bias.

    Transposed here: TensorFlow.js's wasm adds the bias once for every 48 inputs where the graph
    transposes.
    """
    return tf.nn.bias_add(tf.matmul(x, constant(weight.T)), constant(bias))


def linear(module: nn.Linear, x: tf.Tensor) -> tf.Tensor:
    return matmul(x, module.weight, module.bias)


def mlp(module: MLP, x: tf.Tensor) -> tf.Tensor:
    *hidden, last = members(module.layers)
    for layer in hidden:
        x = silu(linear(layer, x))
    return linear(last, x)


def rms_norm(module: RMSNorm, x: tf.Tensor) -> tf.Tensor:
    mean_square = tf.reduce_mean(x * x, axis=-1, keepdims=True)
    return x * tf.math.rsqrt(mean_square + module.eps) * constant(module.scale)


def layer_norm(module: nn.LayerNorm, x: tf.Tensor) -> tf.Tensor:
    centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
    variance = tf.reduce_mean(centred * centred, axis=-1, keepdims=True)
    gain = tf.math.rsqrt(variance + module.eps) * constant(module.weight)
    return centred * gain + constant(module.bias)


def self_attention(module: SelfAttention, x: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
    """x, position: (N, C). The scores' scale is part of the queries' weights."""
    count, width = x.shape
    head_width = width // module.heads
    scale = torch.ones(3 * width)
    scale[:width] = 1 / math.sqrt(head_width)
    weight, bias = module.in_proj_weight * scale[:, None], module.in_proj_bias * scale
    queries_keys = matmul(x + position, weight[: 2 * width], bias[: 2 * width])
    values = matmul(x, weight[2 * width :], bias[2 * width :])
    joined = tf.concat([queries_keys, values], axis=1)
    by_head = tf.transpose(tf.reshape(joined, [count, 3 * module.heads, head_width]), [1, 0, 2])
    q, k, v = tf.split(by_head, 3, axis=0)
    mixed = tf.matmul(tf.nn.softmax(tf.matmul(q, k, transpose_b=True)), v)
    return linear(module.out_proj, tf.reshape(tf.transpose(mixed, [1, 0, 2]), [count, width]))
