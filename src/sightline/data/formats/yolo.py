"""YOLO: a text file an image, one row a box in shares of the image; data.yaml names the classes.

Read are the layouts of YOLOv5 to v11 (images/train with labels/train, train/images with
train/labels), darknet's (obj.data, obj.names), LabelImg's and Roboflow's, oriented boxes as DOTA
writes them included. Class names are those of data.yaml, else of obj.names or classes.txt; where
nobody names them, the numbers are the names.

A label file belongs to the image of its name in the folder images that matches its folder labels,
else in its own folder; else to the only image of its name. An image without a label file counts
as one without objects, as YOLO's own trainers have it, if it lies among labelled ones or in a
split.

Where every label file has an .xml of its name beside it, as LabelImg leaves them when it was set to
one format and then to the other, Pascal VOC is read: it has the classes' names and whole pixels.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import yaml

from sightline.data.formats.contents import CLASSES_FILE, Contents, RawImage, Reading
from sightline.data.formats.image_names import folder_of, stem_of
from sightline.data.formats.listing import Listing
from sightline.data.formats.lost import find_lost_marks, find_lost_places
from sightline.data.formats.yolo_config import (
    Config,
    ancestors,
    is_split_key,
    read_class_names,
    read_configs,
)
from sightline.data.formats.yolo_labels import (
    MAX_LABEL_BYTES,
    ClassNames,
    decode_text,
    find_fault,
    read_labels,
    read_text,
)
from sightline.data.formats.yolo_splits import name_splits, read_splits, split_named_by
from sightline.data.records import Problem, Record
from sightline.data.staging import Tick, copy_images, name_copies, staged_folder

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset

_LABEL_FOLDER = re.compile(r"labels|labeltxt|obj_.*_data", re.IGNORECASE)
# Paths of labels and images differ by these; with other folders, names alone must tell.
_LABEL_WORDS = {"labels", "labeltxt", "annotations"}
_IMAGE_WORDS = {"images"}
_SNIFFED = 100  # files that may begin otherwise before none is thought to be a label file
_START_BYTES = 1 << 16


def read_yolo(listing: Listing) -> Contents | str:
    """What the label files say, or why this is no YOLO data set."""
    files = _find_label_files(listing)
    if not files:
        return "YOLO: no .txt file in a folder labels, nor one of an image's name"
    annotated = {file[:-4] for file in listing.with_suffix(".xml")}
    if annotated and all(file[:-4] in annotated for file in files):
        return "YOLO: each label file has a Pascal VOC file beside it, which says more"
    reading = Reading(listing)
    configs = read_configs(reading)
    if why := _refuse(listing, files, configs):
        return f"YOLO: {why}"
    config = configs[0] if configs else None
    labels = _pair(reading, files)
    labelled = {image for images in labels.values() for image in images}
    homes = sorted({folder_of(image) for image in labelled})
    declared = read_splits(reading, config, labels, homes) if config and config.splits else None
    bare = _find_bare(listing, labelled, declared[0] if declared else {})
    splits, split_names = declared or name_splits(labelled.union(bare))
    names = read_class_names(reading, config, sorted({folder_of(file) for file in labels}))
    images = [RawImage(image, image, (), splits=splits.get(image, ())) for image in bare]
    for image in bare:
        message = "no label file: counts as an image without objects"
        reading.report("info", "annotation-missing", image, None, message)
    for file, owners in labels.items():
        text = read_text(reading, file, MAX_LABEL_BYTES)
        if text is not None:
            columns = config.keypoint_columns if config else 0
            own = names[folder_of(file)]
            boxes, is_normalised = read_labels(reading, file, text, own, columns)
            for image in owners:
                own_splits = splits.get(image, ())
                images.append(RawImage(image, file, boxes, None, None, own_splits, is_normalised))
    return Contents(
        "yolo",
        listing,
        tuple(sorted(images, key=lambda raw: raw.image)),
        _join_classes(reading, names.values()),
        split_names,
        tuple(reading.problems),
    )


def _find_label_files(listing: Listing) -> list[str]:
    """Text files in a folder for labels, or called like an image."""
    stems = {stem_of(image) for image in listing.images}
    texts = listing.with_suffix(".txt")
    of_labels = {folder for folder in {folder_of(file) for file in texts} if _is_for_labels(folder)}
    return [
        file
        for file in texts
        if (folder_of(file) in of_labels and not f"/{file}".endswith(f"/{CLASSES_FILE}"))
        or stem_of(file) in stems
    ]


def _is_for_labels(folder: str) -> bool:
    return any(map(_LABEL_FOLDER.fullmatch, folder.split("/")))


def _refuse(listing: Listing, files: Sequence[str], configs: Sequence[Config]) -> str | None:
    """Why these are no label files of one data set; None: they are."""
    named = {tuple(config.names.items()): config.file for config in configs if config.names}
    if len(named) > 1:
        return f"{' and '.join(named.values())} name classes differently; give the one you mean"
    faults = []
    for file in files:
        start = _read_start(listing, file)
        if not start.strip():
            continue
        fault = find_fault(start, is_pixel_fault=not configs)
        if fault is None:
            return None
        faults.append(f"{len(files)} .txt, none begins with a row of labels ({file}: {fault})")
        if len(faults) == _SNIFFED:
            break
    if faults:
        return faults[0]
    return None if configs else f"{len(files)} .txt, all empty, and no data.yaml"


def _read_start(listing: Listing, file: str) -> str:
    try:
        with open(f"{listing.root}/{file}", "rb") as stream:
            return decode_text(stream.read(_START_BYTES))
    except OSError:
        return ""


def _pair(reading: Reading, files: Sequence[str]) -> dict[str, list[str]]:
    """Label file -> its images; a problem for each that has none, or none of its own."""
    by_folder: dict[str, dict[str, list[str]]] = {}
    for image in reading.listing.images:
        by_folder.setdefault(folder_of(image), {}).setdefault(stem_of(image), []).append(image)
    twins = {_mask(folder, _IMAGE_WORDS): images for folder, images in by_folder.items()}
    folders = {folder_of(file) for file in files}
    opposite = {f: twins.get(mask, {}) for f in folders if (mask := _mask(f, _LABEL_WORDS))}
    pairs: dict[str, list[str]] = {}
    owners: dict[str, str] = {}
    left = list(files)
    for places in (opposite, by_folder):
        todo, left = left, []
        for file in todo:
            images = places.get(folder_of(file), {}).get(stem_of(file))
            if images is None:
                left.append(file)
            elif images[0] not in owners:
                pairs[file] = images
                owners.update(dict.fromkeys(images, file))
            elif _begins_well(reading.listing, file):
                message = f"{images[0]} has {owners[images[0]]}; this one is left out"
                reading.report("warning", "image-claimed-twice", file, None, message)
    pairs |= _pair_by_stem(reading, left, owners)
    for file, images in pairs.items():
        if len(images) > 1:
            message = f"is taken for each of {' and '.join(images)}"
            reading.report("warning", "label-shared", file, None, message)
    return pairs


def _pair_by_stem(
    reading: Reading, files: Sequence[str], owners: Mapping[str, str]
) -> dict[str, list[str]]:
    """Label file -> the only image of its name, if no other file is of that name."""
    listing = reading.listing
    files = [f for f in files if _is_for_labels(folder_of(f)) or _begins_well(listing, f)]
    counts = Counter(stem_of(file) for file in files)
    images: dict[str, list[str]] = {}
    for image in listing.images:
        if image not in owners and stem_of(image) in counts:
            images.setdefault(stem_of(image), []).append(image)
    pairs: dict[str, list[str]] = {}
    for file in files:
        found = images.get(stem_of(file), [])
        if counts[stem_of(file)] == 1:
            found = [image for image in found if not _is_elsewhere(file, image)]
            if len(found) == 1:
                pairs[file] = found
                continue
        if _begins_well(listing, file):
            message = f"may be about {found[0]} or another" if found else "its image is not there"
            reading.report("warning", "image-missing", file, None, f"{message}; left out")
    return pairs


def _begins_well(listing: Listing, file: str) -> bool:
    """Whether its first row is one of labels, or it is empty: not a list or a page of text."""
    return find_fault(_read_start(listing, file)) is None


def _is_elsewhere(file: str, image: str) -> bool:
    """Whether one lies in the folder of a split and the other in that of another."""
    said, there = split_named_by(folder_of(file)), split_named_by(folder_of(image))
    return None not in (said, there) and said != there


def _mask(folder: str, words: Collection[str]) -> str | None:
    """The folder's path with its last part that is one of `words` hidden; None: it has none."""
    parts = folder.split("/")
    at = next((n for n in reversed(range(len(parts))) if parts[n].lower() in words), None)
    return None if at is None else "/".join((*parts[:at], "*", *parts[at + 1 :]))


def _find_bare(
    listing: Listing, labelled: Collection[str], in_splits: Collection[str]
) -> list[str]:
    """The images without a label file that belong to the data set.

    They lie in a split, among labelled images or below such a folder, which the top is not.
    """
    homes = {folder_of(image) for image in labelled}
    below = {home for home in homes if home}
    for home in homes:
        parts = home.split("/")
        below.update("/".join(parts[: n + 1]) for n, p in enumerate(parts) if p == "images")
    folders = {folder_of(image) for image in listing.images}
    own = {f for f in folders if f in homes or not below.isdisjoint(ancestors(f))}
    return [
        image
        for image in listing.images
        if image not in labelled and (folder_of(image) in own or image in in_splits)
    ]


def _join_classes(reading: Reading, names: Iterable[ClassNames]) -> tuple[str, ...] | None:
    """The names in the order of their numbers; of those that nobody names, the numbers used."""
    found: dict[str, None] = {}
    for own in {id(own): own for own in names}.values():
        if own.by_number is not None:
            found.update(dict.fromkeys(own.by_number.values()))
        elif own.by_text:
            found.update(dict.fromkeys(sorted(own.by_text.values(), key=int)))
            message = "no data.yaml, obj.names or classes.txt to read: classes are called by number"
            reading.report("warning", "classes-unnamed", ".", None, message)
    return tuple(found) or None


def write_yolo(
    dataset: Dataset, destination: Path, tick: Tick | None = None
) -> tuple[Problem, ...]:
    """Write images/SPLIT, labels/SPLIT and data.yaml; gives what YOLO cannot hold.

    Without splits the folders are images and labels, as for images in none of the splits. An image
    in several goes to the first. Shares are written with every digit: corners return within
    1e-9 px. The folder appears whole or not at all. Raises DatasetError where `destination` is not
    empty or cannot be written.
    """
    copies = name_copies(dataset.names)
    folders = {
        split: split if is_split_key(split) else f"split{number}"
        for number, split in enumerate(dataset.splits, 1)
    }
    homes = {i: split for split in reversed([*dataset.splits]) for i in dataset.splits[split]}
    parts: dict[str, list[int]] = {"": [], **{folder: [] for folder in folders.values()}}
    for index in range(len(dataset)):
        parts[folders[homes[index]] if index in homes else ""].append(index)
    document: dict[str, Any] = {
        folder: f"images/{folder}" if parts[folder] else [] for folder in folders.values()
    }
    document |= {"nc": len(dataset.classes), "names": list(dataset.classes)}
    with staged_folder(destination) as folder:
        for part, indices in parts.items():
            if part and not indices:
                continue
            images = [dataset.records[index].image for index in indices]
            copy_images(
                images, [copies[index] for index in indices], folder / "images" / part, tick
            )
            (folder / "labels" / part).mkdir()
            for index in indices:
                path = folder / "labels" / part / f"{PurePosixPath(copies[index]).stem}.txt"
                path.write_text(label_text(dataset.records[index]), encoding="ascii", newline="\n")
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=math.inf)
        (folder / "data.yaml").write_text(text, encoding="utf-8", newline="\n")
    return tuple(_find_lost(dataset, folders))


def label_text(record: Record) -> str:
    """The rows of one image: class, then centre and extent in shares of its size."""
    return "".join(
        f"{label} {(x1 + x2) / 2 / record.width!r} {(y1 + y2) / 2 / record.height!r} "
        f"{(x2 - x1) / record.width!r} {(y2 - y1) / record.height!r}\n"
        for label, (x1, y1, x2, y2) in zip(
            record.label_ids.tolist(), record.boxes_xyxy.tolist(), strict=True
        )
    )


def _find_lost(dataset: Dataset, folders: Mapping[str, str]) -> Iterable[Problem]:
    for split, folder in folders.items():
        if split != folder:
            message = f"split {split!r} is called {folder!r}"
            yield Problem("info", "lost-split", "data.yaml", None, message)
    if missing := [name for name in ("train", "val") if not dataset.splits.get(name)]:
        message = f"names no {' and no '.join(missing)}, which YOLO's trainers want"
        yield Problem("info", "yaml-unsplit", "data.yaml", None, message)
    yield from find_lost_places(dataset)
    yield from find_lost_marks(dataset, "YOLO")
