"""A mended copy of a data set: what can be put right without a guess is, the rest is told.

Much is mended by reading already (boxes cut, put in order or left out, broken images left out):
writing that out makes it last. Added here: each image once, in one split; each class spelt one
way; no image whose boxes were all left out, since it would say that nothing is on it. Classes
without a box stay: the numbers of the others would change. The source is not touched.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sightline.data.classes import group_spellings
from sightline.data.dataset import Dataset
from sightline.data.examine import Progress
from sightline.data.formats import WRITERS
from sightline.data.formats.contents import order_splits
from sightline.data.formats.image_names import stem_of
from sightline.data.records import Problem, Record
from sightline.errors import DatasetEmpty

# What is only remarked upon: nothing is done about it, so that it is never counted as done.
_REMARKS = frozenset(
    (
        "box-tiny", "class-few", "class-imbalance", "class-similar", "class-unused", "image-alike",
        "image-grey",
        "image-leaks-nearly", "images-not-decoded", "no-boxes", "orientation-odd",
        "orientation-unsure", "split-none",
    )
)  # fmt: skip
# What the steps below do, and so tell themselves.
_OWN = frozenset(
    (
        "class-case", "class-spelling", "image-boxless", "image-leaks", "image-repeated",
        "split-overlap",
    )
)  # fmt: skip
# By these an image may have lost a box.
_BOX_LOST = frozenset(
    (
        "box-empty", "box-missing", "box-not-finite", "box-outside", "category-unknown",
        "class-empty", "entry-damaged", "label-damaged", "row-damaged", "shape-left-out",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Mended:
    """What was done, and what is left to the user.

    format: of the copy. done: files are the source's. left: what an inspection of the copy
    reports, and what its format could not hold; files are the copy's.
    """

    format: str
    done: tuple[Problem, ...]
    left: tuple[Problem, ...]


def mend(
    dataset: Dataset,
    destination: Path,
    *,
    check_images: bool | None = None,
    progress: Progress | None = None,
) -> Mended:
    """Write a mended copy to a new folder, in the same format where it can be written, else VOC.

    The copy is then inspected, with `check_images` as in `Dataset.load`: no kind of problem that
    it still has counts as done. Raises DatasetEmpty where no image is usable, DatasetError where
    the folder is not empty or cannot be written.
    """
    if not dataset.records:
        raise DatasetEmpty(f"{dataset.path} has no usable image: there is nothing to mend")
    format = dataset.format if dataset.format in WRITERS else "voc"
    mended, done = put_right(dataset)
    lost = mended.save(destination, format, progress)
    copy = Dataset.load(destination, check_images=check_images, progress=progress)
    remaining = {problem.code for problem in copy.problems}
    done = [*changed_on_reading(dataset.problems), *done]
    return Mended(
        format,
        tuple(problem for problem in done if problem.code not in remaining),
        (*copy.problems, *lost),
    )


def changed_on_reading(problems: Iterable[Problem]) -> list[Problem]:
    """Those of the problems that reading has mended, or left out what they are about."""
    return [problem for problem in problems if problem.code not in _REMARKS | _OWN]


def put_right(dataset: Dataset) -> tuple[Dataset, list[Problem]]:
    """The data set with each image once, in one split, classes merged; and what was done."""
    done: list[Problem] = []
    for step in (_leave_out_boxless, _merge_spellings, _place_once):
        dataset, did = step(dataset)
        done += did
    return dataset, done


def _leave_out_boxless(dataset: Dataset) -> tuple[Dataset, list[Problem]]:
    """Without images that have no box since theirs could not be used."""
    lossy = [problem for problem in dataset.problems if problem.code in _BOX_LOST]
    images = {image for problem in lossy for image in problem.images}
    stems = {stem_of(problem.file) for problem in lossy}  # of a file an image
    boxless = {
        index
        for index, record in enumerate(dataset.records)
        if not len(record.label_ids) and (record.name in images or stem_of(record.name) in stems)
    }
    message = "left out: its boxes could not be used, which does not mean that nothing is on it"
    done = [
        Problem("warning", "image-boxless", dataset.names[index], None, message)
        for index in sorted(boxless)
    ]
    return (_without(dataset, boxless) if boxless else dataset), done


def _without(dataset: Dataset, gone: Collection[int]) -> Dataset:
    """The other records; splits that are left empty go, too."""
    stay = [index for index in range(len(dataset)) if index not in gone]
    new = {index: position for position, index in enumerate(stay)}
    splits = {
        split: tuple(new[index] for index in members if index in new)
        for split, members in dataset.splits.items()
    }
    splits = {split: members for split, members in splits.items() if members}
    records = tuple(dataset.records[index] for index in stay)
    return replace(dataset, records=records, splits=splits)


def _merge_spellings(dataset: Dataset) -> tuple[Dataset, list[Problem]]:
    """Classes that differ by case or separators become the one with most boxes."""
    done: list[Problem] = []
    merged: dict[str, str] = {}
    for names in group_spellings(dataset.classes):
        kept = max(names, key=lambda name: dataset.box_counts[name])
        merged.update((name, kept) for name in names)
        others = " and ".join(repr(name) for name in names if name != kept)
        is_case = len({name.casefold() for name in names}) == 1
        message = f"{others} written as {kept!r}"
        if is_case:
            done.append(Problem("warning", "class-case", ".", None, message))
        else:
            done.append(Problem("warning", "class-spelling", ".", None, message))
    if not merged:
        return dataset, []
    classes = tuple(name for name in dataset.classes if merged.get(name, name) == name)
    ids = {name: index for index, name in enumerate(classes)}
    table = np.array([ids[merged.get(name, name)] for name in dataset.classes], np.int64)
    records = []
    for record in dataset.records:
        relabelled = replace(record, label_ids=table[record.label_ids])
        single = _without_repeated(relabelled)
        if len(single.label_ids) < len(relabelled.label_ids):
            message = f"{record.name}: a box stood there in two spellings; kept once"
            done.append(Problem("warning", "box-repeated", record.name, None, message))
        records.append(single)
    return replace(dataset, classes=classes, records=tuple(records)), done


def _without_repeated(record: Record) -> Record:
    rows = [
        (label, *box, crowd)
        for label, box, crowd in zip(
            record.label_ids.tolist(),
            record.boxes_xyxy.tolist(),
            record.is_crowd.tolist(),
            strict=True,
        )
    ]
    first = sorted({row: index for index, row in reversed(list(enumerate(rows)))}.values())
    return _take_boxes(record, first)


def _take_boxes(record: Record, rows: Sequence[int]) -> Record:
    index = np.array(rows, np.intp)
    return replace(
        record,
        boxes_xyxy=record.boxes_xyxy[index],
        label_ids=record.label_ids[index],
        is_crowd=record.is_crowd[index],
        area=record.area[index],
        is_difficult=record.is_difficult[index],
        is_truncated=record.is_truncated[index],
    )


def _place_once(dataset: Dataset) -> tuple[Dataset, list[Problem]]:
    """Each image once, the copy with most boxes, in one split.

    What is in train and in another split stays in the other: training loses an image, while what
    is measured stays the same.
    """
    kept_for: dict[int, int] = {}
    for group in dataset.identical:
        kept = max(group, key=lambda index: (len(dataset.records[index].label_ids), -index))
        kept_for.update((index, kept) for index in group if index != kept)
    own: dict[int, set[str]] = {}
    for split, members in dataset.splits.items():
        for index in members:
            own.setdefault(index, set()).add(split)
    claims: dict[int, set[str]] = {}
    for index, names in own.items():
        claims.setdefault(kept_for.get(index, index), set()).update(names)
    home = _choose_splits(claims)
    done = [_tell_dropped(dataset, index, kept, own, home) for index, kept in kept_for.items()]
    for index, names in sorted(own.items()):
        if len(names) > 1 and index not in kept_for:
            message = f"was in {_listed(names)}; kept in {home[index]}"
            done.append(Problem("error", "split-overlap", dataset.names[index], None, message))
    if not done:
        return dataset, []
    splits = {
        split: tuple(index for index in range(len(dataset)) if home.get(index) == split)
        for split in dataset.splits
    }
    return _without(replace(dataset, splits=splits), kept_for), done


def _choose_splits(claims: Mapping[int, set[str]]) -> dict[int, str]:
    """Image -> the one of its splits that it stays in: test before val, others, and train.

    Train comes first where it would be left empty, as where val lists the same images: a data set
    without val gets one by lot.
    """
    for order in (("test", "val", "train"), ("train", "test", "val")):
        rank = {split: place for place, split in enumerate(order)}
        home = {
            index: min(names, key=lambda split: (rank.get(split, 1.5), split))
            for index, names in claims.items()
        }
        if "train" in home.values() or not any("train" in names for names in claims.values()):
            break
    return home


def _tell_dropped(
    dataset: Dataset,
    index: int,
    kept: int,
    own: Mapping[int, set[str]],
    home: Mapping[int, str],
) -> Problem:
    """That an image was dropped for its byte-identical copy."""
    pair = (dataset.names[index], dataset.names[kept])
    boxes = len(dataset.records[kept].label_ids)
    message = f"dropped: byte for byte the same as {pair[1]}, which stays with its {boxes} box(es)"
    splits = own.get(index, set()) | own.get(kept, set())
    if len(splits) > 1:
        message = f"{message}, in {home[kept]} of {_listed(splits)}"
        return Problem("error", "image-leaks", pair[0], None, message, pair)
    return Problem("warning", "image-repeated", pair[0], None, message, pair)


def _listed(names: Iterable[str]) -> str:
    return " and ".join(order_splits(names))
