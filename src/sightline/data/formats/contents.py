"""What a reader finds in annotation files, before any image is opened or box checked.

Every format's reader gives these; `data/check.py` turns them into records.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from sightline.data.formats.listing import Listing
from sightline.data.records import Problem, Severity

_UNSHOWABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, slots=True)
class RawBox:
    """A box as written: corners in pixels, perhaps inverted, outside the image or not finite."""

    label: str
    box_xyxy: tuple[float, float, float, float]
    line: int | None = None
    is_crowd: bool = False
    area: float | None = None


@dataclass(frozen=True, slots=True)
class RawImage:
    """An annotated image. `image` is relative to the listing's root, posix slashes.

    annotation: the file that problems name. said_size: (width, height) as the annotation has it.
    splits: the data set's own splits that hold this image.
    """

    image: str
    annotation: str
    boxes: tuple[RawBox, ...]
    said_size: tuple[float, float] | None = None
    line: int | None = None
    splits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contents:
    """Everything a reader found. classes: in the file's order; None where it declares none.

    splits: names of the data set's own splits, empty ones included.
    """

    format: str
    listing: Listing
    images: tuple[RawImage, ...]
    classes: tuple[str, ...] | None = None
    splits: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass
class Reading:
    """A reader at work: the files, and the problems met so far."""

    listing: Listing
    problems: list[Problem] = field(default_factory=list)

    def report(
        self, severity: Severity, code: str, file: str, line: int | None, message: str
    ) -> None:
        self.problems.append(Problem(severity, code, file, line, message))


def tidy_name(text: str) -> str:
    """A class name with runs of white space made one blank, none at the ends.

    Control characters and halves of surrogate pairs, which no terminal and no UTF-8 file can
    show, become U+FFFD.
    """
    return _UNSHOWABLE.sub("\ufffd", " ".join(text.split()))


def split_named_in(text: str) -> str | None:
    """The split that a file or folder name speaks of: instances_train2017 gives "train"."""
    for word in re.findall(r"[a-z]+", text.lower()):
        if word in _SPLIT_WORDS:
            return _SPLIT_WORDS[word]
    return None


def order_splits(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once: train, val, test, then the others by name."""
    usual = ("train", "val", "test")
    found = set(names)
    return (*(n for n in usual if n in found), *sorted(found.difference(usual)))
