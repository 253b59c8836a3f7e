"""The 12 COCO detection numbers, on plain arrays. Knows no model and no file.

Definitions: cocodataset.org/#detection-eval (Lin et al., arXiv 1405.0312). Equal to pycocotools,
quirks included: precision is read at 101 recalls off its upper envelope, classes without an
object do not count, equal scores keep the order of the images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.evaluate.matching import ImageDetections, ImageTruth, Matches, match_detections

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
# all, small, medium, large: px², both ends included.
AREA_RANGES = np.array([[0, 1e5**2], [0, 32**2], [32**2, 96**2], [96**2, 1e5**2]], np.float64)
MAX_DETECTIONS = 100  # per image and class

NUMBERS = (
    "AP", "AP50", "AP75", "APs", "APm", "APl",
    "AR1", "AR10", "AR100", "ARs", "ARm", "ARl",
)  # fmt: skip


@dataclass(frozen=True)
class ClassMetrics:
    """One class's numbers in 0..1; None when it has no object."""

    AP: float | None
    AP50: float | None


@dataclass(frozen=True)
class Metrics:
    """COCO's numbers in 0..1; None where undefined (pycocotools' -1).

    AP: precision averaged over recalls, classes and IoU .50:.05:.95; AP50, AP75: at one IoU;
    APs, APm, APl: of objects under 32², up to 96², and over 96² px. AR1, AR10, AR100: recall
    averaged over classes and IoU, with at most that many detections an image and class.
    precision: (10, 101, K) at IOU_THRESHOLDS, RECALLS and class, NaN where undefined: the
    curves that AP is the mean of.
    """

    AP: float | None
    AP50: float | None
    AP75: float | None
    APs: float | None
    APm: float | None
    APl: float | None
    AR1: float | None
    AR10: float | None
    AR100: float | None
    ARs: float | None
    ARm: float | None
    ARl: float | None
    images: int
    boxes: int
    per_class: Mapping[str, ClassMetrics]
    precision: NDArray[np.float64] = field(repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """The numbers by name, then images, boxes (crowd regions included) and per_class."""
        return {
            **{name: getattr(self, name) for name in NUMBERS},
            "images": self.images,
            "boxes": self.boxes,
            "per_class": {
                name: {"AP": one.AP, "AP50": one.AP50} for name, one in self.per_class.items()
            },
        }


def coco_metrics(
    truths: Sequence[ImageTruth],
    found: Sequence[ImageDetections],
    class_names: Sequence[str],
) -> Metrics:
    """The numbers of the detections in `found`, image by image, against `truths`.

    Raises ValueError when the sequences differ in length or a label id has no name.
    """
    matches = match_detections(
        truths,
        found,
        len(class_names),
        iou_thresholds=IOU_THRESHOLDS,
        area_ranges=AREA_RANGES,
        max_detections=MAX_DETECTIONS,
    )
    precision = _precision_curves(matches)
    recall = {limit: _recalls(matches, limit) for limit in (1, 10, MAX_DETECTIONS)}
    whole = precision[0]
    return Metrics(
        AP=_mean(whole),
        AP50=_mean(whole[0]),
        AP75=_mean(whole[5]),
        APs=_mean(precision[1]),
        APm=_mean(precision[2]),
        APl=_mean(precision[3]),
        AR1=_mean(recall[1][0]),
        AR10=_mean(recall[10][0]),
        AR100=_mean(recall[MAX_DETECTIONS][0]),
        ARs=_mean(recall[MAX_DETECTIONS][1]),
        ARm=_mean(recall[MAX_DETECTIONS][2]),
        ARl=_mean(recall[MAX_DETECTIONS][3]),
        images=len(truths),
        boxes=sum(len(truth.label_ids) for truth in truths),
        per_class={
            name: ClassMetrics(_mean(whole[..., index]), _mean(whole[0, :, index]))
            for index, name in enumerate(class_names)
        },
        precision=whole,
    )


def _precision_curves(matches: Matches) -> NDArray[np.float64]:
    """(A, T, 101, K) best precision at that recall or more; NaN for a class without objects."""
    ranges, thresholds, _ = matches.is_hit.shape
    class_count = matches.positives.shape[1]
    curves = np.full((ranges, thresholds, len(RECALLS), class_count), np.nan)
    edges = np.searchsorted(matches.label_ids, np.arange(class_count + 1))
    for label_id in np.flatnonzero(matches.positives[0]):
        part = slice(edges[label_id], edges[label_id + 1])
        order = np.argsort(-matches.scores[part], kind="stable")
        is_hit = matches.is_hit[..., part][..., order]
        counts = ~matches.is_ignored[..., part][..., order]
        hits = np.cumsum(is_hit, axis=-1, dtype=np.float64)
        seen = np.cumsum(counts, axis=-1, dtype=np.float64)
        precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
        envelope = np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]
        reached = np.concatenate([envelope, np.zeros((ranges, thresholds, 1))], axis=-1)
        for index in np.flatnonzero(matches.positives[:, label_id]):
            recall = hits[index] / matches.positives[index, label_id]
            for threshold in range(thresholds):
                at = np.searchsorted(recall[threshold], RECALLS, "left")
                curves[index, threshold, :, label_id] = reached[index, threshold, at]
    return curves


def _recalls(matches: Matches, limit: int) -> NDArray[np.float64]:
    """(A, T, K) share of objects found by the `limit` best of each image and class, or NaN."""
    ranges, thresholds, _ = matches.is_hit.shape
    class_count = matches.positives.shape[1]
    is_kept = matches.ranks < limit
    labels = matches.label_ids[is_kept]
    hits = np.array(
        [
            [np.bincount(labels[row], minlength=class_count) for row in of_range]
            for of_range in matches.is_hit[..., is_kept]
        ],
        np.float64,
    ).reshape(ranges, thresholds, class_count)
    positives = np.broadcast_to(matches.positives[:, None, :], hits.shape)
    recalls = np.full(hits.shape, np.nan)
    return np.asarray(np.divide(hits, positives, out=recalls, where=positives > 0))


def _mean(values: NDArray[np.float64]) -> float | None:
    """The mean of what is defined, None of nothing."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else None
