"""TFRecord files of tf.train.Example with the TF Object Detection API's field names.

Read are .record and .tfrecord files, whole or in shards (train.record-00000-of-00010), with the
label map (.pbtxt) nearest to each; a file given itself may be called anything. The split is what
the file's name speaks of, else its folder's. Images in the records are unpacked to the cache, their
bytes untouched; a record without takes the image of its name that lies in the folder.

A box's class is its image/object/class/text, under the label map's name for people where it has
one; without a text it is what the label map has for image/object/class/label. Classes are in the
order of the ids. Masks, weights and whatever else records may hold are ignored.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.data.formats.contents import Contents, RawBox, RawImage, Reading, order_splits
from sightline.data.formats.example import ExampleDamaged, read_example, write_example
from sightline.data.formats.image_names import folder_of, name_of, split_named_in, stem_of
from sightline.data.formats.labelmap import write_label_map
from sightline.data.formats.labelmap_files import LabelMaps
from sightline.data.formats.listing import Listing, list_files
from sightline.data.formats.record_file import (
    checksum,
    looks_like_records,
    read_records,
    write_record,
)
from sightline.data.formats.tfrecord_fields import ENCODED, FIELDS, Described, as_example, describe
from sightline.data.images import IMAGE_SUFFIXES, ImageHeader, read_header
from sightline.data.records import Problem, Record, Severity
from sightline.data.staging import Tick, name_copies, staged_folder
from sightline.data.unpack import unpacked_folder
from sightline.errors import ImageError

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset

_LABEL_MAP = "labelmap.pbtxt"
_SHARD_BYTES = 256 * 2**20
_NAME = re.compile(r"\.(?:record|tfrecord)s?(?:-\d+-of-\d+)?$|-\d{5}-of-\d{5}$", re.IGNORECASE)
_SHARD = re.compile(r"(.*?)-(\d{5})-of-(\d{5})")
# Names are kept so far: file systems take 255 bytes, of which copies of a name need some.
_LONGEST_NAME = 180
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ENDINGS = {"JPEG": ".jpg", "TIFF": ".tif"}  # others are called as their format


@dataclass(slots=True)
class _Found:
    """An image of the records: what its copy is to be called, and where its record starts.

    size: bytes of the image in the record; 0 where it is the listed image `name`.
    """

    name: str
    file: str
    start: int
    size: int
    said_size: tuple[float, float] | None
    boxes: tuple[RawBox, ...]
    splits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """A record, for messages: counted from 1, and where in the file it starts."""

    file: str
    number: int
    start: int


def read_tfrecord(listing: Listing) -> Contents | str:
    """What the record files say, or why these are none."""
    files = _record_files(listing)
    if not files:
        return "TFRecord: no .record or .tfrecord file"
    reader = _Reader(Reading(listing))
    for file in files:
        reader.read(file)
    if len(listing.annotations) > 1:  # else one shard was given itself
        _report_missing_shards(reader.reading, files)
    problems = reader.reading.problems
    if not reader.is_known:
        why = f"{problems[0].file}: {problems[0].message}" if problems else "not one record"
        return f"TFRecord: {len(files)} file(s), no image in them ({why})"
    classes = reader.maps.join_classes()
    names, unpacked = _unpack(list(reader.found.values()), listing, reader.around)
    images = (
        RawImage(name, found.file, found.boxes, found.said_size, None, found.splits, True)
        for name, found in zip(names, reader.found.values(), strict=True)
    )
    return Contents(
        "tfrecord",
        unpacked,
        tuple(sorted(images, key=lambda raw: raw.image)),
        classes,
        order_splits(split for file in files if (split := _split_of(file))),
        tuple(problems),
    )


def _record_files(listing: Listing) -> list[str]:
    files = [file for file in listing.annotations if _NAME.search(file)]
    if not files and len(listing.annotations) == 1:
        (file,) = listing.annotations
        try:
            return [file] if looks_like_records(listing.path(file)) else []
        except OSError:
            return []
    return files


def _report_missing_shards(reading: Reading, files: Sequence[str]) -> None:
    """One error for each series of shards, as NAME-00000-of-00003, that lacks some."""
    series: dict[tuple[str, str], set[int]] = {}
    for file in files:
        if shard := _SHARD.fullmatch(file):
            series.setdefault((shard[1], shard[3]), set()).add(int(shard[2]))
    for (name, count), there in series.items():
        lacking = [number for number in range(int(count)) if number not in there]
        if lacking:
            file = f"{name}-{lacking[0]:05d}-of-{count}"
            more = f", nor are {len(lacking) - 1} more" if len(lacking) > 1 else ""
            message = f"this shard of {int(count)} is not there{more}: its images are missing"
            reading.report("error", "shard-missing", file, None, message)


def _split_of(file: str) -> str | None:
    return split_named_in(name_of(file)) or split_named_in(name_of(folder_of(file)))


class _Reader:
    """Record files being read: the images found, each once, and the label maps."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.maps = LabelMaps(reading)
        self.found: dict[tuple[object, ...], _Found] = {}
        self.is_known = False  # whether one record describes an image, there or not

    @cached_property
    def around(self) -> Listing:
        """Where images lie that are not in the records; for a file given itself, all around it."""
        listing = self.reading.listing
        if listing.images or len(listing.annotations) > 1:
            return listing
        try:
            return list_files(listing.root)
        except OSError:
            return listing

    def read(self, file: str) -> None:
        """Read one file, record by record: faults are reported, the rest is kept."""
        classes = self.maps.classes_of(file)
        number = useless = 0
        first = ""
        try:
            records = read_records(self.reading.listing.path(file))
            for number, (start, data) in enumerate(records, 1):
                place = _Place(file, number, start)
                if isinstance(data, str):
                    self._report("error", "record-damaged", place, data)
                    continue
                try:
                    described = describe(read_example(data, FIELDS), classes)
                    why = "has neither image/encoded nor image/filename"
                except ExampleDamaged as error:
                    described, why = None, f"is no tf.train.Example: {error}"
                if described is not None:
                    self.is_known = True
                    self._add(described, place)
                    continue
                useless += 1
                first = first or f"record {number} (byte {start}) {why}"
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
            self.reading.report("error", "file-unreadable", file, None, why)
        if useless:
            message = f"{useless} of {number} record(s) left out; {first}"
            self.reading.report("error", "entry-damaged", file, None, message)

    def _add(self, described: Described, place: _Place) -> None:
        """Keep the image, or the split of an image that is there already."""
        for severity, code, message in described.faults:
            self._report(severity, code, place, message)
        encoded, said = described.encoded, described.name
        split = _split_of(place.file)
        key: tuple[object, ...]
        if encoded:
            fallback = f"{name_of(place.file).partition('.')[0]}-{place.number:05d}"
            name = _safe_name(said or fallback, encoded)
            key = (said, len(encoded), checksum(encoded)) if said else (place.file, place.start)
        else:
            listed = self._find_listed(said, place)
            if listed is None:
                return
            name, key = listed, (listed,)
        known = self.found.get(key)
        if known is None:
            self.found[key] = _Found(
                name,
                place.file,
                place.start,
                len(encoded),
                described.said_size,
                described.boxes,
                (split,) if split else (),
            )
        elif known.boxes == described.boxes and split and split not in known.splits:
            known.splits += (split,)
        else:
            message = f"{said} stands before, in {known.file}; the boxes there are kept"
            self._report("warning", "image-claimed-twice", place, message)

    def _find_listed(self, said: str, place: _Place) -> str | None:
        """The image in the folder that a record without one means; a problem where none is."""
        if ".." in said.replace("\\", "/").split("/"):
            message = f"image/filename {said!r} points outside the data set"
            self._report("warning", "filename-outside", place, message)
        images, file = self.around, place.file
        alike = images.find_images(said, file) or images.find_stems(stem_of(said), file)
        found = self.reading.choose(alike, said, file, None)
        if found is None:
            message = f"holds no image, and {said!r} is not in the folder"
            self._report("warning", "image-missing", place, message)
        return found

    def _report(self, severity: Severity, code: str, place: _Place, message: str) -> None:
        where = f"record {place.number} (byte {place.start})"
        self.reading.report(severity, code, place.file, None, f"{where}: {message}")


def _safe_name(said: str, encoded: memoryview | bytes) -> str:
    """A relative path for an image with that name and these bytes; its folders help to tell it.

    The ending is that of the bytes where the name has none of an image.
    """
    *folders, last = _CONTROL.sub("_", said.replace("\\", "/")).split("/")
    stem, ending = os.path.splitext(last.lstrip("."))
    if ending.lower() not in IMAGE_SUFFIXES:
        stem, ending = stem + ending, _ending(encoded)
    stem = stem.encode()[:_LONGEST_NAME].decode("utf-8", "ignore") or "image"
    folder = "/".join(part for part in folders if part not in ("", ".", ".."))
    return f"{folder}/{stem}{ending}" if 0 < len(folder.encode()) < 60 else f"{stem}{ending}"


def _ending(encoded: memoryview | bytes) -> str:
    try:
        form = read_header(bytes(encoded)).format
    except ImageError:  # found out again, and reported, when the image is looked at
        return ".jpg"
    return _ENDINGS.get(form, f".{form.lower()}")


def _unpack(
    found: Sequence[_Found], listing: Listing, around: Listing
) -> tuple[list[str], Listing]:
    """What each image is called, and the listing under which it is found so.

    Images inside records are unpacked to the cache, where images from beside them join them.
    """
    if not any(image.size for image in found):
        root = around.image_root or around.root
        return [image.name for image in found], replace(
            listing, images=around.images, image_root=root
        )
    names = name_copies([image.name for image in found])
    inside: dict[str, dict[int, str]] = {}
    beside: dict[str, Path] = {}
    for name, image in zip(names, found, strict=True):
        if image.size:
            inside.setdefault(image.file, {})[image.start] = name
        else:
            beside[name] = around.image_path(image.name)

    def write(folder: Path) -> None:
        for file, starts in inside.items():
            for start, data in read_records(listing.path(file)):
                if start in starts and not isinstance(data, str):
                    (encoded, *_) = read_example(data, (ENCODED,)).texts[ENCODED]
                    (folder / starts[start]).write_bytes(encoded)
        for name, path in beside.items():
            shutil.copyfile(path, folder / name)

    archives = [*map(listing.path, inside), *beside.values()]
    folder = unpacked_folder(archives, sum(image.size for image in found), write)
    return names, replace(listing, images=tuple(sorted(names)), image_root=folder)


def write_tfrecord(
    dataset: Dataset, destination: Path, tick: Tick | None = None
) -> tuple[Problem, ...]:
    """Write SPLIT.record files and labelmap.pbtxt; gives what other readers will not understand.

    Without splits the file is data.record, as for images that are in none. A file that would hold
    more than 256 MiB of images is written in shards, SPLIT.record-00000-of-00002. Boxes are kept
    to 2**-25 of the image's width and height. The folder appears whole or not at all. Raises
    DatasetError where `destination` is not empty or cannot be written.
    """
    lost: list[Problem] = []
    copies = name_copies(dataset.names)
    parts = dict(dataset.splits)
    within = {index for indices in parts.values() for index in indices}
    others = tuple(index for index in range(len(dataset)) if index not in within)
    if others or not parts:
        name = "data"
        while name in parts:
            name += "-rest"
        parts[name] = others
    for split in dataset.splits:
        if split_named_in(split) != split:
            message = f"nothing in the name {split}.record says that this is a split"
            lost.append(Problem("info", "lost-split", f"{split}.record", None, message))
    with staged_folder(destination) as folder:
        for split, indices in parts.items():
            for path, shard in _shards(dataset, folder / f"{split}.record", indices):
                with path.open("wb") as file:
                    for index in shard:
                        record = dataset.records[index]
                        encoded = record.image.read_bytes()
                        header = read_header(encoded, name=record.name)
                        form = header.format.lower()
                        example = as_example(record, copies[index], encoded, form, dataset.classes)
                        write_record(file, write_example(example))
                        lost += _lost_in_records(record, header)
                        if tick is not None:
                            tick()
        text = write_label_map(dataset.classes)
        (folder / _LABEL_MAP).write_text(text, encoding="utf-8", newline="\n")
    return tuple(dict.fromkeys(lost))


def _shards(
    dataset: Dataset, path: Path, indices: Sequence[int]
) -> Iterator[tuple[Path, list[int]]]:
    """The files for these images, in order, about equally large, and what each is to hold."""
    sizes = [dataset.records[index].image.stat().st_size for index in indices]
    total = sum(sizes)
    count = max(1, -(-total // _SHARD_BYTES))
    shards: list[list[int]] = [[] for _ in range(count)]
    before = 0
    for index, size in zip(indices, sizes, strict=True):
        middle = before + size / 2
        shards[int(middle / total * count) if total else 0].append(index)
        before += size
    for number, shard in enumerate(shards):
        ending = f"-{number:05d}-of-{count:05d}" if count > 1 else ""
        yield path.with_name(path.name + ending), shard


def _lost_in_records(record: Record, header: ImageHeader) -> list[Problem]:
    """What TensorFlow's readers will not see as it is meant; here all of it comes back."""
    lost = []
    if header.format not in ("JPEG", "PNG"):
        message = f"TensorFlow's readers of records take JPEG and PNG, this is {header.format}"
        lost.append(Problem("info", "lost-format", record.name, None, message))
    if header.orientation != 1:
        message = "is turned by its EXIF orientation, which TensorFlow ignores: boxes fit upright"
        lost.append(Problem("info", "lost-upright", record.name, None, message))
    return lost
