"""The built-in picture of GET /test: a stop sign and a wall clock, drawn here."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw, ImageFont


def draw_sample_picture() -> Image.Image:
    """A 640x480 RGB picture in which a COCO model finds "stop sign" and "clock"."""
    picture = Image.new("RGB", (640, 480), (150, 185, 215))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 330, 640, 480), fill=(110, 120, 105))
    _draw_stop_sign(pen, 180, 170, 110)
    _draw_clock(pen, 470, 180, 105)
    return picture


def _draw_stop_sign(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    pen.rectangle((x - 8, y, x + 8, 430), fill=(120, 120, 125))
    for inset, color in ((0, (245, 245, 245)), (9, (190, 25, 35))):
        corners = [_on_circle(x, y, radius - inset, (k + 0.5) / 8) for k in range(8)]
        pen.polygon(corners, fill=color)
    pen.text((x, y), "STOP", "white", ImageFont.load_default(72), anchor="mm")


def _draw_clock(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    pen.circle((x, y), radius, fill=(40, 40, 45))
    pen.circle((x, y), radius - 12, fill=(250, 250, 245))
    font = ImageFont.load_default(20)
    for hour in range(1, 13):
        place = _on_circle(x, y, 0.7 * radius, hour / 12)
        pen.text(place, str(hour), "black", font, anchor="mm")
    pen.line((x, y, *_on_circle(x, y, 0.45 * radius, 1.8 / 12)), "black", width=8)
    pen.line((x, y, *_on_circle(x, y, 0.64 * radius, 0.97)), "black", width=5)


def _on_circle(x: float, y: float, radius: float, turn: float) -> tuple[float, float]:
    """The point at `turn` (0..1, clockwise from the top)."""
    angle = 2 * math.pi * turn
    return x + radius * math.sin(angle), y - radius * math.cos(angle)
