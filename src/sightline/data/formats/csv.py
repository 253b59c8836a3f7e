"""CSV with a row a box: filename, width, height, class, xmin, ymin, xmax, ymax, source.

The nine columns of a tutorial that many followed, with or without the size and the source, in any
order and under the names other tools give them (`_NAMES` and below); and RetinaNet's six without
a header: path, x1, y1, x2, y2, class. Corners are pixels. A row with an empty class and no corners
says that nothing is on the image. Split is what the file's name or a folder speaks of, else the
column `source` where it holds nothing but splits. An image that two files list with equal boxes is
in the splits of both, so that a CSV of everything beside its parts does no harm.
"""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from sightline.data.formats.contents import (
    CLASSES_FILE,
    Contents,
    RawBox,
    RawImage,
    Reading,
    order_splits,
    tidy_name,
)
from sightline.data.formats.csv_rows import (
    CsvFile,
    find_named_image,
    join_files,
    read_number,
    read_rows,
    report_commas,
    report_first,
    sniff_csv,
    spellings,
    split_of,
)
from sightline.data.formats.image_names import split_named_in
from sightline.data.formats.listing import Listing
from sightline.data.formats.lost import find_lost_marks
from sightline.data.formats.shapes import shown
from sightline.data.images import IMAGE_SUFFIXES
from sightline.data.records import Problem, Record
from sightline.data.staging import Tick, copy_images, name_copies, staged_folder

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset

COLUMNS = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax", "source")
# What columns are called, in small letters and without signs; the first that is there counts.
_NAMES = (
    *("filename", "file", "filepath", "path", "image", "imagename", "imagefile", "imagefilename"),
    *("imagepath", "img", "imgname", "imgfname", "imgpath", "fname", "imageid", "imgid", "name"),
)
_LABELS = (
    *("class", "label", "classname", "labelname", "classlabel", "category", "categoryname"),
    *("celltype", "name"),
)
_MOST_SHOWN = 10  # columns of a file that has others than it should have
_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("x0", "y0", "x1", "y1"),
    ("xtl", "ytl", "xbr", "ybr"),
    ("left", "top", "right", "bottom"),
)
_CORNER_PREFIXES = ("", "bbx", "bbox", "box")
_SIZES = (
    ("width", "height"),
    ("imagewidth", "imageheight"),
    ("imgwidth", "imgheight"),
    ("imgw", "imgh"),
)


@dataclass(frozen=True)
class _Columns:
    """At which index of a row what stands. corners: x1, y1, x2, y2. count: fields in a row."""

    name: int
    label: int
    corners: tuple[int, int, int, int]
    count: int
    size: tuple[int, int] | None = None
    source: int | None = None
    has_header: bool = True


@dataclass(slots=True)
class _Rows:
    """What the rows about one image say; line is the first one's."""

    image: str
    line: int
    size: tuple[float, float] | None
    boxes: list[RawBox] = field(default_factory=list)
    sources: set[str] = field(default_factory=set)


def read_csv(listing: Listing) -> Contents | str:
    """What the CSV files say, or why they have no boxes that are known here."""
    files = listing.with_suffix(".csv")
    if not files:
        return "CSV: no .csv file"
    reading = Reading(listing)
    tables = [table for file in files if (table := _recognise(reading, file))]
    wanted = "columns of a file name, a class and four corners (filename, class, xmin, ...)"
    if not tables:
        return f"CSV: {len(files)} .csv, none with {wanted}{_say_columns(reading, files[0])}"
    for file in sorted(set(files).difference(table.file for table, _ in tables)):
        reading.report("info", "csv-other", file, None, f"without {wanted}; not read")
    found = [_read_file(reading, table, columns) for table, columns in tables]
    images = join_files(reading, found)
    reading.report_unannotated(raw.image for raw in images)
    splits = {split for table, _ in tables if (split := split_of(table.file))}
    splits.update(split for raw in images for split in raw.splits)
    return Contents(
        "csv",
        listing,
        tuple(images),
        reading.read_classes(),
        order_splits(splits),
        tuple(reading.problems),
    )


def _recognise(reading: Reading, file: str) -> tuple[CsvFile, _Columns] | None:
    for table in sniff_csv(reading, file):
        columns = _find_columns(table.first_row) or _columns_without_header(table.first_row)
        if columns is not None:
            return table, columns
    return None


def _say_columns(reading: Reading, file: str) -> str:
    """Which columns there are instead, where the first row looks like a header; else ""."""
    rows = [table.first_row for table in sniff_csv(reading, file)]
    header = max(rows, key=len, default=())
    if len(header) < 2 or any(math.isfinite(read_number(title)) for title in header):
        return ""
    there = ", ".join(header[:_MOST_SHOWN]) + (", ..." if len(header) > _MOST_SHOWN else "")
    return f"; {file} has {shown(there)[1:-1]}"


def _find_columns(header: Sequence[str]) -> _Columns | None:
    if {"ImageID", "LabelName"} <= set(header):  # Open Images: shares of the size, not pixels
        return None
    places: dict[str, int] = {}
    for index, title in enumerate(header):
        places.setdefault(re.sub("[^a-z0-9]", "", title.lower()), index)
    name = next((places[title] for title in _NAMES if title in places), None)
    label = next((places[t] for t in _LABELS if t in places and places[t] != name), None)
    corners = next(
        (
            tuple(places[prefix + title] for title in titles)
            for titles in _CORNERS
            for prefix in _CORNER_PREFIXES
            if all(prefix + title in places for title in titles)
        ),
        None,
    )
    if name is None or label is None or corners is None:
        return None
    x1, y1, x2, y2 = corners
    size = next(((places[w], places[h]) for w, h in _SIZES if w in places and h in places), None)
    return _Columns(name, label, (x1, y1, x2, y2), len(header), size, places.get("source"))


def _columns_without_header(row: Sequence[str]) -> _Columns | None:
    """RetinaNet's, where the first row can be nothing else."""
    if len(row) != 6 or os.path.splitext(row[0])[1].lower() not in IMAGE_SUFFIXES:
        return None
    corners = [read_number(text) for text in row[1:5]]
    is_box = all(number == number for number in corners) and row[5]
    if not is_box and any(row[1:]):
        return None
    return _Columns(0, 5, (1, 2, 3, 4), 6, has_header=False)


def _read_file(reading: Reading, table: CsvFile, columns: _Columns) -> list[RawImage]:
    """The images that one file's rows are about, with their splits."""
    found = _Names(reading, table.file, columns)
    _read_rows_of(reading, table, columns, found)
    found.report()
    images = [rows for rows in found.by_name.values() if rows is not None]
    own = split_of(table.file)
    sources = {source.strip() for rows in images for source in rows.sources} - {""}
    are_splits = all(source.isalpha() and split_named_in(source) for source in sources)

    def splits(rows: _Rows) -> tuple[str, ...]:
        if own is not None:
            return (own,)
        named = map(split_named_in, rows.sources if are_splits else ())
        return order_splits(split for split in named if split)

    return [
        RawImage(rows.image, table.file, tuple(rows.boxes), rows.size, rows.line, splits(rows))
        for rows in images
    ]


def _read_rows_of(reading: Reading, table: CsvFile, columns: _Columns, found: _Names) -> None:
    """Add each row's box to its image; a problem for each row that has none to add."""
    pick = itemgetter(columns.name, columns.label, *columns.corners)
    labels: dict[str, str] = {}
    commas: list[int] = []
    for line, row in read_rows(reading, table, has_header=columns.has_header):
        if len(row) != columns.count and not _complete(row, columns):
            message = f"{len(row)} fields, {columns.count} are expected; left out"
            reading.report("warning", "row-damaged", table.file, line, message)
            continue
        name, text, *corners = pick(row)
        rows = found.by_name[name] if name in found.by_name else found.add(name, line, row)
        if rows is None:
            if not name.strip() and any(map(str.strip, row)):
                message = "row without a file name; left out"
                reading.report("warning", "row-damaged", table.file, line, message)
            continue
        if columns.source is not None:
            rows.sources.add(row[columns.source])
        if text not in labels:
            labels[text] = tidy_name(spellings(text)[-1])
        label = labels[text]
        try:
            x1, y1, x2, y2 = map(float, corners)
        except ValueError:
            if not any(map(str.strip, corners)):  # without a class as well: nothing is on it
                if label:
                    message = f"{label} without corners"
                    reading.report("warning", "box-missing", table.file, line, message)
                continue
            if any("," in corner for corner in corners):
                commas.append(line)
            x1, y1, x2, y2 = map(read_number, corners)
        if label:
            rows.boxes.append(RawBox(label, (x1, y1, x2, y2), line))
        else:
            message = "box without a class; left out"
            reading.report("warning", "class-empty", table.file, line, message)
    report_commas(reading, table.file, commas)


def _complete(row: list[str], columns: _Columns) -> bool:
    """Whether all that matters is there and nothing more; what else is missing is filled up."""
    needed = max(columns.name, columns.label, *columns.corners) + 1
    if len(row) < needed or any(map(str.strip, row[columns.count :])):
        return False
    row.extend([""] * (columns.count - len(row)))
    return True


class _Names:
    """The names in one file, and the image that each means."""

    def __init__(self, reading: Reading, file: str, columns: _Columns) -> None:
        self._reading, self._file, self._columns = reading, file, columns
        self.by_name: dict[str, _Rows | None] = {}  # None: there is no such image to add to
        self._owners: dict[str, str] = {}
        self._absent: list[tuple[int | None, str]] = []
        self._taken: list[tuple[int | None, str]] = []
        self._outside: list[tuple[int | None, str]] = []

    def add(self, name: str, line: int, row: Sequence[str]) -> _Rows | None:
        """The rows of the image that a new name means, this one being the first."""
        self.by_name[name] = None
        if not name.strip():
            return None
        if ".." in name.replace("\\", "/").split("/"):
            self._outside.append((line, f"file name {name!r} points outside the data set"))
        image = find_named_image(self._reading, name, self._file, line)
        if image is None:
            self._absent.append((line, f"its image is not there: {name!r}"))
        elif image in self._owners:
            message = f"{name!r} and {self._owners[image]!r} can only mean {image}; left out"
            self._taken.append((line, message))
        else:
            self._owners[image] = name
            self.by_name[name] = _Rows(image, line, _read_size(row, self._columns.size))
        return self.by_name[name]

    def report(self) -> None:
        """Report the names that mean no image, or one that another name means."""
        reading, file = self._reading, self._file
        report_first(reading, "warning", "filename-outside", file, self._outside)
        report_first(reading, "warning", "image-missing", file, self._absent)
        report_first(reading, "warning", "image-claimed-twice", file, self._taken)


def _read_size(row: Sequence[str], places: tuple[int, int] | None) -> tuple[float, float] | None:
    if places is None:
        return None
    width, height = (read_number(row[place]) for place in places)
    return (width, height) if width > 0 and height > 0 else None


def write_csv(dataset: Dataset, destination: Path, tick: Tick | None = None) -> tuple[Problem, ...]:
    """Write images and SPLIT.csv, with classes.txt; gives what the columns cannot hold.

    Without splits the file is annotations.csv, where images in none of the splits are as well. An
    image without boxes is a row with an empty class and no corners. The folder appears whole or
    not at all. Raises DatasetError where `destination` is not empty or cannot be written.
    """
    copies = name_copies(dataset.names)
    parts = _parts_of(dataset)
    with staged_folder(destination) as folder:
        copy_images([record.image for record in dataset.records], copies, folder / "images", tick)
        for name, (source, indices) in parts.items():
            with _new_text(folder / name) as file:
                writer = csv.writer(file)  # ends lines with CRLF, as RFC 4180 has it
                writer.writerow(COLUMNS)
                for index in indices:
                    writer.writerows(
                        _rows_of(dataset.records[index], copies[index], dataset.classes, source)
                    )
        with _new_text(folder / CLASSES_FILE) as file:
            file.writelines(f"{name}\n" for name in dataset.classes)
    return tuple(_lost_in_csv(dataset, parts))


def _parts_of(dataset: Dataset) -> dict[str, tuple[str, tuple[int, ...]]]:
    """File -> the split it is of, "" for none, and the indices of its records."""
    parts = list(dataset.splits.items())
    within = {index for indices in dataset.splits.values() for index in indices}
    others = tuple(index for index in range(len(dataset)) if index not in within)
    if others or not parts:
        parts.append(("", others))
    files = [f"{re.sub('[^A-Za-z0-9_-]', '_', split) or 'annotations'}.csv" for split, _ in parts]
    return dict(zip(name_copies(files), parts, strict=True))


def _new_text(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", errors="surrogateescape", newline="")


def _rows_of(
    record: Record, copy: str, classes: Sequence[str], source: str
) -> list[tuple[object, ...]]:
    head = (copy, record.width, record.height)
    boxes = zip(record.label_ids.tolist(), record.boxes_xyxy.tolist(), strict=True)
    rows = [(*head, classes[label], *map(_plain, box), source) for label, box in boxes]
    return rows or [(*head, "", "", "", "", "", source)]


def _plain(value: float) -> float:
    """An integer where it is one; the csv module writes every digit of others."""
    return int(value) if value.is_integer() else value


def _lost_in_csv(
    dataset: Dataset, parts: Mapping[str, tuple[str, tuple[int, ...]]]
) -> list[Problem]:
    lost = []
    for file, (split, _) in parts.items():
        if split and split_of(file) != split:
            message = f"split {split!r} has no name that is read back: train, val and test have"
            lost.append(Problem("info", "lost-split", file, None, message))
    lost += find_lost_marks(dataset, "CSV")
    empty = sum(not len(record.label_ids) for record in dataset)
    if empty:
        message = f"{empty} image(s) without boxes became rows with an empty class and no corners"
        lost.append(Problem("info", "row-empty", ".", None, message))
    return lost
