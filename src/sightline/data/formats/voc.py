"""Pascal VOC: one XML file an image, any folder names, ImageSets as splits.

LabelImg's and Roboflow's dialects included. Coordinates are kept as written: the devkit counts
pixels from 1, LabelImg and most others from 0, and nothing in a file says which; half a pixel of
doubt is below what people draw.

An image is the one that <filename> names, found by its last part among the data set's images;
else the one called like the XML file. An image without an XML file is left out: nobody has said
that nothing is on it. An XML file without <object> says just that.

ImageNet's dialect is the same but for <filename>, which has no ending there; <subcategory> and
<occluded> are passed over, as are outlines and parts of bodies beside or within a box.

Where the format leaves a choice: the image's own size counts, whatever <size> says. Corners the
wrong way round are put in order, corners outside cut at the border; boxes without area, wholly
outside, without <bndbox>, class or numbers are left out, of two equal ones one. A decimal comma is
read as a point. Classes that differ by case only stay two. A file with damaged XML or entities is
left out. Every one of these is reported.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from sightline.data.formats.contents import (
    CLASSES_FILE,
    Contents,
    RawBox,
    RawImage,
    Reading,
    order_splits,
    tidy_name,
)
from sightline.data.formats.image_names import (
    folder_of,
    name_of,
    split_named_in,
    stem_of,
    without_ending,
)
from sightline.data.formats.listing import Listing
from sightline.data.formats.lost import find_lost_marks
from sightline.data.formats.xmltree import XmlDamaged, line_of, read_xml, text_of
from sightline.data.records import Problem, Record
from sightline.data.staging import Tick, copy_images, name_copies, staged_folder

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset

# What XML 1.0 (section 2.2) has no way to write, lone halves of surrogate pairs included.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SPLITS = ("train", "val", "test")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True)
class _Annotation:
    """One XML file: what it says, and which image that is about."""

    file: str
    filename: str
    filename_line: int | None
    size: tuple[float, float] | None
    size_line: int | None
    boxes: tuple[RawBox, ...]


def read_voc(listing: Listing) -> Contents | str:
    """What the XML files say, or why this is no Pascal VOC."""
    files = listing.with_suffix(".xml")
    if not files:
        return "Pascal VOC: no .xml file"
    reading = Reading(listing)
    annotations = [found for file in files if (found := _read_annotation(reading, file))]
    if not annotations:
        first = reading.problems[0]
        return (
            f"Pascal VOC: {len(files)} .xml, none with <annotation> as its root "
            f"({first.file}: {first.message})"
        )
    images = _pair(reading, annotations)
    # Of the other XML files the problem has been reported.
    unused = set(files).difference(annotation.file for annotation in images.values())
    reading.report_unannotated(images, set(map(stem_of, unused)))
    split_names, splits = _splits_of(reading, images)
    return Contents(
        "voc",
        listing,
        tuple(
            RawImage(image, a.file, a.boxes, a.size, a.size_line, splits.get(image, ()))
            for image, a in sorted(images.items())
        ),
        reading.read_classes(),
        order_splits(split_names),
        tuple(reading.problems),
    )


def _read_annotation(reading: Reading, file: str) -> _Annotation | None:
    try:
        root = read_xml(reading.listing.path(file), "annotation")
    except XmlDamaged as error:
        reading.report("error", "xml-damaged", file, error.line, f"no readable XML: {error}")
        return None
    except OSError as error:
        reading.report("error", "file-unreadable", file, None, f"cannot be read: {error.strerror}")
        return None
    if root.tag != "annotation" or root.find("imagesize") is not None:  # that is LabelMe's old XML
        reading.report("info", "not-voc", file, line_of(root), f"no VOC annotation: <{root.tag}>")
        return None
    name, size = root.find("filename"), root.find("size")
    boxes = [box for item in root.iterfind("object") if (box := _read_object(reading, file, item))]
    return _Annotation(
        file,
        text_of(name),
        None if name is None else line_of(name),
        _read_size(size),
        None if size is None else line_of(size),
        tuple(boxes),
    )


def _read_object(reading: Reading, file: str, item: Element) -> RawBox | None:
    label = tidy_name(text_of(item.find("name")))
    if not label:
        what = "object without a class; left out"
        reading.report("warning", "class-empty", file, line_of(item), what)
        return None
    corners = item.find("bndbox")
    if corners is None:
        what = f"{label} without <bndbox>"
        reading.report("warning", "box-missing", file, line_of(item), what)
        return None
    x1, y1, x2, y2 = (_read_corner(reading, file, corners, tag) for tag in _CORNERS)
    return RawBox(
        label,
        (x1, y1, x2, y2),
        line_of(corners),
        is_difficult=text_of(item.find("difficult")) == "1",
        is_truncated=text_of(item.find("truncated")) == "1",
    )


def _read_corner(reading: Reading, file: str, corners: Element, tag: str) -> float:
    corner = corners.find(tag)
    text = text_of(corner)
    if corner is not None and "," in text:
        message = f"{tag} {text!r}: read as a dot"
        reading.report("warning", "decimal-comma", file, line_of(corner), message)
        text = text.replace(",", ".", 1)
    return _number(text)


def _read_size(size: Element | None) -> tuple[float, float] | None:
    if size is None:
        return None
    width, height = _number(text_of(size.find("width"))), _number(text_of(size.find("height")))
    return (width, height) if width > 0 and height > 0 else None


def _number(text: str) -> float:
    """The number written, or NaN: what no number is ends as a box that is not finite."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _pair(reading: Reading, annotations: list[_Annotation]) -> dict[str, _Annotation]:
    """Image -> its annotation. Where two annotations name one image, its namesake has it."""
    images: dict[str, _Annotation] = {}
    later: list[_Annotation] = []
    for annotation in annotations:
        image = _named_image(reading, annotation)
        namesake = image and stem_of(image) == stem_of(annotation.file)
        if image and namesake and image not in images:
            images[image] = annotation
        else:
            later.append(annotation)
    for annotation in later:
        named = _named_image(reading, annotation)
        own = named
        if named is None or named in images:
            own = reading.find_stem(stem_of(annotation.file), annotation.file, None)
        free = next((i for i in (named, own) if i is not None and i not in images), None)
        if free is None:
            _report_unpaired(reading, annotation, named or own)
            continue
        images[free] = annotation
        _report_other_name(reading, annotation, free)
    return images


def _named_image(reading: Reading, annotation: _Annotation) -> str | None:
    name = annotation.filename
    if not name:
        return None
    line = annotation.filename_line
    found = reading.find_image(name, annotation.file, line)
    stem = without_ending(name.replace("\\", "/"))
    return found or reading.find_stem(stem, annotation.file, line)


def _report_unpaired(reading: Reading, annotation: _Annotation, taken: str | None) -> None:
    if taken is None:
        said = annotation.filename or stem_of(annotation.file)
        code, message = "image-missing", f"its image is not there: {said!r}"
    else:
        code, message = "image-claimed-twice", f"another annotation file describes {taken} as well"
    reading.report("warning", code, annotation.file, annotation.filename_line, message)


def _report_other_name(reading: Reading, annotation: _Annotation, image: str) -> None:
    written = annotation.filename.replace("\\", "/")
    if ".." in written.split("/"):
        code, why = "filename-outside", "points outside the data set"
    elif name_of(image).strip() not in (name_of(written), annotation.filename):
        code, why = "filename-differs", "is not there"
    else:
        return
    message = f"<filename> {annotation.filename!r} {why}; {image} is used"
    reading.report("warning", code, annotation.file, annotation.filename_line, message)


def _splits_of(
    reading: Reading, images: dict[str, _Annotation]
) -> tuple[set[str], dict[str, tuple[str, ...]]]:
    """The splits, and image -> those that hold it: from ImageSets/Main, else from folder names."""
    lists = [
        file
        for file in reading.listing.with_suffix(".txt")
        if f"/{folder_of(file)}".endswith("/ImageSets/Main")
        and stem_of(file) in (*_SPLITS, "trainval")
    ]
    if {"train", "val"}.intersection(map(stem_of, lists)):
        lists = [file for file in lists if stem_of(file) != "trainval"]
    if not lists:
        named = _splits_by_folder(images)
        return set(named.values()), {image: (name,) for image, name in named.items()}
    names = set()
    splits: dict[str, tuple[str, ...]] = {}
    for file in lists:
        # A list of both, as the devkit has it, is for training.
        names.add(stem_of(file).replace("trainval", "train"))
        _read_split(reading, file, images, splits)
    return names, splits


def _splits_by_folder(images: dict[str, _Annotation]) -> dict[str, str]:
    """Image -> the split that a folder of its annotation or its own speaks of; every one, or none.

    Outer folders and inner ones are asked; those count that tell the most splits apart.
    """
    best: dict[str, str] = {}
    for of_image in (False, True):
        for step in (1, -1):
            named = {}
            for image, annotation in images.items():
                folders = (image if of_image else annotation.file).split("/")[:-1][::step]
                split = next((split for part in folders if (split := split_named_in(part))), None)
                if split is None:
                    break
                named[image] = split
            found, before = set(named.values()), set(best.values())
            if len(named) == len(images) and "train" in found and len(found) > len(before):
                best = named
    return best


def _read_split(
    reading: Reading,
    file: str,
    images: dict[str, _Annotation],
    splits: dict[str, tuple[str, ...]],
) -> None:
    base = folder_of(file).removesuffix("ImageSets/Main")
    by_stem = {
        stem_of(name): image
        for image, annotation in images.items()
        if annotation.file.startswith(base)
        for name in (annotation.file, image)
    }
    known = {stem_of(file) for file in reading.listing.with_suffix(".xml")}
    split = stem_of(file).replace("trainval", "train")
    for number, line in enumerate(reading.read_lines(file), 1):
        # "NAME", blanks at its ends included, or, in lists of one class, "NAME 1", "NAME -1".
        names = (line, line.strip(), line.strip().rpartition(" ")[0].strip())
        image = next((by_stem[name] for name in names if name in by_stem), None)
        if image is not None:
            if split not in splits.get(image, ()):
                splits[image] = (*splits.get(image, ()), split)
        elif names[1] and known.isdisjoint(names[:2]):
            message = f"{names[1]!r} has no annotation file"
            reading.report("warning", "split-unknown", file, number, message)


def write_voc(dataset: Dataset, destination: Path, tick: Tick | None = None) -> tuple[Problem, ...]:
    """Write Annotations, JPEGImages, ImageSets/Main and classes.txt; gives what VOC cannot hold.

    Coordinates are written as they are, fractions too. The folder appears whole or not at all.
    Raises DatasetError where `destination` is not empty or cannot be written.
    """
    lost: list[Problem] = []
    copies = name_copies(dataset.names)
    classes = [_NO_XML.sub("\ufffd", name) for name in dataset.classes]
    with staged_folder(destination) as folder:
        copy_images(
            [record.image for record in dataset.records], copies, folder / "JPEGImages", tick
        )
        (folder / "Annotations").mkdir()
        for record, copy in zip(dataset.records, copies, strict=True):
            text = annotation_text(record, f"JPEGImages/{copy}", classes)
            path = folder / "Annotations" / f"{stem_of(copy)}.xml"
            path.write_text(text, encoding="utf-8", newline="\n")
        _write_lines(folder / CLASSES_FILE, classes)
        if dataset.splits:
            lists = folder / "ImageSets" / "Main"
            lists.mkdir(parents=True)
            for split, indices in dataset.splits.items():
                file = f"{re.sub('[^A-Za-z0-9_-]', '_', split)}.txt"
                _write_lines(lists / file, [stem_of(copies[index]) for index in indices])
                if split not in _SPLITS:
                    message = f"split {split!r} is written, but not read back: train, val, test are"
                    where = f"ImageSets/Main/{file}"
                    lost.append(Problem("info", "lost-split", where, None, message))
    return (*lost, *find_lost_marks(dataset, "Pascal VOC", holds_flags=True))


def annotation_text(record: Record, image: str, classes: Sequence[str]) -> str:
    """The XML of one image, laid out as LabelImg does; `image` is its FOLDER/NAME."""
    folder, _, name = image.partition("/")
    objects = "".join(
        f"\t<object>\n\t\t<name>{escape(classes[label])}</name>\n"
        f"\t\t<pose>Unspecified</pose>\n\t\t<truncated>{int(truncated)}</truncated>\n"
        f"\t\t<difficult>{int(difficult)}</difficult>\n\t\t<bndbox>\n"
        + "".join(
            f"\t\t\t<{tag}>{_plain(edge)}</{tag}>\n"
            for tag, edge in zip(_CORNERS, box_xyxy, strict=True)
        )
        + "\t\t</bndbox>\n\t</object>\n"
        for label, truncated, difficult, box_xyxy in zip(
            record.label_ids.tolist(),
            record.is_truncated.tolist(),
            (record.is_difficult | record.is_crowd).tolist(),
            record.boxes_xyxy.tolist(),
            strict=True,
        )
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f"<annotation>\n\t<folder>{folder}</folder>\n"
        f"\t<filename>{escape(_NO_XML.sub(chr(0xFFFD), name))}</filename>\n"
        f"\t<size>\n\t\t<width>{record.width}</width>\n\t\t<height>{record.height}</height>\n"
        f"\t\t<depth>3</depth>\n\t</size>\n\t<segmented>0</segmented>\n"
        f"{objects}</annotation>\n"
    )


def _plain(edge: float) -> str:
    """An integer without a point, which is what other tools expect; else every digit."""
    return str(int(edge)) if edge.is_integer() else repr(edge)


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    path.write_text(text, encoding="utf-8", errors="surrogateescape", newline="\n")
