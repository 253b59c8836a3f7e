"""Random scenes: objects in random poses and light on random backgrounds, with their boxes.

A scene depends on the generator alone: the same state gives the same picture wherever OpenCV
rounds alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sightline.data.drawn.background import draw_background
from sightline.data.drawn.camera import expose
from sightline.data.drawn.object import (
    Draw,
    Light,
    Patch,
    compose,
    draw_light,
    draw_object,
    draw_pose,
)
from sightline.data.drawn.pen import overlap_views
from sightline.data.drawn.quickstart import QUICKSTART_KINDS
from sightline.data.drawn.starter import STARTER_KINDS, TURNING_KINDS

KINDS: dict[str, Draw] = {**STARTER_KINDS, **QUICKSTART_KINDS}
_LEAST_PX = 12.0  # smallest object: below, kinds cannot be told apart
SIZES = (0.08, 0.75)  # of the picture's shorter side
_LEAST_VISIBLE = 0.35  # of an object's own pixels; what would hide more of it is not placed
_PLACINGS = 6  # tries to find an object a place before it is left out
_SOLID = 128  # alpha from which a pixel counts as the object's
_TURN, _FREE_TURN = 30.0, 180.0  # degrees


@dataclass(frozen=True, eq=False)
class DrawnScene:
    """image: (H, W, 3) uint8 RGB. boxes_xyxy: (N, 4) float64 pixels, tight around what is
    visible of each object. label_ids: (N,) int64, indices into the kinds asked for."""

    image: NDArray[np.uint8]
    boxes_xyxy: NDArray[np.float64]
    label_ids: NDArray[np.int64]


def draw_scene(
    rng: np.random.Generator,
    kinds: Sequence[str],
    *,
    width: int,
    height: int,
    objects: tuple[int, int] = (1, 6),
    sizes: tuple[float, float] = SIZES,
) -> DrawnScene:
    """A picture with `objects` (least, most) random specimens of `kinds`, later ones in front.

    sizes: the least and largest object, as shares of the picture's shorter side. An object that
    finds no place without hiding another is left out; the first always stays.
    """
    stage = Stage(draw_background(rng, width, height), draw_light(rng))
    least_visible = float(rng.uniform(_LEAST_VISIBLE, 1.0))
    label_ids: list[int] = []
    for _ in range(int(rng.integers(objects[0], objects[1] + 1))):
        label_id = int(rng.integers(len(kinds)))
        kind = kinds[label_id]
        size_px = _draw_size(rng, min(width, height), sizes)
        pose = draw_pose(rng, size_px, _FREE_TURN if kind in TURNING_KINDS else _TURN)
        patch = draw_object(rng, KINDS[kind], pose, stage.light, mottled=kind in STARTER_KINDS)
        spot = stage.find_spot(rng, patch, least_visible)
        if spot is not None:
            stage.place(spot)
            label_ids.append(label_id)
    return DrawnScene(expose(rng, stage.image), stage.boxes_xyxy(), np.array(label_ids, np.int64))


def _draw_size(rng: np.random.Generator, shorter_px: int, sizes: tuple[float, float]) -> float:
    low, high = max(_LEAST_PX, sizes[0] * shorter_px), sizes[1] * shorter_px
    return float(np.exp(rng.uniform(np.log(low), np.log(max(low, high)))))


@dataclass(eq=False)
class Stage:
    """A picture under work, which remembers whose every pixel is.

    owner: (H, W) uint8, 0 for background, else an object's number from 1. sizes, visible: pixels
    each object has, and has still in sight.
    """

    image: NDArray[np.uint8]
    light: Light
    owner: NDArray[np.uint8] = field(init=False)
    sizes: list[int] = field(default_factory=list)
    visible: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.owner = np.zeros(self.image.shape[:2], np.uint8)

    def find_spot(
        self, rng: np.random.Generator, patch: Patch, least_visible: float
    ) -> Patch | None:
        """The patch where it and all others keep `least_visible` of themselves in sight."""
        height, width = self.owner.shape
        high, wide = patch.rgba.shape[:2]
        size = int(np.count_nonzero(patch.rgba[:, :, 3] >= _SOLID))
        for _ in range(_PLACINGS):
            x = int(rng.uniform(-0.2 * wide, width - 0.8 * wide))
            y = int(rng.uniform(-0.2 * high, height - 0.8 * high))
            spot = Patch(patch.rgba, x, y)
            hidden = self._hidden_by(spot)
            if hidden.sum() < max(1, max(0.5, least_visible) * size):
                continue
            left = np.array(self.visible) - hidden[1:]
            if np.all(left >= least_visible * np.array(self.sizes)):
                return spot
        if self.sizes:
            return None
        return Patch(patch.rgba, (width - wide) // 2, (height - high) // 2)

    def place(self, patch: Patch) -> None:
        """Lays the patch on the picture, in front of all that is there."""
        hidden = self._hidden_by(patch)
        self.visible = [v - int(h) for v, h in zip(self.visible, hidden[1:], strict=True)]
        self.visible.append(int(hidden.sum()))
        self.sizes.append(int(np.count_nonzero(patch.rgba[:, :, 3] >= _SOLID)))
        compose(self.image, patch, self.light)
        region, rgba = overlap_views(self.owner, patch.rgba, patch.x, patch.y)
        region[rgba[:, :, 3] >= _SOLID] = len(self.sizes)

    def boxes_xyxy(self) -> NDArray[np.float64]:
        """(N, 4) pixels: the extents of what is visible of each object."""
        import cv2

        boxes_xywh = [
            cv2.boundingRect((self.owner == number + 1).view(np.uint8))
            for number in range(len(self.sizes))
        ]
        found = np.array(boxes_xywh, np.float64).reshape(-1, 4)
        return np.concatenate([found[:, :2], found[:, :2] + found[:, 2:]], axis=1)

    def _hidden_by(self, patch: Patch) -> NDArray[np.intp]:
        """(1 + N,) pixels of the background and of each object that the patch would cover."""
        region, rgba = overlap_views(self.owner, patch.rgba, patch.x, patch.y)
        solid = rgba[:, :, 3] >= _SOLID
        counts = np.zeros(1 + len(self.sizes), np.intp)
        counts[1:] = [
            np.count_nonzero(solid & (region == number + 1)) for number in range(len(self.sizes))
        ]
        counts[0] = np.count_nonzero(solid) - counts.sum()
        return counts
