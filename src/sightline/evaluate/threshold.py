"""The score threshold and the NMS that suit a model, chosen on validation images.

Both by F1 at IoU 0.5, 2 * hits / (detections + objects), over all classes together: what a
person sees on screen, where average precision only sees the order of scores.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.boxes import nms_per_class
from sightline.evaluate.coco import AREA_RANGES, coco_metrics
from sightline.evaluate.matching import ImageDetections, ImageTruth, match_detections

# Two decimals: finer steps would fit the validation images, not the objects.
CANDIDATES = np.arange(5, 91) / 100
FALLBACK = 0.3  # where no threshold finds anything
SAME_F1 = 0.99  # among some dozens of objects one more or less found moves F1 by a hundredth

# NMS must show: half a point of F1. And it must not cost: at most a fifth of a point of AP.
NMS_IOU = 0.7
MIN_F1_GAIN = 0.005
MAX_AP_LOSS = 0.002


def best_threshold(truths: Sequence[ImageTruth], found: Sequence[ImageDetections]) -> float:
    """The threshold in 0.05..0.90, two decimals, in the middle of those with the best F1.

    The middle, because other images' scores fall to either side of where these end. 0.30 where
    nothing is found at any threshold.
    """
    f1 = f1_scores(truths, found)
    if f1.max() == 0:
        return FALLBACK
    best = np.flatnonzero(f1 >= SAME_F1 * f1.max())
    return float(CANDIDATES[best[(len(best) - 1) // 2]])


def choose_nms(
    truths: Sequence[ImageTruth], found: Sequence[ImageDetections], *, iou: float = NMS_IOU
) -> float | None:
    """`iou` if NMS per class at it raises the best F1 visibly and costs no AP, else None.

    A network trained for set prediction needs none; one fine-tuned briefly leaves duplicates.
    """
    thinned = [apply_nms(one, iou) for one in found]
    gain = f1_scores(truths, thinned).max() - f1_scores(truths, found).max()
    if gain < MIN_F1_GAIN:
        return None
    names = [str(label_id) for label_id in range(_class_count(truths, found))]
    before, after = (coco_metrics(truths, dets, names).AP or 0.0 for dets in (found, thinned))
    return iou if after >= before - MAX_AP_LOSS else None


def apply_nms(found: ImageDetections, iou: float) -> ImageDetections:
    """The detections that NMS per class keeps, best score first."""
    kept = nms_per_class(found.boxes_xyxy, found.scores, found.label_ids, iou)
    return ImageDetections(found.boxes_xyxy[kept], found.scores[kept], found.label_ids[kept])


def f1_scores(
    truths: Sequence[ImageTruth], found: Sequence[ImageDetections]
) -> NDArray[np.float64]:
    """(86,) F1 at IoU 0.5 for each of CANDIDATES. Crowd regions count neither way."""
    matches = match_detections(
        truths,
        found,
        _class_count(truths, found),
        iou_thresholds=np.array([0.5]),
        area_ranges=AREA_RANGES[:1],
        max_detections=sys.maxsize,
    )
    is_hit, counts = matches.is_hit[0, 0], ~matches.is_ignored[0, 0]
    # As everywhere: a score counts when >= the threshold as float32.
    is_shown = matches.scores >= CANDIDATES.astype(np.float32).astype(np.float64)[:, None]
    hits = (is_shown & is_hit).sum(axis=1)
    total = (is_shown & counts).sum(axis=1) + matches.positives.sum()
    return np.asarray(np.divide(2 * hits, total, out=np.zeros(len(total)), where=total > 0))


def _class_count(truths: Sequence[ImageTruth], found: Sequence[ImageDetections]) -> int:
    ids = [truth.label_ids for truth in truths] + [one.label_ids for one in found]
    return max((int(one.max()) + 1 for one in ids if len(one)), default=1)
