"""The frame of pages written to a file: head, look, logo, and photos with boxes as SVG.

A page stands alone: no script, and its content policy forbids it to fetch anything.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.drawing import class_color

if TYPE_CHECKING:
    from PIL.Image import Image

_LOGO = (
    '<svg class="logo" viewBox="0 0 32 32" aria-hidden="true"><path d="M4 11V7a3 3 0 0 1 3-3h4M21 '
    '4h4a3 3 0 0 1 3 3v4M28 21v4a3 3 0 0 1-3 3h-4M11 28H7a3 3 0 0 1-3-3v-4"/>'
    '<circle cx="16" cy="16" r="5"/></svg>'
)
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class PhotoBox:
    """A box over a photo, in its pixels.

    color: number of a class. text: written beside it; title: shown on hovering. kind: its class
    in the style sheet.
    """

    box_xyxy: tuple[float, float, float, float]
    color: int
    text: str = ""
    title: str = ""
    kind: str = ""


def whole_page(*, kind: str, title: str, lead: str, body: str, style: str, footer: str) -> str:
    """The HTML document. title, lead: plain text; body: HTML; style: CSS after the common one."""
    common = resources.files("sightline").joinpath("page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{escape(title)} · Sightline</title>"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>\n{common}\n{style}</style></head>\n"
        f'<body><main class="page"><header><p class="brand">{_LOGO}<b>Sightline</b> {kind}</p>'
        f'<h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p></header>{body}'
        f"<footer>{footer} This page holds everything it shows; nothing is loaded from elsewhere."
        "</footer></main></body></html>\n"
    )


def write_page(path: Path, page: str) -> None:
    """Write the page whole or not at all; what UTF-8 cannot hold becomes a question mark."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(page, encoding="utf-8", errors="replace")
    os.replace(temporary, path)


def thumbnail_uri(picture: Image, edge_px: int) -> str:
    """The picture as a data: URI, a JPEG of at most that edge."""
    small = picture.copy()
    small.thumbnail((edge_px, edge_px))
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def boxed_photo(
    photo: str, boxes: Iterable[PhotoBox], *, view: tuple[float, float, float, float], title: str
) -> str:
    """An <svg> of the photo, itself SVG, with boxes; all in the photo's pixels.

    view: left, top, width and height of what is shown.
    """
    left, top, width, height = view
    size = round(max(width, height) * 0.045, 1)
    parts = [
        f'<svg class="photo" viewBox="{left:g} {top:g} {width:g} {height:g}" role="img" '
        f'aria-label="{escape(title)}">{photo}'
    ]
    for box in boxes:
        x1, y1, x2, y2 = box.box_xyxy
        color = "rgb({} {} {})".format(*class_color(box.color))
        kind = f' class="{box.kind}"' if box.kind else ""
        shape = (
            f'<rect{kind} x="{x1:.1f}" y="{y1:.1f}" width="{max(0.0, x2 - x1):.1f}" '
            f'height="{max(0.0, y2 - y1):.1f}" stroke="{color}"'
        )
        parts.append(
            f"{shape}><title>{escape(box.title)}</title></rect>" if box.title else f"{shape}/>"
        )
        if box.text:
            above = y1 - size * 0.35
            y_text = above if above > top + size else y1 + size * 1.1
            parts.append(
                f'<text x="{x1 + size * 0.2:.1f}" y="{y_text:.1f}" font-size="{size}" '
                f'fill="{color}">{escape(box.text)}</text>'
            )
    return "".join([*parts, "</svg>"])
