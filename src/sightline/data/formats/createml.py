"""CreateML JSON: lists of images with boxes by centre and extent in pixels, beside their images.

Apple's "imagefilename" and "annotation" are read as the usual "image" and "annotations". One file
may hold a whole folder, as Roboflow's train/_annotations.createml.json, or one image, as LabelImg
saves it. The split is what a file's name speaks of, else its folder's. The y axis points down, as
Create ML has it by default; a file cannot say otherwise. There is no list of classes: classes.txt
at the top gives their order, else the alphabet.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Raw

from sightline.data.formats.contents import (
    CLASSES_FILE,
    Contents,
    RawBox,
    RawImage,
    Reading,
    order_splits,
    tidy_name,
)
from sightline.data.formats.image_names import folder_of, name_of, split_named_in, stem_of
from sightline.data.formats.jsonfile import JsonFile, JsonText, list_parts, object_parts, value_of
from sightline.data.formats.listing import Listing
from sightline.data.formats.lost import find_lost_marks, find_lost_places
from sightline.data.formats.shapes import number, shown
from sightline.data.records import Problem
from sightline.data.staging import Tick, copy_images, name_copies, staged_folder

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset

_FILE = "_annotations.createml.json"
_IMAGE_KEYS = ("image", "imagefilename")
_BOX_KEYS = ("annotations", "annotation")
_NULL = Raw(b"null")


@dataclass
class _Found:
    """What the files said so far: images by name, and every split that is spoken of."""

    images: dict[str, RawImage] = field(default_factory=dict)
    splits: set[str] = field(default_factory=set)


def read_createml(listing: Listing) -> Contents | str:
    """What the JSON files say, or why this is no CreateML."""
    jsons, damaged = listing.json_files
    files = [json.file for json in jsons if _is_createml(json)]
    if not files:
        return 'CreateML: no .json that lists "image" and "annotations"'
    reading = Reading(listing, list(damaged))
    found = _Found()
    for file in files:
        text = reading.read_json(file)
        if text is not None:
            _read_file(reading, found, file, text)
    reading.report_unannotated(found.images)
    return Contents(
        "createml",
        listing,
        tuple(image for _, image in sorted(found.images.items())),
        reading.read_classes(),
        order_splits(found.splits),
        tuple(reading.problems),
    )


def _is_createml(json: JsonFile) -> bool:
    if not json.is_list:
        return False
    if not json.keys:  # a split without images
        return "createml" in name_of(json.file).lower()
    return not (json.keys.isdisjoint(_IMAGE_KEYS) or json.keys.isdisjoint(_BOX_KEYS))


def _read_file(reading: Reading, found: _Found, file: str, text: JsonText) -> None:
    images: dict[str, RawImage] = {}
    entries = text.entries() or []
    # A file of one image has its name, which speaks of no split: "train.json" of "train.jpg".
    is_of_one = len(entries) == 1 and stem_of(_image_name(entries[0])) == stem_of(file)
    split = None if is_of_one else split_named_in(stem_of(file))
    split = split or split_named_in(name_of(folder_of(file)))
    splits = (split,) if split else ()
    found.splits.update(splits)
    for entry in entries:
        image = _read_entry(reading, file, text, entry)
        if image is None:
            continue
        other = images.get(image.image)
        if other is not None:
            new = tuple(box for box in image.boxes if not _is_among(box, other.boxes))
            message = f"{image.image} is listed twice; all its boxes are taken"
            reading.report("warning", "image-claimed-twice", file, image.line, message)
            image = replace(other, boxes=other.boxes + new)
        images[image.image] = replace(image, splits=splits)
    for name, image in images.items():
        other = found.images.get(name)
        if other is None:
            found.images[name] = image
        elif not set(splits).issubset(other.splits) and _have_equal_boxes(other, image):
            found.images[name] = replace(other, splits=other.splits + splits)
        else:
            message = f"{name} is listed twice; the boxes of {other.annotation} are kept"
            reading.report("warning", "image-claimed-twice", file, image.line, message)


def _image_name(entry: Raw) -> str:
    """What the entry calls its image, "" where it does not say."""
    parts = object_parts(entry) or {}
    names = (value_of(parts[key]) for key in _IMAGE_KEYS if key in parts)
    return next((name for name in names if isinstance(name, str)), "")


def _read_entry(reading: Reading, file: str, text: JsonText, entry: Raw) -> RawImage | None:
    line = text.line_of(entry)
    name = _image_name(entry)
    if not name:
        message = f"entry without an image: {shown(value_of(entry))}"
        reading.report("error", "entry-damaged", file, line, message)
        return None
    if ".." in name.replace("\\", "/").split("/"):
        message = f"image {name!r} points outside the data set"
        reading.report("warning", "filename-outside", file, line, message)
    image = reading.find_image(name, file, line)
    if image is None:
        message = f"its image is not there: {name!r}"
        reading.report("warning", "image-missing", file, line, message)
        return None
    parts = object_parts(entry) or {}
    listed = next((parts[key] for key in _BOX_KEYS if key in parts), _NULL)
    annotations = list_parts(listed)
    if annotations is None and (value := value_of(listed)) is not None:
        message = f"the annotations of {name!r} are no list: {shown(value)}"
        reading.report("error", "entry-damaged", file, line, message)
    boxes = (_read_box(reading, file, text, annotation) for annotation in annotations or ())
    return RawImage(image, file, tuple(box for box in boxes if box is not None), None, line)


def _read_box(reading: Reading, file: str, text: JsonText, annotation: Raw) -> RawBox | None:
    line = text.line_of(annotation)
    value = value_of(annotation)
    fields = value if isinstance(value, dict) else {}
    place = fields.get("coordinates")
    if not isinstance(place, dict):
        message = f"annotation without coordinates: {shown(value)}; left out"
        reading.report("warning", "box-missing", file, line, message)
        return None
    label = tidy_name(said) if isinstance(said := fields.get("label"), str) else ""
    if not label:
        message = f"annotation without a label: {shown(value)}; left out"
        reading.report("warning", "class-empty", file, line, message)
        return None
    x, y = number(place.get("x")), number(place.get("y"))
    width, height = number(place.get("width")), number(place.get("height"))
    box_xyxy = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return RawBox(label, box_xyxy, line)


def _is_among(box: RawBox, others: Sequence[RawBox]) -> bool:
    return any((box.label, box.box_xyxy) == (other.label, other.box_xyxy) for other in others)


def _have_equal_boxes(image: RawImage, other: RawImage) -> bool:
    boxes = ([(box.label, box.box_xyxy) for box in each.boxes] for each in (image, other))
    return next(boxes) == next(boxes)


def write_createml(
    dataset: Dataset, destination: Path, tick: Tick | None = None
) -> tuple[Problem, ...]:
    """Write each split's folder of images with its JSON, and classes.txt; gives what is lost.

    Images in none of the splits are at the top, as all are where there are no splits; an image in
    several goes to the first. Corners return within 1e-9 px for images of up to 1000 px. The
    folder appears whole or not at all. Raises DatasetError where `destination` is not empty or
    cannot be written.
    """
    copies = name_copies(dataset.names)
    splits = list(dataset.splits)
    folders = name_copies([re.sub("[^A-Za-z0-9_-]", "_", split) for split in splits])
    homes = {index: split for split in reversed(splits) for index in dataset.splits[split]}
    parts = [[i for i in dataset.splits[split] if homes[i] == split] for split in splits]
    others = [index for index in range(len(dataset)) if index not in homes]
    with staged_folder(destination) as folder:
        for part, indices in zip([*folders, ""], [*parts, others], strict=True):
            if part or others or not splits:
                images = [dataset.records[index].image for index in indices]
                copy_images(images, [copies[index] for index in indices], folder / part, tick)
                with (folder / part / _FILE).open("w", encoding="ascii", newline="\n") as file:
                    file.writelines(_lines_of(dataset, copies, indices))
        with (folder / CLASSES_FILE).open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{name}\n" for name in dataset.classes)
    return tuple(_find_lost(dataset, dict(zip(splits, folders, strict=True))))


def _lines_of(dataset: Dataset, copies: Sequence[str], indices: Sequence[int]) -> Iterator[str]:
    """The list as text, an image a line."""
    yield "["
    for place, index in enumerate(indices):
        record = dataset.records[index]
        boxes = zip(record.label_ids.tolist(), record.boxes_xyxy.tolist(), strict=True)
        annotations = [
            {"label": dataset.classes[label], "coordinates": _coordinates(*box)}
            for label, box in boxes
        ]
        entry = {"image": copies[index], "annotations": annotations}
        yield (",\n" if place else "\n") + json.dumps(entry)
    yield "\n]\n"


def _coordinates(x1: float, y1: float, x2: float, y2: float) -> dict[str, Any]:
    return {"x": (x1 + x2) / 2, "y": (y1 + y2) / 2, "width": x2 - x1, "height": y2 - y1}


def _find_lost(dataset: Dataset, folders: dict[str, str]) -> Iterator[Problem]:
    for split, folder in folders.items():
        if split_named_in(folder) != split:
            message = f"split {split!r} has no name that is read back: train, val and test have"
            yield Problem("info", "lost-split", folder, None, message)
    yield from find_lost_places(dataset)
    yield from find_lost_marks(dataset, "CreateML")
