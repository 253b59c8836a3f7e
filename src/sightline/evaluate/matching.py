"""Which detections find which objects, by COCO's rules, on plain arrays.

Greedy by score, per image and class, for all IoU thresholds and area ranges at once. The rules
are those of the COCO detection evaluation (cocodataset.org/#detection-eval), crowd regions and
the order among equals included. Knows no model, no file and no average.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.boxes import FloatArray, area
from sightline.data.records import Record


@dataclass(frozen=True, eq=False)
class ImageTruth:
    """The objects of one image.

    boxes_xyxy: (N, 4) pixels. label_ids: (N,) int. is_crowd: (N,) bool, regions that count
    neither as found nor as missed. area: (N,) px², what the size ranges go by.
    """

    boxes_xyxy: FloatArray
    label_ids: NDArray[np.integer]
    is_crowd: NDArray[np.bool_]
    area: FloatArray


@dataclass(frozen=True, eq=False)
class ImageDetections:
    """What was found in one image: (N, 4) boxes in pixels, (N,) scores, (N,) label ids."""

    boxes_xyxy: FloatArray
    scores: FloatArray
    label_ids: NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Matches:
    """The outcome over a whole data set, for A area ranges and T IoU thresholds.

    Detections are ordered by class, then image, then score (best first).
    label_ids, scores, ranks: (N,); rank counts from 0 within an image and class.
    is_hit, is_ignored: (A, T, N) bool. An ignored detection is neither hit nor false alarm.
    positives: (A, K) number of objects that count, per area range and class.
    """

    label_ids: NDArray[np.int64]
    scores: NDArray[np.float64]
    ranks: NDArray[np.int64]
    is_hit: NDArray[np.bool_]
    is_ignored: NDArray[np.bool_]
    positives: NDArray[np.int64]


def truth_of(record: Record) -> ImageTruth:
    """The objects of a data set's record."""
    return ImageTruth(record.boxes_xyxy, record.label_ids, record.is_crowd, record.area)


def match_detections(
    truths: Sequence[ImageTruth],
    found: Sequence[ImageDetections],
    class_count: int,
    *,
    iou_thresholds: NDArray[np.float64],
    area_ranges: NDArray[np.float64],
    max_detections: int,
) -> Matches:
    """Every detection judged: the first `max_detections` per image and class by score.

    iou_thresholds: (T,). area_ranges: (A, 2) least and greatest px², both inclusive.
    Raises ValueError when the sequences differ in length or a label id is out of range.
    """
    if len(truths) != len(found):
        raise ValueError(f"{len(truths)} images with truth, {len(found)} with detections")
    truth = _flatten_truths(truths, class_count)
    detected, ranks = _flatten_found(found, class_count, max_detections)
    truth_is_ignored = truth.is_crowd | _is_outside(truth.area, area_ranges)
    positives = np.stack(
        [np.bincount(truth.label_ids[~row], minlength=class_count) for row in truth_is_ignored]
    )
    shape = (len(area_ranges), len(iou_thresholds), len(detected.keys))
    is_hit = np.zeros(shape, bool)
    outside = _is_outside(area(detected.boxes_xyxy), area_ranges)
    is_ignored = np.repeat(outside[:, None, :], shape[1], axis=1)
    for start, end in _runs(truth.keys):
        key = truth.keys[start]
        low = np.searchsorted(detected.keys, key, "left")
        high = np.searchsorted(detected.keys, key, "right")
        if low == high:
            continue
        overlaps = coco_overlaps(
            detected.boxes_xyxy[low:high], truth.boxes_xyxy[start:end], truth.is_crowd[start:end]
        )
        _match_group(
            overlaps,
            truth.is_crowd[start:end],
            truth_is_ignored[:, start:end],
            iou_thresholds,
            is_hit[..., low:high],
            is_ignored[..., low:high],
        )
    return Matches(detected.label_ids, detected.scores, ranks, is_hit, is_ignored, positives)


def coco_overlaps(
    boxes_xyxy: FloatArray, truth_xyxy: FloatArray, is_crowd: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(N, M) IoU; against a crowd region the share of the box that lies inside it."""
    low = np.maximum(boxes_xyxy[:, None, :2], truth_xyxy[None, :, :2])
    high = np.minimum(boxes_xyxy[:, None, 2:], truth_xyxy[None, :, 2:])
    extents = np.clip(high - low, 0, None)
    shared = extents[..., 0] * extents[..., 1]
    own = area(boxes_xyxy)[:, None]
    whole = np.where(is_crowd[None, :], own, own + area(truth_xyxy)[None, :] - shared)
    return np.asarray(np.divide(shared, whole, out=np.zeros_like(shared), where=shared > 0))


def _match_group(
    overlaps: NDArray[np.float64],
    is_crowd: NDArray[np.bool_],
    truth_is_ignored: NDArray[np.bool_],
    iou_thresholds: NDArray[np.float64],
    is_hit: NDArray[np.bool_],
    is_ignored: NDArray[np.bool_],
) -> None:
    """Fill is_hit and is_ignored, (A, T, N) views, for one image and class.

    Each detection in turn takes the free object it overlaps most, one that counts before one
    that does not, the later of equals; a crowd region is never used up.
    """
    count = overlaps.shape[1]
    ranges, thresholds = np.indices(is_hit.shape[:2])
    is_free = np.ones((*is_hit.shape[:2], count), bool)
    counts_first = np.where(truth_is_ignored, 0, count)[:, None, :]
    for index in np.flatnonzero(overlaps.max(axis=1) >= iou_thresholds.min()):
        overlap = overlaps[index]
        rank = np.empty(count, np.int64)  # 1.. by overlap, the later of equals higher
        rank[np.argsort(overlap, kind="stable")] = np.arange(1, count + 1)
        is_candidate = is_free & (overlap >= iou_thresholds[:, None])
        preference = np.where(is_candidate, rank + counts_first, 0)
        best = preference.argmax(axis=2)
        is_matched = preference.max(axis=2) > 0
        best_is_ignored = truth_is_ignored[ranges, best]
        is_free[ranges, thresholds, best] &= ~is_matched | is_crowd[best]
        is_hit[..., index] = is_matched & ~best_is_ignored
        is_ignored[..., index] = np.where(is_matched, best_is_ignored, is_ignored[..., index])


@dataclass(frozen=True, eq=False)
class _FlatTruth:
    keys: NDArray[np.int64]  # class * images + image, ascending
    boxes_xyxy: NDArray[np.float64]
    label_ids: NDArray[np.int64]
    is_crowd: NDArray[np.bool_]
    area: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _FlatFound:
    keys: NDArray[np.int64]
    boxes_xyxy: NDArray[np.float64]
    label_ids: NDArray[np.int64]
    scores: NDArray[np.float64]


def _flatten_truths(truths: Sequence[ImageTruth], class_count: int) -> _FlatTruth:
    keys, labels = _group_keys([truth.label_ids for truth in truths], class_count, "truth")
    order = np.argsort(keys, kind="stable")
    return _FlatTruth(
        keys[order],
        _joined([truth.boxes_xyxy for truth in truths], (0, 4), np.float64)[order],
        labels[order],
        _joined([truth.is_crowd for truth in truths], (0,), np.bool_)[order],
        _joined([truth.area for truth in truths], (0,), np.float64)[order],
    )


def _flatten_found(
    found: Sequence[ImageDetections], class_count: int, max_detections: int
) -> tuple[_FlatFound, NDArray[np.int64]]:
    keys, labels = _group_keys([one.label_ids for one in found], class_count, "detections")
    scores = _joined([one.scores for one in found], (0,), np.float64)
    boxes_xyxy = _joined([one.boxes_xyxy for one in found], (0, 4), np.float64)
    order = np.lexsort((-scores, keys))  # stable: equal scores keep the order they came in
    keys = keys[order]
    ranks = np.arange(len(keys)) - np.searchsorted(keys, keys, "left")
    order, keys, ranks = (part[ranks < max_detections] for part in (order, keys, ranks))
    return _FlatFound(keys, boxes_xyxy[order], labels[order], scores[order]), ranks


def _group_keys(
    label_ids: Sequence[NDArray[np.integer]], class_count: int, what: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(N,) class * images + image, and the (N,) classes. Raises ValueError for a label id."""
    labels = _joined(label_ids, (0,), np.int64)
    if labels.size and not (labels.min() >= 0 and labels.max() < class_count):
        raise ValueError(
            f"{what}: label ids {labels.min()}..{labels.max()}, with {class_count} classes"
        )
    images = np.repeat(np.arange(len(label_ids)), [len(one) for one in label_ids])
    return labels * len(label_ids) + images, labels


def _joined(parts: Sequence[NDArray[Any]], empty: tuple[int, ...], kind: type) -> NDArray[Any]:
    return np.concatenate([np.zeros(empty, kind), *parts]).astype(kind, copy=False)


def _is_outside(areas: FloatArray, area_ranges: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(A, N): True where the area lies in none of the range."""
    low, high = area_ranges[:, :1], area_ranges[:, 1:]
    return np.asarray((areas < low) | (areas > high))


def _runs(keys: NDArray[np.int64]) -> list[tuple[int, int]]:
    """(start, end) of each stretch of equal keys."""
    if not len(keys):
        return []
    edges = [0, *(np.flatnonzero(np.diff(keys)) + 1).tolist(), len(keys)]
    return list(itertools.pairwise(edges))
