"""The query decoder's twin: models/deimv2/decoder.py without its training, for one image.

What the PyTorch code spells out in many small steps is joined into few products here, since the
time in a browser goes by the number of operators. Boxes are cxcywh in fractions of the image.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
import torch
from numpy.typing import NDArray

from sightline.export.deploy import MAX_DETECTIONS
from sightline.export.tensorflow.layers import (
    constant,
    linear,
    matmul,
    members,
    mlp,
    rms_norm,
    self_attention,
    silu,
)
from sightline.models.deimv2.attention import DeformableAttention, MapSizes
from sightline.models.deimv2.decoder import Decoder, DecoderLayer, Gateway, SwiGLU
from sightline.models.deimv2.edges import LocationQuality, distance_bins
from sightline.models.deimv2.sizes import REG_MAX

# inverse_sigmoid keeps both parts of x / (1 - x) at 1e-5: the logit stays within this.
LOGIT_BOUND = math.log((1 - 1e-5) / 1e-5)
# Sigmoid of it is 1 in float32. Anchors at the rim are infinite, which WebGL need not know.
FAR_LOGIT = 100.0


def decode(decoder: Decoder, maps: list[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Boxes (1, K, 4) xyxy, scores (1, K) sorted, labels (1, K) int32 of maps (1, H, W, C)."""
    sizes = [(x.shape[1], x.shape[2]) for x in maps]
    tokens = [
        tf.reshape(x, [rows * columns, x.shape[3]])
        for x, (rows, columns) in zip(maps, sizes, strict=True)
    ]
    memory = tf.concat(tokens, axis=0)
    content, reference_logits = _select_queries(decoder, memory)
    logits, boxes = _refine(decoder, content, reference_logits, memory, sizes)
    return _best_detections(logits, boxes)


def _select_queries(decoder: Decoder, memory: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Content (Q, C) and reference logits (Q, 4) of the best-scored tokens (N, C)."""
    count = memory.shape[0]
    if count >= 50 * 50:  # smaller maps have no anchor at the rim
        memory = memory * constant(decoder.valid_mask[0])
    scores = tf.reduce_max(linear(decoder.enc_score_head, memory), axis=1)
    best = tf.math.top_k(scores, min(decoder.size.queries, count)).indices
    chosen = tf.gather(memory, best)
    anchors = tf.gather(constant(decoder.anchors[0].clamp(max=FAR_LOGIT)), best)
    return chosen, mlp(decoder.enc_bbox_head, chosen) + anchors


def _refine(
    decoder: Decoder,
    h: tf.Tensor,
    reference_logits: tf.Tensor,
    memory: tf.Tensor,
    maps: MapSizes,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Class logits (Q, classes) and boxes (Q, 4) after the last layer."""
    count, width = h.shape
    heads = decoder.size.heads
    memory_rows = tf.reshape(memory, [memory.shape[0] * heads, width // heads])
    reference = tf.sigmoid(reference_logits)
    position = tf.clip_by_value(mlp(decoder.query_pos_head, reference), -10, 10)
    box_moves, kept_box = _box_moves(decoder)
    h_before = corners = None
    layers, box_heads = members(decoder.decoder.layers), members(decoder.dec_bbox_head)
    for layer, box_head in zip(layers, box_heads, strict=True):
        h = _decoder_layer(layer, h, reference, position, memory_rows, maps)
        if corners is None:
            first = tf.clip_by_value(reference_logits, -LOGIT_BOUND, LOGIT_BOUND)
            base = tf.sigmoid(mlp(decoder.pre_bbox_head, h) + first)
            extent = base[:, 2:]
            base_centre = base * np.array([1, 1, 0, 0], np.float32)
            base_extents = tf.concat([extent, extent], axis=1)
        moves = mlp(box_head, h if h_before is None else h + h_before)
        corners = moves if corners is None else moves + corners
        likely = tf.nn.softmax(tf.reshape(corners, [count * 4, REG_MAX + 1]))
        distances = tf.reshape(likely, [count, 4 * (REG_MAX + 1)])
        reference = base_centre + matmul(distances, box_moves, kept_box) * base_extents
        h_before = h
    quality = _location_quality(members(decoder.decoder.lqe_layers)[-1], likely, count)
    return linear(members(decoder.dec_score_head)[-1], h) + quality, reference


def _box_moves(decoder: Decoder) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight (4, 4 * 33) and bias (4,) from the edges' distributions to a box of base extent 1.

    Left and right edges at distances l and r (in units of extent / scale) move the centre by
    (r - l) / 2 and make the extent scale + l + r: expected_distances and decode_boxes in one.
    """
    scale = decoder.reg_scale.abs()
    half, one = 0.5 / scale.item(), 1 / scale.item()
    edges = torch.tensor(
        [[-half, 0, half, 0], [0, -half, 0, half], [one, 0, one, 0], [0, one, 0, one]]
    )
    bins = distance_bins(decoder.up, decoder.reg_scale)
    return torch.kron(edges, bins[None]), torch.tensor([0.0, 0, 1, 1])


def _decoder_layer(
    layer: DecoderLayer,
    h: tf.Tensor,
    reference: tf.Tensor,
    position: tf.Tensor,
    memory_rows: tf.Tensor,
    maps: MapSizes,
) -> tf.Tensor:
    """Queries (Q, C). The clamp to float16's range, for training, is left out."""
    h = rms_norm(layer.norm1, h + self_attention(layer.self_attn, h, position))
    sampled = _sample(layer.cross_attn, h + position, reference, memory_rows, maps)
    if layer.gateway is not None:
        h = _gateway(layer.gateway, h, sampled)
    elif layer.norm2 is not None:
        h = rms_norm(layer.norm2, h + sampled)
    return rms_norm(layer.norm3, h + _swiglu(layer.swish_ffn, h))


def _gateway(module: Gateway, kept: tf.Tensor, sampled: tf.Tensor) -> tf.Tensor:
    both = tf.concat([kept, sampled], axis=1)
    first, second = tf.split(tf.sigmoid(linear(module.gate, both)) * both, 2, axis=1)
    return rms_norm(module.norm, first + second)


def _swiglu(module: SwiGLU, x: tf.Tensor) -> tf.Tensor:
    gate, value = tf.split(linear(module.w12, x), 2, axis=1)
    return linear(module.w3, silu(gate) * value)


def _location_quality(module: LocationQuality, likely: tf.Tensor, count: int) -> tf.Tensor:
    """A logit for each query (Q, 1) from its edges' distributions (Q * 4, 33).

    The mean of the top values, an input of its own in the model, is a share of their weights here.
    """
    top = tf.reshape(tf.math.top_k(likely, module.top).values, [count, 4 * module.top])
    first, last = members(module.reg_conf.layers)
    by_edge = first.weight.view(-1, 4, module.top + 1)
    weight = by_edge[..., :-1] + by_edge[..., -1:] / module.top
    return linear(last, silu(matmul(top, weight.flatten(1), first.bias)))


def _sample(
    module: DeformableAttention,
    query: tf.Tensor,
    reference: tf.Tensor,
    memory_rows: tf.Tensor,
    maps: MapSizes,
) -> tf.Tensor:
    """(Q, C) what the queries read at a few points around their boxes, as `sample_rows`.

    memory_rows: (N * heads, C / heads), of a token all heads, then of the next. Along the last
    axis of the tensors here stand P points' x, then their y.
    """
    heads, points = module.heads, sum(module.points)
    rows, columns, starts = (
        np.repeat(np.array(values, np.float32), module.points)
        for values in (*zip(*maps, strict=True), [0, maps[0][0] * maps[0][1]])
    )
    count = query.shape[0]
    joined = matmul(query, *_join_offsets_and_weights(module))
    offsets, logits = tf.split(
        tf.reshape(joined, [count, heads, 3 * points]), [2 * points, points], axis=2
    )
    weights = tf.nn.softmax(logits)
    spread = matmul(reference, *_spread_boxes(module, columns, rows))
    centre, extent = tf.split(tf.reshape(spread, [count, 1, 4 * points]), 2, axis=2)
    place = centre + offsets * extent  # in cells
    # The pair of cells around it, moved inside: a cell that is not next to the place has share 0.
    last_pair = np.concatenate([columns, rows]) - 2
    low = tf.minimum(tf.nn.relu(tf.floor(place)), last_pair)
    away = place - low
    left, top = tf.split(tf.nn.relu(1 - tf.abs(away)), 2, axis=2)
    right, bottom = tf.split(tf.nn.relu(1 - tf.abs(away - 1)), 2, axis=2)
    top, bottom = top * weights, bottom * weights
    shares = tf.concat([top * left, top * right, bottom * left, bottom * right], axis=2)
    column, row = tf.split(low, 2, axis=2)
    first = column * heads + row * (columns * heads)
    corners = np.concatenate([starts, starts + 1, starts + columns, starts + columns + 1])
    offset = corners * heads + np.arange(heads, dtype=np.float32)[:, None]
    index = tf.cast(tf.concat([first] * 4, axis=2) + offset, tf.int32)
    values = tf.gather(memory_rows, index)
    mixed = tf.matmul(tf.reshape(shares, [count, heads, 1, 4 * points]), values)
    return tf.reshape(mixed, [count, query.shape[1]])


def _join_offsets_and_weights(module: DeformableAttention) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of both linears in one; for each head x, y and weight of the P points."""
    heads, points = module.heads, sum(module.points)

    def join(offsets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        by_head = offsets.view(heads, points, 2, -1).transpose(1, 2)
        both = torch.cat([by_head, weights.view(heads, 1, points, -1)], dim=1)
        return both.reshape(heads * 3 * points, -1)

    offsets, weights = module.sampling_offsets, module.attention_weights
    return join(offsets.weight, weights.weight), join(offsets.bias, weights.bias)[:, 0]


def _spread_boxes(
    module: DeformableAttention, columns: NDArray[np.float32], rows: NDArray[np.float32]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight (4 * P, 4) and bias from a box to its centre and the reach of offsets, in cells."""
    points = len(columns)
    weight = torch.zeros(4, points, 4)
    reach = module.num_points_scale * 0.5
    for axis, cells in enumerate((torch.from_numpy(columns), torch.from_numpy(rows))):
        weight[axis, :, axis] = cells
        weight[2 + axis, :, 2 + axis] = cells * reach
    bias = torch.cat([torch.full((2 * points,), -0.5), torch.zeros(2 * points)])
    return weight.flatten(0, 1), bias


def _best_detections(logits: tf.Tensor, boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    count, classes = logits.shape
    kept = min(MAX_DETECTIONS, count * classes)
    best, picks = tf.math.top_k(tf.reshape(logits, [count * classes]), kept)
    # In floats, exact up to 2^24; the half keeps clear of a division that is not.
    number = tf.cast(picks, tf.float32)
    query = tf.floor((number + 0.5) * (1 / classes))
    label = tf.cast(number - query * classes, tf.int32)
    chosen = tf.gather(boxes, tf.cast(query, tf.int32))
    corners = torch.tensor([[1, 0, -0.5, 0], [0, 1, 0, -0.5], [1, 0, 0.5, 0], [0, 1, 0, 0.5]])
    boxes_xyxy = tf.clip_by_value(tf.matmul(chosen, constant(corners.T)), 0, 1)
    return (
        tf.reshape(boxes_xyxy, [1, kept, 4]),
        tf.reshape(tf.sigmoid(best), [1, kept]),
        tf.reshape(label, [1, kept]),
    )
