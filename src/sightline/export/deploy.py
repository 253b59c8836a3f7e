"""The network folded for running: what every exported artefact is written from.

Detections are the training network's own; only the arithmetic's order changes.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from sightline.models.deimv2.attention import DeformableAttention, sample_rows
from sightline.models.deimv2.backbone import Affine, ConvLayer, Stem
from sightline.models.deimv2.encoder import RepBlock
from sightline.models.deimv2.layers import ConvNorm, take_rows
from sightline.models.deimv2.network import DeimV2

MAX_DETECTIONS = 300


class DeployedDetector(nn.Module):
    """uint8 images (B, S, S, 3) RGB to boxes (B, K, 4) xyxy in 0..1, scores and labels (B, K).

    Sorted by score; K = min(300, queries x classes). What every artefact computes, in PyTorch.
    """

    def __init__(self, model: DeimV2) -> None:
        super().__init__()
        self.model = fold(model)
        self.classes = model.classes
        self.detections = count_detections(model)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pixels = image.permute(0, 3, 1, 2).float()  # the division by 255 is in the first kernel
        final = self.model(pixels).final
        scores, picks = final.logits.flatten(1).topk(self.detections, dim=1)
        query = torch.div(picks, self.classes, rounding_mode="floor")
        label = picks - query * self.classes
        chosen = take_rows(final.boxes, query)
        centre, half = chosen[..., :2], chosen[..., 2:] * 0.5
        boxes = torch.cat([centre - half, centre + half], dim=-1).clamp(0, 1)
        return boxes, scores.sigmoid(), label.int()


def count_detections(model: DeimV2) -> int:
    """K: how many detections the deployed network puts out for each image."""
    tokens = model.decoder.anchors.shape[1]
    return min(MAX_DETECTIONS, min(model.size.queries, tokens) * model.classes)


def fold(model: DeimV2) -> DeimV2:
    """A copy in eval mode: batch norms and 1x1 branches folded away, gathers as plain rows."""
    folded = copy.deepcopy(model).eval().cpu()
    folded.requires_grad_(False)
    for module in list(folded.modules()):
        if isinstance(module, RepBlock):
            _merge_branches(module)
    for module in folded.modules():
        if isinstance(module, ConvLayer):
            module.conv, module.bn = _fold_norm(module.conv, module.bn), nn.Identity()  # type: ignore[assignment]
            _fold_scale(module)
        elif isinstance(module, ConvNorm):
            module.conv, module.norm = _fold_norm(module.conv, module.norm), nn.Identity()  # type: ignore[assignment]
        elif isinstance(module, nn.Sequential):
            _fold_sequence(module)
        elif isinstance(module, DeformableAttention):
            module.sampler = sample_rows
    for module in list(folded.modules()):
        if isinstance(module, Stem):
            module.stem1.conv.weight *= 1 / 255
    return folded


def _fold_norm(conv: nn.Conv2d, norm: nn.Module) -> nn.Conv2d:
    """One convolution with bias that equals `conv` followed by `norm` in eval mode."""
    if not isinstance(norm, nn.BatchNorm2d):
        return conv
    assert norm.running_var is not None
    assert norm.running_mean is not None
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    folded = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        groups=conv.groups,
    )
    folded.requires_grad_(False)
    folded.weight.copy_(conv.weight * gain[:, None, None, None])
    assert folded.bias is not None
    folded.bias.copy_(norm.bias - norm.running_mean * gain)
    return folded


def _fold_scale(layer: ConvLayer) -> None:
    """Move the affine's positive scale before the ReLU, into the kernel: s·relu(z) = relu(s·z)."""
    if isinstance(layer.lab, Affine) and float(layer.lab.scale) > 0:
        assert layer.conv.bias is not None
        layer.conv.weight *= layer.lab.scale
        layer.conv.bias *= layer.lab.scale
        layer.lab = Shift(layer.lab.bias)  # type: ignore[assignment]


class Shift(nn.Module):
    """x + bias."""

    bias: Tensor

    def __init__(self, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("bias", bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


def _fold_sequence(sequence: nn.Sequential) -> None:
    for index in range(1, len(sequence)):
        before, norm = sequence[index - 1], sequence[index]
        if isinstance(before, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            sequence[index - 1], sequence[index] = _fold_norm(before, norm), nn.Identity()


def _merge_branches(block: RepBlock) -> None:
    """Fold the 1x1 branch into the centre of the 3x3 kernel."""
    big = _fold_norm(block.conv1.conv, block.conv1.norm)
    if isinstance(block.conv2, ConvNorm):
        small = _fold_norm(block.conv2.conv, block.conv2.norm)
        assert big.bias is not None
        assert small.bias is not None
        big.weight += nn.functional.pad(small.weight, (1, 1, 1, 1))
        big.bias += small.bias
        block.conv2 = None
    block.conv1.conv, block.conv1.norm = big, nn.Identity()  # type: ignore[assignment]
