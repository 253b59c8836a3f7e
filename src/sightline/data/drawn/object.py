"""One object of a kind: posed, lit, drawn on a transparent patch, laid on a picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.data.drawn.pen import Pen, draw_palette, mix, overlap_views

Image = NDArray[np.uint8]
Draw = Callable[[Pen, np.random.Generator], None]
_OVERSAMPLING = 2
_MARGIN = 1.1  # of the unit square, so that outlines and perspective stay on the canvas


@dataclass(frozen=True)
class Light:
    """Where a scene's light comes from and how hard it is.

    x, y: unit vector towards the light, on screen. relief: how rounded things look, 0..1.
    shadow: darkness of the cast shadow, 0..1, with its reach and softness as shares of the
    object's size.
    """

    x: float
    y: float
    relief: float
    shadow: float
    reach: float
    softness: float


@dataclass(frozen=True, eq=False)
class Patch:
    """(H, W, 4) uint8 RGBA, premultiplied, and the pixel where its top left corner lies."""

    rgba: Image
    x: int
    y: int


def draw_light(rng: np.random.Generator) -> Light:
    """A light from above, give or take; one scene in three casts no shadow."""
    angle, relief, shadow, reach, softness = rng.uniform(
        (-2.6, -0.3, -0.25, 0.02, 0.02), (-0.5, 1.0, 0.6, 0.12, 0.08)
    )
    return Light(
        math.cos(angle), math.sin(angle), max(0.0, relief), max(0.0, shadow), reach, softness
    )


def draw_pose(rng: np.random.Generator, size_px: float, max_turn: float) -> NDArray[np.float64]:
    """(3, 3) projective matrix, unit square to pixels around (0, 0), in a random attitude.

    max_turn: the largest rotation to either side, in degrees.
    """
    turn = math.radians(rng.uniform(-max_turn, max_turn))
    stretch, shear, tilt_x, tilt_y = rng.uniform(
        (-0.18, -0.15, -0.12, -0.12), (0.18, 0.15, 0.12, 0.12)
    )
    cos, sin, half = math.cos(turn), math.sin(turn), size_px / 2
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    shape = np.array([(mirror * math.exp(stretch), shear), (0, math.exp(-stretch))])
    matrix = np.eye(3)
    matrix[:2, :2] = half * np.array([(cos, -sin), (sin, cos)]) @ shape
    matrix[:2, 2] = rng.random(2)
    matrix[2, :2] = tilt_x, tilt_y
    return matrix


def draw_object(
    rng: np.random.Generator,
    draw: Draw,
    matrix: NDArray[np.float64],
    light: Light,
    *,
    mottled: bool = True,
) -> Patch:
    """A random specimen at the pose `matrix`, shaded by `light`, cut to what is not clear.

    mottled: whether one in four gets a stained surface.
    """
    import cv2

    corners = np.array([(x, y, 1) for x in (-_MARGIN, _MARGIN) for y in (-_MARGIN, _MARGIN)])
    placed = corners @ matrix.T
    placed = placed[:, :2] / placed[:, 2:]
    x, y = (int(v) for v in np.floor(placed.min(0)) - 1)
    width, height = (int(v) for v in np.ceil(placed.max(0)) + 1 - (x, y))
    to_canvas = np.array([(1, 0, -x), (0, 1, -y), (0, 0, 1 / _OVERSAMPLING)]) * _OVERSAMPLING
    canvas = np.zeros((height * _OVERSAMPLING, width * _OVERSAMPLING, 4), np.uint8)
    palette = draw_palette(rng)
    ink = mix(palette.dark, (0, 0, 0), 0.5) if rng.random() < 0.35 else None
    pen = Pen(canvas, to_canvas @ matrix, palette, ink=ink, ink_width=rng.uniform(0.025, 0.06))
    draw(pen, rng)
    rgba = np.asarray(cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    left, top, wide, high = cv2.boundingRect(rgba[:, :, 3])
    rgba = np.ascontiguousarray(rgba[top : top + high, left : left + wide])
    if light.relief > 0:
        rgba = _shade(rgba, light)
    if rng.random() < 0.25 and mottled:
        rgba = _grain(rng, rgba)
    return Patch(rgba, x + left, y + top)


def _shade(rgba: Image, light: Light) -> Image:
    """Lit from one side, as if the outline were inflated: a gain from the slope of a blur."""
    import cv2

    height, width = rgba.shape[:2]
    cells = (max(4, width // 4), max(4, height // 4))
    small = cv2.resize(rgba[:, :, 3], cells, interpolation=cv2.INTER_AREA)
    hump = cv2.GaussianBlur(
        small, (0, 0), max(0.8, 0.1 * max(cells)), borderType=cv2.BORDER_CONSTANT
    )
    step = 0.12 * max(cells)
    moved = np.array([(1, 0, -light.x * step), (0, 1, -light.y * step)])
    behind = cv2.warpAffine(hump, moved, cells)
    gain = cv2.addWeighted(hump, 0.7 * light.relief, behind, -0.7 * light.relief, 128)
    gain = cv2.resize(gain, (width, height), interpolation=cv2.INTER_LINEAR)
    shaded = cv2.multiply(
        rgba, cv2.merge([gain, gain, gain, np.full_like(gain, 128)]), scale=1 / 128
    )
    return _keep_premultiplied(np.asarray(shaded, np.uint8))


def _grain(rng: np.random.Generator, rgba: Image) -> Image:
    """A mottled surface: coarse noise times colour."""
    import cv2

    height, width = rgba.shape[:2]
    low = int(rng.integers(70, 120))
    cells = rng.integers(3, 24, 2)
    noise = rng.integers(low, 150, (*cells, 4), np.uint8)
    if rng.random() < 0.7:  # of brightness alone; else it shimmers
        noise[:, :, 1:3] = noise[:, :, :1]
    noise[:, :, 3] = 128
    gain = cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR)
    return _keep_premultiplied(np.asarray(cv2.multiply(rgba, gain, scale=1 / 128), np.uint8))


def _keep_premultiplied(rgba: Image) -> Image:
    """No colour above its alpha: a brightened edge must not glow."""
    import cv2

    alpha = rgba[:, :, 3]
    return np.asarray(cv2.min(rgba, cv2.merge([alpha, alpha, alpha, alpha])), np.uint8)


def compose(image: Image, patch: Patch, light: Light) -> None:
    """`patch` and its shadow laid on `image` in place, cut at the borders."""
    import cv2

    if light.shadow > 0:
        _cast_shadow(image, patch, light)
    region, rgba = overlap_views(image, patch.rgba, patch.x, patch.y)
    if region.size == 0:
        return
    through = 255 - rgba[:, :, 3]
    dimmed = cv2.multiply(region, cv2.merge([through, through, through]), scale=1 / 255)
    region[:] = cv2.add(dimmed, np.ascontiguousarray(rgba[:, :, :3]))


def _cast_shadow(image: Image, patch: Patch, light: Light) -> None:
    import cv2

    height, width = patch.rgba.shape[:2]
    size = max(height, width)
    sigma = max(0.7, light.softness * size)
    pad = math.ceil(2 * sigma)
    alpha = cv2.copyMakeBorder(patch.rgba[:, :, 3], pad, pad, pad, pad, cv2.BORDER_CONSTANT)
    full = alpha.shape[::-1]
    scale = max(1, int(sigma))  # a blur this soft needs no more pixels
    cells = (max(1, full[0] // scale), max(1, full[1] // scale))
    soft = cv2.resize(alpha, cells, interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(soft, (0, 0), sigma / scale, borderType=cv2.BORDER_CONSTANT)
    soft = cv2.resize(soft, full, interpolation=cv2.INTER_LINEAR)
    shade = cv2.merge([cv2.convertScaleAbs(soft, alpha=light.shadow)] * 3 + [soft])
    x = patch.x - pad - round(light.x * light.reach * size)
    y = patch.y - pad - round(light.y * light.reach * size)
    region, inside = overlap_views(image, np.asarray(shade, np.uint8), x, y)
    if region.size:
        region[:] = cv2.multiply(
            region, 255 - np.ascontiguousarray(inside[:, :, :3]), scale=1 / 255
        )
