"""The entries of COCO JSON as they should be, and what can be made of those that are not."""

from __future__ import annotations

from typing import Any, TypeGuard

import msgspec
from msgspec import Raw

from sightline.data.formats.jsonfile import read_part, value_of
from sightline.data.formats.shapes import number

Id = int | float | str  # integers, says COCO


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


class CocoImage(msgspec.Struct):
    id: Id | None = None
    file_name: str | None = None
    width: float | None = None
    height: float | None = None


_BOX = msgspec.json.Decoder(CocoBox)
_IMAGE = msgspec.json.Decoder(CocoImage)


def read_image(entry: Raw) -> CocoImage:
    return read_part(_IMAGE, entry) or _loose_image(fields_of(entry))


def read_box(entry: Raw) -> CocoBox:
    return read_part(_BOX, entry) or _loose_box(fields_of(entry))


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


def _loose_box(fields: dict[str, Any]) -> CocoBox:
    """What can be made of an annotation in which something has another type than it should."""
    image, category, corner = (fields.get(key) for key in ("image_id", "category_id", "bbox"))
    flags = fields.get("attributes")
    flags = flags if isinstance(flags, dict) else {}
    bbox = None
    if isinstance(corner, list) and len(corner) == 4:
        left, top, width, height = (number(value) for value in corner)
        bbox = (left, top, width, height)
    return CocoBox(
        image if is_id(image) else None,
        category if is_id(category) else None,
        bbox,
        number(fields.get("area")),
        fields.get("iscrowd") in (1, True),
        _Flags(flags.get("difficult") in (1, True), flags.get("truncated") in (1, True)),
    )


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
