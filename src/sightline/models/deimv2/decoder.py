"""The query decoder: tokens of two maps to class logits and boxes.

DEIM decoder (arXiv 2412.04234, 2509.20787). Boxes are cxcywh in fractions of the image's sides.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sightline.models.deimv2.attention import DeformableAttention, MapSizes
from sightline.models.deimv2.edges import (
    LocationQuality,
    decode_boxes,
    distance_bins,
    expected_distances,
)
from sightline.models.deimv2.layers import MLP, RMSNorm, SelfAttention, inverse_sigmoid, take_rows
from sightline.models.deimv2.sizes import LEVEL_STRIDES, REG_MAX, REG_SCALE, DeimSize

CLASS_PRIOR = 0.01  # a new class head's first score (focal loss, arXiv 1708.02002)


@dataclass
class Predictions:
    """One prediction set: logits (B, Q, K), boxes (B, Q, 4) cxcywh; edge logits where refined."""

    logits: Tensor
    boxes: Tensor
    corners: Tensor | None = None
    base: Tensor | None = None


@dataclass
class Outputs:
    """Everything a training step looks at; in eval only `final`.

    `layers` are the earlier refinement layers, `pre` the first layer's base boxes, `encoder` the
    selected tokens' own predictions. `denoising` (and its pre) belong to the noised queries.
    """

    final: Predictions
    layers: list[Predictions]
    pre: Predictions | None = None
    encoder: Predictions | None = None
    denoising: list[Predictions] | None = None
    denoising_pre: Predictions | None = None


@dataclass
class DenoisingQueries:
    """Noised ground truth placed before the normal queries.

    content: (B, D, C). reference_logits: (B, D, 4). blocked: (D + Q, D + Q) bool, True where
    self-attention is forbidden.
    """

    content: Tensor
    reference_logits: Tensor
    blocked: Tensor


class Gateway(nn.Module):
    """Two learned gates between the self-attended and the sampled features (size n)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(2 * width, 2 * width)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)
        self.norm = RMSNorm(width)

    def forward(self, kept: Tensor, sampled: Tensor) -> Tensor:
        gates = self.gate(torch.cat([kept, sampled], dim=-1)).sigmoid()
        first, second = gates.chunk(2, dim=-1)
        out: Tensor = self.norm(first * kept + second * sampled)
        return out


class SwiGLU(nn.Module):
    """silu(u1) · u2 between two linears (arXiv 2002.05202)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w12 = nn.Linear(width, hidden)
        self.w3 = nn.Linear(hidden // 2, width)
        for linear in (self.w12, self.w3):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.w12(x).chunk(2, dim=-1)
        out: Tensor = self.w3(nn.functional.silu(gate) * value)
        return out


class DecoderLayer(nn.Module):
    """Self-attention, deformable attention, feed-forward; each followed by its norm."""

    def __init__(self, size: DeimSize) -> None:
        super().__init__()
        self.self_attn = SelfAttention(size.width, size.heads)
        self.norm1 = RMSNorm(size.width)
        self.cross_attn = DeformableAttention(size)
        self.gateway = Gateway(size.width) if size.gateway else None
        self.norm2 = None if size.gateway else RMSNorm(size.width)
        self.swish_ffn = SwiGLU(size.width, size.feed_forward)
        self.norm3 = RMSNorm(size.width)

    def forward(
        self,
        h: Tensor,
        reference: Tensor,
        position: Tensor,
        memory: Tensor,
        maps: MapSizes,
        blocked: Tensor | None,
    ) -> Tensor:
        h = self.norm1(h + self.self_attn(h, position, blocked))
        sampled = self.cross_attn(h + position, reference, memory, maps)
        if self.gateway is not None:
            h = self.gateway(h, sampled)
        elif self.norm2 is not None:
            h = self.norm2(h + sampled)
        # float16's range, as in training with mixed precision
        out: Tensor = self.norm3((h + self.swish_ffn(h)).clamp(-65504, 65504))
        return out


class DecoderStack(nn.Module):
    """Layers and quality heads under the official parameter names."""

    up: Tensor
    reg_scale: Tensor

    def __init__(self, size: DeimSize, up: nn.Parameter, reg_scale: nn.Parameter) -> None:
        super().__init__()
        self.up, self.reg_scale = up, reg_scale
        layer = DecoderLayer(size)
        self.layers = nn.ModuleList(copy.deepcopy(layer) for _ in range(size.layers))
        self.lqe_layers = nn.ModuleList(LocationQuality() for _ in range(size.layers))


class Decoder(nn.Module):
    """Query selection and three refining layers."""

    anchors: Tensor
    valid_mask: Tensor

    def __init__(self, size: DeimSize, classes: int, input_px: int) -> None:
        super().__init__()
        self.size, self.classes = size, classes
        width = size.width
        # Stored with the weights but never trained.
        self.up = nn.Parameter(torch.tensor([0.5]), requires_grad=False)
        self.reg_scale = nn.Parameter(torch.tensor([REG_SCALE]), requires_grad=False)
        self.decoder = DecoderStack(size, self.up, self.reg_scale)
        self.denoising_class_embed = nn.Embedding(classes + 1, width, padding_idx=classes)
        self.enc_score_head = nn.Linear(width, classes)
        self.enc_bbox_head = MLP(width, width, 4, 3)
        self.query_pos_head = MLP(4, width, width, 3)
        self.pre_bbox_head = MLP(width, width, 4, 3)
        score_head = nn.Linear(width, classes)
        box_head = MLP(width, width, 4 * (REG_MAX + 1), 3)
        self._reset(score_head, box_head)
        self.dec_score_head = nn.ModuleList(copy.deepcopy(score_head) for _ in range(size.layers))
        self.dec_bbox_head = nn.ModuleList(
            box_head if size.shares_box_head else copy.deepcopy(box_head)
            for _ in range(size.layers)
        )
        self.set_input_size(input_px)

    def _reset(self, score_head: nn.Linear, box_head: MLP) -> None:
        prior = -math.log((1 - CLASS_PRIOR) / CLASS_PRIOR)
        for head in (self.enc_score_head, score_head):
            nn.init.constant_(head.bias, prior)
        for mlp in (self.enc_bbox_head, self.pre_bbox_head, box_head):
            last = mlp.layers[-1]
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        for linear in self.query_pos_head.layers:
            assert isinstance(linear, nn.Linear)
            nn.init.xavier_uniform_(linear.weight)

    def set_input_size(self, input_px: int) -> None:
        """Recompute the anchors for images of `input_px` a side (a multiple of 32)."""
        maps = [(input_px // stride, input_px // stride) for stride in LEVEL_STRIDES]
        anchors, valid = make_anchors(maps)
        self.register_buffer("anchors", anchors)
        self.register_buffer("valid_mask", valid)

    def forward(self, maps: list[Tensor], denoising: DenoisingQueries | None = None) -> Outputs:
        """maps: (B, C, H, W) a level. In training every prediction set, in eval the last."""
        sizes = [(int(x.shape[2]), int(x.shape[3])) for x in maps]
        memory = torch.cat([x.flatten(2).transpose(1, 2) for x in maps], dim=1)
        anchors, valid = self.anchors, self.valid_mask
        if self.training or anchors.shape[1] != memory.shape[1]:
            anchors, valid = (x.to(memory.device) for x in make_anchors(sizes))
        content, reference_logits, encoder = self._select_queries(memory, anchors, valid)
        blocked, split = None, 0
        if denoising is not None:
            split = denoising.content.shape[1]
            content = torch.cat([denoising.content, content], dim=1)
            reference_logits = torch.cat([denoising.reference_logits, reference_logits], dim=1)
            blocked = denoising.blocked
        pre, layers = self._refine(content, reference_logits, memory, sizes, blocked)
        if not self.training:
            return Outputs(layers[-1], [])
        normal = [_part(x, split, None) for x in layers]
        return Outputs(
            final=normal[-1],
            layers=normal[:-1],
            pre=_part(pre, split, None),
            encoder=encoder,
            denoising=[_part(x, 0, split) for x in layers] if split else None,
            denoising_pre=_part(pre, 0, split) if split else None,
        )

    def _select_queries(
        self, memory: Tensor, anchors: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor, Predictions]:
        """Content (B, Q, C) and reference logits (B, Q, 4) of the best-scored tokens."""
        # On maps under 50 cells a side every anchor is valid.
        masked = memory if memory.shape[1] < 50 * 50 else memory * valid
        scores = self.enc_score_head(masked)
        best = scores.amax(-1).topk(min(self.size.queries, scores.shape[1]), dim=1).indices
        chosen = take_rows(masked, best)
        logits = self.enc_bbox_head(chosen) + take_rows(anchors.expand(len(memory), -1, -1), best)
        encoder = Predictions(take_rows(scores, best), logits.sigmoid())
        return (chosen.detach() if self.training else chosen), logits.detach(), encoder

    def _refine(
        self,
        h: Tensor,
        reference_logits: Tensor,
        memory: Tensor,
        maps: MapSizes,
        blocked: Tensor | None,
    ) -> tuple[Predictions, list[Predictions]]:
        reference = first = reference_logits.sigmoid()
        position = self.query_pos_head(first).clamp(-10, 10)
        bins = distance_bins(self.up, self.reg_scale)
        previous: Tensor | None = None
        corners: Tensor | None = None
        sets: list[Predictions] = []
        pre: Predictions | None = None
        for index, layer in enumerate(self.decoder.layers):
            h = layer(h, reference, position, memory, maps, blocked)
            if pre is None:
                boxes = (self.pre_bbox_head(h) + inverse_sigmoid(first)).sigmoid()
                pre_scores = self.dec_score_head[0](h) if self.training else h
                pre = Predictions(pre_scores, boxes)
                base = boxes.detach()
            moves: Tensor = self.dec_bbox_head[index](h if previous is None else h + previous)
            corners = moves if corners is None else moves + corners
            distances = expected_distances(corners, bins)
            boxes = decode_boxes(base, distances, self.reg_scale)
            if self.training or index == self.size.layers - 1:
                logits = self.decoder.lqe_layers[index](self.dec_score_head[index](h), corners)
                sets.append(Predictions(logits, boxes, corners, base))
            previous, reference = h.detach(), boxes.detach()
        assert pre is not None
        return pre, sets


def make_anchors(maps: MapSizes) -> tuple[Tensor, Tensor]:
    """Logits (1, N, 4) of one box a token and the mask (1, N, 1) of those well inside.

    Sides are 0.05 of the image's at the first level and double at the next. Anchors outside
    (0.01, 0.99) are +inf.
    """
    levels = []
    for level, (rows, columns) in enumerate(maps):
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        centre = torch.stack([(x + 0.5) / columns, (y + 0.5) / rows], dim=-1)
        extent = torch.full_like(centre, 0.05 * 2**level)
        levels.append(torch.cat([centre, extent], dim=-1).flatten(0, 1))
    anchors = torch.cat(levels)[None]
    valid = ((anchors > 0.01) & (anchors < 0.99)).all(-1, keepdim=True)
    logits = torch.log(anchors / (1 - anchors))
    return logits.masked_fill(~valid, torch.inf), valid


def _part(predictions: Predictions, start: int, end: int | None) -> Predictions:
    """The queries start..end of a set."""

    def cut(x: Tensor | None) -> Tensor | None:
        return None if x is None else x[:, start:end]

    return Predictions(
        predictions.logits[:, start:end],
        predictions.boxes[:, start:end],
        cut(predictions.corners),
        cut(predictions.base),
    )
