"""Pictures of a data set's page: which to show, each stored once, with boxes drawn over it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import TypeVar

import numpy as np

from sightline.boxes import area
from sightline.data.dataset import Dataset
from sightline.data.examine import Progress
from sightline.data.images import decode_image
from sightline.data.records import Problem, Record
from sightline.errors import ImageError
from sightline.page import PhotoBox, boxed_photo, thumbnail_uri

Item = TypeVar("Item")
Corners = tuple[float, float, float, float]

THUMBNAIL_PX = 320
_SAMPLES = 60
_SAMPLES_EACH = 6  # of a class
_SHOWN_EACH = 8  # of a kind of problem
# Of all pictures together; what does not fit is not shown. A photo has 10 to 30 kB here.
_MOST_BYTES = 2_400_000
_MOST_BOXES = 150  # drawn over one photo


def choose_samples(dataset: Dataset) -> dict[int, list[int]]:
    """Class -> up to six of its records; sixty in all, the commonest class first.

    Records that no class before has taken go first; evenly spread where there are more than two,
    else those whose boxes of the class are largest.
    """
    members: dict[int, list[int]] = {}
    for index, record in enumerate(dataset.records):
        for label in set(record.label_ids.tolist()):
            members.setdefault(label, []).append(index)
    counts = list(dataset.box_counts.values())
    shown = sorted(members, key=lambda label: (-counts[label], label))[:_SAMPLES]
    each = min(_SAMPLES_EACH, _SAMPLES // max(1, len(shown)))
    chosen: dict[int, list[int]] = {}
    taken: set[int] = set()
    for label in reversed(shown):  # the rarest has least to choose from
        free = [index for index in members[label] if index not in taken]
        if len(free) < min(each, len(members[label])):
            free = members[label]
        if each > 2:
            chosen[label] = _spread(free, each)
        else:
            largest = sorted(free, key=lambda i: -_largest_share(dataset.records[i], label))
            chosen[label] = largest[:each]
        taken.update(chosen[label])
    return {label: chosen[label] for label in shown}


def choose_pictured(dataset: Dataset) -> dict[str, list[Problem]]:
    """Code -> the first eight of its problems that are about an image of the data set."""
    known = set(dataset.names)
    chosen: dict[str, list[Problem]] = {}
    for problem in dataset.problems:
        alike = chosen.setdefault(problem.code, [])
        if len(alike) < _SHOWN_EACH and known.intersection((problem.file, *problem.images)):
            alike.append(problem)
    return chosen


class Album:
    """The photos of one page: small, and each stored once, however often it is shown."""

    def __init__(self, dataset: Dataset) -> None:
        self._classes = dataset.classes
        self._records = dataset.records
        self._places = {name: index for index, name in enumerate(dataset.names)}
        self._photos: dict[int, str] = {}
        self._bytes = 0

    def load(self, wanted: Sequence[int], progress: Progress | None) -> None:
        """Make thumbnails of these records; those that are gone or broken are left out."""
        for done, index in enumerate(dict.fromkeys(wanted), start=1):
            if index not in self._photos and self._bytes < _MOST_BYTES:
                try:
                    uri = thumbnail_uri(decode_image(self._records[index].image), THUMBNAIL_PX)
                except ImageError:  # gone or changed since it was read
                    continue
                self._photos[index] = uri
                self._bytes += len(uri)
            if progress is not None:
                progress(done, len(wanted))

    def find(self, problem: Problem) -> list[int]:
        """The records that a problem is about."""
        names = problem.images or (problem.file,)
        return [self._places[name] for name in names if name in self._places]

    def to_svg(self) -> str:
        """What the figures of this album refer to; invisible itself."""
        images = "".join(
            f'<image id="photo-{index}" width="{record.width}" height="{record.height}" '
            f'preserveAspectRatio="none" href="{uri}"/>'
            for index, uri in self._photos.items()
            for record in (self._records[index],)
        )
        return f'<svg class="album" aria-hidden="true"><defs>{images}</defs></svg>'

    def sample_figure(self, index: int, label: int, caption: str) -> str:
        """A <figure> of the record with the boxes of one class; '' where there is no photo.

        caption: HTML.
        """
        if index not in self._photos:
            return ""
        record = self._records[index]
        drawn = boxed_photo(
            f'<use href="#photo-{index}"/>',
            _boxes(record, self._classes, label),
            view=(0, 0, record.width, record.height),
            title=f"{self._classes[label]} in {record.name}",
        )
        text = f"<figcaption>{caption}</figcaption>" if caption else ""
        return f'<figure title="{escape(record.name)}">{drawn}{text}</figure>'

    def problem_figure(self, problem: Problem, caption: str) -> str:
        """A <figure> of the images it is about, its box marked; '' where there is no photo.

        caption: HTML.
        """
        found = [index for index in self.find(problem) if index in self._photos]
        parts: list[str] = []
        for index in found[:2]:
            record = self._records[index]
            boxes = _boxes(record, self._classes)
            view = (0.0, 0.0, float(record.width), float(record.height))
            fault = _visible(problem.box_xyxy, record) if not parts else None
            if fault is not None:
                boxes = [replace(box, kind="faint") for box in boxes]
                boxes.append(PhotoBox(fault, 0, kind="fault"))
                view = _view_around(record, fault)
            photo = f'<use href="#photo-{index}"/>'
            parts.append(boxed_photo(photo, boxes, view=view, title=record.name))
        if not parts:
            return ""
        kind = ' class="pair"' if len(parts) > 1 else ""
        return f"<figure{kind}>{''.join(parts)}<figcaption>{caption}</figcaption></figure>"


def _boxes(record: Record, classes: Sequence[str], label: int | None = None) -> list[PhotoBox]:
    """The record's boxes; where a class is named, the others are faint."""
    rows = list(zip(record.boxes_xyxy.tolist(), record.label_ids.tolist(), strict=True))
    rows.sort(key=lambda row: row[1] == label)
    return [
        PhotoBox(
            (x1, y1, x2, y2),
            label_id,
            kind="" if label is None or label_id == label else "faint",
            title=classes[label_id],
        )
        for (x1, y1, x2, y2), label_id in rows[-_MOST_BOXES:]
    ]


def _largest_share(record: Record, label: int) -> float:
    """Area of the largest box of that class, as a share of its image's."""
    return float(area(record.boxes_xyxy[record.label_ids == label]).max()) / (
        record.width * record.height
    )


def _visible(box_xyxy: Corners | None, record: Record) -> Corners | None:
    """The box in order, near the image and large enough to be seen; None where not finite."""
    if box_xyxy is None or not all(map(math.isfinite, box_xyxy)):
        return None
    x1, x2 = sorted(_near(x, record.width) for x in box_xyxy[::2])
    y1, y2 = sorted(_near(y, record.height) for y in box_xyxy[1::2])
    least = 0.03 * max(record.width, record.height)
    grow_x, grow_y = max(0.0, least - x2 + x1) / 2, max(0.0, least - y2 + y1) / 2
    return x1 - grow_x, y1 - grow_y, x2 + grow_x, y2 + grow_y


def _near(place: float, extent: int) -> float:
    """The place, or the nearest to it that is at most one and a half images outside."""
    return min(max(place, -1.5 * extent), 2.5 * extent)


def _view_around(record: Record, box_xyxy: Corners) -> Corners:
    """Left, top, width and height of the image and the box together."""
    x1, y1, x2, y2 = box_xyxy
    left, top = min(0.0, x1), min(0.0, y1)
    return left, top, max(record.width, x2) - left, max(record.height, y2) - top


def _spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most `most` of the items, the first and the last among them, evenly apart."""
    rows = np.linspace(0, len(items) - 1, min(most, len(items))).round()
    return [items[int(row)] for row in rows]
