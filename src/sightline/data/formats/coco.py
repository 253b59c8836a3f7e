"""COCO JSON: one file a split, boxes as (left, top, width, height) in pixels.

Read are files that have "images", "annotations" and "categories", wherever they lie: COCO's own
annotations/instances_train2017.json, Roboflow's train/_annotations.coco.json, or a single file.
The split is what the file's name speaks of, else its folder's. Segmentations and keypoints
are counted unparsed, but for polygons that have no box: they become one. Classes keep the order
of the category ids; a category that only names the group of others and has no box (Roboflow's
category 0) is no class.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from msgspec import Raw

from sightline.data.formats.coco_entries import (
    CocoImage,
    Id,
    QuotedBox,
    fields_of,
    is_id,
    polygon_points,
    read_box,
    read_image,
)
from sightline.data.formats.contents import (
    Contents,
    RawBox,
    RawImage,
    Reading,
    bounding_box,
    order_splits,
    tidy_name,
)
from sightline.data.formats.image_names import folder_of, name_of, split_named_in, stem_of
from sightline.data.formats.jsonfile import JsonText, object_parts, value_of
from sightline.data.formats.listing import Listing
from sightline.data.formats.shapes import shown
from sightline.data.records import Problem, Severity
from sightline.data.staging import Tick, copy_images, name_copies, staged_folder

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset

_KEYS = ("images", "annotations", "categories")
# What an annotation has instead of a box, in files that hold no boxes at all.
_BOXLESS = {"caption": "captions", "segments_info": "panoptic segments"}
# How the files begin that COCO itself has beside instances_*.json.
_REPEATED = ("captions", "person_keypoints", "keypoints", "stuff", "panoptic", "image_info")


@dataclass
class _File:
    """One JSON file: its images by id, each with its line, their boxes, its categories by id."""

    file: str
    split: str | None
    categories: dict[Id, str]
    groups: set[str]
    images: dict[Id, tuple[CocoImage, int | None]] = field(default_factory=dict)
    boxes: dict[Id, list[RawBox]] = field(default_factory=lambda: defaultdict(list))
    polygons: int = 0
    segmentations: int = 0  # beside boxes
    quoted: list[tuple[int | None, str]] = field(default_factory=list)  # line, bbox
    keypoints: int = 0


def read_coco(listing: Listing) -> Contents | str:
    """What the JSON files say, or why this is no COCO."""
    files, damaged = listing.json_files
    likely = [found.file for found in files if not found.is_list and found.keys.issuperset(_KEYS)]
    if not likely:
        if damaged:
            return f"COCO: {damaged[0].file}: {damaged[0].message}"
        if any(found.is_list and {"image_id", "score"} <= found.keys for found in files):
            return "COCO: the .json lists detections of a model, no data set: it names no images"
        if files:
            return f'COCO: {len(files)} .json, none with "images", "annotations" and "categories"'
        return "COCO: no .json file"
    reading = Reading(listing, list(damaged))
    if any(name_of(file).startswith("instances") for file in likely):
        for file in [file for file in likely if name_of(file).startswith(_REPEATED)]:
            message = "not read: in COCO's own folder it repeats the boxes of instances_*.json"
            reading.report("info", "coco-other", file, None, message)
            likely.remove(file)
    read = [found for file in likely if (found := _read_file(reading, file))]
    if not read:
        return f"COCO: {reading.problems[-1].file}: {reading.problems[-1].message}"
    classes = _join_classes(reading, read)
    images = _join_images(reading, read)
    reading.report_unannotated(raw.image for raw in images)
    return Contents(
        "coco",
        listing,
        tuple(sorted(images, key=lambda raw: raw.image)),
        classes,
        order_splits(found.split for found in read if found.split),
        tuple(reading.problems),
    )


def _read_file(reading: Reading, file: str) -> _File | None:
    text = reading.read_json(file)
    if text is None:
        return None
    images, annotations, categories = (text.entries(key) for key in _KEYS)
    if images is None or annotations is None or categories is None:
        message = f"lists {', '.join(_KEYS)} are expected"
        reading.report("error", "coco-incomplete", file, None, message)
        return None
    first = object_parts(annotations[0]) if annotations else None
    for key, what in _BOXLESS.items():
        if first and key in first and "bbox" not in first:
            reading.report("warning", "coco-incomplete", file, None, f"holds {what}, no boxes")
            return None
    split = split_named_in(stem_of(file)) or split_named_in(name_of(folder_of(file)))
    found = _File(file, split, *_read_categories(reading, file, text, categories))
    for entry in images:
        _read_image(reading, found, text, entry)
    for entry in annotations:
        _read_box(reading, found, text, entry)
    reading.note_outlines(file, polygons=found.polygons)
    if found.quoted:
        line, bbox = found.quoted[0]
        message = f"numbers as text in {len(found.quoted)} bbox(es), {bbox} first; read as numbers"
        reading.report("warning", "number-quoted", file, line, message)
    beside = {"segmentation(s)": found.segmentations, "set(s) of keypoints": found.keypoints}
    if said := " and ".join(f"{count:,} {what}" for what, count in beside.items() if count):
        message = f"{said} are not kept: boxes are what is trained on"
        reading.report("info", "outline-boxed", file, None, message)
    return found


def _read_categories(
    reading: Reading, file: str, text: JsonText, entries: list[Raw]
) -> tuple[dict[Id, str], set[str]]:
    categories: dict[Id, str] = {}
    groups: set[str] = set()
    for entry in entries:
        line = text.line_of(entry)
        fields = fields_of(entry)
        number, name = fields.get("id"), fields.get("name")
        if not is_id(number) or not isinstance(name, str) or not tidy_name(name):
            message = f"category {shown(value_of(entry))}"
            reading.report("error", "category-damaged", file, line, message)
            continue
        if number in categories:
            message = f"two categories with id {shown(number)}"
            reading.report("error", "id-repeated", file, line, message)
            continue
        categories[number] = tidy_name(name)
        if isinstance(group := fields.get("supercategory"), str):
            groups.add(tidy_name(group))
    if len(set(categories.values())) < len(categories):
        reading.report("warning", "category-repeated", file, None, "several ids have one name")
    in_order = sorted(categories, key=lambda i: (1, 0, i) if isinstance(i, str) else (0, i, ""))
    return {number: categories[number] for number in in_order}, groups


def _read_image(reading: Reading, found: _File, text: JsonText, entry: Raw) -> None:
    line = text.line_of(entry)
    image = read_image(entry)
    if image.id is None or not image.file_name:
        message = f"image without id or file_name: {shown(value_of(entry))}"
        reading.report("error", "image-damaged", found.file, line, message)
    elif image.id in found.images:
        message = f"two images with id {shown(image.id)}; {image.file_name!r} is left out"
        reading.report("error", "id-repeated", found.file, line, message)
    else:
        found.images[image.id] = (image, line)


def _read_box(reading: Reading, found: _File, text: JsonText, entry: Raw) -> None:
    line = text.line_of(entry)
    box = read_box(entry)

    def report(severity: Severity, code: str, key: str, why: str) -> None:
        fields = fields_of(entry)
        message = f"annotation {shown(fields.get('id'))}: {key} {shown(fields.get(key))} {why}"
        reading.report(severity, code, found.file, line, message)

    if box.image_id is None or box.image_id not in found.images:
        report("error", "image-unknown", "image_id", "is not among the images")
        return
    if box.category_id is None or box.category_id not in found.categories:
        report("error", "category-unknown", "category_id", "is not among the categories")
        return
    # A box of zeros is how some tools leave it out.
    has_box = box.bbox is not None and (any(box.bbox) or not box.has_segmentation())
    points = None if has_box else polygon_points(fields_of(entry).get("segmentation"))
    found.keypoints += box.has_keypoints()
    if points:
        box_xyxy = bounding_box(points)
        found.polygons += 1
    elif box.bbox is not None:
        found.segmentations += box.has_segmentation()
        if isinstance(box, QuotedBox):
            found.quoted.append((line, shown(fields_of(entry).get("bbox"))))
        left, top, width, height = box.bbox
        box_xyxy = (left, top, left + width, top + height)
    else:
        report("warning", "box-missing", "bbox", "is not [left, top, width, height]")
        return
    found.boxes[box.image_id].append(
        RawBox(
            found.categories[box.category_id],
            box_xyxy,
            line,
            is_crowd=box.iscrowd == 1,
            area=box.area if box.area is not None and 0 <= box.area < math.inf else None,
            is_difficult=box.attributes is not None and box.attributes.difficult == 1,
            is_truncated=box.attributes is not None and box.attributes.truncated == 1,
        )
    )


def _join_classes(reading: Reading, read: list[_File]) -> tuple[str, ...]:
    """Names in the order of the first file's ids, then those that only later files have."""
    used = {box.label for found in read for boxes in found.boxes.values() for box in boxes}
    groups = {group for found in read for group in found.groups}
    names = dict.fromkeys(name for found in read for name in found.categories.values())
    for name in list(names):
        if name in groups and name not in used and len(names) > 1:
            message = f"category {name!r} only groups others and has no box: no class"
            reading.report("info", "category-group", read[0].file, None, message)
            del names[name]
    return tuple(names)


def _join_images(reading: Reading, read: list[_File]) -> list[RawImage]:
    """One entry an image; an image that several files list with equal boxes is in both splits."""
    images: dict[str, RawImage] = {}
    for found in read:
        splits = (found.split,) if found.split else ()
        for number, (entry, line) in found.images.items():
            image = _find_image(reading, found, entry.file_name or "", line)
            if image is None:
                continue
            width, height = entry.width or 0.0, entry.height or 0.0
            size = (width, height) if width > 0 and height > 0 else None
            boxes = tuple(found.boxes.pop(number, ()))
            other = images.get(image)
            if other is None:
                images[image] = RawImage(image, found.file, boxes, size, line, splits)
            elif not set(splits).issubset(other.splits) and _are_equal(other.boxes, boxes):
                images[image] = replace(other, splits=other.splits + splits)
            else:
                message = f"{image} is listed twice; the boxes of {other.annotation} are kept"
                reading.report("warning", "image-claimed-twice", found.file, line, message)
    return list(images.values())


def _are_equal(boxes: Iterable[RawBox], others: Iterable[RawBox]) -> bool:
    """Whether they are the same but for their lines."""
    return [replace(b, line=None) for b in boxes] == [replace(b, line=None) for b in others]


def _find_image(reading: Reading, found: _File, name: str, line: int | None) -> str | None:
    if ".." in name.replace("\\", "/").split("/"):
        message = f"file_name {name!r} points outside the data set"
        reading.report("warning", "filename-outside", found.file, line, message)
    image = reading.find_image(name, found.file, line)
    if image is None:
        message = f"its image is not there: {name!r}"
        reading.report("warning", "image-missing", found.file, line, message)
    return image


def write_coco(
    dataset: Dataset, destination: Path, tick: Tick | None = None
) -> tuple[Problem, ...]:
    """Write images and annotations/instances_SPLIT.json; gives what COCO cannot hold.

    That is only the name of a split other than train, val and test. Without splits the file is
    instances.json; images in none of the splits are in instances_other.json. The folder appears
    whole or not at all. Raises DatasetError where `destination` is not empty or cannot be written.
    """
    copies = name_copies(dataset.names)
    parts = list(dataset.splits.items())
    within = {index for indices in dataset.splits.values() for index in indices}
    others = tuple(index for index in range(len(dataset)) if index not in within)
    if others or not parts:
        parts.append(("other" if parts else "", others))
    stems = [re.sub("[^A-Za-z0-9_-]", "_", f"instances_{split}").rstrip("_") for split, _ in parts]
    files = name_copies([f"{stem}.json" for stem in stems])
    with staged_folder(destination) as folder:
        copy_images([record.image for record in dataset.records], copies, folder / "images", tick)
        (folder / "annotations").mkdir()
        for name, (_, indices) in zip(files, parts, strict=True):
            path = folder / "annotations" / name
            with path.open("w", encoding="ascii", newline="\n") as file:
                file.write('{"info": {"description": "written by sightline"}, "licenses": []')
                _write_list(file, "images", _image_entries(dataset, copies, indices))
                _write_list(file, "annotations", _box_entries(dataset, indices))
                _write_list(file, "categories", _category_entries(dataset))
                file.write("}\n")
    message = "split {!r} has no name that is read back: train, val and test have"
    return tuple(
        Problem("info", "lost-split", f"annotations/{name}", None, message.format(split))
        for name, split in zip(files, dataset.splits, strict=False)
        if split_named_in(stem_of(name)) != split
    )


def _write_list(file: IO[str], key: str, entries: Iterable[dict[str, Any]]) -> None:
    """Write an entry a line, so that a problem found later can name its line."""
    file.write(f',\n"{key}": [')
    for number, entry in enumerate(entries):
        file.write((",\n" if number else "\n") + json.dumps(entry))
    file.write("\n]")


def _image_entries(
    dataset: Dataset, copies: list[str], indices: tuple[int, ...]
) -> Iterator[dict[str, Any]]:
    """The records at `indices`; ids count from 1 and are the same in every file."""
    for index in indices:
        record = dataset.records[index]
        size = {"width": record.width, "height": record.height}
        yield {"id": index + 1, "file_name": copies[index], **size}


def _box_entries(dataset: Dataset, indices: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    number = 0
    for index in indices:
        record = dataset.records[index]
        for label, (x1, y1, x2, y2), area, crowd, difficult, truncated in zip(
            record.label_ids.tolist(),
            record.boxes_xyxy.tolist(),
            record.area.tolist(),
            record.is_crowd.tolist(),
            record.is_difficult.tolist(),
            record.is_truncated.tolist(),
            strict=True,
        ):
            number += 1
            yield {
                "id": number,
                "image_id": index + 1,
                "category_id": label + 1,
                "bbox": [_plain(x1), _plain(y1), _plain(x2 - x1), _plain(y2 - y1)],
                "area": _plain(area),
                "iscrowd": int(crowd),
                "segmentation": [],
                "attributes": {"difficult": difficult, "truncated": truncated},
            }


def _category_entries(dataset: Dataset) -> Iterator[dict[str, Any]]:
    for number, name in enumerate(dataset.classes, 1):
        yield {"id": number, "name": name, "supercategory": ""}


def _plain(value: float) -> float:
    """An integer where it is one, so that files stay short and exact."""
    return int(value) if value.is_integer() else value
