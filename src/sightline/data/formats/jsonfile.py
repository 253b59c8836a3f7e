"""JSON of other people's making: what a file is, its parts without building the rest, and lines.

Knows no annotation format. A file's syntax is checked as a whole, once; after that the parts are
spans of its text, which cost nothing until they are asked for their value.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from msgspec import Raw

from sightline.data.records import Problem

T = TypeVar("T")

_TOP = msgspec.json.Decoder(dict[str, Raw] | list[Raw])
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
_PLACE = re.compile(r"^(?:JSON is malformed: )?(.*?)(?: \(byte (\d+)\))?$")
_BLOCK = 4096  # bytes between two marks of the index of lines
_CHUNK = 1 << 20
# What Python and browsers write though JSON has no such thing: where it may be, and the strings
# that it may stand in.
_SUSPECT = re.compile(rb"NaN|Infinity|\\u[dD][89a-fA-F]")
_FOREIGN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|-?\b(?:NaN|Infinity)\b', re.DOTALL)
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"  # half of one
    rb"|\\.",
    re.DOTALL,
)


class JsonDamaged(Exception):
    """The text is no JSON object or list. `line`: where it stops being one, if known."""

    def __init__(self, why: str, line: int | None = None) -> None:
        where = "" if line is None else f", line {line}"
        super().__init__(f"no readable JSON: {why}{where}")
        self.line = line


@dataclass(frozen=True, slots=True)
class JsonFile:
    """What a .json file is: an object with `keys`, or a list whose first object has them."""

    file: str
    keys: frozenset[str]
    is_list: bool


@dataclass(frozen=True)
class JsonText:
    """A JSON document whose syntax is checked. `top`: the parts of its object or list."""

    text: bytes
    top: dict[str, Raw] | list[Raw]

    def entries(self, key: str | None = None) -> list[Raw] | None:
        """The parts of the list under `key`, or of the document; None where there is no list."""
        if isinstance(self.top, list):
            return self.top if key is None else None
        return list_parts(self.top[key]) if key in self.top else None

    def line_of(self, part: Raw) -> int | None:
        """The line, from 1, that a part of this document begins in; None if all is on one line."""
        if self._is_one_line:
            return None
        offset = _address(part) - self._start
        block = offset // _BLOCK
        return 1 + self._lines_before[block] + self.text.count(b"\n", block * _BLOCK, offset)

    @cached_property
    def _start(self) -> int:
        return _address(self.text)

    @cached_property
    def _is_one_line(self) -> bool:
        first = self.text.find(b"\n")
        return first < 0 or not self.text[first : first + _BLOCK].strip()

    @cached_property
    def _lines_before(self) -> list[int]:
        """The line ends before each block of the text."""
        starts = range(0, len(self.text), _BLOCK)
        counts = (self.text.count(b"\n", start, start + _BLOCK) for start in starts)
        return list(accumulate(counts, initial=0))


def read_json(path: Path) -> JsonText:
    """The document in a file of UTF-8 or UTF-16, with or without byte order mark.

    NaN and infinities, which are no JSON, are read as null, halves of surrogate pairs as they are.
    Raises JsonDamaged, OSError.
    """
    text = _in_utf8(path.read_bytes())
    try:
        return _parse(text)
    except JsonDamaged:
        if not _SUSPECT.search(text):
            raise
        mended = _FOREIGN.sub(_mend, text)
    return _parse(mended)


def _parse(text: bytes) -> JsonText:
    try:
        return JsonText(text, _TOP.decode(text))
    except RecursionError:
        raise JsonDamaged("it is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _damage(text, error) from None


def sniff_json(
    files: Iterable[tuple[str, Path]],
) -> tuple[tuple[JsonFile, ...], tuple[Problem, ...]]:
    """What each file (its name, where it is) holds; the damaged ones as problems."""
    found: list[JsonFile] = []
    problems: list[Problem] = []
    same: dict[frozenset[str], frozenset[str]] = {}  # one set for the many files that are alike
    for file, path in files:
        try:
            top = read_json(path).top
        except JsonDamaged as error:
            problems.append(Problem("error", "json-damaged", file, error.line, str(error)))
            continue
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
            problems.append(Problem("error", "file-unreadable", file, None, why))
            continue
        if isinstance(top, list):
            first = next((parts for entry in top if (parts := object_parts(entry))), {})
            keys = frozenset(first)
        else:
            keys = frozenset(top)
        found.append(JsonFile(file, same.setdefault(keys, keys), isinstance(top, list)))
    return tuple(found), tuple(problems)


def read_part(decoder: msgspec.json.Decoder[T], part: Raw) -> T | None:
    """The part as what the decoder makes; None where it is something else."""
    try:
        return decoder.decode(part)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def list_parts(part: Raw) -> list[Raw] | None:
    """The parts of a list; None where it is none."""
    return read_part(_LIST, part)


def object_parts(part: Raw) -> dict[str, Raw] | None:
    """The parts of an object by key; None where it is none."""
    return read_part(_OBJECT, part)


def value_of(part: Raw) -> Any:
    """The value of a part as json.loads gives it, an infinity where a whole number is too large.

    None, as for null, where it is nested too deeply.
    """
    try:
        return msgspec.json.decode(part)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return json.loads(bytes(part).decode("utf-8", "surrogatepass"), parse_int=_whole)
    except (ValueError, RecursionError):  # what cannot be told is as good as missing
        return None


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < 400 else float(digits)


def _in_utf8(data: bytes) -> bytes:
    """The text as UTF-8 without byte order mark; raises JsonDamaged where it is no Unicode."""
    encoding = json.detect_encoding(data)
    if encoding == "utf-8-sig":
        data = data[3:]
    elif encoding != "utf-8":
        try:
            return data.decode(encoding).encode()
        except UnicodeError as error:
            raise JsonDamaged(f"not {encoding.upper()}") from error
    if not data.isascii():
        _check_utf8(data)
    return data


def _check_utf8(data: bytes) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data) + 1, _CHUNK):
        chunk = data[start : start + _CHUNK]
        try:
            decoder.decode(chunk, final=start + _CHUNK > len(data))
        except UnicodeDecodeError as error:
            good = error.object[: error.start]
            line = 1 + data.count(b"\n", 0, start) + good.count(b"\n")
            raise JsonDamaged("not UTF-8", line) from error


def _mend(found: re.Match[bytes]) -> bytes:
    token = found[0]
    if token[:1] != b'"':
        return b"null"
    if b"\\u" not in token:
        return token
    return _ESCAPE.sub(_spell_out, token)


def _spell_out(escape: re.Match[bytes]) -> bytes:
    """Half a surrogate pair as the bytes that Python calls surrogatepass: `value_of` reads them."""
    if escape[1] is None:
        return escape[0]
    return chr(int(escape[1][2:], 16)).encode("utf-8", "surrogatepass")


def _damage(text: bytes, error: Exception) -> JsonDamaged:
    if isinstance(error, msgspec.ValidationError):
        return JsonDamaged("neither an object nor a list")
    place = _PLACE.match(str(error))
    if place is None or place[2] is None:  # it ended too early, or is empty
        what = "the text ends too early" if text.strip() else "the file is empty"
        return JsonDamaged(what, 1 + text.rstrip().count(b"\n"))
    return JsonDamaged(place[1], 1 + text.count(b"\n", 0, int(place[2])))


def _address(part: Raw | bytes) -> int:
    return int(np.frombuffer(part, np.uint8).__array_interface__["data"][0])
