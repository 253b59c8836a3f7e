"""Random views of a labelled image for training.

One affine warp does crop or zoom-out, aspect change and flip; then light and colour. A function
of the generator given, so a run repeats exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FILL = 114  # grey outside the image
MIN_SIDE_PX = 2.0  # boxes smaller than this after the warp are dropped
MIN_VISIBLE = 0.35  # boxes of which less than this share remains are dropped


@dataclass(frozen=True)
class Augmentation:
    """How strong the random changes are.

    crop: least side of the window as a share of the image's. zoom_out: greatest. aspect: greatest
    change of the window's width over height. color: greatest change of brightness, contrast and
    saturation. flip: whether left may become right.
    """

    crop: float = 0.5
    zoom_out: float = 1.6
    aspect: float = 1.25
    color: float = 0.35
    flip: bool = True


STRONG = Augmentation()
WEAK = Augmentation(crop=1.0, zoom_out=1.0, aspect=1.0, color=0.0)


def augment(
    rng: np.random.Generator,
    image: NDArray[np.uint8],
    boxes_xyxy: NDArray[np.float64],
    label_ids: NDArray[np.int64],
    side: int,
    how: Augmentation = STRONG,
) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.int64]]:
    """A random view: (side, side, 3) uint8, the boxes left in it (M, 4) xyxy in 0..1, labels."""
    height, width = image.shape[:2]
    x1, y1, window_width, window_height = _draw_window(rng, width, height, how)
    view = _warp(image, (x1, y1, window_width, window_height), side)
    corner = np.array([x1, y1, x1, y1])
    extent = np.array([window_width, window_height, window_width, window_height])
    moved = (boxes_xyxy - corner) / extent
    cut = moved.clip(0, 1)
    if how.flip and rng.random() < 0.5:
        view = np.ascontiguousarray(view[:, ::-1])
        cut = np.stack([1 - cut[:, 2], cut[:, 1], 1 - cut[:, 0], cut[:, 3]], axis=1)
    sides = cut[:, 2:] - cut[:, :2]
    full = (moved[:, 2:] - moved[:, :2]).prod(axis=1)
    kept = (sides.min(axis=1, initial=1.0) * side >= MIN_SIDE_PX) & (
        sides.prod(axis=1) >= MIN_VISIBLE * full
    )
    if how.color:
        view = _shift_colors(rng, view, how.color)
    return view, cut[kept], label_ids[kept]


def _draw_window(
    rng: np.random.Generator, width: int, height: int, how: Augmentation
) -> tuple[float, float, float, float]:
    """The part of the plane that becomes the view, in pixels: x1, y1, width, height."""
    if how.crop >= 1 and how.zoom_out <= 1:
        return 0.0, 0.0, float(width), float(height)
    scale = np.exp(rng.uniform(np.log(how.crop), np.log(how.zoom_out)))
    stretch = np.exp(rng.uniform(-1, 1) * np.log(how.aspect) / 2)
    window = np.array([width * scale * stretch, height * scale / stretch])
    room = np.array([width, height]) - window  # negative when zoomed out
    corner = rng.uniform(size=2) * room
    return float(corner[0]), float(corner[1]), float(window[0]), float(window[1])


def _warp(
    image: NDArray[np.uint8], window: tuple[float, float, float, float], side: int
) -> NDArray[np.uint8]:
    import cv2

    x1, y1, width, height = window
    shrink = max(width, height) / side
    if shrink > 2:  # average first: bilinear sampling alone would skip pixels
        whole_height, whole_width = image.shape[:2]
        small_width = max(1, round(whole_width / shrink * 1.5))
        small_height = max(1, round(whole_height / shrink * 1.5))
        size = (small_width, small_height)
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        x1, width = (value * small_width / whole_width for value in (x1, width))
        y1, height = (value * small_height / whole_height for value in (y1, height))
    sx, sy = side / width, side / height
    # pixel centres: (x + 0.5) * s - 0.5
    matrix = np.array([[sx, 0, (0.5 - x1) * sx - 0.5], [0, sy, (0.5 - y1) * sy - 0.5]], np.float64)
    warped = cv2.warpAffine(
        image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderValue=(FILL, FILL, FILL)
    )
    return np.asarray(warped, np.uint8)


def _shift_colors(
    rng: np.random.Generator, view: NDArray[np.uint8], amount: float
) -> NDArray[np.uint8]:
    """Brightness, contrast, saturation and a slight tint, as one linear map of RGB."""
    brightness, contrast, saturation = 1 + amount * rng.uniform(-1, 1, 3)
    tint = 1 + 0.25 * amount * rng.uniform(-1, 1, 3)
    grey = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601 luma
    mix = saturation * np.eye(3) + (1 - saturation) * grey
    matrix = brightness * contrast * tint[:, None] * mix
    offset = 127.5 * (1 - contrast)
    import cv2

    changed = cv2.transform(view.astype(np.float32), np.c_[matrix, np.full(3, offset)])
    return np.asarray(changed.clip(0, 255), np.uint8)
