"""The folded decoder and the post-processing as ONNX nodes: two maps in, detections out.

The queries of all images lie below each other in matrices of batch · count rows, so that every
linear layer is one Gemm.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sightline.export.graph_nodes import Graph, modules_of
from sightline.export.graph_sampling import Table, add_sampling, add_table
from sightline.models.deimv2.decoder import Decoder, DecoderLayer, Gateway, SwiGLU
from sightline.models.deimv2.edges import LocationQuality, distance_bins
from sightline.models.deimv2.sizes import LEVEL_STRIDES, REG_MAX

# ln((1 - 1e-5) / 1e-5): as far as the decoder's inverse sigmoid reaches.
LOGIT_LIMIT = 11.512915
EDGE_LOGITS = 4 * (REG_MAX + 1)


def add_decoder(
    graph: Graph, decoder: Decoder, maps: list[str], batch: int, side: int
) -> tuple[str, str]:
    """Logits (batch · count, classes) and boxes cxcywh in 0..1 (batch · count, 4)."""
    size = decoder.size
    sides = [side // stride for stride in LEVEL_STRIDES]
    count = count_queries(decoder)
    levels = [graph.add("Transpose", x, perm=[0, 2, 3, 1]) for x in maps]
    table = add_table(graph, levels, batch, sides, size.width, size.heads)
    h, first_logits = _select_queries(graph, decoder, levels, batch, sides)
    reference = graph.add("Sigmoid", first_logits)
    position = graph.add("Clip", graph.mlp(reference, decoder.query_pos_head),
                         graph.constant(-10.0), graph.constant(10.0))  # fmt: skip
    edges = _edge_matrix(decoder)
    base = extent = corners = likely = ""
    layers, box_heads = modules_of(decoder.decoder.layers), modules_of(decoder.dec_bbox_head)
    for layer, box_head in zip(layers, box_heads, strict=True):
        previous = h if base else ""
        h = _add_layer(graph, layer, h, reference, position, table, count)
        if not base:
            base = _add_base(graph, decoder, h, first_logits)
            extent = graph.linear(base, torch.eye(4)[[2, 3, 2, 3]])
        moves = graph.mlp(graph.add("Add", h, previous) if previous else h, box_head)
        corners = graph.add("Add", corners, moves) if corners else moves
        rows = graph.reshape(corners, batch * count * 4, REG_MAX + 1)
        likely = graph.add("Softmax", rows, axis=-1)
        shift = graph.linear(graph.reshape(likely, batch * count, EDGE_LOGITS), edges)
        reference = graph.add("Add", base, graph.add("Mul", shift, extent))
    head = modules_of(decoder.dec_score_head)[-1]
    quality = modules_of(decoder.decoder.lqe_layers)[-1]
    logits = graph.add("Add", graph.linear(h, head.weight, head.bias),
                       _add_quality(graph, quality, likely, batch * count))  # fmt: skip
    return logits, reference


def count_queries(decoder: Decoder) -> int:
    return min(decoder.size.queries, decoder.anchors.shape[1])


def add_detections(
    graph: Graph, logits: str, boxes: str, batch: int, count: int, classes: int, kept: int
) -> None:
    """The outputs boxes (batch, kept, 4) xyxy in 0..1, scores, sorted, and labels (batch, kept)."""
    best, picks = graph.top(graph.reshape(logits, batch, count * classes), kept)
    graph.add("Sigmoid", best, name="scores")
    number = graph.constant([classes])
    query = graph.add("Div", picks, number)
    label = graph.add("Sub", picks, graph.add("Mul", query, number))
    graph.add("Cast", label, name="labels", to=6)
    if batch > 1:
        query = graph.add("Add", query, graph.constant(np.arange(batch)[:, None] * count))
    corners = torch.tensor([[1, 0, -0.5, 0], [0, 1, 0, -0.5], [1, 0, 0.5, 0], [0, 1, 0, 0.5]])
    inside = graph.add("Clip", graph.linear(boxes, corners), graph.constant(0.0),
                       graph.constant(1.0))  # fmt: skip
    graph.add("Gather", inside, query, name="boxes")


def _select_queries(
    graph: Graph, decoder: Decoder, levels: list[str], batch: int, sides: list[int]
) -> tuple[str, str]:
    """Content (batch · count, C) and reference logits (batch · count, 4) of the best tokens.

    levels: maps (batch, n, n, C) of sides n.
    """
    width, head, count = decoder.size.width, decoder.enc_score_head, count_queries(decoder)
    parts = [graph.reshape(x, batch, n * n, width) for x, n in zip(levels, sides, strict=True)]
    tokens = sum(n * n for n in sides)
    rows = graph.add("Concat", *parts, axis=1)
    if not decoder.valid_mask.all():
        rows = graph.add("Mul", rows, graph.constant(decoder.valid_mask.float()))
    rows = graph.reshape(rows, batch * tokens, width)
    scores = graph.add("ReduceMax", graph.linear(rows, head.weight, head.bias),
                       graph.constant([-1]), keepdims=0)  # fmt: skip
    _, best = graph.top(graph.reshape(scores, batch, tokens), count)
    best = graph.reshape(best, batch * count)
    anchors = graph.add("Gather", graph.constant(decoder.anchors[0]), best)
    if batch > 1:
        images = np.repeat(np.arange(batch) * tokens, count)
        best = graph.add("Add", best, graph.constant(images))
    chosen = graph.add("Gather", rows, best)
    return chosen, graph.add("Add", graph.mlp(chosen, decoder.enc_bbox_head), anchors)


def _add_base(graph: Graph, decoder: Decoder, h: str, first_logits: str) -> str:
    """The boxes (batch · count, 4) cxcywh whose edges all layers move."""
    limits = (graph.constant(-LOGIT_LIMIT), graph.constant(LOGIT_LIMIT))
    start = graph.add("Clip", first_logits, *limits)
    return graph.add("Sigmoid", graph.add("Add", graph.mlp(h, decoder.pre_bbox_head), start))


def _edge_matrix(decoder: Decoder) -> Tensor:
    """(4, 4 · 33): from the edges' probabilities to moves of cx, cy, w, h in sides of the box.

    An edge goes outward by its mean distance over reg_scale; the centre goes by half the
    difference of two opposite edges, the side grows by their sum.
    """
    bins = distance_bins(decoder.up, decoder.reg_scale) / decoder.reg_scale.abs()
    matrix = torch.zeros(4, 4, REG_MAX + 1)
    for axis in (0, 1):
        matrix[axis, axis], matrix[axis, 2 + axis] = -bins / 2, bins / 2
        matrix[2 + axis, axis] = matrix[2 + axis, 2 + axis] = bins
    return matrix.flatten(1)


def _add_layer(
    graph: Graph, layer: DecoderLayer, h: str, reference: str, position: str, table: Table,
    count: int,
) -> str:  # fmt: skip
    moved = graph.add("Add", h, position)
    mixed = graph.attention(moved, h, layer.self_attn, table.batch, count)
    h = graph.rms_norm(graph.add("Add", h, mixed), layer.norm1)
    query = graph.add("Add", h, position)
    sampled = add_sampling(graph, layer.cross_attn, query, reference, table, count)
    if layer.gateway is not None:
        h = _add_gateway(graph, layer.gateway, h, sampled)
    else:
        assert layer.norm2 is not None
        h = graph.rms_norm(graph.add("Add", h, sampled), layer.norm2)
    return graph.rms_norm(graph.add("Add", h, _add_swiglu(graph, layer.swish_ffn, h)), layer.norm3)


def _add_gateway(graph: Graph, gateway: Gateway, kept: str, sampled: str) -> str:
    """Each gate and each half of its input has a product of its own: no copies are made."""
    width = gateway.gate.out_features // 2
    gated = []
    for rows, value in ((slice(width), kept), (slice(width, None), sampled)):
        weight, bias = gateway.gate.weight[rows], gateway.gate.bias[rows]
        half = graph.linear(kept, weight[:, :width], bias)
        gate = graph.add("Sigmoid", graph.linear(sampled, weight[:, width:], half))
        gated.append(graph.add("Mul", gate, value))
    return graph.rms_norm(graph.add("Add", *gated), gateway.norm)


def _add_swiglu(graph: Graph, module: SwiGLU, x: str) -> str:
    gate, value = (
        graph.linear(x, weight, bias)
        for weight, bias in zip(module.w12.weight.chunk(2), module.w12.bias.chunk(2), strict=True)
    )
    hidden = graph.add("Mul", graph.silu(gate), value)
    return graph.linear(hidden, module.w3.weight, module.w3.bias)


def _add_quality(graph: Graph, module: LocationQuality, likely: str, rows: int) -> str:
    """(rows, 1) from probabilities (rows · 4, 33); the top ones' mean is in the first weights."""
    first, second = modules_of(module.reg_conf.layers)
    weight = first.weight.view(-1, 4, module.top + 1)
    weight = (weight[..., :-1] + weight[..., -1:] / module.top).flatten(1)
    top, _ = graph.top(likely, module.top)
    hidden = graph.linear(graph.reshape(top, rows, 4 * module.top), weight, first.bias)
    return graph.linear(graph.silu(hidden), second.weight, second.bias)
