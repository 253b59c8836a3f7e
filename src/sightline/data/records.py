"""One labelled image, and one thing found wrong with it. Knows no file format.

Every reader yields these, every writer and the trainer take them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, eq=False)
class Record:
    """An image with its boxes.

    name: what the image is called in its data set, a relative path with posix slashes, the same
    wherever the data set lies. image: absolute path of the file. width, height: of the upright
    image, in pixels. boxes_xyxy: (N, 4) float64 pixels, within the image. label_ids: (N,) int64,
    indices into the data set's classes. is_crowd: (N,) bool, COCO's iscrowd: regions that neither
    count as found nor as missed. area: (N,) float64 px², the area that COCO's size ranges use (the
    box's own unless the format says otherwise). is_difficult, is_truncated: (N,) bool, Pascal
    VOC's flags, kept for other tools: training and evaluation take every box alike.
    """

    name: str
    image: Path
    width: int
    height: int
    boxes_xyxy: NDArray[np.float64]
    label_ids: NDArray[np.int64]
    is_crowd: NDArray[np.bool_]
    area: NDArray[np.float64]
    is_difficult: NDArray[np.bool_]
    is_truncated: NDArray[np.bool_]


@dataclass(frozen=True)
class Problem:
    """Something found in a data set. `file` is relative to the data set, posix slashes.

    images: names of the records it is about, and box_xyxy the box in the first of them, in pixels;
    for pages that show pictures, no part of what the problem says.
    """

    severity: Severity
    code: str
    file: str
    line: int | None
    message: str
    images: tuple[str, ...] = field(default=(), compare=False)
    box_xyxy: tuple[float, float, float, float] | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, Any]:
        return {
            "severity": self.severity,
            "code": self.code,
            "file": self.file,
            "line": self.line,
            "message": self.message,
        }
