"""The training loss: every prediction set against the ground truth.

Matchability-aware loss for the classes (DEIM, arXiv 2412.04234), L1 and GIoU for the boxes, and
for size n the edge distributions' FGL and DDF (D-FINE, arXiv 2410.13842).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sightline.models.deimv2.box_ops import paired_iou, to_xyxy
from sightline.models.deimv2.decoder import Outputs, Predictions
from sightline.models.deimv2.denoising import Target, plan_denoising
from sightline.models.deimv2.edges import distance_bins
from sightline.models.deimv2.sizes import REG_MAX, REG_SCALE
from sightline.train.matcher import Matches, match, pool_matches

WEIGHTS = {"mal": 1.0, "bbox": 5.0, "giou": 2.0, "fgl": 0.15, "ddf": 1.5}
MAL_GAMMA = 1.5
TEMPERATURE = 5.0  # of the self-distillation


@dataclass(frozen=True)
class Criterion:
    """The loss of one training step.

    distributions: add FGL and DDF and match boxes by the union over all sets (size n).
    by_quality: match by p · IoU⁴, for the last part of a long training.
    copies: ground truths may be answered by this many queries in the encoder's, pre and first
    refining sets, which learn faster so from scratch.
    """

    distributions: bool = False
    by_quality: bool = False
    copies: int = 1

    def __call__(
        self, outputs: Outputs, targets: list[Target], denoising: int = 0
    ) -> dict[str, Tensor]:
        """Weighted terms by name, e.g. "bbox_aux_0"; the loss is their sum.

        Finite for images without boxes; a term that is not a number counts as 0.
        """
        sets = _named_sets(outputs)
        matches = {
            name: match(predictions, targets, self.by_quality, self.copies if name in _EARLY else 1)
            for name, predictions in sets.items()
        }
        boxes_total = max(1, sum(len(target.labels) for target in targets))
        shared = None
        if self.distributions:
            most = max((len(target.labels) for target in targets), default=0)
            shared = pool_matches(list(matches.values()), outputs.final.logits.shape[1], most)
        terms: dict[str, Tensor] = {}
        for name, predictions in sets.items():
            own = matches[name]
            pairs, total = (own, boxes_total) if shared is None else (shared, max(1, len(shared)))
            if self.copies > 1 and name in _EARLY:
                total = max(1, len(own))
            class_total = total if shared is None else boxes_total
            terms |= _set_terms(name, predictions, targets, own, pairs, class_total, total)
            if shared is not None:
                teacher = outputs.final if name.startswith("_aux") else None
                terms |= _edge_terms(name, predictions, targets, pairs, total, teacher)
        if outputs.denoising is not None:
            terms |= self._denoising_terms(outputs, targets, denoising, boxes_total)
        return {name: torch.nan_to_num(term, nan=0.0) for name, term in terms.items()}

    def _denoising_terms(
        self, outputs: Outputs, targets: list[Target], denoising: int, boxes_total: int
    ) -> dict[str, Tensor]:
        plan = plan_denoising([len(target.labels) for target in targets], denoising)
        assert plan is not None
        assert outputs.denoising is not None
        assert outputs.denoising_pre is not None
        device = outputs.final.logits.device
        parts = []
        for index, target in enumerate(targets):
            count = len(target.labels)
            query = plan.positives(count, device)
            box = torch.arange(count, device=device).repeat(plan.groups)
            parts.append((torch.full_like(query, index), query, box))
        pairs = Matches(*(torch.cat(column) for column in zip(*parts, strict=True)))
        total = boxes_total * plan.groups
        terms: dict[str, Tensor] = {}
        last = len(outputs.denoising) - 1
        for index, predictions in enumerate([*outputs.denoising, outputs.denoising_pre]):
            name = f"_dn_{index}" if index <= last else "_dn_pre"
            terms |= _set_terms(name, predictions, targets, pairs, pairs, total, total)
            if self.distributions and index <= last:
                teacher = outputs.denoising[last] if index < last else None
                terms |= _edge_terms(name, predictions, targets, pairs, total, teacher)
        return terms


_EARLY = ("_enc_0", "_pre", "_aux_0")


def _named_sets(outputs: Outputs) -> dict[str, Predictions]:
    sets = {"": outputs.final}
    sets |= {f"_aux_{index}": layer for index, layer in enumerate(outputs.layers)}
    if outputs.pre is not None:
        sets["_pre"] = outputs.pre
    if outputs.encoder is not None:
        sets["_enc_0"] = outputs.encoder
    return sets


def _set_terms(
    name: str,
    predictions: Predictions,
    targets: list[Target],
    class_pairs: Matches,
    box_pairs: Matches,
    class_total: int,
    box_total: int,
) -> dict[str, Tensor]:
    logits, boxes = predictions.logits.float(), predictions.boxes.float()
    quality, _ = _pair_overlap(boxes, targets, class_pairs)
    mal = _class_loss(logits, targets, class_pairs, quality.detach()) / class_total
    matched, truth = _pair_boxes(boxes, targets, box_pairs)
    _, giou = _pair_overlap(boxes, targets, box_pairs)
    return {
        f"mal{name}": WEIGHTS["mal"] * mal,
        f"bbox{name}": WEIGHTS["bbox"] * (matched - truth).abs().sum() / box_total,
        f"giou{name}": WEIGHTS["giou"] * (1 - giou).sum() / box_total,
    }


def _class_loss(logits: Tensor, targets: list[Target], pairs: Matches, quality: Tensor) -> Tensor:
    """Sum over queries and classes of the matchability-aware loss.

    Matched pairs: cross-entropy against IoU^γ. All others: against 0, weighted by p^γ.
    """
    wanted = torch.zeros_like(logits)
    weight = logits.detach().sigmoid() ** MAL_GAMMA
    labels = _pair_labels(targets, pairs)
    wanted[pairs.image, pairs.query, labels] = quality**MAL_GAMMA
    weight[pairs.image, pairs.query, labels] = 1.0
    return F.binary_cross_entropy_with_logits(logits, wanted, weight, reduction="sum")


def _pair_labels(targets: list[Target], pairs: Matches) -> Tensor:
    starts = _starts(targets, pairs)
    return torch.cat([target.labels for target in targets])[starts[pairs.image] + pairs.box]


def _pair_boxes(boxes: Tensor, targets: list[Target], pairs: Matches) -> tuple[Tensor, Tensor]:
    """(M, 4) matched predictions and their ground truth, cxcywh."""
    starts = _starts(targets, pairs)
    truth = torch.cat([target.boxes for target in targets])[starts[pairs.image] + pairs.box]
    return boxes[pairs.image, pairs.query], truth


def _pair_overlap(boxes: Tensor, targets: list[Target], pairs: Matches) -> tuple[Tensor, Tensor]:
    matched, truth = _pair_boxes(boxes, targets, pairs)
    return paired_iou(to_xyxy(matched), to_xyxy(truth))


def _starts(targets: list[Target], pairs: Matches) -> Tensor:
    counts = torch.tensor([0, *(len(target.labels) for target in targets)])
    return counts.cumsum(0)[:-1].to(pairs.image.device)


def _edge_terms(
    name: str,
    predictions: Predictions,
    targets: list[Target],
    pairs: Matches,
    total: int,
    teacher: Predictions | None,
) -> dict[str, Tensor]:
    if predictions.corners is None or predictions.base is None:
        return {}
    corners = predictions.corners.float()
    iou, _ = _pair_overlap(predictions.boxes.float(), targets, pairs)
    _, truth = _pair_boxes(predictions.boxes, targets, pairs)
    base = predictions.base.float()[pairs.image, pairs.query]
    chosen = corners[pairs.image, pairs.query].unflatten(-1, (4, REG_MAX + 1))
    left, left_share = edge_targets(base, truth)
    log_p = chosen.log_softmax(-1)
    losses = -(
        log_p.gather(-1, left[..., None])[..., 0] * left_share
        + log_p.gather(-1, left[..., None] + 1)[..., 0] * (1 - left_share)
    )
    fgl = (losses * iou.detach()[:, None]).sum() / total
    terms = {f"fgl{name}": WEIGHTS["fgl"] * fgl}
    if teacher is not None:
        ddf = _distillation(predictions, teacher, pairs, iou.detach())
        terms[f"ddf{name}"] = WEIGHTS["ddf"] * ddf
    return terms


def edge_targets(base_cxcywh: Tensor, truth_cxcywh: Tensor) -> tuple[Tensor, Tensor]:
    """The lower bin (M, 4) of each true edge's distance and that bin's share (M, 4)."""
    device = base_cxcywh.device
    bins = distance_bins(
        torch.tensor([0.5], device=device), torch.tensor([REG_SCALE], device=device)
    )
    centre, extent = base_cxcywh.split(2, dim=-1)
    low, high = to_xyxy(truth_cxcywh).split(2, dim=-1)
    unit = extent / REG_SCALE + 1e-16
    distance = torch.cat([(centre - low) / unit, (high - centre) / unit], dim=-1) - REG_SCALE / 2
    left = (torch.searchsorted(bins, distance.contiguous(), right=True) - 1).clamp(0, REG_MAX - 1)
    share = (bins[left + 1] - distance) / (bins[left + 1] - bins[left])
    return left, share.clamp(0, 1)


def _distillation(
    student: Predictions, teacher: Predictions, pairs: Matches, iou: Tensor
) -> Tensor:
    """KL of the student's edge distributions from the last layer's, matched and unmatched."""
    assert student.corners is not None
    assert teacher.corners is not None
    batch, queries = student.corners.shape[:2]

    def soften(corners: Tensor) -> Tensor:
        edges: Tensor = corners.float().unflatten(-1, (4, REG_MAX + 1)) / TEMPERATURE
        return edges.log_softmax(-1)

    target = soften(teacher.corners.detach())
    divergence = (target.exp() * (target - soften(student.corners))).sum(-1) * TEMPERATURE**2
    matched = torch.zeros(batch, queries, dtype=torch.bool, device=target.device)
    matched[pairs.image, pairs.query] = True
    weight = teacher.logits.detach().float().sigmoid().amax(-1)
    weight[pairs.image, pairs.query] = iou.to(weight.dtype)
    weighted = divergence * weight[..., None]
    parts, shares = [], []
    for mask in (matched, ~matched):
        count = int(mask.sum()) * 4
        parts.append(weighted[mask].mean() if count else weighted.sum() * 0)
        shares.append((8 / batch * count) ** 0.5)
    total: Tensor = (parts[0] * shares[0] + parts[1] * shares[1]) / max(sum(shares), 1e-9)
    return total
