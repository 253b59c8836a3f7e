"""Multi-scale deformable attention without value or output projections.

From Deformable DETR (arXiv 2010.04159) as D-FINE and DEIMv2 reduce it. Two equivalent samplers:
`sample_grid` (grid_sample) is the fast one to train with; `sample_rows` uses only plain gathers
and arithmetic, which every export target has.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sightline.models.deimv2.sizes import DeimSize

MapSizes = list[tuple[int, int]]
Sampler = Callable[[Tensor, MapSizes, Tensor, Tensor, tuple[int, ...]], Tensor]


class DeformableAttention(nn.Module):
    """Each query reads a few points around its reference box, in all levels at once."""

    num_points_scale: Tensor

    def __init__(self, size: DeimSize) -> None:
        super().__init__()
        self.heads = size.heads
        self.points = size.points
        total = size.heads * sum(size.points)
        self.sampling_offsets = nn.Linear(size.width, total * 2)
        self.attention_weights = nn.Linear(size.width, total)
        scale = [1 / count for count in size.points for _ in range(count)]
        self.register_buffer("num_points_scale", torch.tensor(scale))
        self.sampler: Sampler = sample_grid
        self._reset()

    def _reset(self) -> None:
        nn.init.zeros_(self.sampling_offsets.weight)
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        angles = torch.arange(self.heads) * (2 * math.pi / self.heads)
        directions = torch.stack([angles.cos(), angles.sin()], dim=-1)
        directions = directions / directions.abs().amax(-1, keepdim=True)
        steps = torch.cat([torch.arange(1, count + 1) for count in self.points])
        with torch.no_grad():
            bias = directions[:, None, :] * steps[None, :, None]
            self.sampling_offsets.bias.copy_(bias.flatten())

    def forward(self, query: Tensor, reference: Tensor, memory: Tensor, maps: MapSizes) -> Tensor:
        """query: (B, Q, C). reference: (B, Q, 4) cxcywh in 0..1. memory: (B, N, C) tokens."""
        batch, count, _ = query.shape
        points = sum(self.points)
        offsets = self.sampling_offsets(query).view(batch, count, self.heads, points, 2)
        weights = self.attention_weights(query).view(batch, count, self.heads, points).softmax(-1)
        scaled = offsets * self.num_points_scale[:, None] * 0.5
        centre, extent = reference[:, :, None, None, :2], reference[:, :, None, None, 2:]
        locations = centre + scaled * extent
        return self.sampler(memory, maps, locations, weights, self.points)


def sample_grid(
    memory: Tensor, maps: MapSizes, locations: Tensor, weights: Tensor, points: tuple[int, ...]
) -> Tensor:
    """(B, Q, C) weighted bilinear samples, zero outside the maps, by grid_sample.

    memory: (B, N, C), levels one after the other, row-major. locations: (B, Q, heads, P, 2) x, y
    in 0..1. weights: (B, Q, heads, P), summing to 1 over P.
    """
    batch, count, heads, _, _ = locations.shape
    head_width = memory.shape[-1] // heads
    grid = (2 * locations - 1).permute(0, 2, 1, 3, 4).flatten(0, 1)
    levels = memory.split([rows * columns for rows, columns in maps], dim=1)
    kind = torch.promote_types(memory.dtype, torch.float32)  # positions need more than 8 bits
    sampled = []
    for level, (rows, columns), part in zip(levels, maps, grid.split(points, dim=2), strict=True):
        value = level.transpose(1, 2).reshape(batch * heads, head_width, rows, columns)
        sampled.append(
            nn.functional.grid_sample(
                value.to(kind), part.to(kind), padding_mode="zeros", align_corners=False
            )
        )
    mix = weights.permute(0, 2, 1, 3).flatten(0, 1)[:, None]
    mixed = (torch.cat(sampled, dim=-1) * mix).sum(-1)
    return mixed.view(batch, heads * head_width, count).transpose(1, 2)


def sample_rows(
    memory: Tensor, maps: MapSizes, locations: Tensor, weights: Tensor, points: tuple[int, ...]
) -> Tensor:
    """The same as `sample_grid` with one row gather for all levels, points and corners."""
    batch, count, heads, total, _ = locations.shape
    tokens, head_width = memory.shape[1], memory.shape[-1] // heads

    def per_point(values: list[int]) -> Tensor:
        repeated = [value for value, n in zip(values, points, strict=True) for _ in range(n)]
        return torch.tensor(repeated, dtype=torch.float32)

    columns = per_point([size[1] for size in maps])
    rows = per_point([size[0] for size in maps])
    starts = per_point([sum(h * w for h, w in maps[:level]) for level in range(len(maps))])
    x = locations[..., 0] * columns - 0.5
    y = locations[..., 1] * rows - 0.5
    x0, y0 = x.floor(), y.floor()
    right, low = x - x0, y - y0
    head = torch.arange(heads, dtype=torch.float32).view(1, 1, heads, 1)
    image = torch.arange(batch, dtype=torch.float32).view(batch, 1, 1, 1)
    indices, shares = [], []
    for down in (0, 1):
        yi = y0 + down
        y_in = yi.clamp(min=0).minimum(rows - 1)
        y_share = (low if down else 1 - low) * (yi == y_in)
        for across in (0, 1):
            xi = x0 + across
            x_in = xi.clamp(min=0).minimum(columns - 1)
            share = (right if across else 1 - right) * (xi == x_in) * y_share
            token = starts + y_in * columns + x_in
            indices.append((image * tokens + token) * heads + head)
            shares.append(share * weights)
    index = torch.stack(indices, dim=-1).long().reshape(-1)
    gathered = memory.reshape(batch * tokens * heads, head_width).index_select(0, index)
    share = torch.stack(shares, dim=-1).reshape(batch, count, heads, 4 * total, 1)
    mixed = (gathered.view(batch, count, heads, 4 * total, head_width) * share).sum(3)
    return mixed.reshape(batch, count, heads * head_width)
