"""HGNetv2, the backbone: an RGB image to maps at strides 16 (and 32).

From PP-HGNetV2 (PaddlePaddle) as DEIMv2 trims it; every layer ends in a learnable affine.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sightline.models.deimv2.sizes import DeimSize, Stage


class Affine(nn.Module):
    """x · scale + bias with one number each (the learnable affine block)."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.bias


class ConvLayer(nn.Module):
    """Convolution, batch norm and, if active, ReLU and the affine."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        act: bool = True,
        padding: int | None = None,
    ) -> None:
        super().__init__()
        pad = (kernel - 1) // 2 if padding is None else padding
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, pad, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.lab = Affine() if act else nn.Identity()
        self.act = nn.ReLU() if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.lab(self.act(self.bn(self.conv(x))))
        return out


class LightLayer(nn.Module):
    """Pointwise convolution without activation, then a depthwise layer."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv1 = ConvLayer(inputs, outputs, 1, act=False)
        self.conv2 = ConvLayer(outputs, outputs, kernel, groups=outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv2(self.conv1(x))
        return out


class ZeroPadPool(nn.Module):
    """2x2 max-pool of stride 1 that keeps the map's size.

    The affine before it can make values negative, so the padding's real zeros matter.
    """

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.max_pool2d(nn.functional.pad(x, (0, 1, 0, 1)), 2, 1)


class Stem(nn.Module):
    """The image at stride 4, 16 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem1 = ConvLayer(3, 16, 3, stride=2)
        self.stem2a = ConvLayer(16, 8, 2, padding=0)
        self.stem2b = ConvLayer(8, 16, 2, padding=0)
        self.stem3 = ConvLayer(32, 16, 3, stride=2)
        self.stem4 = ConvLayer(16, 16, 1)
        self.pool: nn.Module = ZeroPadPool()

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem1(image)
        branch = self.stem2a(nn.functional.pad(x, (0, 1, 0, 1)))
        branch = self.stem2b(nn.functional.pad(branch, (0, 1, 0, 1)))
        out: Tensor = self.stem4(self.stem3(torch.cat([self.pool(x), branch], dim=1)))
        return out


class Block(nn.Module):
    """Three layers whose inputs and outputs are concatenated and squeezed."""

    def __init__(self, stage: Stage, inputs: int, residual: bool) -> None:
        super().__init__()
        layer = LightLayer if stage.light else ConvLayer
        self.layers = nn.ModuleList(
            layer(inputs if index == 0 else stage.mid, stage.mid, stage.kernel)
            for index in range(3)
        )
        self.aggregation = nn.Sequential(
            ConvLayer(inputs + 3 * stage.mid, stage.outputs // 2, 1),
            ConvLayer(stage.outputs // 2, stage.outputs, 1),
        )
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.layers:
            features.append(layer(features[-1]))
        out: Tensor = self.aggregation(torch.cat(features, dim=1))
        return out + x if self.residual else out


class BackboneStage(nn.Module):
    """Optional depthwise stride 2, then the blocks."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.downsample = (
            ConvLayer(stage.inputs, stage.inputs, 3, 2, groups=stage.inputs, act=False)
            if stage.downsample
            else nn.Identity()
        )
        self.blocks = nn.Sequential(
            *(
                Block(stage, stage.inputs if index == 0 else stage.outputs, residual=index > 0)
                for index in range(stage.blocks)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.blocks(self.downsample(x))
        return out


class HGNetv2(nn.Module):
    """Maps of the stages from the third on: stride 16 and, with four stages, 32."""

    def __init__(self, size: DeimSize) -> None:
        super().__init__()
        self.stem = Stem()
        self.stages = nn.ModuleList(BackboneStage(stage) for stage in size.stages)

    def forward(self, image: Tensor) -> list[Tensor]:
        """image: (B, 3, S, S) in 0..1, S a multiple of 32."""
        x = self.stem(image)
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index >= 2:
                maps.append(x)
        return maps
