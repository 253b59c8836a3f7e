"""Datumaro JSON: annotations/SPLIT.json beside images/SPLIT, boxes as (left, top, width, height).

Read are files of version 1.0 and of those before it, which say no version. The file is the split;
the one that Datumaro calls "default" is none. Labels keep the order they are declared in, which is
what label_id counts from 0. Annotations of one group and label are one object: where it has a box,
its polygons and masks are passed over; else its polygons become one box. Rotated boxes (those that
Datumaro took from CVAT have an attribute `rotation`, clockwise about the centre) and ellipses
become boxes as well. What else there is (labels of images, captions, masks, points) is counted
and left out. Of the attributes difficult, truncated and is_crowd are kept.

An image is found by its path; where an item has none, by the item's id and any ending.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from msgspec import Raw

from sightline.data.formats.contents import (
    Contents,
    RawBox,
    RawImage,
    Reading,
    order_splits,
    tidy_name,
)
from sightline.data.formats.image_names import split_named_in, stem_of
from sightline.data.formats.jsonfile import JsonText, list_parts, object_parts, value_of
from sightline.data.formats.listing import Listing
from sightline.data.formats.shapes import (
    Outline,
    Point,
    Tally,
    number,
    shown,
    size_of,
    turned_corners,
)
from sightline.data.images import IMAGE_SUFFIXES
from sightline.data.records import Severity

_KEYS = frozenset({"categories", "items"})
# The kinds of annotations that have an area, and where each keeps its numbers.
_KINDS = {"bbox": "bbox", "rotated_bbox": "points", "polygon": "points", "ellipse": "points"}
_NULL = Raw(b"null")


@dataclass(frozen=True)
class _File:
    """A file being read. names: of its labels, None for a damaged one."""

    file: str
    text: JsonText
    names: list[str | None]
    tally: Tally


def read_datumaro(listing: Listing) -> Contents | str:
    """What the JSON files say, or why this is no Datumaro data set."""
    found, damaged = listing.json_files
    files = [json.file for json in found if not json.is_list and json.keys >= _KEYS]
    if not files:
        return 'Datumaro: no .json with "categories" and "items"'
    reading = Reading(listing, list(damaged))
    classes: dict[str, None] = {}
    splits: list[str] = []
    images: dict[str, RawImage] = {}
    for file in files:
        stem = stem_of(file)
        split = split_named_in(stem) or (stem if len(files) > 1 and stem != "default" else None)
        splits += [split] if split else []
        text = reading.read_json(file)
        if text is None or isinstance(text.top, list):
            continue
        names = _read_labels(reading, file, value_of(text.top.get("categories", _NULL)))
        classes |= dict.fromkeys(name for name in names if name)
        _read_items(reading, _File(file, text, names, Tally()), split, images)
    return Contents(
        "datumaro",
        listing,
        tuple(raw for _, raw in sorted(images.items())),
        tuple(classes),
        order_splits(splits),
        tuple(reading.problems),
    )


def _read_labels(reading: Reading, file: str, categories: Any) -> list[str | None]:
    label = categories.get("label") if isinstance(categories, dict) else None
    entries = label.get("labels") if isinstance(label, dict) else None
    if not isinstance(entries, list):
        message = f"categories without a list of labels: {shown(categories)}"
        reading.report("error", "category-damaged", file, None, message)
        return []
    names: list[str | None] = []
    for entry in entries:
        name = entry.get("name") if isinstance(entry, dict) else None
        names.append(tidy_name(name) or None if isinstance(name, str) else None)
        if names[-1] is None:
            message = f"label {len(names) - 1} has no name: {shown(entry)}"
            reading.report("error", "category-damaged", file, None, message)
    named = [name for name in names if name]
    if len(set(named)) < len(named):
        reading.report("warning", "category-repeated", file, None, "several labels have one name")
    return names


def _read_items(
    reading: Reading, found: _File, split: str | None, images: dict[str, RawImage]
) -> None:
    items = found.text.entries("items")
    if items is None:
        reading.report("error", "entry-damaged", found.file, None, "items are no list; left out")
        return
    for part in items:
        line = found.text.line_of(part)
        item = object_parts(part) or {}
        annotations = list_parts(item.get("annotations", _NULL))
        if annotations is None:
            message = f"no item with annotations: {shown(value_of(part))}; left out"
            reading.report("warning", "entry-damaged", found.file, line, message)
            continue
        media = [value_of(item[key]) for key in ("image", "media") if key in item]
        media = [fields for fields in media if isinstance(fields, dict)]
        paths = [path for fields in media if isinstance(path := fields.get("path"), str) and path]
        name = value_of(item.get("id", _NULL))
        image = _find_image(reading, found.file, line, paths, name)
        if image is None:
            message = f"its image is not there: {shown(next(iter(paths), name))}"
            reading.report("warning", "image-missing", found.file, line, message)
            continue
        if image in images:
            message = f"{image} is in two items; the boxes of the first are kept"
            reading.report("warning", "image-claimed-twice", found.file, line, message)
            continue
        size = next((size for fields in media if (size := _size(fields.get("size")))), None)
        boxes = _read_boxes(reading, found, annotations)
        splits = (split,) if split else ()
        images[image] = RawImage(image, found.file, boxes, size, line, splits)
    found.tally.report(reading, found.file)


def _size(value: Any) -> tuple[float, float] | None:
    """(width, height) of Datumaro's [height, width]."""
    return size_of(value[1], value[0]) if isinstance(value, list) and len(value) == 2 else None


def _find_image(
    reading: Reading, file: str, line: int | None, paths: list[str], name: Any
) -> str | None:
    stems = [str(name)] if isinstance(name, str | int) else []
    endings = [stem + ending for stem in stems for ending in ("", *sorted(IMAGE_SUFFIXES))]
    for path in (*paths, *endings):
        # images/SPLIT is where Datumaro keeps them, and the path may not say so.
        found = reading.find_image(f"{stem_of(file)}/{path}", file, line)
        if found is not None:
            return found
    return None


def _read_boxes(reading: Reading, found: _File, parts: list[Raw]) -> tuple[RawBox, ...]:
    entries = [(found.text.line_of(part), value_of(part)) for part in parts]
    boxed = {_group(e) for _, e in entries if isinstance(e, dict) and e.get("type") == "bbox"}
    boxes: dict[object, RawBox | Outline] = {}
    for index, (line, entry) in enumerate(entries):
        if not isinstance(entry, dict):
            message = f"no annotation: {shown(entry)}; left out"
            reading.report("warning", "entry-damaged", found.file, line, message)
            continue
        group = _group(entry)
        if group is not None and group in boxed and entry.get("type") != "bbox":
            continue
        box = _read_box(reading, found, line, entry)
        if isinstance(box, RawBox):
            boxes[index] = box
        elif box is not None:
            is_part = group is not None and entry.get("type") == "polygon"
            first = boxes.setdefault(group if is_part else index, box)
            if isinstance(first, Outline):
                first.join(box)
    return tuple(box if isinstance(box, RawBox) else box.box() for box in boxes.values())


def _group(annotation: dict[str, Any]) -> tuple[int, int] | None:
    """What annotations of one object have in common; None where it is alone."""
    group, label = annotation.get("group"), annotation.get("label_id")
    return (group, label) if type(group) is type(label) is int and group != 0 else None


def _read_box(
    reading: Reading, found: _File, line: int | None, annotation: dict[str, Any]
) -> RawBox | Outline | None:
    """The annotation's box or outline; None, and a problem or a count, where it is neither."""

    def report(severity: Severity, code: str, message: str) -> None:
        reading.report(severity, code, found.file, line, f"{message}; left out")

    kind, label_id = annotation.get("type"), annotation.get("label_id")
    if not isinstance(kind, str) or kind not in _KINDS:
        found.tally.leave_out(kind)
        return None
    if label_id is None:
        report("warning", "class-empty", f"{kind} without a label")
        return None
    is_known = type(label_id) is int and 0 <= label_id < len(found.names)
    label = found.names[label_id] if is_known else None
    if label is None:
        report("error", "category-unknown", f"{kind}: no label has the number {shown(label_id)}")
        return None
    written = annotation.get(_KINDS[kind])
    values = [number(value) for value in written] if isinstance(written, list) else []
    attributes = annotation.get("attributes")
    attributes = attributes if isinstance(attributes, dict) else {}
    flags = {
        "is_difficult": attributes.get("difficult") in (1, True),
        "is_truncated": attributes.get("truncated") in (1, True),
        "is_crowd": attributes.get("is_crowd") in (1, True),
    }
    degrees = attributes.get("rotation", 0) if kind == "bbox" else 0
    if kind == "bbox" and len(values) == 4 and degrees in (0, None):
        x, y, width, height = values
        return RawBox(label, (x, y, x + width, y + height), line, **flags)
    points = _outline(kind, values, number(degrees))
    if points is None:
        report("warning", "box-missing", f"{label}: {kind} of {shown(written)}")
        return None
    found.tally.polygons += kind == "polygon"
    found.tally.ellipses += kind == "ellipse"
    found.tally.rotated += kind in ("bbox", "rotated_bbox")
    return Outline(label, points, line, **flags)


def _outline(kind: str, values: list[float], degrees: float) -> list[Point] | None:
    """The points of a kind of annotation; None where its numbers are too few or too many."""
    if kind == "bbox" and len(values) == 4:
        x, y, width, height = values
        values = [x + width / 2, y + height / 2, width, height, degrees]
    if kind in ("bbox", "rotated_bbox"):
        if len(values) != 5:
            return None
        x, y, width, height, degrees = values
        return turned_corners((x, y), -width / 2, -height / 2, width / 2, height / 2, degrees)
    is_whole = len(values) == 4 if kind == "ellipse" else len(values) >= 6 and len(values) % 2 == 0
    return list(zip(values[::2], values[1::2], strict=True)) if is_whole else None
