"""Deformable attention as ONNX nodes: one plain gather and a few small products a layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sightline.export.graph_nodes import Graph
from sightline.models.deimv2.attention import DeformableAttention

# (down, across) from a position's upper left pixel to the four around it.
CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))


@dataclass(frozen=True)
class Table:
    """What is sampled: for each pixel and head the values of the four CORNERS beside each other.

    The maps have borders of zeros, one pixel before and two behind, so that a position that is
    held between -1 and the side reads what lies outside as zero. rows: a value
    (batch · count · heads, 4 · C / heads). count: pixels an image. widths, starts: the levels',
    borders included.
    """

    rows: str
    batch: int
    count: int
    widths: tuple[int, ...]
    starts: tuple[int, ...]


def add_table(
    graph: Graph, levels: list[str], batch: int, sides: list[int], width: int, heads: int
) -> Table:
    """levels: maps (batch, n, n, width) of sides n."""
    parts, counts = [], []
    for x, n in zip(levels, sides, strict=True):
        wide = n + 3
        count = (n + 2) * wide - 1  # upper left pixels that have all four corners
        bordered = graph.add("Pad", x, graph.constant([0, 1, 1, 0, 0, 2, 2, 0]))
        pixels = graph.reshape(bordered, batch, wide * wide, heads, 1, width // heads)
        corners = []
        for down, across in CORNERS:
            start = down * wide + across
            bounds = (graph.constant([k]) for k in (start, start + count, 1))
            corners.append(graph.add("Slice", pixels, *bounds))
        parts.append(graph.add("Concat", *corners, axis=3))
        counts.append(count)
    rows = graph.reshape(
        graph.add("Concat", *parts, axis=1), batch * sum(counts) * heads, 4 * width // heads
    )
    starts = tuple(sum(counts[:level]) for level in range(len(counts)))
    return Table(rows, batch, sum(counts), tuple(n + 3 for n in sides), starts)


def add_sampling(
    graph: Graph, module: DeformableAttention, query: str, reference: str, table: Table, count: int
) -> str:
    """(batch · count, C): the weighted bilinear samples of each row of `query`.

    reference: boxes cxcywh in 0..1, (batch · count, 4).
    """
    heads, points = module.heads, sum(module.points)
    rows = table.batch * count * heads
    place = graph.reshape(_add_places(graph, module, query, reference, table), rows, 2 * points)
    corner = graph.add("Floor", place)
    values = graph.add("Gather", table.rows, _add_index(graph, module, corner, table, count))
    logits = graph.linear(query, module.attention_weights.weight, module.attention_weights.bias)
    weights = graph.add("Softmax", graph.reshape(logits, rows, points), axis=-1)
    mix = _add_mix(graph, weights, graph.add("Sub", place, corner), points)
    mixed = graph.add("MatMul", graph.reshape(mix, rows, 1, 4 * points),
                      graph.reshape(values, rows, 4 * points, -1))  # fmt: skip
    return graph.reshape(mixed, table.batch * count, module.attention_weights.in_features)


def _levels(module: DeformableAttention, values: tuple[int, ...]) -> Tensor:
    """(P,) float32: the level's value for each point of a head."""
    return torch.tensor(values).repeat_interleave(torch.tensor(module.points)).float()


def _add_places(
    graph: Graph, module: DeformableAttention, query: str, reference: str, table: Table
) -> str:
    """(batch · count, heads · 2 · P) positions in pixels of the bordered maps.

    Of each head first the x of all points, then the y.
    """
    heads, points = module.heads, sum(module.points)
    inner = _levels(module, table.widths) - 3
    reach = (inner * module.num_points_scale * 0.5)[
        :, None
    ]  # pixels of a box as large as the image
    weight = module.sampling_offsets.weight.view(heads, points, 2, -1).transpose(1, 2) * reach
    bias = module.sampling_offsets.bias.view(heads, points, 2, 1).transpose(1, 2) * reach
    centre, extent = torch.zeros(2, heads, 2, points, 4)
    for axis in (0, 1):
        centre[:, axis, :, axis] = inner
        extent[:, axis, :, 2 + axis] = 1
    moved = graph.add("Mul", graph.linear(query, weight.flatten(0, 2), bias.flatten()),
                      graph.linear(reference, extent.flatten(0, 2)))  # fmt: skip
    # A pixel's middle is at .5; the border before the map is one pixel wide.
    half = torch.full((heads * 2 * points,), 0.5)
    place = graph.add("Add", graph.linear(reference, centre.flatten(0, 2), half), moved)
    limit = graph.constant((inner + 1).repeat(heads * 2))
    return graph.add("Min", graph.add("Relu", place), limit)


def _add_index(
    graph: Graph, module: DeformableAttention, corner: str, table: Table, count: int
) -> str:
    """(batch · count · heads · P,) int32 rows of the table; corner: (batch · count · heads, 2 P).

    Products of small whole numbers, which float16 would hold too; starts are added as integers.
    """
    heads, points = module.heads, sum(module.points)
    ones = torch.eye(points) * heads
    step = torch.cat([ones, ones * _levels(module, table.widths)], dim=1)
    start = _levels(module, table.starts).long() * heads + torch.arange(heads)[:, None]
    images = torch.arange(table.batch) * (table.count * heads)
    first = (start.flatten() + images[:, None]).int()[:, None]
    index = graph.reshape(graph.add("Cast", graph.linear(corner, step), to=6),
                          table.batch, count, heads * points)  # fmt: skip
    return graph.reshape(graph.add("Add", index, graph.constant(first)), -1)


def _add_mix(graph: Graph, weights: str, part: str, points: int) -> str:
    """(rows, P · 4): each point's weight shared among its corners.

    weights: (rows, P). part: (rows, 2 P), how far x and y are on the way to the next pixel.
    """
    mix = graph.linear(weights, torch.eye(points).repeat_interleave(4, dim=0))
    for axis in (0, 1):
        far = torch.tensor([corner[1 - axis] for corner in CORNERS]).float()
        share = torch.zeros(points, 4, 2, points)
        share[:, :, axis] = (2 * far - 1)[:, None] * torch.eye(points)[:, None]
        near = (1 - far).repeat(points)
        mix = graph.add("Mul", mix, graph.linear(part, share.reshape(4 * points, -1), near))
    return mix
