"""How boxes of a data set are distributed: number, size, shape, place. Numbers, no drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.data.records import Record

_MOST_BARS = 24  # of boxes per image
_SIZE_BARS = 32  # four an octave, from 1/256 of the image's side to all of it
_SHAPE_BARS = 24  # four an octave, from 1:8 to 8:1
_CELLS = 24


@dataclass(frozen=True)
class Bars:
    """A histogram. starts: the lower edge of each bar, and the last one's upper."""

    counts: Sequence[int]
    starts: Sequence[float]


def boxes_per_image(records: Sequence[Record]) -> Bars:
    """Images by number of boxes; none has a bar of its own, others share one if there are many."""
    numbers = np.array([len(record.label_ids) for record in records], np.int64)
    most = int(numbers.max(initial=1))
    width = math.ceil(most / _MOST_BARS)
    bars = math.ceil(most / width)
    counts = np.bincount((numbers + width - 1) // width, minlength=bars + 1)
    return Bars(counts.tolist(), [0, *(1 + width * bar for bar in range(bars + 1))])


def relative_sizes(records: Sequence[Record]) -> Bars:
    """Boxes by sqrt(area of the box / area of its image): a square's side to its image's side."""
    shares = _all_boxes(records)
    sizes = np.sqrt((shares[:, 2] - shares[:, 0]) * (shares[:, 3] - shares[:, 1]))
    edges = 2.0 ** (np.arange(_SIZE_BARS + 1) / 4 - _SIZE_BARS / 4)
    return _count(sizes, edges)


def aspects(records: Sequence[Record]) -> Bars:
    """Boxes by width / height, in pixels."""
    boxes = _stacked(records)
    ratios = (boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1])
    edges = 2.0 ** (np.arange(_SHAPE_BARS + 1) / 4 - _SHAPE_BARS / 8)
    return _count(ratios, edges)


def coverage(records: Sequence[Record]) -> NDArray[np.float64]:
    """(24, 24) share of all boxes that cover the middle of each cell of their image, from the top.

    Each box adds 1 to a rectangle of cells: four corners of the running sum over rows and columns.
    """
    boxes = np.clip(np.ceil(_all_boxes(records) * _CELLS - 0.5), 0, _CELLS).astype(np.int64)
    corners = np.zeros((_CELLS + 1, _CELLS + 1))
    x1, y1, x2, y2 = boxes.T
    for y, x, sign in ((y1, x1, 1), (y1, x2, -1), (y2, x1, -1), (y2, x2, 1)):
        np.add.at(corners, (y, x), sign)
    total = corners.cumsum(0).cumsum(1)[:_CELLS, :_CELLS]
    return np.asarray(total / max(1, len(boxes)))


def _count(values: NDArray[np.float64], edges: NDArray[np.float64]) -> Bars:
    """A histogram whose outer bars take in what lies beyond them."""
    bars = np.clip(np.searchsorted(edges, values, "right") - 1, 0, len(edges) - 2)
    return Bars(np.bincount(bars, minlength=len(edges) - 1).tolist(), edges.tolist())


def _stacked(records: Sequence[Record]) -> NDArray[np.float64]:
    """(N, 4) boxes of all images, in pixels."""
    return np.concatenate([np.empty((0, 4)), *(record.boxes_xyxy for record in records)])


def _all_boxes(records: Sequence[Record]) -> NDArray[np.float64]:
    """(N, 4) boxes of all images, as shares of their image's width and height."""
    counts = [len(record.label_ids) for record in records]
    sizes = np.array([(record.width, record.height) for record in records], np.float64)
    return np.asarray(_stacked(records) / np.repeat(np.tile(sizes.reshape(-1, 2), 2), counts, 0))
