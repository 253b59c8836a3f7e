"""What a reader finds in annotation files, before any image is opened or box checked.

Every format's reader gives these; `data/check.py` turns them into records.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from sightline.data.formats.image_names import (
    IMAGE_FOLDERS,
    folder_of,
    split_of_folders,
    stem_of,
)
from sightline.data.formats.jsonfile import JsonDamaged, JsonText, read_json
from sightline.data.formats.listing import Listing
from sightline.data.records import Problem, Severity

_UNSHOWABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
CLASSES_FILE = "classes.txt"
_IMAGE_FOLDER = re.compile(rf"(?:^|/)(?:{'|'.join(IMAGE_FOLDERS)})(?=/|$)")
_MOST_MISSING = 20  # images told one by one


@dataclass(frozen=True, slots=True)
class RawBox:
    """A box as written: perhaps inverted, outside the image or not finite.

    box_xyxy: corners in pixels, or in 0..1 of width and height where its image `is_normalised`.
    """

    label: str
    box_xyxy: tuple[float, float, float, float]
    line: int | None = None
    is_crowd: bool = False
    area: float | None = None
    is_difficult: bool = False
    is_truncated: bool = False


@dataclass(frozen=True, slots=True)
class RawImage:
    """An annotated image. `image` is relative to the listing's root, posix slashes.

    annotation: the file that problems name. said_size: (width, height) as the annotation has it.
    splits: the data set's own splits that hold this image. is_normalised: its boxes are shares of
    the upright image's width and height, not pixels; their areas in pixels all the same.
    """

    image: str
    annotation: str
    boxes: tuple[RawBox, ...]
    said_size: tuple[float, float] | None = None
    line: int | None = None
    splits: tuple[str, ...] = ()
    is_normalised: bool = False


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
    _doubted: set[tuple[str, str]] = field(default_factory=set)  # files and names in them

    def report(
        self, severity: Severity, code: str, file: str, line: int | None, message: str
    ) -> None:
        self.problems.append(Problem(severity, code, file, line, message))

    def find_image(self, name: str, file: str, line: int | None) -> str | None:
        """The listed image that `name`, written in `file`, means; None: there is none."""
        return self.choose(self.listing.find_images(name, file), name, file, line)

    def find_stem(self, stem: str, file: str, line: int | None) -> str | None:
        """The listed image with that name but for its ending; None: there is none."""
        return self.choose(self.listing.find_stems(stem, file), stem, file, line)

    def choose(self, found: list[str], said: str, file: str, line: int | None) -> str | None:
        """The first of the images found for what is `said` in `file`, told where it has equals."""
        if len(found) > 1 and (file, said) not in self._doubted:
            self._doubted.add((file, said))
            others = f"{len(found) - 1} others" if len(found) > 2 else found[1]
            message = f"{said!r} may be {found[0]}, which is taken, or {others}"
            self.report("warning", "image-ambiguous", file, line, message)
        return found[0] if found else None

    def report_unannotated(self, images: Iterable[str], spoken_of: Collection[str] = ()) -> None:
        """Report the images that lie among `images`, the annotated ones, and are none of them.

        Those with a stem in `spoken_of` have a problem of their own. Where a single annotation
        file was given, nothing is missing: the others may be in other files.
        """
        if not self.listing.is_whole:
            return
        annotated = set(images)
        homes = {folder_of(image) for image in annotated}
        splits = set(map(split_of_folders, homes))
        above = {home[: at.end()] for home in homes if (at := _IMAGE_FOLDER.search(home))}
        missing = []
        for image in self.listing.images:
            folder = folder_of(image)
            if image in annotated or stem_of(image) in spoken_of:
                continue
            if folder in homes or (
                (at := _IMAGE_FOLDER.search(folder))
                and folder[: at.end()] in above
                and split_of_folders(folder) in splits
            ):
                missing.append(image)
        for image in missing[:_MOST_MISSING]:
            message = "in no annotation file; left out"
            self.report("warning", "annotation-missing", image, None, message)
        if more := missing[_MOST_MISSING:]:
            message = f"the same of {len(more)} image(s), this one first"
            self.report("warning", "annotation-missing", more[0], None, message)

    def read_lines(self, file: str) -> list[str]:
        """The lines of a listed text file; none, and a problem, where it cannot be read."""
        try:
            text = self.listing.path(file).read_text("utf-8-sig", errors="surrogateescape")
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
            self.report("error", "file-unreadable", file, None, why)
            return []
        return text.splitlines()

    def read_json(self, file: str) -> JsonText | None:
        """The document in a listed .json file; None, and a problem, where it cannot be read."""
        try:
            return read_json(self.listing.path(file))
        except JsonDamaged as error:
            self.report("error", "json-damaged", file, error.line, str(error))
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
            self.report("error", "file-unreadable", file, None, why)
        return None

    def read_classes(self) -> tuple[str, ...] | None:
        """The order of classes that a classes.txt at the top gives, for formats that have none."""
        if CLASSES_FILE not in self.listing.annotations:
            return None
        names = (tidy_name(line) for line in self.read_lines(CLASSES_FILE))
        return tuple(dict.fromkeys(name for name in names if name))

    def note_outlines(
        self, file: str, *, polygons: int = 0, rotated: int = 0, ellipses: int = 0
    ) -> None:
        """Report that so many outlines of that file were taken as their bounding boxes."""
        counts = {
            "polygon(s)": polygons,
            "rotated box(es)": rotated,
            "circle(s) or ellipse(s)": ellipses,
        }
        said = " and ".join(f"{count} {what}" for what, count in counts.items() if count)
        if said:
            message = f"{said} taken as the upright box around each"
            self.report("info", "outline-boxed", file, None, message)


def bounding_box(
    points: Iterable[tuple[float, float]],
) -> tuple[float, float, float, float]:
    """The upright box (x1, y1, x2, y2) around points; not finite where a point is not, or none."""
    xs, ys = zip(*points, strict=True) if (points := list(points)) else ((math.nan,), (math.nan,))
    if not all(map(math.isfinite, (*xs, *ys))):
        return (math.nan, math.nan, math.nan, math.nan)
    return (min(xs), min(ys), max(xs), max(ys))


@lru_cache(maxsize=10_000)  # a data set has few names and many boxes: each name is kept once
def tidy_name(text: str) -> str:
    """A class name with runs of white space made one blank, none at the ends.

    Control characters and halves of surrogate pairs, which no terminal and no UTF-8 file can
    show, become U+FFFD.
    """
    return _UNSHOWABLE.sub("\ufffd", " ".join(text.split()))


def order_splits(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once: train, val, test, then the others by name."""
    usual = ("train", "val", "test")
    found = set(names)
    return (*(n for n in usual if n in found), *sorted(found.difference(usual)))
