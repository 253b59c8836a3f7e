"""Boxes and labels drawn on a Pillow image, one steady colour per class."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

    from sightline.detections import Detections

_GOLDEN_RATIO = 0.618033988749895


def class_color(label_id: int) -> tuple[int, int, int]:
    """An RGB colour (0..255), far in hue from its neighbours' (golden-ratio steps)."""
    red, green, blue = colorsys.hsv_to_rgb((0.47 + label_id * _GOLDEN_RATIO) % 1.0, 0.72, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def draw_detections(image: Image, detections: Detections) -> Image:
    """A copy of `image` with each detection's box, label and score.

    A label stands on its box, or in it where there is no room above; always within the picture.
    """
    from PIL import ImageDraw, ImageFont

    picture = image.convert("RGB")
    pen = ImageDraw.Draw(picture)
    line_px = max(2, round(min(picture.size) / 200))
    font = ImageFont.load_default(size=max(12, round(min(picture.size) / 32)))
    for found in reversed(list(detections)):
        color = class_color(found.label_id)
        x1, y1, x2, y2 = found.box_xyxy
        pen.rectangle((x1, y1, max(x1, x2), max(y1, y2)), outline=color, width=line_px)
        text = f"{found.label} {found.score:.0%}"
        left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
        height = bottom - top + 2 * line_px
        width = right - left + 2 * line_px
        x_text = max(0, min(x1, picture.width - width - 1))
        y_text = max(0, min(y1 - height if y1 >= height else y1, picture.height - height - 1))
        pen.rectangle((x_text, y_text, x_text + width, y_text + height), fill=color)
        pen.text((x_text + line_px - left, y_text + line_px - top), text, fill="black", font=font)
    return picture
