"""COCO JSON: one file a split, boxes as (left, top, width, height) in pixels.

Read are files that have "images", "annotations" and "categories", wherever they lie: COCO's own
annotations/instances_train2017.json, Roboflow's train/_annotations.coco.json, or a single file.
The split is what the file's name speaks of, else its folder's. Segmentations and keypoints are
ignored. Classes keep the order of the category ids; a category that only names the group of
others and has no box (Roboflow's category 0) is no class.
"""

from __future__ import annotations

import json
import math
import mmap
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeGuard

from sightline.data.formats.contents import (
    Contents,
    RawBox,
    RawImage,
    Reading,
    order_splits,
    split_named_in,
    tidy_name,
)
from sightline.data.formats.listing import Listing
from sightline.data.records import Problem
from sightline.data.staging import copy_images, name_copies, staged_folder

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset

_KEYS = ("images", "annotations", "categories")


@dataclass
class _File:
    """One JSON file: its images by id, their boxes, its categories by id."""

    file: str
    split: str | None
    categories: dict[int, str]
    groups: set[str]
    images: dict[int, dict[str, Any]] = field(default_factory=dict)
    boxes: dict[int, list[RawBox]] = field(default_factory=lambda: defaultdict(list))


def read_coco(listing: Listing) -> Contents | str:
    """What the JSON files say, or why this is no COCO."""
    files = listing.with_suffix(".json")
    if not files:
        return "COCO: no .json file"
    likely = [file for file in files if _looks_like_coco(listing.path(file))]
    if not likely:
        return f'COCO: {len(files)} .json, none with "images", "annotations" and "categories"'
    reading = Reading(listing)
    # COCO's own folder repeats the boxes of instances_*.json in its keypoint and stuff files.
    instances = [f for f in likely if PurePosixPath(f).name.startswith("instances")]
    read = [found for file in instances or likely if (found := _read_file(reading, file))]
    if not read:
        return f"COCO: {reading.problems[0].file}: {reading.problems[0].message}"
    classes = _join_classes(reading, read)
    images = _join_images(reading, read)
    return Contents(
        "coco",
        listing,
        tuple(sorted(images, key=lambda raw: raw.image)),
        classes,
        order_splits(found.split for found in read if found.split),
        tuple(reading.problems),
    )


def _looks_like_coco(path: Path) -> bool:
    """Whether it is an object that has the three keys somewhere, without parsing it."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            start = text[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
            return start.startswith(b"{") and all(
                text.find(f'"{key}"'.encode()) >= 0 for key in _KEYS
            )
    except (OSError, ValueError):  # ValueError: an empty file cannot be mapped
        return False


def _read_file(reading: Reading, file: str) -> _File | None:
    try:
        value = json.loads(reading.listing.path(file).read_text("utf-8-sig"))
    except json.JSONDecodeError as error:
        reading.report("error", "json-damaged", file, error.lineno, f"no readable JSON: {error}")
        return None
    except (OSError, ValueError, RecursionError) as error:
        reading.report("error", "json-damaged", file, None, f"no readable JSON: {error}")
        return None
    if not isinstance(value, dict) or not all(isinstance(value.get(k), list) for k in _KEYS):
        reading.report(
            "error", "coco-incomplete", file, None, f"lists {', '.join(_KEYS)} are expected"
        )
        return None
    path = PurePosixPath(file)
    split = split_named_in(path.stem) or split_named_in(path.parent.name)
    found = _File(file, split, *_read_categories(reading, file, value["categories"]))
    for entry in value["images"]:
        _read_image(reading, found, entry)
    for entry in value["annotations"]:
        _read_box(reading, found, entry)
    return found


def _read_categories(
    reading: Reading, file: str, entries: list[Any]
) -> tuple[dict[int, str], set[str]]:
    categories: dict[int, str] = {}
    groups: set[str] = set()
    for entry in entries:
        fields = entry if isinstance(entry, dict) else {}
        number, name = fields.get("id"), fields.get("name")
        if not _is_id(number) or not isinstance(name, str) or not tidy_name(name):
            reading.report("error", "category-damaged", file, None, f"category {_shown(entry)}")
            continue
        if number in categories:
            reading.report("error", "id-repeated", file, None, f"two categories with id {number}")
            continue
        categories[number] = tidy_name(name)
        if isinstance(group := fields.get("supercategory"), str):
            groups.add(tidy_name(group))
    if len(set(categories.values())) < len(categories):
        reading.report("warning", "category-repeated", file, None, "several ids have one name")
    return dict(sorted(categories.items())), groups


def _read_image(reading: Reading, found: _File, entry: Any) -> None:
    fields = entry if isinstance(entry, dict) else {}
    number, name = fields.get("id"), fields.get("file_name")
    if not _is_id(number) or not isinstance(name, str) or not name:
        message = f"image without id or file_name: {_shown(entry)}"
        reading.report("error", "image-damaged", found.file, None, message)
    elif number in found.images:
        message = f"two images with id {number}; {name!r} is left out"
        reading.report("error", "id-repeated", found.file, None, message)
    else:
        found.images[number] = fields


def _read_box(reading: Reading, found: _File, entry: Any) -> None:
    fields = entry if isinstance(entry, dict) else {}
    image, category = fields.get("image_id"), fields.get("category_id")
    shown = f"annotation {_shown(fields.get('id'))}"
    if not _is_id(image) or image not in found.images:
        message = f"{shown}: image_id {_shown(image)} is not among the images"
        reading.report("error", "image-unknown", found.file, None, message)
        return
    if not _is_id(category) or category not in found.categories:
        message = f"{shown}: category_id {_shown(category)} is not among the categories"
        reading.report("error", "category-unknown", found.file, None, message)
        return
    corner = fields.get("bbox")
    if not isinstance(corner, list) or len(corner) != 4:
        message = f"{shown}: bbox {_shown(corner)} is not [left, top, width, height]"
        reading.report("warning", "box-missing", found.file, None, message)
        return
    left, top, width, height = (_number(value) for value in corner)
    area = _number(fields.get("area"))
    flags = fields.get("attributes")  # as CVAT and Datumaro write them
    flags = flags if isinstance(flags, dict) else {}
    found.boxes[image].append(
        RawBox(
            found.categories[category],
            (left, top, left + width, top + height),
            is_crowd=fields.get("iscrowd") in (1, True),
            area=area if 0 <= area < math.inf else None,
            is_difficult=flags.get("difficult") in (1, True),
            is_truncated=flags.get("truncated") in (1, True),
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
        for number, fields in found.images.items():
            image = _find_image(reading, found, fields["file_name"])
            if image is None:
                continue
            size = (_number(fields.get("width")), _number(fields.get("height")))
            boxes = tuple(found.boxes.get(number, ()))
            raw = RawImage(image, found.file, boxes, size if min(size) > 0 else None, None, splits)
            other = images.get(image)
            if other is not None and other.boxes == raw.boxes and other.splits != splits:
                raw = RawImage(
                    image, other.annotation, boxes, other.said_size, None, other.splits + splits
                )
            elif other is not None:
                message = f"{image} is listed twice; the boxes of {other.annotation} are kept"
                reading.report("warning", "image-claimed-twice", found.file, None, message)
                continue
            images[image] = raw
    return list(images.values())


def _find_image(reading: Reading, found: _File, name: str) -> str | None:
    path = PurePosixPath(name.replace("\\", "/"))
    if ".." in path.parts:
        message = f"file_name {name!r} points outside the data set"
        reading.report("warning", "filename-outside", found.file, None, message)
    image = reading.listing.find_image(name, found.file)
    if image is None:
        message = f"its image is not there: {name!r}"
        reading.report("warning", "image-missing", found.file, None, message)
    return image


def _is_id(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> float:
    """The number, or NaN: what no number is ends as a box that is not finite."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return math.nan
    return math.nan


def _shown(value: Any) -> str:
    """The value in a few characters, for messages."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def write_coco(dataset: Dataset, destination: Path) -> tuple[Problem, ...]:
    """Write images and annotations/instances_SPLIT.json; gives what COCO cannot hold: nothing.

    Without splits the file is instances.json; images in none of the splits are in
    instances_other.json. The folder appears whole or not at all. Raises DatasetError where
    `destination` is not empty or cannot be written.
    """
    copies = name_copies(dataset.names)
    parts = {f"instances_{split}": indices for split, indices in dataset.splits.items()}
    within = {index for indices in dataset.splits.values() for index in indices}
    others = tuple(index for index in range(len(dataset)) if index not in within)
    if others or not parts:
        parts["instances_other" if parts else "instances"] = others
    with staged_folder(destination) as folder:
        copy_images([record.image for record in dataset.records], copies, folder / "images")
        (folder / "annotations").mkdir()
        for name, indices in parts.items():
            path = folder / "annotations" / f"{name}.json"
            path.write_text(json.dumps(_document(dataset, copies, indices)), encoding="utf-8")
    return ()


def _document(dataset: Dataset, copies: list[str], indices: tuple[int, ...]) -> dict[str, Any]:
    """The records at `indices` as COCO's JSON; ids count from 1 and are the same in every file."""
    records = [(index + 1, dataset.records[index]) for index in indices]
    annotations = [
        {
            "image_id": image_id,
            "category_id": label + 1,
            "bbox": [_plain(x1), _plain(y1), _plain(x2 - x1), _plain(y2 - y1)],
            "area": _plain(area),
            "iscrowd": int(crowd),
            "segmentation": [],
            "attributes": {"difficult": difficult, "truncated": truncated},
        }
        for image_id, record in records
        for label, (x1, y1, x2, y2), area, crowd, difficult, truncated in zip(
            record.label_ids.tolist(),
            record.boxes_xyxy.tolist(),
            record.area.tolist(),
            record.is_crowd.tolist(),
            record.is_difficult.tolist(),
            record.is_truncated.tolist(),
            strict=True,
        )
    ]
    return {
        "info": {"description": "written by sightline"},
        "licenses": [],
        "images": [
            {
                "id": image_id,
                "file_name": copies[image_id - 1],
                "width": record.width,
                "height": record.height,
            }
            for image_id, record in records
        ],
        "annotations": [{"id": number, **entry} for number, entry in enumerate(annotations, 1)],
        "categories": [
            {"id": number, "name": name, "supercategory": ""}
            for number, name in enumerate(dataset.classes, 1)
        ],
    }


def _plain(value: float) -> float:
    """An integer where it is one, so that files stay short and exact."""
    return int(value) if value.is_integer() else value
