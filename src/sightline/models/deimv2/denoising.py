"""Noised ground truth as extra queries (DN-DETR arXiv 2203.01305, contrastive as in DINO)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sightline.models.deimv2.decoder import DenoisingQueries
from sightline.models.deimv2.layers import inverse_sigmoid

LABEL_NOISE = 0.25
BOX_NOISE = 1.0


@dataclass
class Target:
    """Ground truth of one image: labels (G,) int64, boxes (G, 4) cxcywh in 0..1."""

    labels: Tensor
    boxes: Tensor


@dataclass
class DenoisingPlan:
    """How noised queries are laid out: `groups` groups of G positives, then G negatives."""

    groups: int
    most: int

    @property
    def queries(self) -> int:
        return 2 * self.most * self.groups

    def positives(self, count: int, device: torch.device | str = "cpu") -> Tensor:
        """(groups * count,) query index of each positive of an image with `count` boxes."""
        first = torch.arange(self.groups, device=device) * 2 * self.most
        return (first[:, None] + torch.arange(count, device=device)[None]).flatten()

    def blocked(self, normal: int, device: torch.device | str = "cpu") -> Tensor:
        """(D + normal, D + normal) bool, True where attention is forbidden.

        Normal queries see no noised ones; a noised one sees its own group and all normal ones.
        """
        noised = self.queries
        group = torch.arange(noised + normal, device=device) // (2 * self.most)
        group[noised:] = -1
        return (group[None, :] >= 0) & (group[:, None] != group[None, :])


def plan_denoising(counts: list[int], denoising: int) -> DenoisingPlan | None:
    """The layout for images with `counts` boxes and about `denoising` queries; None without any."""
    most = max(counts, default=0)
    if most == 0:
        return None
    return DenoisingPlan(max(1, denoising // most), most)


def noise_targets(
    targets: list[Target], embedding: nn.Embedding, normal: int, denoising: int
) -> DenoisingQueries | None:
    """Noised copies of the ground truth as queries; None when no image has a box.

    A quarter of the labels is redrawn. Positives move each coordinate by up to half the box's
    side, negatives by between half and all of it.
    """
    plan = plan_denoising([len(target.labels) for target in targets], denoising)
    if plan is None:
        return None
    device = embedding.weight.device
    padding = embedding.num_embeddings - 1
    labels = torch.full((len(targets), plan.most), padding, device=device)
    boxes = torch.zeros(len(targets), plan.most, 4, device=device)
    for row, target in enumerate(targets):
        labels[row, : len(target.labels)] = target.labels
        boxes[row, : len(target.labels)] = target.boxes
    labels, boxes = labels.repeat(1, 2 * plan.groups), boxes.repeat(1, 2 * plan.groups, 1)
    is_padding = labels == padding
    negative = torch.arange(plan.queries, device=device) // plan.most % 2 == 1

    redrawn = torch.rand(labels.shape, device=device) < LABEL_NOISE
    random_labels = torch.randint(0, max(1, padding), labels.shape, device=device)
    labels = torch.where(redrawn & ~is_padding, random_labels, labels)

    centre, extent = boxes.split(2, dim=-1)
    corners = torch.cat([centre - extent / 2, centre + extent / 2], dim=-1)
    share = torch.rand(boxes.shape, device=device) + negative[None, :, None]
    sign = torch.randint(0, 2, boxes.shape, device=device) * 2 - 1
    corners = corners + sign * share * 0.5 * BOX_NOISE * extent.repeat(1, 1, 2)
    low, high = corners.clamp(0, 1).split(2, dim=-1)
    noised = torch.cat([(low + high) / 2, (high - low).abs()], dim=-1)
    return DenoisingQueries(
        embedding(labels), inverse_sigmoid(noised), plan.blocked(normal, device)
    )
