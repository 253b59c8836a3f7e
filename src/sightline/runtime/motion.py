"""Whether a stream's picture has changed enough to look at it again.

As the gate of 2017, but of greys, blurred, at low resolution. Two small pictures are kept: the
present, which follows the stream slowly, so that noise and flicker cancel out; and what the
present was when a frame was last let through. The second moves only then, so that change adds up
however slow it is. One change of brightness all over the picture is no motion.
contracts/golden/motion.json holds vectors that the browser's gate gives too.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]

# Cells along the longer side: one is 10 pixels of VGA, half the side of what a detector at 320
# pixels can still find.
GRID = 64
# How slowly the present follows: it comes 63 % nearer in so many seconds, which leaves a fifth of
# a flicker at 3 Hz, a 16th at 10 Hz (a low-pass filter of first order).
FOLLOW_S = 0.25
# Of 255, how much a cell may differ. Video compression of a still scene makes under 2, noise of 12
# in every pixel under 6 in the worst cell.
LEAST_STEP = 6.0
# Share of all cells that must differ by more: 9 of 64 x 48.
LEAST_SHARE = 0.003
# Cameras change their exposure; by more than this factor or this sum, it is a change of scene.
MOST_GAIN = 2.0
MOST_OFFSET = 48.0
# Darker cells have no ratio to speak of; of brighter ones part may be cut off at white.
_DARK, _BRIGHT = 16.0, 235.0
# A still stream is looked at so often all the same: no gate sees everything.
REST_S = 5.0


class MotionGate:
    """One stream's memory of what its picture looked like. Not for several threads at once."""

    def __init__(self) -> None:
        self._present: Floats | None = None
        self._looked_at: Floats | None = None  # the present, when a frame was last let through
        self._time_s = 0.0
        self._rest_s = 0.0

    def has_moved(self, picture: Image.Image, time_s: float) -> bool:
        """Whether to look at an RGB picture: it differs from what was last let through.

        The first does, one of another shape, and one after REST_S of stillness. time_s: of the
        frame, by any clock; one that goes back stands still for a frame.
        """
        return self.has_changed(shrink(picture), time_s)

    def has_changed(self, grey: NDArray[np.uint8], time_s: float) -> bool:
        """`has_moved` for a picture that `shrink` has made, or the browser: (H, W) of 0..255."""
        seen = blur(grey)
        if self._present is None or self._looked_at is None or self._present.shape != seen.shape:
            self._present, self._looked_at = seen, seen
            self._time_s, self._rest_s = time_s, 0.0
            return True
        step_s = max(0.0, time_s - self._time_s)
        self._time_s = time_s
        self._rest_s += step_s
        self._present = self._present + (seen - self._present) * (1 - math.exp(-step_s / FOLLOW_S))
        if changed_share(self._looked_at, self._present) <= LEAST_SHARE and self._rest_s < REST_S:
            return False
        self._looked_at, self._rest_s = self._present, 0.0
        return True


def shrink(picture: Image.Image) -> NDArray[np.uint8]:
    """(H, W) uint8 greys of an RGB picture, the longer side of GRID cells at most.

    Each is the mean of 4 x 4 pixels or so, evenly picked: enough, and as fast for large pictures.
    """
    step = max(1, max(picture.size) // (GRID * 4))
    size = (max(1, picture.width // step), max(1, picture.height // step))
    picked = picture.resize(size, Image.Resampling.NEAREST).convert("L")
    return np.asarray(picked.reduce(math.ceil(max(size) / GRID)))


def blur(grey: NDArray[np.uint8]) -> Floats:
    """(H, W) means of 3 x 3 cells weighted 1-2-1 each way; the border is repeated outwards."""
    padded = np.pad(grey.astype(np.float64), 1, mode="edge")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    return np.asarray((rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 16)


def changed_share(before: Floats, now: Floats) -> float:
    """The share of cells, 0..1, that no one change of brightness all over explains.

    Tried are one factor and one sum, each the median over the cells that tell it.
    """
    dark_or_cut = (before < _DARK) | (before > _BRIGHT) | (now > _BRIGHT)
    gain, offset = 1.0, 0.0
    if not dark_or_cut.all():
        tells = ~dark_or_cut
        gain = float(np.median(now[tells] / before[tells]))
        offset = float(np.median(now[tells] - before[tells]))
    gain = min(max(gain, 1 / MOST_GAIN), MOST_GAIN)
    offset = min(max(offset, -MOST_OFFSET), MOST_OFFSET)
    return min(_differing(before, before * gain, now), _differing(before, before + offset, now))


def _differing(before: Floats, expected: Floats, now: Floats) -> float:
    # What is cut off may have been brighter by any amount, and may be expected to be.
    above = (now - expected > LEAST_STEP) & (before <= _BRIGHT)
    below = (expected - now > LEAST_STEP) & (now <= _BRIGHT)
    return float(np.count_nonzero(above | below)) / now.size
