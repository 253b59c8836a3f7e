"""Box edges as distributions: fine-grained distribution refinement (D-FINE, arXiv 2410.13842).

Each edge of a box is 33 logits over non-uniform distances, relative to a base box.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sightline.models.deimv2.layers import MLP
from sightline.models.deimv2.sizes import REG_MAX


def distance_bins(up: Tensor, reg_scale: Tensor) -> Tensor:
    """(33,) the distances W(n) that the bins stand for; antisymmetric, 0 in the middle."""
    bound = up.abs() * reg_scale.abs()
    step = (bound + 1) ** (2 / (REG_MAX - 2))
    powers = torch.arange(1, REG_MAX // 2, device=up.device)
    side = step**powers - 1
    zero = torch.zeros_like(bound)
    return torch.cat([-2 * bound, -side.flip(0), zero, side, 2 * bound])


def expected_distances(corners: Tensor, bins: Tensor) -> Tensor:
    """(..., 4) mean distance of each edge from (..., 4 * 33) logits."""
    shaped: Tensor = corners.unflatten(-1, (4, REG_MAX + 1)).softmax(-1)
    if torch.is_autocast_enabled(corners.device.type):  # positions need more than 8 bits
        return (shaped.float() * bins).sum(-1)
    return shaped @ bins


def decode_boxes(base_cxcywh: Tensor, distances: Tensor, reg_scale: Tensor) -> Tensor:
    """(..., 4) cxcywh: `base_cxcywh` with its left, top, right and bottom edges moved outward.

    Distance 0 keeps an edge, `reg_scale` moves it by a whole box side.
    """
    scale = reg_scale.abs()
    centre, extent = base_cxcywh.split(2, dim=-1)
    unit = extent / scale
    low = centre - (scale / 2 + distances[..., :2]) * unit
    high = centre + (scale / 2 + distances[..., 2:]) * unit
    return torch.cat([(low + high) / 2, high - low], dim=-1)


class LocationQuality(nn.Module):
    """A logit added to every class score: how peaked the edges' distributions are."""

    def __init__(self, hidden: int = 64, top: int = 4) -> None:
        super().__init__()
        self.top = top
        self.reg_conf = MLP(4 * (top + 1), hidden, 1, 2)
        nn.init.zeros_(self.reg_conf.layers[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.reg_conf.layers[-1].bias)  # type: ignore[arg-type]

    def forward(self, scores: Tensor, corners: Tensor) -> Tensor:
        likely = corners.unflatten(-1, (4, REG_MAX + 1)).softmax(-1).topk(self.top, dim=-1).values
        shape = torch.cat([likely, likely.mean(-1, keepdim=True)], dim=-1)
        quality: Tensor = self.reg_conf(shape.flatten(-2))
        return scores + quality
