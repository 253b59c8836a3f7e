"""What of a data set a format has no place for, said when it is written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sightline.boxes import area
from sightline.data.records import Problem

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
        if (record.area != area(record.boxes_xyxy)).any():
            areas.append(record.name)
    for code, what, names in (
        ("lost-crowd", "regions of crowds become boxes", crowd),
        ("lost-flags", f"the marks difficult and truncated have no place in {format_name}", flags),
        ("lost-area", f"areas other than the box's own have no place in {format_name}", areas),
    ):
        if names:
            yield Problem("info", code, names[0], None, f"{what} ({len(names)} image(s))")


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
