"""Shapes in the JSON of annotation tools: numbers, points, turned boxes, and what became of them.

Knows no format: the readers of LabelMe, Label Studio and Datumaro know where a shape stands.
"""

from __future__ import annotations

import math
import reprlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from sightline.data.formats.contents import RawBox, Reading, bounding_box

Point = tuple[float, float]
_NOWHERE: Point = (math.nan, math.nan)
# Looks no deeper into a value than is shown of it: others nest a thousand lists.
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring = 2, 80


@dataclass
class Outline:
    """An object's points, of all its parts where it is drawn in several."""

    label: str
    points: list[Point]
    line: int | None
    is_difficult: bool = False
    is_truncated: bool = False
    is_crowd: bool = False

    def join(self, part: Outline) -> None:
        """Take in another part of the same object."""
        if part is not self:
            self.points.extend(part.points)

    def box(self) -> RawBox:
        """The upright box around it."""
        return RawBox(
            self.label,
            bounding_box(self.points),
            self.line,
            is_crowd=self.is_crowd,
            is_difficult=self.is_difficult,
            is_truncated=self.is_truncated,
        )


@dataclass
class Tally:
    """Shapes that are no upright boxes: counted, to be told in one note each."""

    polygons: int = 0
    rotated: int = 0
    ellipses: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def leave_out(self, kind: Any) -> None:
        """Count a shape of a kind, as the file calls it, that has no box."""
        plain = isinstance(kind, str) and kind.isidentifier() and len(kind) < 40
        self.left_out[kind if plain else shown(kind)] += 1

    def report(self, reading: Reading, file: str) -> None:
        """One note for the outlines, one for what is left out."""
        reading.note_outlines(
            file, polygons=self.polygons, rotated=self.rotated, ellipses=self.ellipses
        )
        if self.left_out:
            said = ", ".join(f"{count} {kind}" for kind, count in sorted(self.left_out.items()))
            reading.report("info", "shape-left-out", file, None, f"not boxes; left out: {said}")


def number(value: Any) -> float:
    """The number, or NaN: what no number is ends as a box that is not finite."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return math.nan
    return math.nan


def size_of(width: Any, height: Any) -> tuple[float, float] | None:
    """(width, height) where both are sizes."""
    size = number(width), number(height)
    return size if all(0 < side < math.inf for side in size) else None


def points_of(value: Any) -> list[Point] | None:
    """The points of a list of pairs, NaN where one is none; None where there is no list."""
    if not isinstance(value, list):
        return None
    return [
        (number(point[0]), number(point[1]))
        if isinstance(point, list) and len(point) >= 2
        else _NOWHERE
        for point in value
    ]


def turned_corners(
    pivot: Point, left: float, top: float, right: float, bottom: float, degrees: float
) -> list[Point]:
    """The corners of a box turned clockwise about `pivot`, which its edges are measured from."""
    if not math.isfinite(degrees):
        return [_NOWHERE]
    x, y = pivot
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [
        (x + across * cos - down * sin, y + across * sin + down * cos)
        for across in (left, right)
        for down in (top, bottom)
    ]


def ellipse_corners(
    centre: Point, radius_x: float, radius_y: float, degrees: float = 0.0
) -> list[Point]:
    """Two corners of the upright box around an ellipse turned about its centre."""
    if not math.isfinite(degrees):
        return [_NOWHERE]
    x, y = centre
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    across = math.hypot(radius_x * cos, radius_y * sin)
    down = math.hypot(radius_x * sin, radius_y * cos)
    return [(x - across, y - down), (x + across, y + down)]


def shown(value: Any) -> str:
    """The value in a few characters, for messages."""
    text = _SHORT.repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
