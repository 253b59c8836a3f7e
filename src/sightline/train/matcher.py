"""Which prediction answers for which ground truth: Hungarian matching (DETR, arXiv 2005.12872)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from sightline.models.deimv2.box_ops import paired_iou, to_xyxy
from sightline.models.deimv2.decoder import Predictions
from sightline.models.deimv2.denoising import Target

CLASS_COST, L1_COST, GIOU_COST = 2.0, 5.0, 2.0
ALPHA, GAMMA = 0.25, 2.0  # of the focal class cost


@dataclass
class Matches:
    """Pairs over a batch: three (M,) int64 tensors, image, query and box within the image."""

    image: Tensor
    query: Tensor
    box: Tensor

    def __len__(self) -> int:
        return len(self.image)


@torch.no_grad()
def match(
    predictions: Predictions, targets: list[Target], by_quality: bool = False, copies: int = 1
) -> Matches:
    """One query for each box (`copies` queries, where there are enough), at least total cost.

    `by_quality`: cost -p · IoU⁴ instead of class, L1 and GIoU; for the last part of training.
    """
    queries: list[Tensor] = []
    boxes: list[Tensor] = []
    images: list[Tensor] = []
    logits = predictions.logits.detach().float()
    found = predictions.boxes.detach().float()
    for index, target in enumerate(targets):
        count = len(target.labels)
        if count == 0:
            continue
        times = max(1, min(copies, logits.shape[1] // count))
        cost = _cost(logits[index], found[index], target, by_quality)
        cost = torch.nan_to_num(cost, nan=1.0).repeat(1, times)
        query, column = linear_sum_assignment(cost.cpu().numpy())
        queries.append(torch.from_numpy(query))
        boxes.append(torch.from_numpy(column) % count)
        images.append(torch.full((len(query),), index))
    empty = [torch.zeros(0, dtype=torch.int64)]
    device = predictions.logits.device
    image, query_, box = (torch.cat(x or empty).to(device) for x in (images, queries, boxes))
    return Matches(image, query_, box)


def _cost(logits: Tensor, boxes: Tensor, target: Target, by_quality: bool) -> Tensor:
    """(Q, G) cost of each query for each box."""
    p = logits.sigmoid()[:, target.labels]
    iou, giou = paired_iou(to_xyxy(boxes)[:, None], to_xyxy(target.boxes)[None])
    if by_quality:
        return -p * iou**4
    positive = ALPHA * (1 - p) ** GAMMA * -torch.log(p + 1e-8)
    negative = (1 - ALPHA) * p**GAMMA * -torch.log(1 - p + 1e-8)
    l1 = torch.cdist(boxes, target.boxes, p=1)
    return CLASS_COST * (positive - negative) + L1_COST * l1 - GIOU_COST * giou


def pool_matches(each: list[Matches], queries: int, most_boxes: int) -> Matches:
    """The union of several sets' matches; a query keeps the box it was given most often."""
    stacked = torch.stack(
        [torch.cat([getattr(m, name) for m in each]) for name in ("image", "query", "box")]
    )
    if stacked.shape[1] == 0:
        return Matches(*stacked)
    image, query, box = stacked
    key = (image * queries + query) * most_boxes + box
    pairs, counts = key.unique(return_counts=True)
    order = counts.argsort(descending=True, stable=True)
    owner = pairs[order] // most_boxes
    seen: set[int] = set()
    keep = []
    for position, name in enumerate(owner.tolist()):
        if name not in seen:
            seen.add(name)
            keep.append(position)
    chosen = pairs[order][keep]
    owner = chosen // most_boxes
    return Matches(owner // queries, owner % queries, chosen % most_boxes)
