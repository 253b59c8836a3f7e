"""The icons of an installed page, drawn from the logo's geometry: a 32 x 32 square."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw

_COLOR = (13, 148, 136)  # the logo's teal
_GROUND = (244, 246, 248)
_OVERSAMPLED = 4  # Pillow draws without smoothing
# The corner from (4, 11) over an arc about (7, 7) to (11, 4); the others are its mirror images.
_MASKABLE_SCALE = 0.62  # within the circle of 80 % that every launcher leaves


def draw_icon(side: int, *, is_maskable: bool = False) -> bytes:
    """A PNG, side x side. is_maskable: with a margin that a launcher may cut into a shape."""
    size = side * _OVERSAMPLED
    picture = Image.new("RGBA", (size, size), (*_GROUND, 255) if is_maskable else (0, 0, 0, 0))
    pen = ImageDraw.Draw(picture)
    scale = size / 32 * (_MASKABLE_SCALE if is_maskable else 1)
    for flip_x in (1, -1):
        for flip_y in (1, -1):
            _draw_corner(pen, size / 2, scale, flip_x, flip_y)
    pen.circle((size / 2, size / 2), 5 * scale, fill=_COLOR)
    stream = io.BytesIO()
    picture.resize((side, side), Image.Resampling.LANCZOS).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _draw_corner(
    pen: ImageDraw.ImageDraw, middle: float, scale: float, flip_x: int, flip_y: int
) -> None:
    """A corner of the frame, 3 wide with round ends; the origin is the logo's middle."""

    def at(x: float, y: float) -> tuple[float, float]:
        return middle + flip_x * (x - 16) * scale, middle + flip_y * (y - 16) * scale

    half = 1.5 * scale
    for end in ((4, 11), (11, 4)):
        pen.circle(at(*end), half, fill=_COLOR)
    for start, end in (((4, 11), (4, 7)), ((7, 4), (11, 4))):
        pen.line((*at(*start), *at(*end)), fill=_COLOR, width=round(2 * half))
    x, y = at(7, 7)
    radius = 3 * scale + half
    turn = {(1, 1): 180, (-1, 1): 270, (-1, -1): 0, (1, -1): 90}[flip_x, flip_y]
    pen.arc(
        (x - radius, y - radius, x + radius, y + radius),
        turn,
        turn + 90,
        fill=_COLOR,
        width=round(2 * half),
    )
