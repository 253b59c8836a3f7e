"""Records from what a reader found: boxes checked against their images, every fault reported.

What is faulty is left out or mended, never silently. `hints.py` says how to mend it for good.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sightline.data.formats.contents import Contents, RawBox, RawImage
from sightline.data.images import ImageHeader
from sightline.data.records import Problem, Record, Severity
from sightline.data.upright import Box, upright_boxes
from sightline.errors import ImageError

# A corner this far outside its image is not worth a word: COCO writes two decimals.
_NOISE_PX = 0.01
# Beyond this it is no rounding to whole pixels either.
_ROUNDING_PX = 1.0
# The shorter side, as a share of its image's, below which a box is lost on a small detector: 6 px
# of the 416 that deimv2-femto sees after the stretch. Of the 52 boxes of 100 COCO images below it
# the COCO weights found none (IoU 0.5, scores from 0.05 on), of those of 6 to 8 px 16 %, of 8 to
# 12 px 39 %. A cell of its finest feature map is 16 px.
TINY_SHARE = 6 / 416
# Of the boxes of a data set in pixels, so many within 1 px of the corner are no pixels; a share
# may be rounded to just above 1.
_NORMALISED_SHARE = 0.95
_MOST_NORMALISED = 1.001


def build_records(
    contents: Contents, headers: Sequence[ImageHeader | ImageError], classes: Sequence[str]
) -> tuple[list[Record], list[tuple[str, ...]], list[Problem]]:
    """The usable images with their sound boxes, the splits each is in, and what was wrong."""
    ids = {name: index for index, name in enumerate(classes)}
    records: list[Record] = []
    splits: list[tuple[str, ...]] = []
    problems: list[Problem] = []
    grey: list[str] = []
    for raw, header in zip(contents.images, headers, strict=True):
        if isinstance(header, ImageError):
            problems.append(_unusable(contents, raw, header))
            continue
        record, found = _check_image(contents.listing.image_path(raw.image), raw, header, ids)
        records.append(record)
        splits.append(raw.splits)
        problems.extend(found)
        if header.is_grey:
            grey.append(raw.image)
    problems.extend(_check_grey(grey, len(records)))
    shares = _check_unit(contents)
    if shares is not None:  # which makes all of them tiny
        problems = [shares, *(problem for problem in problems if problem.code != "box-tiny")]
    return records, splits, problems


def _check_unit(contents: Contents) -> Problem | None:
    """A problem where corners in pixels are nearly all within 0..1, and not whole numbers."""
    boxes = [(box, raw) for raw in contents.images if not raw.is_normalised for box in raw.boxes]
    within = [(box, raw) for box, raw in boxes if _is_within_one(box)]
    has_parts = any(corner % 1 for box, _ in within for corner in box.box_xyxy)
    if len(within) < _NORMALISED_SHARE * len(boxes) or not has_parts:
        return None
    box, raw = within[0]
    message = (
        f"{len(within)} of {len(boxes)} boxes have all corners within 0 and 1, as shares of the "
        f"image's size, such as {box.label} {_shown(box)}; this format has pixels, so they are "
        "read as such, a pixel large at most"
    )
    return Problem("error", "boxes-normalised", raw.annotation, box.line, message)


def _is_within_one(box: RawBox) -> bool:
    return all(0 <= corner <= _MOST_NORMALISED for corner in box.box_xyxy)


def _unusable(contents: Contents, raw: RawImage, error: ImageError) -> Problem:
    path = str(contents.listing.image_path(raw.image))
    message = str(error).removeprefix(path).lstrip(": ")
    return Problem("error", error.code, raw.image, None, f"{message}; left out")


def _check_grey(grey: Sequence[str], count: int) -> list[Problem]:
    """Grey images among colour ones; where they are the rule they are what the set is about."""
    if 2 * len(grey) > count:
        return []
    message = "is grey, most others have colour"
    return [Problem("info", "image-grey", name, None, message, (name,)) for name in grey]


def _check_image(
    path: Path, raw: RawImage, header: ImageHeader, ids: Mapping[str, int]
) -> tuple[Record, list[Problem]]:
    problems: list[Problem] = []
    name, width, height = raw.image, header.width, header.height

    def report(
        severity: Severity, code: str, line: int | None, what: str, box: Box | None = None
    ) -> None:
        message = f"{name}: {what}"
        problems.append(Problem(severity, code, raw.annotation, line, message, (name,), box))

    if header.odd_orientation is not None:
        message = f"EXIF orientation {header.odd_orientation} is none of 1 to 8; taken as upright"
        problems.append(Problem("info", "orientation-odd", name, None, message, (name,)))
    boxes, turn = upright_boxes(raw, header)
    if turn is not None:
        severity, code, what = turn
        report(severity, code, raw.line, what)
    is_explained = turn is not None and turn[1] == "box-turned"
    if raw.said_size is not None and raw.said_size != (width, height) and not is_explained:
        said = "{:g}x{:g}".format(*raw.said_size)
        what = f"annotated as {said}, but is {width}x{height}: the image's own size counts"
        report("warning", "size-differs", raw.line, what)
    kept: dict[tuple[object, ...], RawBox] = {}
    for box in boxes:
        sound, faults = check_box(box, width, height)
        for severity, code, what in faults:
            report(severity, code, box.line, f"{box.label} {_shown(box)} {what}", box.box_xyxy)
        if sound is None:
            continue
        key = (sound.label, sound.box_xyxy, sound.is_crowd)
        if key in kept:
            what = f"{box.label} stands there twice; kept once"
            report("warning", "box-repeated", box.line, what, sound.box_xyxy)
        kept.setdefault(key, sound)
    tiny = [box for box in kept.values() if _share(box, width, height) < TINY_SHARE]
    if tiny:
        least = min(tiny, key=lambda box: _share(box, width, height))
        what = f"{len(tiny)} of {len(kept)} boxes tiny: {least.label} {_shown(least)} is smallest"
        report("info", "box-tiny", least.line, what, least.box_xyxy)
    return _make_record(name, path, width, height, list(kept.values()), ids), problems


def _share(box: RawBox, width: int, height: int) -> float:
    """The shorter side after the stretch to a square, as a share of that square's."""
    x1, y1, x2, y2 = box.box_xyxy
    return min((x2 - x1) / width, (y2 - y1) / height)


def check_box(
    box: RawBox, width: int, height: int
) -> tuple[RawBox | None, list[tuple[Severity, str, str]]]:
    """The box within the image, or None where nothing is left; (severity, code, what) of faults."""
    if not all(map(math.isfinite, box.box_xyxy)):
        return None, [("error", "box-not-finite", "has a corner that is no number; left out")]
    faults: list[tuple[Severity, str, str]] = []
    x1, y1, x2, y2 = box.box_xyxy
    if x1 > x2 or y1 > y2:
        faults.append(("warning", "box-inverted", "has its corners swapped; put in order"))
        x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
    if x1 == x2 or y1 == y2:
        return None, [*faults, ("warning", "box-empty", "has no area; left out")]
    if x1 >= 0 and y1 >= 0 and x2 <= width and y2 <= height and not faults:
        return box, []  # as nearly all are
    clipped = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    if clipped[0] >= clipped[2] or clipped[1] >= clipped[3]:
        what = f"lies outside the {width}x{height} image; left out"
        return None, [*faults, ("warning", "box-outside", what)]
    excess = max(abs(a - b) for a, b in zip(clipped, (x1, y1, x2, y2), strict=True))
    if excess > _NOISE_PX:
        severity: Severity = "warning" if excess > _ROUNDING_PX else "info"
        what = f"reaches {excess:g} px beyond the {width}x{height} image; cut at its border"
        faults.append((severity, "box-cut", what))
    return replace(box, box_xyxy=clipped), faults


def _make_record(
    name: str,
    path: Path,
    width: int,
    height: int,
    boxes: Sequence[RawBox],
    ids: Mapping[str, int],
) -> Record:
    boxes_xyxy = np.array([box.box_xyxy for box in boxes], np.float64).reshape(-1, 4)
    own_area = (boxes_xyxy[:, 2] - boxes_xyxy[:, 0]) * (boxes_xyxy[:, 3] - boxes_xyxy[:, 1])
    said_area = np.array([np.nan if b.area is None else b.area for b in boxes], np.float64)
    return Record(
        name,
        path,
        width,
        height,
        boxes_xyxy,
        np.array([ids[box.label] for box in boxes], np.int64),
        np.array([box.is_crowd for box in boxes], np.bool_),
        np.where(np.isnan(said_area), own_area, said_area),
        np.array([box.is_difficult for box in boxes], np.bool_),
        np.array([box.is_truncated for box in boxes], np.bool_),
    )


def _shown(box: RawBox) -> str:
    return "[{:g}, {:g}, {:g}, {:g}]".format(*box.box_xyxy)
