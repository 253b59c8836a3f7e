"""A data set in memory: records, classes, splits, and every problem met on the way.

Files are the truth: a Dataset is read from a folder, or an annotation file, and can be written
to another. Pixels stay on disk.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import overload

import numpy as np

from sightline.data.check import build_records
from sightline.data.classes import check_classes
from sightline.data.duplicates import Likeness, find_identical, find_likeness
from sightline.data.examine import Look, Progress, examine_images
from sightline.data.formats import DERIVED_READERS, FORMATS, READERS, WRITERS
from sightline.data.formats.contents import Contents, order_splits
from sightline.data.formats.listing import list_files
from sightline.data.formats.lost import find_lost_names
from sightline.data.leaks import check_splits
from sightline.data.records import Problem, Record
from sightline.data.refusal import explain_refusal
from sightline.data.split import split_indices
from sightline.data.unpack import find_left_out, is_zip
from sightline.errors import (
    DatasetEmpty,
    DatasetError,
    DatasetNotFound,
    DatasetUnrecognised,
    UsageError,
)

# Above this, images are decoded on demand only: some 30 s on two cores.
_MOST_DECODED = 20_000


@dataclass(frozen=True, eq=False)
class Dataset:
    """Annotated images.

    root: the folder that problems' files are relative to. format: a key of `FORMATS`. classes:
    names in the order of label ids. splits: name -> indices of records, the data set's own or made
    by `split`; may be empty. source: what it was loaded from, absolute: the root itself,
    a file, or a folder below. thumbnails: of the images decoded so far (`read_thumbnail`), by path;
    empty for one that does not decode; shared by all data sets made of this one.
    """

    root: Path
    format: str
    classes: tuple[str, ...]
    records: tuple[Record, ...]
    splits: Mapping[str, tuple[int, ...]]
    problems: tuple[Problem, ...]
    thumbnails: dict[Path, bytes] = field(default_factory=dict, repr=False)
    source: Path | None = None

    @staticmethod
    def load(
        path: str | Path, *, check_images: bool | None = None, progress: Progress | None = None
    ) -> Dataset:
        """The data set at `path`, a folder or an annotation file, whatever its format.

        Images that cannot be used are left out and stand in `problems`. With `check_images` every
        image is decoded once (1-4 ms a photo and core), which finds damage within files and images
        that show nearly the same. Without, headers and ends of files are looked at, which finds
        truncated ones; so it is by default where there are more than 20,000. `progress` is called
        with images done and images to do.

        Raises DatasetNotFound, or DatasetUnrecognised saying why it is no data set.
        """
        if path == "":  # which Path takes for the folder that one is in
            raise DatasetNotFound("the path of the data set is empty; name a folder or a file")
        contents = _recognise(Path(path))
        classes = _complete_classes(contents)
        paths = [contents.listing.image_path(raw.image) for raw in contents.images]
        decode = len(paths) <= _MOST_DECODED if check_images is None else check_images
        looks = examine_images(paths, decode=decode, progress=progress)
        headers = [look.header if isinstance(look, Look) else look for look in looks]
        records, splits, problems = build_records(contents, headers, classes)
        members: dict[str, list[int]] = {name: [] for name in contents.splits}
        for index, names in enumerate(splits):
            for name in names:
                members[name].append(index)
        dataset = Dataset(
            contents.listing.root,
            contents.format,
            classes,
            tuple(records),
            {name: tuple(indices) for name, indices in members.items()},
            (),
            {
                path: look.thumbnail
                for path, look in zip(paths, looks, strict=True)
                if isinstance(look, Look) and look.thumbnail is not None
            },
            Path(os.path.abspath(path)),
        )
        found = [] if decode or check_images is not None else [_not_decoded(len(paths))]
        found += _check_archive(Path(path))
        found += check_classes(dataset.box_counts)
        found += check_splits(dataset.splits, dataset.records, classes, dataset.known_likeness)
        return dataset._replace(problems=(*contents.problems, *problems, *found))

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Record, ...]: ...
    def __getitem__(self, index: int | slice) -> Record | tuple[Record, ...]:
        return self.records[index]

    @property
    def path(self) -> Path:
        """What to load to have this data set again."""
        return self.source or self.root

    @property
    def name(self) -> str:
        """What the data set is called: its folder, or its file without the ending."""
        return self.path.stem if self.path.is_file() else self.path.name

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of each record."""
        return tuple(record.name for record in self.records)

    @cached_property
    def identical(self) -> tuple[tuple[int, ...], ...]:
        """Groups of records whose image files are byte for byte the same."""
        groups = find_identical([record.image for record in self.records])
        return tuple(tuple(group) for group in groups)

    def decode(self, progress: Progress | None = None) -> None:
        """Decode the images not decoded so far: 1-4 ms a photo and core.

        `progress` is called with images done and images to do.
        """
        missing = [record.image for record in self.records if record.image not in self.thumbnails]
        looks = examine_images(missing, decode=True, progress=progress)
        for path, look in zip(missing, looks, strict=True):
            self.thumbnails[path] = look.thumbnail or b"" if isinstance(look, Look) else b""

    @cached_property
    def likeness(self) -> Likeness:
        """Which records show the same or nearly so; some ten seconds for 100,000.

        Images not decoded so far are decoded first.
        """
        self.decode()
        return self._compare()

    @property
    def known_likeness(self) -> Likeness:
        """The same by what is known: images not decoded so far are compared by bytes alone."""
        if all(record.image in self.thumbnails for record in self.records):
            return self.likeness
        return self._compare()

    def _compare(self) -> Likeness:
        thumbnails = [self.thumbnails.get(record.image) for record in self.records]
        return find_likeness(self.identical, thumbnails)

    @cached_property
    def box_counts(self) -> dict[str, int]:
        """Class name -> number of its boxes, in the order of the classes."""
        counts: Counter[int] = Counter()
        for record in self.records:
            counts.update(record.label_ids.tolist())
        return {name: counts[index] for index, name in enumerate(self.classes)}

    def subset(self, split: str) -> Dataset:
        """The records of one split alone. Raises DatasetEmpty where there is none of that name."""
        if split not in self.splits:
            known = ", ".join(self.splits) or "none"
            raise DatasetEmpty(f"{self.path} has no split {split!r}; its splits: {known}")
        records = tuple(self.records[index] for index in self.splits[split])
        return replace(self, records=records, splits={split: tuple(range(len(records)))})

    def split(self, val: float = 0.2, test: float = 0.0, seed: int = 0) -> Dataset:
        """The same records with splits train, val and, where asked for, test.

        The same on every machine: by name and seed. Classes are spread alike. Images that show the
        same or nearly so (`likeness`) stay on one side; only a group so large that a side would be
        half or twice what it should is divided, into runs of consecutive names, byte-identical
        images never. Raises DatasetEmpty below one image a split, UsageError for shares that leave
        nothing to train on.
        """
        if not (0 < val < 1 and 0 <= test < 1 and val + test < 1):
            raise UsageError(f"val {val:g} and test {test:g} are shares: above 0, below 1 together")
        shares = {"train": 1 - val - test, "val": val}
        if test:
            shares["test"] = test
        return self._replace(splits=self._deal(range(len(self)), shares, seed))

    def with_splits(self) -> Dataset:
        """The data set with splits to train and to validate on.

        Its own if it has both; val taken from its own train, 80/20, where only val is missing;
        else `split()`.
        """
        if {"train", "val"} <= self.splits.keys():
            return self
        if "train" not in self.splits:
            return self.split()
        dealt = self._deal(self.splits["train"], {"train": 0.8, "val": 0.2}, 0)
        splits = {**self.splits, **dealt}
        return self._replace(splits={name: splits[name] for name in order_splits(splits)})

    def find_leaks(self, split: str = "val", of: str = "train") -> dict[int, int]:
        """Image of one split -> the image of another that it is the same as, or nearly.

        By what is known of them: nothing is decoded for it. Empty where there is no such split.
        """
        indices, others = self.splits.get(split, ()), self.splits.get(of, ())
        likeness = self.known_likeness
        copies, alike = likeness.copies(others), likeness.first_alike(others).tolist()
        found = {index: copies.get(index, alike[index]) for index in indices}
        return {index: other for index, other in found.items() if other < len(self)}

    def save(
        self, path: str | Path, format: str, progress: Progress | None = None
    ) -> tuple[Problem, ...]:
        """Write images and annotations to a new folder; gives what the format could not hold.

        The folder appears whole or not at all, and nothing is overwritten. `progress` is called
        with images written and images to write. Raises UsageError for an unknown format,
        DatasetError where the folder is not empty or cannot be written.
        """
        if path == "":
            raise DatasetError("the path to write to is empty; name a new folder")
        if format not in WRITERS:
            raise UsageError(f"no format is called {format!r}; known: {', '.join(WRITERS)}")
        written = count(1)

        def tick() -> None:
            if progress is not None:
                progress(next(written), len(self))

        lost = WRITERS[format](self, Path(path), tick)
        return (*find_lost_names(self), *lost)

    def require_boxes(self, split: str | None = None) -> None:
        """Raises DatasetEmpty unless the data set, or that split, has an image and a box."""
        dataset = self if split is None else self.subset(split)
        where = f"{self.path}" if split is None else f"split {split!r} of {self.path}"
        if not dataset.records:
            raise DatasetEmpty(
                f"{where} has no usable image ({len(self.problems)} problems: "
                f"`sightline data inspect {self.path}` lists them)"
            )
        if not any(len(record.label_ids) for record in dataset.records):
            raise DatasetEmpty(
                f"{where} has no box in its {len(dataset)} image(s); label some first, with "
                "LabelImg for instance"
            )

    def fingerprint(self) -> str:
        """sha256 (hex) over classes, image names and sizes, boxes; the same wherever it lies."""
        digest = hashlib.sha256("\0".join(self.classes).encode("utf-8", "surrogatepass"))
        for name, record in sorted(zip(self.names, self.records, strict=True), key=lambda e: e[0]):
            head = f"\n{name}\0{record.width}x{record.height}\0{len(record.label_ids)}\0"
            digest.update(head.encode("utf-8", "surrogatepass"))
            digest.update(np.ascontiguousarray(record.boxes_xyxy, "<f8").tobytes())
            digest.update(np.ascontiguousarray(record.label_ids, "<i8").tobytes())
            digest.update(np.ascontiguousarray(record.is_crowd, np.uint8).tobytes())
        return digest.hexdigest()

    def _deal(
        self, indices: range | tuple[int, ...], shares: Mapping[str, float], seed: int
    ) -> dict[str, tuple[int, ...]]:
        if len(indices) < len(shares):
            raise DatasetEmpty(
                f"{self.path}: {len(indices)} usable image(s) cannot be divided into "
                f"{' and '.join(shares)}"
            )
        place = {index: position for position, index in enumerate(indices)}

        def placed(groups: Iterable[Iterable[int]]) -> list[list[int]]:
            within = ([place[index] for index in group if index in place] for group in groups)
            return [group for group in within if len(group) > 1]

        dealt = split_indices(
            [self.names[index] for index in indices],
            [self.records[index].label_ids.tolist() for index in indices],
            shares,
            seed=seed,
            identical=placed(self.identical),
            alike=placed(self.likeness.groups),
        )
        empty = [name for name, positions in dealt.items() if not positions]
        if empty:
            raise DatasetEmpty(
                f"{self.path}: nothing is left for {' and '.join(empty)}, since byte-identical "
                "images stay together; add different images"
            )
        return {name: tuple(indices[p] for p in positions) for name, positions in dealt.items()}

    def _replace(
        self,
        *,
        splits: Mapping[str, tuple[int, ...]] | None = None,
        problems: tuple[Problem, ...] | None = None,
    ) -> Dataset:
        """The same records, so that what was found out about them is known of the new one too."""
        new = replace(
            self,
            splits=self.splits if splits is None else splits,
            problems=self.problems if problems is None else problems,
        )
        known = ("names", "identical", "likeness", "box_counts")
        vars(new).update({name: vars(self)[name] for name in known if name in vars(self)})
        return new


def _not_decoded(count: int) -> Problem:
    message = (
        f"{count} images are many: only headers and ends of files were looked at, so that damage "
        "within files and images that are nearly the same were not looked for"
    )
    return Problem("info", "images-not-decoded", ".", None, message)


def _check_archive(path: Path) -> list[Problem]:
    """A problem where files of a zip file were not unpacked."""
    left_out = find_left_out(path) if path.is_file() and is_zip(path) else []
    if not left_out:
        return []
    message = (
        f"{len(left_out)} of the zip file's entries left out, {left_out[0]!r} first: names that "
        "lead outside, links and special files are not unpacked"
    )
    return [Problem("warning", "zip-left-out", ".", None, message)]


def _recognise(path: Path) -> Contents:
    """What the one reader that knows the files at `path` found."""
    try:
        if not path.exists():
            raise DatasetNotFound(f"{path}: no such folder or file")
        if not (path.is_file() or path.is_dir()):  # reading a pipe or a device may never end
            raise DatasetError(f"{path} is neither a file nor a folder")
        listing = list_files(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise DatasetError(f"{path} cannot be read: {error}") from error
    answers = [read(listing) for read in READERS]
    if not any(isinstance(answer, Contents) for answer in answers):
        answers += [read(listing) for read in DERIVED_READERS]
    found = [answer for answer in answers if isinstance(answer, Contents)]
    if len(found) > 1:
        kinds = " and ".join(FORMATS[contents.format] for contents in found)
        raise DatasetUnrecognised(
            f"{path} holds {kinds} annotations; give the folder or file of the one you mean"
        )
    if not found:
        raise DatasetUnrecognised(explain_refusal(path, listing, [str(why) for why in answers]))
    return found[0]


def _complete_classes(contents: Contents) -> tuple[str, ...]:
    """The declared classes, then the others by name."""
    used = {box.label for raw in contents.images for box in raw.boxes}
    declared = contents.classes or ()
    return (*declared, *sorted(used.difference(declared)))
