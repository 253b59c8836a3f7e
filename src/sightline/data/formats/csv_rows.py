"""Rows of CSV files, whatever their encoding and separator, and the images that rows name.

What both CSV formats need; knows nothing of what the columns are called.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import PurePosixPath

from sightline.data.formats.contents import RawBox, RawImage, Reading, order_splits
from sightline.data.formats.image_names import split_named_in
from sightline.data.records import Severity

_SEPARATORS = ",;\t"
_SEPARATOR_ROWS = ("sep=", *(f"sep={sign}" for sign in _SEPARATORS))
_HEAD_BYTES = 64 * 1024
# Of one kind and file: a CSV may name a million images that are not there.
_MOST_REPORTED = 20


@dataclass(frozen=True)
class CsvFile:
    """A .csv read with one separator. first_row: the first that is not blank, without blanks."""

    file: str
    encoding: str
    separator: str
    first_row: tuple[str, ...]


def sniff_csv(reading: Reading, file: str) -> list[CsvFile]:
    """How the file may be read: once for each separator that its beginning allows."""
    try:
        with reading.listing.path(file).open("rb") as opened:
            head = opened.read(_HEAD_BYTES)
    except OSError as error:
        reading.report("error", "file-unreadable", file, None, f"cannot be read: {error.strerror}")
        return []
    encoding = _encoding_of(head)
    lines = head.decode(encoding, _on_error(encoding)).splitlines(keepends=True)
    found = []
    for separator in _SEPARATORS:
        try:
            rows = csv.reader(lines, delimiter=separator)
            row = next((row for row in rows if not _is_blank(row)), [])
        except csv.Error:
            continue
        found.append(CsvFile(file, encoding, separator, tuple(map(str.strip, row))))
    return found


def _is_blank(row: list[str]) -> bool:
    """Whether it holds nothing, or only the separator, as Excel is told it: "sep=;"."""
    texts = [text for text in map(str.strip, row) if text]
    return not texts or (len(texts) == 1 and texts[0].lower() in _SEPARATOR_ROWS)


def _encoding_of(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if len(head) > 1 and (head[0] == 0) != (head[1] == 0):  # no mark, but the first sign is ASCII
        return "utf-16-be" if head[0] == 0 else "utf-16-le"
    return "utf-8-sig"


def _on_error(encoding: str) -> str:
    """Bytes that are no UTF-8 are kept, for `spellings`."""
    return "surrogateescape" if encoding == "utf-8-sig" else "replace"


def read_rows(
    reading: Reading, table: CsvFile, *, has_header: bool
) -> Iterator[tuple[int, list[str]]]:
    """The rows with the number of the line each ends on, blank ones and the header left out."""
    path = reading.listing.path(table.file)
    is_header = has_header
    try:
        with path.open(
            encoding=table.encoding, errors=_on_error(table.encoding), newline=""
        ) as lines:
            rows = csv.reader(lines, delimiter=table.separator)
            while True:
                try:
                    for row in rows:
                        if is_header:
                            is_header = _is_blank(row)
                        elif len(row) > 1 or (row and row[0].strip()):
                            yield rows.line_num, row
                    return
                except csv.Error as error:  # a field without end: the reader goes on after it
                    message = f"no readable row: {error}; left out"
                    reading.report("error", "row-damaged", table.file, rows.line_num, message)
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
        reading.report("error", "file-unreadable", table.file, None, why)


def spellings(text: str) -> tuple[str, ...]:
    """The text, and where it is no UTF-8 the same bytes as Latin-1 as well."""
    if text.isascii():
        return (text,)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text, text.encode("utf-8", "surrogateescape").decode("latin-1")
    return (text,)


def read_number(text: str) -> float:
    """The number, a decimal comma read as a point; NaN for anything else."""
    try:
        return float(text.replace(",", ".", 1))
    except ValueError:
        return math.nan


def find_named_image(reading: Reading, name: str, file: str, line: int) -> str | None:
    """The listed image that `name`, written in `file`, means, with its ending or without."""
    for spelling in spellings(name):
        for said in dict.fromkeys((spelling, spelling.strip())):
            stem = said.replace("\\", "/")
            found = reading.find_image(said, file, line) or reading.find_stem(stem, file, line)
            if found is not None:
                return found
    return None


def report_commas(reading: Reading, file: str, lines: Sequence[int]) -> None:
    """Report once that the numbers on these lines have a comma for the point."""
    if lines:
        message = f"decimal commas in {len(lines)} row(s), read as points"
        reading.report("warning", "decimal-comma", file, lines[0], message)


def report_first(
    reading: Reading,
    severity: Severity,
    code: str,
    file: str,
    found: Sequence[tuple[int | None, str]],
) -> None:
    """Report the first (line, message) of one kind each, the rest of them by their number."""
    for line, message in islice(found, _MOST_REPORTED):
        reading.report(severity, code, file, line, message)
    if len(found) > _MOST_REPORTED:
        message = f"the same of {len(found) - _MOST_REPORTED} more"
        reading.report(severity, code, file, found[_MOST_REPORTED][0], message)


def join_files(reading: Reading, files: Iterable[Iterable[RawImage]]) -> list[RawImage]:
    """One entry an image, by name; one that several files have with equal boxes is in all splits.

    Where the boxes differ, those of the first file are kept.
    """
    images: dict[str, RawImage] = {}
    for found in files:
        differing: list[tuple[int | None, str]] = []
        file = ""
        for raw in found:
            file = raw.annotation
            other = images.setdefault(raw.image, raw)
            if other is raw:
                continue
            if _counted(other.boxes) != _counted(raw.boxes):
                message = f"{raw.image} has other boxes in {other.annotation}, which are kept"
                differing.append((raw.line, message))
            elif not set(raw.splits) <= set(other.splits):
                splits = order_splits((*other.splits, *raw.splits))
                images[raw.image] = replace(other, splits=splits)
        report_first(reading, "warning", "image-claimed-twice", file, differing)
    return sorted(images.values(), key=lambda raw: raw.image)


def _counted(boxes: tuple[RawBox, ...]) -> Counter[RawBox]:
    return Counter(replace(box, line=None) for box in boxes)


def split_of(file: str) -> str | None:
    """The split that the file's name speaks of, else the nearest folder whose name does."""
    path = PurePosixPath(file)
    parts = (path.stem, *reversed(path.parent.parts))
    return next((split for part in parts if (split := split_named_in(part))), None)
