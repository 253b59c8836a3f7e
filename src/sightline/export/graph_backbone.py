"""The folded backbone as ONNX nodes: pixels in, maps at strides 16 (and 32) out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sightline.export.deploy import Shift
from sightline.export.graph_nodes import Graph, modules_of
from sightline.models.deimv2.backbone import Affine, Block, ConvLayer, HGNetv2, LightLayer, Stem

# The lower and the upper bound of a layer's output.
Limits = tuple[float | None, float | None]


def add_backbone(graph: Graph, backbone: HGNetv2, image: str, batch: int, side: int) -> list[str]:
    """Maps of the stages from the third on; image: uint8 (batch, side, side, 3) RGB."""
    x = add_stem(graph, backbone.stem, image, batch, side)
    maps = []
    for index, stage in enumerate(modules_of(backbone.stages)):
        if isinstance(stage.downsample, ConvLayer):
            x = _add_layer(graph, stage.downsample, x)
        for block in stage.blocks:
            x = _add_block(graph, block, x)
        if index >= 2:
            maps.append(x)
    return maps


def add_conv(
    graph: Graph,
    x: str,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int = 1,
    pads: tuple[int, int] = (0, 0),
    groups: int = 1,
) -> str:
    """A convolution with square strides; pads: before and after, the same in both directions."""
    operands = [weight] if bias is None else [weight, bias]
    before, behind = pads
    return graph.add(
        "Conv", x, *(graph.constant(operand) for operand in operands), group=groups,
        kernel_shape=list(weight.shape[2:]), strides=[stride] * 2,
        pads=[before, before, behind, behind],
    )  # fmt: skip


def add_stem(graph: Graph, stem: Stem, image: str, batch: int, side: int) -> str:
    """The image at stride 4; image: uint8 (batch, side, side, 3)."""
    first = _add_first(graph, stem.stem1, image, batch, side)
    branch = _add_layer(graph, stem.stem2a, first, pads=(0, 1))
    branch = _add_layer(graph, stem.stem2b, branch, pads=(0, 1))
    pooled = _add_pool(graph, first, stem.stem1.conv.out_channels)
    # Of the concatenation, each half is convolved on its own: no copies are made.
    weight, bias, limits = _kernel(stem.stem3)
    left, right = weight.split(weight.shape[1] // 2, dim=1)
    halves = (add_conv(graph, pooled, left, stride=2, pads=(1, 1)),
              add_conv(graph, branch, right, bias, stride=2, pads=(1, 1)))  # fmt: skip
    return _add_layer(graph, stem.stem4, _add_limits(graph, graph.add("Add", *halves), limits))


def _add_first(graph: Graph, layer: ConvLayer, image: str, batch: int, side: int) -> str:
    """The first layer, on rows of pixels as they lie: one channel, three times as wide.

    A 3 x 3 kernel of stride 2 over three colours is a 3 x 9 kernel of stride 2 x 6 there.
    """
    rows = graph.add("Cast", graph.reshape(image, batch, 1, side, 3 * side), to=1)
    weight, bias, limits = _kernel(layer)
    weight = weight.permute(0, 2, 3, 1).reshape(len(weight), 1, 3, 9)
    convolved = graph.add(
        "Conv", rows, graph.constant(weight), graph.constant(bias),
        kernel_shape=[3, 9], strides=[2, 6], pads=[1, 3, 0, 0],
    )  # fmt: skip
    return _add_limits(graph, convolved, limits)


def _add_pool(graph: Graph, x: str, channels: int) -> str:
    """2x2 max-pool of stride 1 whose last row and column see zeros beyond the map.

    The zeros come from a convolution that does nothing else: ONNX Runtime's Pad_Fusion would turn
    a Pad into the pool's own padding, which is -inf (scores were off by 0.14).
    """
    identity = torch.ones(channels, 1, 1, 1)
    padded = add_conv(graph, x, identity, pads=(0, 1), groups=channels)
    return graph.add("MaxPool", padded, kernel_shape=[2, 2], strides=[1, 1])


def _add_block(graph: Graph, block: Block, x: str) -> str:
    features = [x]
    for layer in modules_of(block.layers):
        y = features[-1]
        for part in (layer.conv1, layer.conv2) if isinstance(layer, LightLayer) else (layer,):
            y = _add_layer(graph, part, y)
        features.append(y)
    y = graph.add("Concat", *features, axis=1)
    for part in modules_of(block.aggregation):
        y = _add_layer(graph, part, y)
    return graph.add("Add", y, x) if block.residual else y


def _add_layer(graph: Graph, layer: ConvLayer, x: str, pads: tuple[int, int] | None = None) -> str:
    conv = layer.conv
    assert isinstance(conv.padding, tuple)
    weight, bias, limits = _kernel(layer)
    convolved = add_conv(graph, x, weight, bias, stride=conv.stride[0], groups=conv.groups,
                         pads=pads or (conv.padding[0], conv.padding[0]))  # fmt: skip
    return _add_limits(graph, convolved, limits)


def _kernel(layer: ConvLayer) -> tuple[Tensor, Tensor, Limits]:
    """Kernel, bias and the limits that stand for ReLU and affine.

    For s >= 0, s · max(z, 0) + b = max(s · z + b, b); for s < 0 it is the minimum. ONNX Runtime
    does the limit inside the convolution, so the affine costs nothing, and the zeros with which
    the next layer pads need no correction.
    """
    weight, bias = layer.conv.weight, layer.conv.bias
    assert bias is not None
    affine: nn.Module = layer.lab
    if isinstance(affine, Shift):
        shift = float(affine.bias)
        return weight, bias + shift, (shift, None)
    if isinstance(affine, Affine):  # of a scale that is not positive: folding leaves these
        shift = float(affine.bias)
        return weight * affine.scale, bias * affine.scale + shift, (None, shift)
    return weight, bias, (None, None)


def _add_limits(graph: Graph, x: str, limits: Limits) -> str:
    if limits == (None, None):
        return x
    low, high = ("" if limit is None else graph.constant(limit) for limit in limits)
    return graph.add("Clip", x, low, high) if high else graph.add("Clip", x, low)
