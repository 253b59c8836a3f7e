"""Backgrounds for drawn scenes: textures in random palettes, horizons, scribbles of no class.

A texture is one byte per pixel; a palette of 256 colours turns it into a surface. The same noise
is a wall in one palette, marble in another and wood grain in a third.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sightline.data.drawn.pen import Pen, curve, draw_palette, hsv

Image = NDArray[np.uint8]
Texture = Callable[[np.random.Generator, int, int], Image]


def draw_background(rng: np.random.Generator, width: int, height: int) -> Image:
    """(H, W, 3) uint8 RGB: one or two surfaces with distractor shapes, sometimes out of focus."""
    import cv2

    picture = _draw_surface(rng, width, height)
    if rng.random() < 0.4:
        _lay_floor(rng, picture)
    if rng.random() < 0.7:
        _scribble(rng, picture)
    if rng.random() < 0.4:
        sigma = float(rng.uniform(0.6, 2.4))
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)
    return picture


def _draw_surface(rng: np.random.Generator, width: int, height: int) -> Image:
    import cv2

    texture = TEXTURES[int(rng.integers(len(TEXTURES)))](rng, width, height)
    table = _draw_table(rng)
    return np.asarray(cv2.LUT(cv2.merge([texture, texture, texture]), table), np.uint8)


def _draw_table(rng: np.random.Generator) -> Image:
    """(1, 256, 3) uint8: two to five colours, blended, at times repeated like contour lines."""
    count = int(rng.integers(2, 6))
    hue, spread, saturation = rng.random(), rng.choice((0.03, 0.08, 0.5)), rng.uniform(0, 0.75)
    value, contrast = rng.uniform(0.2, 0.95), rng.choice((0.1, 0.25, 0.6))
    draws = rng.uniform(-1, 1, (count, 3))
    colors = np.array(
        [
            hsv(
                hue + spread * h,
                float(np.clip(saturation + 0.2 * s, 0, 1)),
                float(np.clip(value + contrast * v, 0.02, 1)),
            )
            for h, s, v in draws
        ],
        np.float64,
    )
    repeats = int(rng.choice((1, 1, 1, 1, 3, 7)))
    if repeats > 1:
        colors = np.concatenate([colors] * repeats)
    at, stops = np.arange(256) / 255, np.linspace(0, 1, len(colors))
    table = np.stack([np.interp(at, stops, colors[:, channel]) for channel in range(3)], -1)
    return np.rint(table)[None].astype(np.uint8)


def _texture_noise(rng: np.random.Generator, width: int, height: int) -> Image:
    """Value noise: random grids of one to four octaves, enlarged and summed."""
    import cv2

    longer = max(width, height)
    cells = int(rng.integers(1, 8))
    decay = rng.uniform(0.35, 0.75)
    stretch = rng.choice((1.0, 1.0, 4.0))
    total, weight = None, 1.0
    for _ in range(int(rng.integers(1, 5))):
        columns = 2 + round(cells * width / longer)
        rows = 2 + round(cells * stretch * height / longer)
        grid = rng.integers(0, 256, (min(rows, height), min(columns, width)), np.uint8)
        octave = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        if total is None:
            total = octave
        else:
            share = weight / (1 + weight)
            total = cv2.addWeighted(total, 1 - share, octave, share, 0)
        cells, weight = cells * 3, weight * decay
    return np.asarray(total, np.uint8)


def _texture_gradient(rng: np.random.Generator, width: int, height: int) -> Image:
    """A smooth slope: four random corners."""
    import cv2

    corners = rng.integers(0, 256, (2, 2), np.uint8)
    return np.asarray(
        cv2.resize(corners, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)[
            height // 2 : height // 2 + height, width // 2 : width // 2 + width
        ]
    )


def _texture_weave(rng: np.random.Generator, width: int, height: int) -> Image:
    """Checks, stripes, bricks, dots or planks: a small tile repeated at a random slant."""
    import cv2

    tile = TILES[int(rng.integers(len(TILES)))](rng)
    side = max(8, round(min(width, height) * np.exp(rng.uniform(np.log(0.06), np.log(0.6)))))
    tile = np.asarray(cv2.resize(tile, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    turns = (0.0, 90.0, rng.uniform(0, 180), rng.uniform(-8, 8))
    angle = float(turns[int(rng.integers(4))])
    matrix = np.asarray(cv2.getRotationMatrix2D((0, 0), angle, 1.0), np.float64)
    matrix[:, :2] += rng.uniform(-0.15, 0.15, (2, 2))
    matrix[:, 2] = 0
    # Tiles enough to cover the picture's corners; a wrapping border would be 5 times slower.
    corners = np.array([(0, 0), (width, 0), (0, height), (width, height)]) @ matrix[:, :2].T
    low = corners.min(0)
    matrix[:, 2] = rng.uniform(0, side, 2) - low
    columns, rows = (int(n) for n in np.ceil((corners.max(0) - low) / side) + 1)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    wall = np.tile(tile, (rows, columns))
    return np.asarray(cv2.warpAffine(wall, matrix, (width, height), flags=flags), np.uint8)


def _texture_mixed(rng: np.random.Generator, width: int, height: int) -> Image:
    """A weave over noise: wood with joints, dirty tiles."""
    import cv2

    share = float(rng.uniform(0.15, 0.7))
    weave, noise = _texture_weave(rng, width, height), _texture_noise(rng, width, height)
    return np.asarray(cv2.addWeighted(weave, share, noise, 1 - share, 0), np.uint8)


def _tile_checks(rng: np.random.Generator) -> Image:
    tones = rng.integers(0, 256, (2, 2), np.uint8)
    return np.kron(tones, np.ones((32, 32), np.uint8))


def _tile_stripes(rng: np.random.Generator) -> Image:
    row = np.repeat(rng.integers(0, 256, 16, np.uint8), rng.integers(1, 9, 16))
    return np.tile(row, (16, 1))


def _tile_bricks(rng: np.random.Generator) -> Image:
    tile = np.empty((64, 64), np.uint8)
    tile[:32] = rng.integers(0, 256)
    tile[32:] = rng.integers(0, 256)
    joint = rng.integers(0, 256)
    wide = int(rng.integers(2, 6))
    tile[:wide] = tile[32 : 32 + wide] = joint
    tile[:32, :wide] = tile[32:, 32 : 32 + wide] = joint
    return tile


def _tile_grid(rng: np.random.Generator) -> Image:
    tile = np.full((64, 64), rng.integers(0, 256), np.uint8)
    wide = int(rng.integers(2, 14))
    tile[:wide] = tile[:, :wide] = rng.integers(0, 256)
    return tile


def _tile_dots(rng: np.random.Generator) -> Image:
    import cv2

    tile = np.full((64, 64), rng.integers(0, 256), np.uint8)
    tone, radius = int(rng.integers(0, 256)), int(rng.integers(5, 18))
    for centre in ((16, 16), (48, 48)):
        cv2.circle(tile, centre, radius, tone, -1, cv2.LINE_AA)
    return tile


def _tile_planks(rng: np.random.Generator) -> Image:
    import cv2

    grain = rng.integers(0, 256, (24, 3), np.uint8)
    tile = np.asarray(cv2.resize(grain, (128, 96), interpolation=cv2.INTER_CUBIC), np.uint8)
    tile[::24] = tile[::24] // 3
    return tile


TILES: tuple[Callable[[np.random.Generator], Image], ...] = (
    _tile_checks,
    _tile_stripes,
    _tile_bricks,
    _tile_grid,
    _tile_dots,
    _tile_planks,
)
TEXTURES: tuple[Texture, ...] = (
    _texture_noise,
    _texture_noise,
    _texture_gradient,
    _texture_weave,
    _texture_weave,
    _texture_mixed,
)


def _lay_floor(rng: np.random.Generator, picture: Image) -> None:
    """A second surface below a horizon, or beside a slanted edge."""
    import cv2

    height, width = picture.shape[:2]
    other = _draw_surface(rng, width, height)
    left, right = rng.uniform(0.25, 0.85) + rng.uniform(-0.12, 0.12, 2)
    if rng.random() < 0.25:
        left, right = rng.uniform(-0.5, 1.5, 2)
    mask = np.zeros((height, width), np.uint8)
    edge = np.array(
        [(0, left * height), (width, right * height), (width, 3 * height), (0, 3 * height)]
    )
    cv2.fillPoly(mask, [np.rint(edge).astype(np.int32)], 255)
    cv2.copyTo(other, mask, picture)


def _scribble(rng: np.random.Generator, picture: Image) -> None:
    """Strokes, blobs and shards that belong to no class."""
    height, width = picture.shape[:2]
    shorter = min(width, height)
    for _ in range(int(rng.integers(1, 9))):
        x, y = rng.uniform(0, (width, height))
        size = shorter * float(np.exp(rng.uniform(np.log(0.03), np.log(0.35))))
        palette = draw_palette(rng)
        pen = Pen(picture, np.array([(size, 0, x), (0, size, y), (0, 0, 1)]), palette)
        shape = int(rng.integers(4))
        if shape == 0:
            points = np.cumsum(rng.uniform(-0.8, 0.8, (int(rng.integers(2, 6)), 2)), 0)
            pen.line(curve(points, closed=False), rng.uniform(0.02, 0.2), palette.main)
        elif shape == 1:
            angles = np.arange(9) * 2 * np.pi / 9
            radii = rng.uniform(0.35, 1, 9)
            pen.fill(
                curve(np.stack([radii * np.cos(angles), radii * np.sin(angles)], -1)), palette.main
            )
        elif shape == 2:
            pen.fill(rng.uniform(-1, 1, (int(rng.integers(3, 5)), 2)), palette.main)
        else:
            slant = rng.uniform(-0.4, 0.4)
            for offset in np.arange(int(rng.integers(2, 6))) * 0.3 - 0.6:
                pen.line([(-0.9, offset - slant), (0.9, offset + slant)], 0.06, palette.main)
