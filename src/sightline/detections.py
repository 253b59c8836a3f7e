"""What a detector found in one image. Knows neither models nor files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image


class Detection(NamedTuple):
    """One object: `box_xyxy` in pixels of the upright image, `score` in 0..1."""

    label: str
    score: float
    box_xyxy: tuple[float, float, float, float]
    label_id: int


@dataclass(frozen=True, eq=False)
class Detections:
    """Objects of one image, best score first.

    boxes_xyxy: (N, 4) float32, pixels of the upright image. scores: (N,) float32 in 0..1.
    label_ids: (N,) int32, indices into `class_names`. width, height: the image's, in pixels.
    """

    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    label_ids: NDArray[np.int32]
    class_names: tuple[str, ...]
    width: int
    height: int

    def __post_init__(self) -> None:
        count = len(self.scores)
        if self.boxes_xyxy.shape != (count, 4) or self.label_ids.shape != (count,):
            raise ValueError(
                f"shapes disagree: boxes {self.boxes_xyxy.shape}, scores {self.scores.shape}, "
                f"label_ids {self.label_ids.shape}"
            )

    @property
    def labels(self) -> list[str]:
        """Class name of each detection."""
        return [self.class_names[i] for i in self.label_ids]

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Detection]:
        for box, score, label_id in zip(
            self.boxes_xyxy.tolist(), self.scores.tolist(), self.label_ids.tolist(), strict=True
        ):
            yield Detection(self.class_names[label_id], score, tuple(box), label_id)

    def __getitem__(
        self,
        index: int
        | np.integer[Any]
        | slice
        | Sequence[int]
        | NDArray[np.bool_]
        | NDArray[np.integer[Any]],
    ) -> Detections:
        """A subset; an integer gives a Detections of length one."""
        if isinstance(index, int | np.integer):
            index = [range(len(self))[int(index)]]
        return Detections(
            self.boxes_xyxy[index],
            self.scores[index],
            self.label_ids[index],
            self.class_names,
            self.width,
            self.height,
        )

    def above(self, threshold: float) -> Detections:
        """Those with score >= threshold."""
        return self[self.scores >= np.float32(threshold)]

    def to_json(self) -> list[dict[str, Any]]:
        """[{"label", "score", "box": [x1, y1, x2, y2]}], pixels of the upright image."""
        return [
            {
                "label": found.label,
                "score": round(found.score, 5),
                "box": [round(edge, 2) for edge in found.box_xyxy],
            }
            for found in self
        ]

    def draw(self, image: Image) -> Image:
        """A copy of `image` (the upright one) with boxes, labels and scores drawn on it."""
        from sightline.drawing import draw_detections

        return draw_detections(image, self)
