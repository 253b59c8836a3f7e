"""What of a data set a format has no place for, said when it is written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from sightline.boxes import area
from sightline.data.records import Problem, Record
from sightline.data.staging import name_copies

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset


def find_lost_marks(
    dataset: Dataset, format_name: str, *, holds_flags: bool = False
) -> Iterator[Problem]:
    """A problem for each kind of mark that boxes lose, naming the first image and how many."""
    crowd, flags, areas = [], [], []
    for record in dataset:
        if record.is_crowd.any():
            crowd.append(record.name)
        if not holds_flags and (record.is_difficult | record.is_truncated).any():
            flags.append(record.name)
        if has_other_areas(record):
            areas.append(record.name)
    for code, what, names in (
        ("lost-crowd", "regions of crowds become boxes", crowd),
        ("lost-flags", f"the marks difficult and truncated have no place in {format_name}", flags),
        ("lost-area", f"areas other than the box's own have no place in {format_name}", areas),
    ):
        if names:
            yield Problem("info", code, names[0], None, f"{what} ({len(names)} image(s))")


def find_lost_names(dataset: Dataset) -> Iterator[Problem]:
    """A problem where images are called otherwise in the copy, others having their names."""
    pairs = [
        (name, copy)
        for name, copy in zip(dataset.names, name_copies(dataset.names), strict=True)
        if name.rpartition("/")[2] != copy
    ]
    if pairs:
        name, copy = pairs[0]
        message = f"is called {copy} in the copy, since another has its name"
        message += f", and so are {len(pairs) - 1} more" if len(pairs) > 1 else ""
        yield Problem("info", "lost-name", name, None, message)


def has_other_areas(record: Record) -> bool:
    """Whether an area is another than its box's own; rounding in the 10th digit is no difference.

    Corners are sums, x + width: the product of the sides comes back with other last digits.
    """
    return not np.allclose(record.area, area(record.boxes_xyxy), rtol=1e-9, atol=0)


def find_lost_places(dataset: Dataset) -> Iterator[Problem]:
    """A problem for each image of several splits, where a format has one folder for each image."""
    places: dict[int, list[str]] = {}
    for split, indices in dataset.splits.items():
        for index in indices:
            places.setdefault(index, []).append(split)
    for index, splits in sorted(places.items()):
        if len(splits) > 1:
            message = f"is in {' and '.join(splits)}, written to {splits[0]} only"
            yield Problem("info", "lost-split", dataset.names[index], None, message)
