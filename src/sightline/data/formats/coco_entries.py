"""The entries of COCO JSON as they should be, and what can be made of those that are not."""

from __future__ import annotations

from typing import Any, TypeGuard

import msgspec
from msgspec import Raw

from sightline.data.formats.csv_rows import read_number
from sightline.data.formats.jsonfile import object_parts, read_part, value_of
from sightline.data.formats.shapes import number

Id = int | float | str  # integers, says COCO


_NOTHING = Raw(b"null")


class _Flags(msgspec.Struct):
    """As CVAT and Datumaro write them."""

    difficult: bool | int = False
    truncated: bool | int = False


class CocoBox(msgspec.Struct):
    """An annotation; its box is (left, top, width, height) in pixels."""

    image_id: Id | None = None
    category_id: Id | None = None
    bbox: tuple[float, float, float, float] | None = None
    area: float | None = None
    iscrowd: bool | int = False
    attributes: _Flags | None = None
    segmentation: Raw = _NOTHING  # never built where there is a box
    keypoints: Raw = _NOTHING

    def has_segmentation(self) -> bool:
        return _holds_something(self.segmentation)

    def has_keypoints(self) -> bool:
        return _holds_something(self.keypoints)


class QuotedBox(CocoBox):
    """One with corners written as text."""


class CocoImage(msgspec.Struct):
    id: Id | None = None
    file_name: str | None = None
    width: float | None = None
    height: float | None = None


_SHORT = 16  # signs; what has more is not empty
_BOX = msgspec.json.Decoder(CocoBox)
_IMAGE = msgspec.json.Decoder(CocoImage)


def read_image(entry: Raw) -> CocoImage:
    return read_part(_IMAGE, entry) or _loose_image(fields_of(entry))


def read_box(entry: Raw) -> CocoBox:
    return read_part(_BOX, entry) or _loose_box(fields_of(entry), object_parts(entry) or {})


def _holds_something(part: Raw) -> bool:
    text = bytes(memoryview(part)[:_SHORT])
    return len(text) == _SHORT or value_of(part) not in (None, [], {}, "", False)


def fields_of(entry: Raw) -> dict[str, Any]:
    """All of an entry; nothing where it is no object."""
    fields = value_of(entry)
    return fields if isinstance(fields, dict) else {}


def _loose_image(fields: dict[str, Any]) -> CocoImage:
    own, name = fields.get("id"), fields.get("file_name")
    return CocoImage(
        own if is_id(own) else None,
        name if isinstance(name, str) else None,
        number(fields.get("width")),
        number(fields.get("height")),
    )


def _loose_box(fields: dict[str, Any], parts: dict[str, Raw]) -> CocoBox:
    """What can be made of an annotation in which something has another type than it should."""
    image, category, corner = (fields.get(key) for key in ("image_id", "category_id", "bbox"))
    flags = fields.get("attributes")
    flags = flags if isinstance(flags, dict) else {}
    bbox, kind = None, CocoBox
    if isinstance(corner, list) and len(corner) == 4:
        left, top, width, height = map(_number, corner)
        kind = QuotedBox if any(isinstance(value, str) for value in corner) else CocoBox
        bbox = (left, top, width, height)
    return kind(
        image if is_id(image) else None,
        category if is_id(category) else None,
        bbox,
        number(fields.get("area")),
        fields.get("iscrowd") in (1, True),
        _Flags(flags.get("difficult") in (1, True), flags.get("truncated") in (1, True)),
        parts.get("segmentation", _NOTHING),
        parts.get("keypoints", _NOTHING),
    )


def _number(value: Any) -> float:
    """A number, one written as text included; NaN for anything else."""
    return read_number(value) if isinstance(value, str) else number(value)


def polygon_points(segmentation: Any) -> list[tuple[float, float]]:
    """The corners of all polygons of an object; none where it is no list of polygons."""
    polygons = segmentation if isinstance(segmentation, list) else []
    return [
        (number(x), number(y))
        for polygon in polygons
        if isinstance(polygon, list)
        for x, y in zip(polygon[::2], polygon[1::2], strict=False)
    ]


def is_id(value: Any) -> TypeGuard[Id]:
    return isinstance(value, int | float | str) and not isinstance(value, bool)
