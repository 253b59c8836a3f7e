"""Images in two splits, in none, or alike: what validation was trained on, what is labelled twice.

Reports; removes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sightline.data.duplicates import Likeness
from sightline.data.formats.contents import order_splits
from sightline.data.records import Problem, Record, Severity

# How far corners of one object may lie apart, as shares of the image's width and height: in one
# photo labelled twice, and in two photos that show nearly the same.
_SAME_FILE, _SAME_PICTURE = 0.02, 0.05

# Whether byte for byte, whether across splits -> how that is reported.
_CODES: Mapping[tuple[bool, bool], tuple[Severity, str]] = {
    (True, True): ("error", "image-leaks"),
    (True, False): ("warning", "image-repeated"),
    (False, True): ("warning", "image-leaks-nearly"),
    (False, False): ("info", "image-alike"),
}


@dataclass(frozen=True)
class _Pair:
    """Two images alike, by index. across: the splits of the other and of this one, if two."""

    index: int
    other: int
    is_copy: bool
    across: tuple[str, ...] = ()


def check_splits(
    splits: Mapping[str, Sequence[int]],
    records: Sequence[Record],
    classes: Sequence[str],
    likeness: Likeness,
) -> list[Problem]:
    """Images in two splits or in none, and images alike, across splits or not."""
    home: dict[int, list[str]] = {}
    for split, indices in splits.items():
        for index in indices:
            home.setdefault(index, []).append(split)
    problems = []
    for index, record in enumerate(records):
        name = record.name
        if len(home.get(index, ())) > 1:
            message = f"is in the splits {' and '.join(home[index])}"
            problems.append(Problem("error", "split-overlap", name, None, message, (name,)))
        elif splits and index not in home:
            problems.append(Problem("info", "split-none", name, None, "is in no split", (name,)))
    pairs: dict[int, _Pair] = {}
    for pair in _pairs_across(splits, likeness):
        pairs.setdefault(pair.index, pair)
    sides = [*splits.values(), [index for index in range(len(records)) if index not in home]]
    for pair in _pairs_within(sides, likeness):
        pairs.setdefault(pair.index, pair)
    return problems + [_report(pairs[index], records, classes) for index in sorted(pairs)]


def leak_message(leaks: int, images: int, split: str, path: object) -> str:
    """What to say where `leaks` of the images of a split were trained on."""
    name = "validation" if split == "val" else split
    are = (
        "is a copy or near-copy of a training image"
        if leaks == 1
        else "are copies or near-copies of training images"
    )
    return (
        f"{leaks} of {images} {name} images {are}, which flatters what was trained on them; "
        f"`sightline data inspect {path}` names them, `sightline data split` makes a split without "
        "where enough images differ"
    )


def _pairs_across(splits: Mapping[str, Sequence[int]], likeness: Likeness) -> Iterator[_Pair]:
    """An image, and an image alike of a split before its own; copies first."""
    names = [name for name in order_splits(splits) if splits[name]]
    for earlier, later in combinations(names, 2):
        copies = likeness.copies(splits[earlier])
        for index in splits[later]:
            if copies.get(index, index) != index:
                yield _Pair(index, copies[index], True, (earlier, later))
    for earlier, later in combinations(names, 2):
        alike = likeness.first_alike(splits[earlier]).tolist()
        for index in splits[later]:
            if alike[index] < len(alike) and alike[index] != index:
                yield _Pair(index, alike[index], False, (earlier, later))


def _pairs_within(sides: Sequence[Sequence[int]], likeness: Likeness) -> Iterator[_Pair]:
    """An image, and an image alike before it on the same side; a copy if there is one."""
    for side in sides:
        copies = likeness.copies(side)
        alike = likeness.first_alike(side).tolist()
        for index in side:
            if copies.get(index, index) < index:
                yield _Pair(index, copies[index], True)
            elif alike[index] < index:
                yield _Pair(index, alike[index], False)


def _report(pair: _Pair, records: Sequence[Record], classes: Sequence[str]) -> Problem:
    record, other = records[pair.index], records[pair.other]
    severity, code = _CODES[pair.is_copy, bool(pair.across)]
    how = "byte for byte the same as" if pair.is_copy else "shows nearly the same as"
    across = f", across {' and '.join(pair.across)}" if pair.across else ""
    difference = _compare_boxes(record, other, classes, pair.is_copy)
    message = f"{how} {other.name}{across}{difference}"
    return Problem(severity, code, record.name, None, message, (record.name, other.name))


def _compare_boxes(record: Record, other: Record, classes: Sequence[str], is_copy: bool) -> str:
    """How the boxes of two pictures of the same differ, after a semicolon; empty if they agree."""
    here, there = Counter(record.label_ids.tolist()), Counter(other.label_ids.tolist())
    for label in sorted(here | there):
        if here[label] != there[label]:
            counts = f"{here[label]} {classes[label]} here, {there[label]} there"
            return f"; labelled differently: {counts}"
    farthest = 0.0
    for label in here:
        ours, theirs = _shares(record, label), _shares(other, label)
        apart = np.abs(ours[:, None] - theirs[None]).max(axis=2)
        farthest = max(farthest, apart.min(axis=0).max(), apart.min(axis=1).max())
    if farthest <= (_SAME_FILE if is_copy else _SAME_PICTURE):
        return ""
    return f"; their boxes lie up to {farthest:.0%} of the image's size apart"


def _shares(record: Record, label: int) -> NDArray[np.float64]:
    """(N, 4) the corners of a class's boxes as shares of the image's width and height."""
    size = np.array([record.width, record.height, record.width, record.height], np.float64)
    boxes: NDArray[np.float64] = record.boxes_xyxy[record.label_ids == label] / size
    return boxes
