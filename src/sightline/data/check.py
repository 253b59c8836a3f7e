"""Records from what a reader found: images looked at, boxes checked, every fault reported.

What is faulty is left out or mended, never silently. `HINTS` says how to mend it for good.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from threading import Lock

import numpy as np

from sightline.data.formats.contents import Contents, RawBox, RawImage
from sightline.data.images import ImageHeader, read_header, verify_image
from sightline.data.records import Problem, Record, Severity
from sightline.errors import ImageError

Progress = Callable[[int, int], None]

# A corner this far outside its image is not worth a word: COCO writes two decimals.
_NOISE_PX = 0.01
# Beyond this it is no rounding to whole pixels either.
_ROUNDING_PX = 1.0
# An image of 25 megapixels takes 100 to 200 MiB while it is decoded (measured; most as a
# progressive CMYK JPEG), as WebP 410 MiB: four threads, one with a large WebP, stay below 1 GiB.
_MOST_THREADS = 4
_LARGE_WEBP_PIXELS = 3_000_000

# What to do about a problem, by its code.
HINTS: Mapping[str, str] = {
    "annotation-missing": "draw its boxes, or save an empty annotation if nothing is on it",
    "box-cut": "move the box's corners into the image",
    "box-empty": "remove the box, or draw it again",
    "box-inverted": "write the smaller coordinate as the minimum",
    "box-missing": "remove the entry, or draw its box",
    "box-not-finite": "write the corner as a number, or remove the box",
    "box-outside": "remove the box, or check that it belongs to this image",
    "box-repeated": "remove one of the two boxes",
    "category-damaged": 'give every category an integer "id" and a "name"',
    "category-group": "nothing needs doing",
    "category-repeated": "give every category its own name, unless they are one class",
    "category-unknown": "add the category, or correct the annotation's category_id",
    "class-case": "write the class one way everywhere, unless these are two classes",
    "class-empty": "name the class in <name>, or remove the object",
    "class-unused": "label some, or drop the class: a model cannot learn it",
    "coco-incomplete": "export it again as COCO object detection",
    "decimal-comma": "write numbers with a point",
    "file-unreadable": "check the file's permissions",
    "filename-differs": "write the image's own name in the annotation",
    "filename-outside": "write the image's name without folders",
    "id-repeated": "give every entry its own id",
    "image-claimed-twice": "keep one annotation an image",
    "image-damaged": 'give every image an integer "id" and a "file_name"',
    "image-leaks": "keep copies on one side: what was trained on flatters the validation",
    "image-missing": "put the image into the data set, or remove its annotation",
    "image-not-found": "put the image into the data set, or remove its annotation",
    "image-repeated": "remove one of the two; a split made here keeps them on one side",
    "image-too-large": "scale the image down",
    "image-unknown": "add the image, or correct the annotation's image_id",
    "image-unreadable": "fetch the file again, or save it anew with an image editor",
    "json-damaged": "export or copy the file again",
    "lost-area": "keep the data set as COCO if this matters",
    "lost-crowd": "keep the data set as COCO if this matters",
    "no-boxes": "label some objects first, with LabelImg for instance",
    "not-voc": "nothing needs doing, unless it was meant to be an annotation",
    "size-differs": "check that the annotation belongs to this image, and to this size of it",
    "split-none": "list the image in a split if it is to be used",
    "split-overlap": "list the image in one split only",
    "split-unknown": "add the image with its annotation, or remove the line",
    "xml-damaged": "export or copy the file again",
}


def examine_images(
    paths: Sequence[Path], *, decode: bool, progress: Progress | None = None
) -> list[ImageHeader | ImageError]:
    """Of each image its header, or why it cannot be used.

    With `decode` the pixels are decoded as well, which alone finds truncated files: 2-3 ms a
    photo and core. Pillow lets go of the interpreter lock while it decodes, so threads do.
    """
    large_webp = Lock()

    def look(path: Path) -> ImageHeader | ImageError:
        try:
            header = read_header(path)
            if not decode:
                return header
            is_large = header.width * header.height > _LARGE_WEBP_PIXELS
            with large_webp if is_large and header.format == "WEBP" else nullcontext():
                return verify_image(path)
        except ImageError as error:
            return error

    results: list[ImageHeader | ImageError] = []
    with ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS)) as pool:
        for result in pool.map(look, paths):
            results.append(result)
            if progress is not None:
                progress(len(results), len(paths))
    return results


def build_records(
    contents: Contents, headers: Sequence[ImageHeader | ImageError], classes: Sequence[str]
) -> tuple[list[Record], list[tuple[str, ...]], list[Problem]]:
    """The usable images with their sound boxes, the splits each is in, and what was wrong."""
    ids = {name: index for index, name in enumerate(classes)}
    records: list[Record] = []
    splits: list[tuple[str, ...]] = []
    problems: list[Problem] = []
    for raw, header in zip(contents.images, headers, strict=True):
        if isinstance(header, ImageError):
            problems.append(_unusable(contents, raw, header))
            continue
        record, found = _check_image(contents.listing.path(raw.image), raw, header, ids)
        records.append(record)
        splits.append(raw.splits)
        problems.extend(found)
    return records, splits, problems


def _unusable(contents: Contents, raw: RawImage, error: ImageError) -> Problem:
    path = str(contents.listing.path(raw.image))
    message = str(error).removeprefix(path).lstrip(": ")
    return Problem("error", error.code, raw.image, None, f"{message}; left out")


def _check_image(
    path: Path, raw: RawImage, header: ImageHeader, ids: Mapping[str, int]
) -> tuple[Record, list[Problem]]:
    problems: list[Problem] = []
    width, height = header.width, header.height

    def report(severity: Severity, code: str, line: int | None, message: str) -> None:
        problems.append(Problem(severity, code, raw.annotation, line, message))

    if raw.said_size is not None and raw.said_size != (width, height):
        said = "{:g}x{:g}".format(*raw.said_size)
        where = f"{raw.image} is {width}x{height}"
        report("warning", "size-differs", raw.line, f"says {said}, but {where}: the image's counts")
    kept: dict[tuple[object, ...], RawBox] = {}
    for box in raw.boxes:
        sound, faults = check_box(box, width, height)
        for severity, code, what in faults:
            report(severity, code, box.line, f"{raw.image}: {box.label} {_shown(box)} {what}")
        if sound is None:
            continue
        key = (sound.label, sound.box_xyxy, sound.is_crowd)
        if key in kept:
            what = "stands there twice; kept once"
            report("warning", "box-repeated", box.line, f"{raw.image}: {box.label} {what}")
        kept.setdefault(key, sound)
    return _make_record(path, width, height, list(kept.values()), ids), problems


def check_box(
    box: RawBox, width: int, height: int
) -> tuple[RawBox | None, list[tuple[Severity, str, str]]]:
    """The box within the image, or None where nothing is left; (severity, code, what) of faults."""
    if not all(np.isfinite(edge) for edge in box.box_xyxy):
        return None, [("error", "box-not-finite", "has a corner that is no number; left out")]
    faults: list[tuple[Severity, str, str]] = []
    x1, y1, x2, y2 = box.box_xyxy
    if x1 > x2 or y1 > y2:
        faults.append(("warning", "box-inverted", "has its corners swapped; put in order"))
        x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
    if x1 == x2 or y1 == y2:
        return None, [*faults, ("warning", "box-empty", "has no area; left out")]
    clipped = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    if clipped[0] >= clipped[2] or clipped[1] >= clipped[3]:
        what = f"lies outside the {width}x{height} image; left out"
        return None, [*faults, ("warning", "box-outside", what)]
    excess = max(abs(a - b) for a, b in zip(clipped, (x1, y1, x2, y2), strict=True))
    if excess > _NOISE_PX:
        severity: Severity = "warning" if excess > _ROUNDING_PX else "info"
        what = f"reaches {excess:g} px beyond the {width}x{height} image; cut at its border"
        faults.append((severity, "box-cut", what))
    return RawBox(box.label, clipped, box.line, box.is_crowd, box.area), faults


def _make_record(
    path: Path, width: int, height: int, boxes: Sequence[RawBox], ids: Mapping[str, int]
) -> Record:
    boxes_xyxy = np.array([box.box_xyxy for box in boxes], np.float64).reshape(-1, 4)
    own_area = (boxes_xyxy[:, 2] - boxes_xyxy[:, 0]) * (boxes_xyxy[:, 3] - boxes_xyxy[:, 1])
    said_area = np.array([np.nan if b.area is None else b.area for b in boxes], np.float64)
    return Record(
        path,
        width,
        height,
        boxes_xyxy,
        np.array([ids[box.label] for box in boxes], np.int64),
        np.array([box.is_crowd for box in boxes], np.bool_),
        np.where(np.isnan(said_area), own_area, said_area),
    )


def _shown(box: RawBox) -> str:
    return "[{:g}, {:g}, {:g}, {:g}]".format(*box.box_xyxy)


def check_classes(classes: Sequence[str], records: Iterable[Record]) -> list[Problem]:
    """Classes without a box, classes that differ by case only, and no box at all."""
    counts: Counter[int] = Counter()
    for record in records:
        counts.update(record.label_ids.tolist())
    if not counts:
        return [Problem("error", "no-boxes", ".", None, "not one box in the whole data set")]
    problems = [
        Problem("warning", "class-unused", ".", None, f"class {name!r} has no box")
        for index, name in enumerate(classes)
        if not counts[index]
    ]
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(name.casefold(), []).append(name)
    for names in alike.values():
        if len(names) > 1:
            said = " and ".join(repr(name) for name in names)
            message = f"classes {said} differ by case only: counted as different"
            problems.append(Problem("warning", "class-case", ".", None, message))
    return problems


def check_splits(
    splits: Mapping[str, Sequence[int]],
    names: Sequence[str],
    identical: Sequence[Sequence[int]],
) -> list[Problem]:
    """Images in two splits or in none, and byte-identical images, across splits or not."""
    problems: list[Problem] = []
    home: dict[int, list[str]] = {}
    for split, indices in splits.items():
        for index in indices:
            home.setdefault(index, []).append(split)
    for index, name in enumerate(names):
        if len(home.get(index, ())) > 1:
            message = f"is in the splits {' and '.join(home[index])}"
            problems.append(Problem("error", "split-overlap", name, None, message))
        elif splits and index not in home:
            problems.append(Problem("info", "split-none", name, None, "is in no split"))
    for first, *others in identical:
        for other in others:
            sides = {*home.get(first, ()), *home.get(other, ())}
            if len(sides) > 1:
                severity: Severity = "error"
                code, across = "image-leaks", f", across {' and '.join(sorted(sides))}"
            else:
                severity, code, across = "warning", "image-repeated", ""
            message = f"byte for byte the same as {names[first]}{across}"
            problems.append(Problem(severity, code, names[other], None, message))
    return problems
