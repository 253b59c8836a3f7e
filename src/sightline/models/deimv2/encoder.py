"""The two encoders: backbone maps to two maps of `width` channels, strides 16 and 32."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sightline.models.deimv2.layers import ConvNorm, SelfAttention
from sightline.models.deimv2.sizes import DeimSize


class RepBlock(nn.Module):
    """3x3 and 1x1 branches summed (RepVGG, arXiv 2101.03697, without the identity)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(width, width, 3, act=False)
        self.conv2: nn.Module | None = ConvNorm(width, width, 1, act=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(x)
        if self.conv2 is not None:
            y = y + self.conv2(x)
        return nn.functional.silu(y)


class SplitBlock(nn.Module):
    """A cross-stage-partial block: half the channels pass two RepBlocks."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, 2 * width, 1)
        self.bottlenecks = nn.Sequential(RepBlock(width), RepBlock(width))

    def forward(self, x: Tensor) -> Tensor:
        kept, worked = self.conv1(x).chunk(2, dim=1)
        out: Tensor = kept + self.bottlenecks(worked)
        return out


class FuseBlock(nn.Module):
    """An efficient-layer-aggregation block over split blocks; keeps `width` channels."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.cv1 = ConvNorm(width, 2 * width, 1)
        self.cv2 = nn.Sequential(SplitBlock(width, inner), ConvNorm(inner, inner, 3))
        self.cv3 = nn.Sequential(SplitBlock(inner, inner), ConvNorm(inner, inner, 3))
        self.cv4 = ConvNorm(2 * width + 2 * inner, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        halves = list(self.cv1(x).chunk(2, dim=1))
        halves.append(self.cv2(halves[-1]))
        halves.append(self.cv3(halves[-1]))
        out: Tensor = self.cv4(torch.cat(halves, dim=1))
        return out


class GlobalFusion(nn.Module):
    """Each pixel plus the map's mean, mixed by a pointwise convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cv = ConvNorm(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.cv(x + x.mean((2, 3), keepdim=True))
        return out


def _pool_down(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.AvgPool2d(3, 2, 1),  # the padding's zeros count in the mean
        nn.Conv2d(width, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.SiLU(),
    )


class LiteEncoder(nn.Module):
    """Atto, femto and pico: one backbone map in, a stride-32 map is made by pooling."""

    def __init__(self, size: DeimSize) -> None:
        super().__init__()
        width = size.width
        self.input_proj = nn.ModuleList([ConvNorm(size.stages[-1].outputs, width, 1, act=False)])
        self.down_sample1 = _pool_down(width)
        self.down_sample2 = _pool_down(width)
        self.bi_fusion = GlobalFusion(width)
        self.fpn_block = FuseBlock(width, size.fuse_width)
        self.pan_block = FuseBlock(width, size.fuse_width)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        p4 = self.input_proj[0](maps[-1])
        p5 = self.bi_fusion(self.down_sample1(p4))
        o4 = self.fpn_block(p4 + _double(p5))
        o5 = self.pan_block(p5 + self.down_sample2(o4))
        return [o4, o5]


class EncoderLayer(nn.Module):
    """A post-norm transformer layer over the stride-32 tokens."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.self_attn = SelfAttention(width, heads)
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        x = self.norm1(x + self.self_attn(x, position))
        out: Tensor = self.norm2(x + self.linear2(nn.functional.gelu(self.linear1(x))))
        return out


class EncoderStack(nn.Module):
    """Holds the layers under the official parameter names."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([EncoderLayer(width, heads, hidden)])

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x, position)
        return x


class HybridEncoder(nn.Module):
    """Size n: two backbone maps in, a transformer layer on the coarse one."""

    def __init__(self, size: DeimSize) -> None:
        super().__init__()
        width = size.width
        self.input_proj = nn.ModuleList(
            ConvNorm(stage.outputs, width, 1, act=False) for stage in size.stages[2:]
        )
        self.encoder = nn.ModuleList([EncoderStack(width, size.heads, size.feed_forward)])
        self.lateral_convs = nn.ModuleList([ConvNorm(width, width, 1, act=False)])
        self.fpn_blocks = nn.ModuleList([FuseBlock(width, size.fuse_width)])
        self.downsample_convs = nn.ModuleList([nn.Sequential(SplitDown(width))])
        self.pan_blocks = nn.ModuleList([FuseBlock(width, size.fuse_width)])

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        q4, q5 = (project(x) for project, x in zip(self.input_proj, maps, strict=True))
        batch, width, rows, columns = q5.shape
        position = sine_positions(rows, columns, width).to(q5)
        tokens = self.encoder[0](q5.flatten(2).transpose(1, 2), position)
        q5 = tokens.transpose(1, 2).reshape(batch, width, rows, columns)
        lateral = self.lateral_convs[0](q5)
        o4 = self.fpn_blocks[0](q4 + _double(lateral))
        o5 = self.pan_blocks[0](lateral + self.downsample_convs[0](o4))
        return [o4, o5]


class SplitDown(nn.Module):
    """Pointwise convolution, then a depthwise one of stride 2; no activations."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cv1 = ConvNorm(width, width, 1, act=False)
        self.cv2 = ConvNorm(width, width, 3, 2, groups=width, act=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.cv2(self.cv1(x))
        return out


def sine_positions(rows: int, columns: int, width: int) -> Tensor:
    """(1, rows * columns, width): sines and cosines of the token's row, then its column.

    Frequencies 10000^(-k / (width / 4)), as in "Attention Is All You Need". The official table
    names the row "x"; the weights were trained with that order, so it stays.
    """
    quarter = width // 4
    omega = 1.0 / 10000 ** (torch.arange(quarter, dtype=torch.float32) / quarter)
    token = torch.arange(rows * columns)
    row_angles = (token // columns)[:, None] * omega
    column_angles = (token % columns)[:, None] * omega
    table = [row_angles.sin(), row_angles.cos(), column_angles.sin(), column_angles.cos()]
    return torch.cat(table, dim=1)[None]


def _double(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
