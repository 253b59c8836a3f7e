"""Box arithmetic on tensors, differentiable."""

from __future__ import annotations

import torch
from torch import Tensor


def to_xyxy(boxes_cxcywh: Tensor) -> Tensor:
    """(..., 4) corners from centre and extents."""
    centre, extent = boxes_cxcywh.split(2, dim=-1)
    return torch.cat([centre - extent / 2, centre + extent / 2], dim=-1)


def paired_iou(a_xyxy: Tensor, b_xyxy: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU (arXiv 1902.09630) of boxes that broadcast against each other."""
    low, high = (
        torch.maximum(a_xyxy[..., :2], b_xyxy[..., :2]),
        torch.minimum(a_xyxy[..., 2:], b_xyxy[..., 2:]),
    )
    shared = (high - low).clamp(min=0).prod(-1)
    areas = [(x[..., 2:] - x[..., :2]).clamp(min=0).prod(-1) for x in (a_xyxy, b_xyxy)]
    union = areas[0] + areas[1] - shared
    iou = shared / union.clamp(min=1e-9)
    hull_low, hull_high = (
        torch.minimum(a_xyxy[..., :2], b_xyxy[..., :2]),
        torch.maximum(a_xyxy[..., 2:], b_xyxy[..., 2:]),
    )
    hull = (hull_high - hull_low).clamp(min=0).prod(-1).clamp(min=1e-9)
    return iou, iou - (hull - union) / hull
