"""Anti-aliased shapes on a transparent canvas, in unit coordinates under a projective pose.

A kind draws within x, y in [-1, 1] (y down); the pen's matrix decides where that lands, so that
rotation, shear and perspective cost nothing and stay sharp. Colours are premultiplied by alpha:
an anti-aliased edge over transparent black is then exactly right. Knows no kinds and no scenes.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Color = tuple[int, int, int]
Points = Sequence[tuple[float, float]] | NDArray[np.floating[Any]]
CLEAR = None
_SHIFT = 4  # fractional bits that OpenCV's drawing functions take
_CURVE_STEPS = 6


@dataclass(frozen=True)
class Palette:
    """The colours one object wears, RGB 0..255."""

    main: Color
    second: Color
    accent: Color
    dark: Color
    light: Color


def hsv(hue: float, saturation: float, value: float) -> Color:
    """RGB 0..255 from hue, saturation and value in 0..1 (hue wraps)."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def mix(color: Color, other: Color, share: float) -> Color:
    """`color` with `share` (0..1) of `other`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(color, other, strict=True))
    return red, green, blue


def draw_palette(rng: np.random.Generator) -> Palette:
    """Random colours: a main one, one near or opposite, an accent, a dark and a light one."""
    hue, step, other = rng.random(3)
    saturation, value, pale, bright = rng.uniform((0.25, 0.35, 0.1, 0.4), (1, 1, 0.9, 1))
    if rng.random() < 0.15:  # grey, white and black things exist too
        saturation *= 0.15
    main = hsv(hue, saturation, value)
    return Palette(
        main=main,
        second=hsv(hue + (0.5 if step < 0.4 else step), pale, bright),
        accent=hsv(other, 0.8, 0.95),
        dark=mix(main, (20, 20, 25), 0.75),
        light=mix(main, (255, 255, 250), 0.8),
    )


def arc(
    cx: float,
    cy: float,
    rx: float,
    ry: float,
    start: float = 0.0,
    end: float = 360.0,
    turn: float = 0.0,
    steps: int = 28,
) -> NDArray[np.float64]:
    """(N, 2) points of an ellipse's arc; angles in degrees, clockwise on screen from +x."""
    unit_x, unit_y = _unit_arc(float(start), float(end), steps)
    x, y = rx * unit_x, ry * unit_y
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    return np.stack([cx + x * cos - y * sin, cy + x * sin + y * cos], axis=-1)


@lru_cache(maxsize=256)
def _unit_arc(start: float, end: float, steps: int) -> NDArray[np.float64]:
    whole = abs(end - start) >= 360
    angles = np.radians(np.linspace(start, end, steps, endpoint=not whole))
    return np.stack([np.cos(angles), np.sin(angles)])


def curve(points: Points, *, closed: bool = True) -> NDArray[np.float64]:
    """(N, 2) points of a smooth curve through `points` (uniform Catmull-Rom spline)."""
    p = np.asarray(points, np.float64)
    if closed:
        before, after, later = np.roll(p, 1, 0), np.roll(p, -1, 0), np.roll(p, -2, 0)
        here = p
    else:
        padded = np.concatenate([p[:1], p, p[-1:]])
        before, here, after, later = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = (np.arange(_CURVE_STEPS) / _CURVE_STEPS)[None, :, None]
    before, here, after, later = (q[:, None] for q in (before, here, after, later))
    spline = here + 0.5 * t * (
        after
        - before
        + t * (2 * before - 5 * here + 4 * after - later)
        + t * t * (3 * (here - after) + later - before)
    )
    flat = spline.reshape(-1, 2)
    return flat if closed else np.concatenate([flat, p[-1:]])


def box(x1: float, y1: float, x2: float, y2: float, *, radius: float = 0.0) -> NDArray[np.float64]:
    """(N, 2) outline of a rectangle, its corners rounded by `radius`."""
    if radius <= 0:
        return np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], np.float64)
    r = min(radius, abs(x2 - x1) / 2, abs(y2 - y1) / 2)
    corners = [
        (x2 - r, y2 - r, 0),
        (x1 + r, y2 - r, 90),
        (x1 + r, y1 + r, 180),
        (x2 - r, y1 + r, 270),
    ]
    return np.concatenate([arc(x, y, r, r, a, a + 90, steps=7) for x, y, a in corners])


class Pen:
    """Fills and strokes on one premultiplied RGBA canvas.

    canvas: (H, W, 4) uint8, or 3 channels when nothing is to be cut from it. matrix: (3, 3),
    unit coordinates to canvas pixels, where pixel i covers [i, i + 1). ink: an
    outline colour for all that is drawn, or None.
    """

    def __init__(
        self,
        canvas: NDArray[np.uint8],
        matrix: NDArray[np.float64],
        palette: Palette,
        *,
        ink: Color | None = None,
        ink_width: float = 0.04,
    ) -> None:
        self.canvas = canvas
        self.palette = palette
        self._matrix = matrix
        (a, b), (c, d) = matrix[:2, :2].tolist()
        self._unit_px = math.sqrt(abs(a * d - b * c))
        self._ink = ink
        self._ink_width = ink_width

    def fill(self, points: Points, color: Color | None, *, ink: bool = True) -> None:
        """A filled polygon; color None cuts a hole. `ink` False: no outline."""
        import cv2

        placed = self._place(points)
        rgba = (0, 0, 0, 0) if color is None else (*color, 255)
        cv2.fillPoly(self.canvas, [placed], rgba, cv2.LINE_AA, _SHIFT)
        if ink and self._ink is not None and color is not None:
            self._stroke(placed, self._ink_width, (*self._ink, 255), closed=True)

    def disc(self, cx: float, cy: float, rx: float, color: Color | None, ry: float = 0.0) -> None:
        """A filled ellipse (a circle without `ry`)."""
        self.fill(arc(cx, cy, rx, ry or rx), color)

    def line(
        self, points: Points, width: float, color: Color | None, *, closed: bool = False
    ) -> None:
        """A stroke of `width` units with round ends; color None cuts."""
        rgba = (0, 0, 0, 0) if color is None else (*color, 255)
        placed = self._place(points)
        if self._ink is not None and color is not None:
            self._stroke(placed, width + 2 * self._ink_width, (*self._ink, 255), closed=closed)
        self._stroke(placed, width, rgba, closed=closed)

    def _place(self, points: Points) -> NDArray[np.int32]:
        unit = np.asarray(points, np.float64)
        placed = unit @ self._matrix[:2, :2].T + self._matrix[:2, 2]
        depth = unit @ self._matrix[2, :2] + self._matrix[2, 2]
        # OpenCV counts from pixel centres, hence half a pixel.
        scaled = (placed / depth[:, None] - 0.5) * (1 << _SHIFT)
        placed_bits: NDArray[np.int32] = np.rint(scaled).astype(np.int32)
        return placed_bits

    def _stroke(
        self, placed: NDArray[np.int32], width: float, rgba: tuple[int, ...], *, closed: bool
    ) -> None:
        import cv2

        thickness = max(1, round(width * self._unit_px))
        cv2.polylines(self.canvas, [placed], closed, rgba, thickness, cv2.LINE_AA, _SHIFT)
