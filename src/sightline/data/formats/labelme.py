"""LabelMe JSON: one file an image, shapes in pixels of the upright image.

The files of LabelMe 2 to 5 and of X-AnyLabeling, which keeps to the format and adds `difficult`
and boxes of four points. A shape without a type is a polygon, as it was before there were types.
Polygons, circles and masks of one label and one group_id are parts of one object; boxes never
are. What has no area (lines, points) is left out. A mask's points are its first and last pixels,
so its box may be a pixel tight. Flags and descriptions are ignored. A copy of the image within
the file (imageData) is passed over and never unpacked.

An image is the one that imagePath names, found by its last part; else the one called like the
file. Where two files name one image, its namesake has it. An image without a file is left out:
LabelMe writes none for an image that nobody has saved.
"""

from __future__ import annotations

import math
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
from sightline.data.formats.image_names import folder_of, split_named_in, stem_of
from sightline.data.formats.jsonfile import JsonFile, value_of
from sightline.data.formats.listing import Listing
from sightline.data.formats.shapes import (
    Outline,
    Tally,
    ellipse_corners,
    points_of,
    shown,
    size_of,
)

# The fewest points that make a shape of each kind that has an area.
_FEWEST = {"rectangle": 2, "polygon": 3, "circle": 2, "mask": 2}
_FEWEST |= {"rotation": 3, "oriented_rectangle": 3}
_NULL = Raw(b"null")


@dataclass(frozen=True, slots=True)
class _Annotation:
    """One file: what it says, and which image that is about."""

    file: str
    image_path: str
    line: int | None
    has_copy: bool
    size: tuple[float, float] | None
    boxes: tuple[RawBox, ...]


def read_labelme(listing: Listing) -> Contents | str:
    """What the JSON files say, or why this is no LabelMe."""
    found, damaged = listing.json_files
    files = [json.file for json in found if _is_labelme(json)]
    if not files:
        return 'LabelMe: no .json with "shapes" and "imagePath"'
    reading = Reading(listing, list(damaged))
    tally = Tally()
    annotations = [read for file in files if (read := _read_file(reading, file, tally))]
    tally.report(reading, ".")
    images = _pair(reading, annotations)
    # Of the other files the problem has been reported.
    unused = {a.file for a in annotations}.difference(a.file for a in images.values())
    reading.report_unannotated(images, set(map(stem_of, unused)))
    splits = _splits_of(images)
    return Contents(
        "labelme",
        listing,
        tuple(
            RawImage(image, a.file, a.boxes, a.size, a.line, splits.get(image, ()))
            for image, a in sorted(images.items())
        ),
        reading.read_classes(),
        order_splits(name for names in splits.values() for name in names),
        tuple(reading.problems),
    )


def _is_labelme(json: JsonFile) -> bool:
    return (
        not json.is_list
        and "shapes" in json.keys
        and not json.keys.isdisjoint({"imagePath", "imageData", "imageHeight"})
    )


def _read_file(reading: Reading, file: str, tally: Tally) -> _Annotation | None:
    document = reading.read_json(file)
    if document is None or isinstance(document.top, list):
        return None
    parts = document.entries("shapes")
    if parts is None:
        reading.report("error", "entry-damaged", file, None, '"shapes" is no list; left out')
        return None
    outlines: dict[object, Outline] = {}
    for index, part in enumerate(parts):
        line = document.line_of(part)
        found = _read_shape(reading, file, line, value_of(part), tally)
        if found is not None:
            outline, group = found
            key = index if group is None else (outline.label, group)
            outlines.setdefault(key, outline).join(outline)
    path = document.top.get("imagePath")
    named = None if path is None else value_of(path)
    copy = document.top.get("imageData")
    return _Annotation(
        file,
        named if isinstance(named, str) else "",
        None if path is None else document.line_of(path),
        # Its first character tells; the rest may be a hundred times the file's.
        copy is not None and bytes(memoryview(copy)[:1]) == b'"',
        size_of(*(value_of(document.top.get(k, _NULL)) for k in ("imageWidth", "imageHeight"))),
        tuple(outline.box() for outline in outlines.values()),
    )


def _read_shape(
    reading: Reading, file: str, line: int | None, shape: Any, tally: Tally
) -> tuple[Outline, str | int | None] | None:
    """The shape's outline, and the group whose parts are one object; None where left out."""
    if not isinstance(shape, dict):
        message = f"no shape: {shown(shape)}; left out"
        reading.report("warning", "entry-damaged", file, line, message)
        return None
    kind = shape.get("shape_type")
    kind = "polygon" if kind is None else kind
    if not isinstance(kind, str) or kind not in _FEWEST:
        tally.leave_out(kind)
        return None
    label = tidy_name(text) if isinstance(text := shape.get("label"), str) else ""
    if not label:
        reading.report("warning", "class-empty", file, line, f"{kind} without a label; left out")
        return None
    points = points_of(shape.get("points")) or []
    if len(points) < _FEWEST[kind]:
        message = f"{label}: {kind} of {len(points)} point(s); left out"
        reading.report("warning", "box-missing", file, line, message)
        return None
    tally.polygons += kind in ("polygon", "mask")
    tally.rotated += kind in ("rotation", "oriented_rectangle")
    tally.ellipses += kind == "circle"
    if kind == "circle":
        radius = math.dist(*points[:2])
        points = ellipse_corners(points[0], radius, radius)
    group = shape.get("group_id")
    joins = kind in ("polygon", "mask", "circle") and isinstance(group, str | int)
    outline = Outline(
        label,
        points,
        line,
        is_difficult=shape.get("difficult") is True,
    )
    return outline, group if joins else None


def _pair(reading: Reading, annotations: list[_Annotation]) -> dict[str, _Annotation]:
    """Image -> its annotation. Where two annotations name one image, its namesake has it."""
    images: dict[str, _Annotation] = {}
    for a in sorted(annotations, key=lambda a: not _is_namesake(a)):
        named = reading.find_image(a.image_path, a.file, a.line) if a.image_path else None
        own = named
        if named is None or named in images:
            own = reading.find_stem(stem_of(a.file), a.file, a.line)
        free = next((i for i in (named, own) if i is not None and i not in images), None)
        if free is not None:
            images[free] = a
            if free != named:
                message = f"imagePath {shown(a.image_path)} is not there; {free} is used"
                if named is not None:
                    message = f"{named} has another file of its own; {free} is used"
                reading.report("warning", "filename-differs", a.file, a.line, message)
        elif named or own:
            message = f"another annotation file describes {named or own} as well; left out"
            reading.report("warning", "image-claimed-twice", a.file, a.line, message)
        else:
            message = f"its image is not there: {shown(a.image_path or stem_of(a.file))}"
            if a.has_copy:
                message += "; imageData in the file holds a copy, which is not unpacked"
            reading.report("warning", "image-missing", a.file, a.line, message)
    return images


def _is_namesake(annotation: _Annotation) -> bool:
    return stem_of(annotation.image_path.replace("\\", "/")) == stem_of(annotation.file)


def _splits_of(images: dict[str, _Annotation]) -> dict[str, tuple[str, ...]]:
    """Image -> the split that its annotation's folder speaks of, where all of them do."""
    by_folder = {image: split_named_in(folder_of(a.file)) for image, a in images.items()}
    if "train" not in by_folder.values() or None in by_folder.values():
        return {}
    return {image: (name,) for image, name in by_folder.items() if name}
