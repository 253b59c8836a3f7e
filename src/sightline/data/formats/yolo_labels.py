"""The rows of YOLO's label files. Knows neither data.yaml nor which image a file is about.

    class x y width height [confidence]       a box: centre and extent
    class x1 y1 x2 y2 x3 y3 ... [confidence]  an outline; of four points, a rotated box
    x1 y1 x2 y2 x3 y3 x4 y4 NAME difficult    a rotated box as DOTA writes it, in pixels

The first two are shares of the image's width and height, the class a number from 0. Confidences
and keypoints are ignored.
"""

from __future__ import annotations

import codecs
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sightline.data.formats.contents import RawBox, Reading, bounding_box, tidy_name

# 8 MiB are some 100,000 boxes: no honest label file is larger.
MAX_LABEL_BYTES = 8 * 1024 * 1024
_USUAL_BYTES = 4096
# Faults of one file that are reported each; one more problem counts the others.
MAX_FAULTS = 100
# Shares lie in 0..1, those of boxes cut by the border a little outside; pixels far outside.
_MAX_SHARE = 2.0
_CLASS_NUMBER = re.compile(r"([0-9]{1,6})(?:\.0*)?")
_DOTA_HEADS = ("imagesource:", "gsd:")
_DOTA_COLUMNS = 9  # four points and a name; "difficult" may be missing
_EXPECTED = "a row is 'class x y width height'"

_Box = tuple[float, float, float, float]


class _RowFault(Exception):
    """A row that cannot be used. `code`: of the problem that it is."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class ClassNames:
    """Which class a number in label files is. by_number None: nobody says, it is its own name."""

    by_number: Mapping[int, str] | None
    # Label files write the same few numbers over and over.
    by_text: dict[str, str] = field(default_factory=dict)

    def find(self, text: str) -> str | None:
        """The name of the class that a row writes as `text`; None where it is none."""
        match = _CLASS_NUMBER.fullmatch(text)
        if match is None:
            return None
        number = int(match[1])
        name = str(number) if self.by_number is None else self.by_number.get(number)
        if name is not None:
            self.by_text[text] = name
        return name


def read_text(reading: Reading, file: str, max_bytes: int) -> str | None:
    """The text of a listed file; None, and a problem, where it cannot be read or is too large."""
    try:
        with open(f"{reading.listing.root}/{file}", "rb", buffering=0) as stream:
            data = stream.read(_USUAL_BYTES)
            if len(data) == _USUAL_BYTES:  # room for `max_bytes` is not to be had for nothing
                data += stream.read(max_bytes + 1 - _USUAL_BYTES)
    except OSError as error:
        reading.report("error", "file-unreadable", file, None, f"cannot be read: {error.strerror}")
        return None
    if len(data) > max_bytes:
        message = f"larger than {max_bytes / 2**20:g} MiB, which no such file is; left out"
        reading.report("error", "file-too-large", file, None, message)
        return None
    return decode_text(data)


def decode_text(data: bytes) -> str:
    """Text in UTF-8, or in UTF-16, which Windows PowerShell writes with >."""
    is_utf16 = data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return data.decode("utf-16" if is_utf16 else "utf-8-sig", errors="replace")


def find_fault(text: str, *, is_pixel_fault: bool = True) -> str | None:
    """Why a text does not begin as label files do; None: it does, or it is empty.

    is_pixel_fault: whether coordinates in pixels are one, which some other formats have.
    """
    line = next((line for line in text.splitlines() if line.strip()), "")
    columns = line.split()
    if not columns or columns[0].lower().startswith(_DOTA_HEADS) or _is_dota(columns):
        return None
    numbers = _numbers([column.replace(",", ".", 1) for column in columns[:5]])
    if len(columns) < 5 or numbers is None or not _CLASS_NUMBER.fullmatch(columns[0]):
        return f"{_shown(line)}: {_EXPECTED}"
    if is_pixel_fault and not _are_shares(numbers[1:]):
        return f"{_shown(line)} is not in shares of the image"
    return None


@dataclass
class _Findings:
    """What is to be told of a file: rows at fault, and how many were of which kind."""

    faults: list[tuple[int, str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add_fault(self, line: int, code: str, message: str) -> None:
        self.counts["faults"] += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append((line, code, message))

    def report(self, reading: Reading, file: str) -> None:
        for line, code, message in self.faults:
            reading.report("error", code, file, line, f"{message}; row left out")
        if more := self.counts["faults"] - len(self.faults):
            message = f"{more} more rows cannot be used; left out"
            reading.report("error", "label-damaged", file, None, message)
        if commas := self.counts["comma"]:
            message = f"{commas} row(s) with decimal commas: read as dots"
            reading.report("warning", "decimal-comma", file, None, message)
        if confidences := self.counts["confidence"]:
            message = f"{confidences} row(s) end with a confidence, which is not used"
            reading.report("info", "confidence-ignored", file, None, message)
        counts = {kind: self.counts[kind] for kind in ("polygons", "rotated")}
        reading.note_outlines(file, **counts)


def read_labels(
    reading: Reading, file: str, text: str, names: ClassNames, keypoint_columns: int = 0
) -> tuple[tuple[RawBox, ...], bool]:
    """The boxes of a label file, and whether they are shares of the image rather than pixels.

    keypoint_columns: how many numbers of keypoints stand behind each box.
    """
    lines = text.splitlines()
    findings = _Findings()
    first = next(_rows_of_dota(lines), (0, []))[1]
    is_dota = _is_dota(first) or (_is_in_label_txt(file) and len(first) > _DOTA_COLUMNS)
    if is_dota:
        boxes = _read_dota(lines, findings)
    else:
        boxes = _read_rows(lines, names, keypoint_columns, findings)
    if findings.counts:
        findings.report(reading, file)
    return tuple(boxes), not is_dota


def _read_rows(
    lines: Sequence[str], names: ClassNames, keypoint_columns: int, findings: _Findings
) -> list[RawBox]:
    boxes: list[RawBox] = []
    find = names.by_text.get
    for number, line in enumerate(lines, 1):
        columns = line.split()
        if not columns:
            continue
        try:
            label = find(columns[0])
            if label is not None and len(columns) == 5:  # nearly every row
                x, y, width, height = map(float, columns[1:])
                if -2 < x < 2 and -2 < y < 2 and -2 < width < 2 and -2 < height < 2:
                    box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
                    boxes.append(RawBox(label, box, number))
                    continue
        except ValueError:
            pass
        try:
            label, box = _read_row(columns, names, keypoint_columns, findings.counts)
            boxes.append(RawBox(label, box, number))
        except _RowFault as fault:
            findings.add_fault(number, fault.code, str(fault))
    return boxes


def _read_row(
    columns: Sequence[str], names: ClassNames, keypoint_columns: int, counts: Counter[str]
) -> tuple[str, _Box]:
    """The class and the box, corners in shares, of a row of any kind."""
    label = names.find(columns[0])
    values = _numbers(columns[1:])
    if values is None:
        values = _numbers([column.replace(",", ".", 1) for column in columns[1:]])
        counts["comma"] += values is not None
    if values is None or len(values) < 4:
        raise _RowFault("label-damaged", _EXPECTED)
    if label is None:
        known = "a number" if names.by_number is None else f"one of the {len(names.by_number)}"
        raise _RowFault("category-unknown", f"class {_shown(columns[0])} is not {known}")
    if len(values) == 4 + keypoint_columns:
        del values[4:]
    elif len(values) % 2:
        values.pop()
        counts["confidence"] += 1
    if not _are_shares(values):
        raise _RowFault("label-in-pixels", "not shares of the image's width and height")
    if len(values) == 4:
        x, y, width, height = values
        return label, (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    counts["rotated" if len(values) == 8 else "polygons"] += 1
    return label, bounding_box(zip(values[::2], values[1::2], strict=True))


def _read_dota(lines: Sequence[str], findings: _Findings) -> list[RawBox]:
    boxes: list[RawBox] = []
    for number, columns in _rows_of_dota(lines):
        values = _numbers(columns[:8])
        has_flag = len(columns) > _DOTA_COLUMNS
        label = tidy_name(" ".join(columns[8:-1] if has_flag else columns[8:]))
        if values is None or not label:
            message = "a row is 'x1 y1 x2 y2 x3 y3 x4 y4 class difficult'"
            findings.add_fault(number, "label-damaged", message)
            continue
        box = bounding_box(zip(values[::2], values[1::2], strict=True))
        is_difficult = has_flag and columns[-1] != "0"
        boxes.append(RawBox(label, box, number, is_difficult=is_difficult))
    findings.counts["rotated"] = len(boxes)
    return boxes


def _rows_of_dota(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """(line, columns) of what is neither empty nor one of the two lines of DOTA's head."""
    for number, line in enumerate(lines, 1):
        columns = line.split()
        if columns and not columns[0].lower().startswith(_DOTA_HEADS):
            yield number, columns


def _is_dota(columns: Sequence[str]) -> bool:
    """Whether eight numbers are followed by a class written as a word."""
    return (
        len(columns) >= _DOTA_COLUMNS
        and _numbers(columns[:8]) is not None
        and _numbers(columns[8:9]) is None
    )


def _is_in_label_txt(file: str) -> bool:
    return "labeltxt" in file.lower().split("/")[:-1]


def _numbers(columns: Sequence[str]) -> list[float] | None:
    try:
        return [float(column) for column in columns]
    except ValueError:
        return None


def _are_shares(values: Sequence[float]) -> bool:
    """Whether none is far beyond 0..1; what is not finite is another fault, found later."""
    return not any(_MAX_SHARE < abs(value) < math.inf for value in values)


def _shown(text: str) -> str:
    text = text.strip()
    return repr(text if len(text) <= 60 else text[:57] + "...")
