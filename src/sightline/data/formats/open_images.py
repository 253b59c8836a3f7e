"""Open Images CSV: a row a box, corners as shares of the image's width and height.

Read are files with the columns ImageID, LabelName, XMin, XMax, YMin and YMax; the other columns,
image-level labels and masks are not, but for IsGroupOf (a crowd) and IsTruncated. Split is what the
file's name or a folder speaks of (train-annotations-bbox.csv). Names of classes, and their order,
are from a CSV of code and name (class-descriptions-boxable.csv), which lists all of Open Images:
those that no box here has are no classes. A file of all 14 million boxes is read row by row;
those of images that are not here are only counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from operator import itemgetter

from sightline.data.formats.contents import (
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
from sightline.data.formats.listing import Listing

_COLUMNS = ("ImageID", "LabelName", "XMin", "YMin", "XMax", "YMax")
_FLAGS = ("IsGroupOf", "IsTruncated")
_CODE = re.compile("/[a-z]/")  # as the names of things begin in Freebase: /m/01g317


def read_open_images(listing: Listing) -> Contents | str:
    """What the CSV files say, or why they are not Open Images."""
    files = listing.with_suffix(".csv")
    if not files:
        return "Open Images CSV: no .csv file"
    reading = Reading(listing)
    tables = [table for file in files for table in sniff_csv(reading, file)]
    boxes = [table for table in tables if set(_COLUMNS) <= set(table.first_row)]
    if not boxes:
        return f"Open Images CSV: {len(files)} .csv, none with columns {', '.join(_COLUMNS)}"
    names: dict[str, str] = {}
    for table in tables:
        if _is_description(table):
            names.update(_read_names(reading, table))
    images = join_files(reading, [_read_file(reading, table, names) for table in boxes])
    reading.report_unannotated(raw.image for raw in images)
    used = {box.label for raw in images for box in raw.boxes}
    return Contents(
        "open-images",
        listing,
        tuple(images),
        tuple(name for name in dict.fromkeys(names.values()) if name in used) or None,
        order_splits(split for table in boxes if (split := split_of(table.file))),
        tuple(reading.problems),
    )


def _is_description(table: CsvFile) -> bool:
    row = table.first_row
    return len(row) == 2 and (row == ("LabelName", "DisplayName") or bool(_CODE.match(row[0])))


def _read_names(reading: Reading, table: CsvFile) -> dict[str, str]:
    """Code -> name of the class, in the file's order."""
    names: dict[str, str] = {}
    has_header = table.first_row[0] == "LabelName"
    for line, row in read_rows(reading, table, has_header=has_header):
        name = tidy_name(spellings(row[1])[-1]) if len(row) == 2 else ""
        if name:
            names[row[0].strip()] = name
        elif any(map(str.strip, row)):
            message = "no code and name of a class; left out"
            reading.report("warning", "row-damaged", table.file, line, message)
    return names


def _read_file(reading: Reading, table: CsvFile, names: Mapping[str, str]) -> list[RawImage]:
    """The images that are here of those that one file's rows are about."""
    found = _Found(table, names)
    damaged: list[tuple[int | None, str]] = []
    commas: list[int] = []
    absent, first = 0, (0, "")
    last: str | None = None
    boxes: list[RawBox] | None = None
    for line, row in read_rows(reading, table, has_header=True):
        if len(row) != len(table.first_row):
            message = f"{len(row)} fields, {len(table.first_row)} are expected; left out"
            damaged.append((line, message))
            continue
        name = row[found.own]
        if name != last:  # a file has the rows of an image one after the other
            last, boxes = name, found.boxes_of(reading, name, line)
        if boxes is not None:
            box, has_comma = found.box(row, line)
            if has_comma:
                commas.append(line)
            if box.label:
                boxes.append(box)
            else:
                message = "box without a LabelName; left out"
                reading.report("warning", "class-empty", table.file, line, message)
        elif name.strip():
            first = first if absent else (line, name)
            absent += 1
        elif any(map(str.strip, row)):
            damaged.append((line, "row without an ImageID; left out"))
    report_first(reading, "warning", "row-damaged", table.file, damaged)
    report_commas(reading, table.file, commas)
    if absent:
        message = f"{absent} row(s) are about images that are not here, first {first[1]!r}"
        reading.report("info", "image-missing", table.file, first[0], message)
    splits = (split,) if (split := split_of(table.file)) else ()
    return [
        RawImage(image, table.file, tuple(boxes), None, line, splits, is_normalised=True)
        for image, (line, boxes) in found.images.items()
    ]


class _Found:
    """The images met in one file, with the line of their first row and their boxes."""

    def __init__(self, table: CsvFile, names: Mapping[str, str]) -> None:
        places = {column: index for index, column in enumerate(table.first_row)}
        self.own = places["ImageID"]
        self.images: dict[str, tuple[int, list[RawBox]]] = {}
        self._file = table.file
        self._pick = itemgetter(*(places[column] for column in _COLUMNS[1:]))
        self._group, self._truncated = places.get("IsGroupOf"), places.get("IsTruncated")
        self._labels = dict(names)

    def boxes_of(self, reading: Reading, name: str, line: int) -> list[RawBox] | None:
        """Where boxes of the image that `name` means go; None where it is not here."""
        # Most names in a file of all images are plain ids that are not here: the quick way.
        if name.isalnum():
            image = reading.find_stem(name, self._file, line)
        else:
            image = find_named_image(reading, name, self._file, line)
        return self.images.setdefault(image, (line, []))[1] if image else None

    def box(self, row: list[str], line: int) -> tuple[RawBox, bool]:
        """The box in a row, without a label where it has none; whether decimals are commas."""
        text, *corners = self._pick(row)
        if text not in self._labels:
            self._labels[text] = self._labels.get(text.strip()) or tidy_name(spellings(text)[-1])
        try:
            x1, y1, x2, y2 = map(float, corners)
        except ValueError:
            x1, y1, x2, y2 = map(read_number, corners)
        box = RawBox(
            self._labels[text],
            (x1, y1, x2, y2),
            line,
            is_crowd=self._group is not None and row[self._group] == "1",
            is_truncated=self._truncated is not None and row[self._truncated] == "1",
        )
        return box, any("," in corner for corner in corners)
