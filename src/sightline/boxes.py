"""Box arithmetic on NumPy arrays: areas, IoU, per-class NMS.

Knows nothing of images, files or models. "xyxy" is (x1, y1, x2, y2) with x2 > x1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]


def area(boxes_xyxy: FloatArray) -> FloatArray:
    """(N,) areas; an inverted box has area 0."""
    extents = np.clip(boxes_xyxy[..., 2:] - boxes_xyxy[..., :2], 0, None)
    return np.asarray(extents[..., 0] * extents[..., 1])


def iou_matrix(a_xyxy: FloatArray, b_xyxy: FloatArray) -> FloatArray:
    """(N, M) intersection over union of every pair; 0 where the union is empty."""
    low = np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])
    high = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:])
    extents = np.clip(high - low, 0, None)
    shared = extents[..., 0] * extents[..., 1]
    union = area(a_xyxy)[:, None] + area(b_xyxy)[None, :] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def nms_per_class(
    boxes_xyxy: FloatArray, scores: FloatArray, label_ids: NDArray[np.integer[Any]], iou: float
) -> NDArray[np.intp]:
    """Indices kept, best score first: of two boxes of one class with IoU > `iou` the better.

    Greedy, as in Fast R-CNN (arXiv 1504.08083). Equal scores keep their order.
    """
    order = np.argsort(-scores, kind="stable")
    overlaps = iou_matrix(boxes_xyxy, boxes_xyxy) > iou
    same_class = label_ids[:, None] == label_ids[None, :]
    suppresses = overlaps & same_class
    dropped = np.zeros(len(scores), bool)
    kept: list[int] = []
    for index in order:
        if dropped[index]:
            continue
        kept.append(int(index))
        dropped |= suppresses[index]
    return np.asarray(kept, np.intp)
