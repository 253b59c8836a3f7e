"""Boxes drawn on a picture as it is stored, where EXIF shows it turned: which, and turned with it.

Images are taken upright, as every viewer shows them. Some labelling tools and scripts ignore the
EXIF orientation, so that their boxes lie on the stored, unturned pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sightline.data.formats.contents import RawBox, RawImage
from sightline.data.images import ImageHeader
from sightline.data.records import Severity

Box = tuple[float, float, float, float]

# EXIF orientation (EXIF 2.32, table 4) -> how stored pixels become upright: whether rows and
# columns change places, then whether left and right do, then whether top and bottom do.
_TURNS = {
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}
# Boxes reach this far beyond their image by rounding.
_ROUNDING_PX = 1.0


def turn_box(box_xyxy: Box, orientation: int, width: float, height: float) -> Box:
    """The box on the upright image, of `width` x `height` pixels, from the one on stored pixels."""
    x1, y1, x2, y2 = box_xyxy
    is_transposed, is_mirrored, is_flipped = _TURNS[orientation]
    if is_transposed:
        x1, y1, x2, y2 = y1, x1, y2, x2
    if is_mirrored:
        x1, x2 = width - x2, width - x1
    if is_flipped:
        y1, y2 = height - y2, height - y1
    return x1, y1, x2, y2


def upright_boxes(
    raw: RawImage, header: ImageHeader
) -> tuple[Iterable[RawBox], tuple[Severity, str, str] | None]:
    """The boxes in pixels of the upright image; (severity, code, what) where EXIF turns it.

    Where turning changes width and height, they tell: boxes are turned where the annotation says
    the stored size, unless they fit the upright image only; and where it says neither size, if
    they fit the stored one only. Where nothing tells, which is always so where the size stays the
    same, boxes are taken as drawn on the upright image, as most tools of today have it.
    """
    upright: tuple[float, float] = header.width, header.height
    if header.orientation == 1 or not raw.boxes:
        return _in_pixels(raw, upright), None
    stored = upright[::-1] if _TURNS[header.orientation][0] else upright
    if stored == upright:
        return _in_pixels(raw, upright), _unsure(header.orientation)
    if raw.said_size == upright:
        return _in_pixels(raw, upright), None
    drawn = _in_pixels(raw, stored)
    fits_upright, fits_stored = _fit(raw, upright), _fit(raw, stored)
    if raw.said_size == stored:
        is_turned = fits_stored or not fits_upright
    elif fits_upright and fits_stored:
        return _in_pixels(raw, upright), _unsure(header.orientation)
    else:
        is_turned = fits_stored and not fits_upright
    if not is_turned:
        return _in_pixels(raw, upright), None
    what = (
        f"labelled as stored, {stored[0]:g}x{stored[1]:g}, while EXIF orientation "
        f"{header.orientation} shows it {upright[0]:g}x{upright[1]:g}; its {len(raw.boxes)} "
        "box(es) turned with it"
    )
    turned = [
        replace(box, box_xyxy=turn_box(box.box_xyxy, header.orientation, *upright)) for box in drawn
    ]
    return turned, ("warning", "box-turned", what)


def _unsure(orientation: int) -> tuple[Severity, str, str]:
    what = (
        f"has EXIF orientation {orientation}, and nothing tells whether it was labelled turned; "
        "its boxes are taken as drawn on the upright picture"
    )
    return "info", "orientation-unsure", what


def _in_pixels(raw: RawImage, size: tuple[float, float]) -> Iterable[RawBox]:
    if not raw.is_normalised:
        return raw.boxes
    width, height = size
    return [
        replace(box, box_xyxy=(x1 * width, y1 * height, x2 * width, y2 * height))
        for box in raw.boxes
        for x1, y1, x2, y2 in (box.box_xyxy,)
    ]


def _fit(raw: RawImage, size: tuple[float, float]) -> bool:
    """Whether no corner lies outside by more than rounding; shares of the size always fit."""
    if raw.is_normalised:
        return True
    right, bottom = size[0] + _ROUNDING_PX, size[1] + _ROUNDING_PX
    return not any(
        min(x1, x2) < -_ROUNDING_PX
        or min(y1, y2) < -_ROUNDING_PX
        or max(x1, x2) > right
        or max(y1, y2) > bottom
        for box in raw.boxes
        for x1, y1, x2, y2 in (box.box_xyxy,)
    )
