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


def overlap_views(
    picture: NDArray[np.uint8], patch: NDArray[np.uint8], x: int, y: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Views of the part of `picture` that `patch` covers at (x, y), and of that part of `patch`.

    Both are empty where they do not meet.
    """
    height, width = picture.shape[:2]
    high, wide = patch.shape[:2]
    x1, y1 = max(0, x), max(0, y)
    x2, y2 = max(x1, min(width, x + wide)), max(y1, min(height, y + high))
    return picture[y1:y2, x1:x2], patch[y1 - y : y2 - y, x1 - x : x2 - x]


def _soften(mask: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    """`mask` blurred; a wide blur is made on fewer pixels."""
    import cv2

    height, width = mask.shape
    cells = max(1, int(sigma / 1.5))
    small = cv2.resize(mask, (width // cells, height // cells), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), max(0.6, sigma / cells))
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


class Pen:
    """Fills and strokes on one premultiplied RGBA canvas.

    canvas: (H, W, 4) uint8, or 3 channels when nothing is to be cut from it. matrix: (3, 3),
    unit coordinates to canvas pixels, where pixel i covers [i, i + 1). ink: an outline colour for
    all that is drawn, or None; a kind may set its own.
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
        self.ink = ink
        self.ink_width = ink_width

    def fill(self, points: Points, color: Color | None, *, ink: bool = True) -> None:
        """A filled polygon; color None cuts a hole. `ink` False: no outline."""
        import cv2

        placed = self._place(points)
        rgba = (0, 0, 0, 0) if color is None else (*color, 255)
        cv2.fillPoly(self.canvas, [placed], rgba, cv2.LINE_AA, _SHIFT)
        if ink and self.ink is not None and color is not None:
            self._stroke(placed, self.ink_width, (*self.ink, 255), closed=True)

    def disc(self, cx: float, cy: float, rx: float, color: Color | None, ry: float = 0.0) -> None:
        """A filled ellipse (a circle without `ry`)."""
        self.fill(arc(cx, cy, rx, ry or rx), color)

    def line(
        self, points: Points, width: float, color: Color | None, *, closed: bool = False
    ) -> None:
        """A stroke of `width` units with round ends; color None cuts."""
        rgba = (0, 0, 0, 0) if color is None else (*color, 255)
        placed = self._place(points)
        if self.ink is not None and color is not None:
            self._stroke(placed, width + 2 * self.ink_width, (*self.ink, 255), closed=closed)
        self._stroke(placed, width, rgba, closed=closed)

    def model(self, points: Points, dark: Color, light: Color, depth: float = 0.2) -> None:
        """Makes a filled polygon look round: `light` on its upper left rim, `dark` opposite.

        depth: how far the rims reach inwards, in units. Both fade out; alpha stays as it is.
        """
        import cv2

        placed = self._place(points)
        depth_px = depth * self._unit_px
        pad = math.ceil(2 * depth_px) + 2  # the rims' blur and shift must not meet a border
        x, y, width, height = cv2.boundingRect(placed >> _SHIFT)
        x, y, width, height = x - 1, y - 1, width + 2, height + 2
        shape = np.zeros((height + 2 * pad, width + 2 * pad), np.uint8)
        corner = np.array((x - pad, y - pad), np.int32) << _SHIFT
        cv2.fillPoly(shape, [placed - corner], 255, cv2.LINE_AA, _SHIFT)
        soft = _soften(shape, 0.45 * depth_px)
        shape = shape[pad:-pad, pad:-pad]
        region, inside = overlap_views(self.canvas, shape, x, y)
        if region.size == 0:
            return
        colors: Any = np.ascontiguousarray(region[:, :, :3])
        alpha = region[:, :, 3]
        for tint, side in ((dark, -1.0), (light, 1.0)):
            shift = (pad - side * 0.5 * depth_px, pad - side * 0.8 * depth_px)
            moved = np.array([(1, 0, shift[0]), (0, 1, shift[1])])
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            whole = np.asarray(cv2.warpAffine(soft, moved, (width, height), flags=flags), np.uint8)
            _, core = overlap_views(self.canvas, whole, x, y)
            rim = cv2.multiply(inside, 255 - core, scale=1 / 255)
            weight = cv2.multiply(rim, alpha, scale=1 / 255)
            tinted = cv2.merge([cv2.convertScaleAbs(weight, alpha=t / 255) for t in tint])
            kept = cv2.multiply(colors, 255 - cv2.merge([rim, rim, rim]), scale=1 / 255)
            colors = cv2.add(kept, tinted)
        region[:, :, :3] = colors

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
