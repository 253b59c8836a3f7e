"""The folded encoders as ONNX nodes: backbone maps in, maps at strides 16 and 32 out."""

from __future__ import annotations

import torch
from torch import nn

from sightline.export.graph_backbone import add_conv
from sightline.export.graph_nodes import Graph, modules_of
from sightline.models.deimv2.encoder import (
    EncoderLayer,
    FuseBlock,
    HybridEncoder,
    LiteEncoder,
    SplitBlock,
    sine_positions,
)
from sightline.models.deimv2.layers import ConvNorm

WHOLE = slice(None)


def add_encoder(
    graph: Graph, encoder: LiteEncoder | HybridEncoder, maps: list[str], batch: int, side: int
) -> list[str]:
    """Two maps of `width` channels; side: the input image's."""
    projected = [_add_conv_norm(graph, p, x) for p, x in zip(encoder.input_proj, maps, strict=True)]
    if isinstance(encoder, LiteEncoder):
        fine = projected[0]
        coarse = _add_pool_down(graph, encoder.down_sample1, fine)
        coarse = graph.add("Add", coarse, graph.add("GlobalAveragePool", coarse))
        coarse = _add_conv_norm(graph, encoder.bi_fusion.cv, coarse)
    else:
        fine, coarse = projected
        coarse = _add_transformer(graph, encoder, coarse, batch, side // 32)
        coarse = _add_conv_norm(graph, encoder.lateral_convs[0], coarse)
    fpn, pan = _fuse_blocks(encoder)
    fine = _add_fuse_block(graph, fpn, graph.add("Add", fine, _double(graph, coarse)))
    if isinstance(encoder, LiteEncoder):
        down = _add_pool_down(graph, encoder.down_sample2, fine)
    else:
        (split,) = modules_of(modules_of(encoder.downsample_convs)[0])
        down = _add_conv_norm(graph, split.cv2, _add_conv_norm(graph, split.cv1, fine))
    return [fine, _add_fuse_block(graph, pan, graph.add("Add", coarse, down))]


def _fuse_blocks(encoder: LiteEncoder | HybridEncoder) -> tuple[FuseBlock, FuseBlock]:
    if isinstance(encoder, LiteEncoder):
        return encoder.fpn_block, encoder.pan_block
    (fpn,), (pan,) = modules_of(encoder.fpn_blocks), modules_of(encoder.pan_blocks)
    return fpn, pan


def _add_conv_norm(graph: Graph, module: nn.Module, x: str, part: slice = WHOLE) -> str:
    """The output channels `part` of a ConvNorm."""
    assert isinstance(module, ConvNorm)
    conv = module.conv
    assert conv.bias is not None
    assert isinstance(conv.padding, tuple)
    y = add_conv(graph, x, conv.weight[part], conv.bias[part], stride=conv.stride[0],
                 pads=(conv.padding[0], conv.padding[0]), groups=conv.groups)  # fmt: skip
    return graph.silu(y) if isinstance(module.act, nn.SiLU) else y


def _add_pool_down(graph: Graph, sequence: nn.Sequential, x: str) -> str:
    conv = sequence[1]
    assert isinstance(conv, nn.Conv2d)
    pooled = graph.add("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4,
                       count_include_pad=1)  # fmt: skip
    return graph.silu(add_conv(graph, pooled, conv.weight, conv.bias))


def _add_fuse_block(graph: Graph, block: FuseBlock, x: str) -> str:
    features = [_add_conv_norm(graph, block.cv1, x, half) for half in _halves(block.cv1)]
    for split, conv in (modules_of(block.cv2), modules_of(block.cv3)):
        features.append(_add_conv_norm(graph, conv, _add_split_block(graph, split, features[-1])))
    return _add_conv_norm(graph, block.cv4, graph.add("Concat", *features, axis=1))


def _add_split_block(graph: Graph, block: SplitBlock, x: str) -> str:
    kept, worked = (_add_conv_norm(graph, block.conv1, x, half) for half in _halves(block.conv1))
    for rep in modules_of(block.bottlenecks):
        worked = graph.silu(_add_conv_norm(graph, rep.conv1, worked))
    return graph.add("Add", kept, worked)


def _halves(module: ConvNorm) -> tuple[slice, slice]:
    """The halves of a layer's channels; convolved apart, nothing is cut afterwards."""
    half = module.conv.out_channels // 2
    return slice(half), slice(half, None)


def _double(graph: Graph, x: str) -> str:
    return graph.add(
        "Resize", x, "", graph.constant(torch.tensor([1.0, 1.0, 2.0, 2.0])), mode="nearest",
        coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip


def _add_transformer(graph: Graph, encoder: HybridEncoder, x: str, batch: int, side: int) -> str:
    """The coarse map after the transformer layers over its side x side tokens."""
    (stack,) = modules_of(encoder.encoder)
    layers = modules_of(stack.layers)
    tokens, width = side * side, layers[0].linear1.in_features
    rows = graph.add("Transpose", graph.reshape(x, batch, width, tokens), perm=[0, 2, 1])
    rows = graph.reshape(rows, batch * tokens, width)
    position = graph.constant(sine_positions(side, side, width)[0].repeat(batch, 1))
    for layer in layers:
        rows = _add_encoder_layer(graph, layer, rows, position, batch, tokens)
    rows = graph.add("Transpose", graph.reshape(rows, batch, tokens, width), perm=[0, 2, 1])
    return graph.reshape(rows, batch, width, side, side)


def _add_encoder_layer(
    graph: Graph, layer: EncoderLayer, x: str, position: str, batch: int, tokens: int
) -> str:
    moved = graph.add("Add", x, position)
    mixed = graph.attention(moved, x, layer.self_attn, batch, tokens)
    x = _add_layer_norm(graph, graph.add("Add", x, mixed), layer.norm1)
    hidden = _add_gelu(graph, graph.linear(x, layer.linear1.weight, layer.linear1.bias))
    forward = graph.linear(hidden, layer.linear2.weight, layer.linear2.bias)
    return _add_layer_norm(graph, graph.add("Add", x, forward), layer.norm2)


def _add_layer_norm(graph: Graph, x: str, norm: nn.LayerNorm) -> str:
    scale, bias = graph.constant(norm.weight), graph.constant(norm.bias)
    return graph.add("LayerNormalization", x, scale, bias, axis=-1, epsilon=norm.eps)


def _add_gelu(graph: Graph, x: str) -> str:
    """x · Φ(x)."""
    error = graph.add("Erf", graph.add("Div", x, graph.constant(2**0.5)))
    twice = graph.add("Mul", x, graph.add("Add", error, graph.constant(1.0)))
    return graph.add("Mul", twice, graph.constant(0.5))
