r"""Label maps of the TF Object Detection API: which class an id means.

Read as protocol buffers' text format is, in the dialects that people write:

    item { id: 1 name: '/m/01yrx' display_name: "Cat" }

A class is called what display_name says, which is for people, else what name says. Fields that say
neither are passed over. Knows nothing of records.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sightline.data.formats.contents import tidy_name
from sightline.data.records import Severity

_TOKEN = re.compile(
    r"""(?P<space>(?:\s|\#[^\n]*)+)
    |(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<word>[^\s\#"'{}<>\[\]:,;]+)
    |(?P<sign>[{}<>\[\]:,;])""",
    re.VERBOSE,
)
_CLOSING = {"{": "}", "<": ">"}
_DEEPEST = 20
_LARGEST_ID = 2**31 - 1
_ESCAPE = re.compile(
    rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL
)
_ESCAPED = {b"n": b"\n", b"t": b"\t", b"r": b"\r"}


@dataclass(frozen=True, slots=True)
class LabelItem:
    """One class. name: what records may call it; shown: what people call it."""

    id: int | None
    name: str
    shown: str


@dataclass(frozen=True, slots=True)
class LabelFault:
    """Something wrong with a label map."""

    severity: Severity
    code: str
    line: int
    message: str


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a message. value: text, or a number or word as written, or the fields inside."""

    name: str
    value: str | list[_Field]
    line: int


class _Damaged(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def read_label_map(text: str) -> tuple[list[LabelItem], list[LabelFault]]:
    """The classes, ids rising, those without an id last; and what was wrong.

    An id has one class only; what stands before damage is kept.
    """
    items: list[LabelItem] = []
    faults: list[LabelFault] = []
    owners: dict[int, str] = {}
    names: set[str] = set()

    def report(severity: Severity, code: str, line: int, message: str) -> None:
        faults.append(LabelFault(severity, code, line, message))

    try:
        for found in _Parser(text).fields("", 0):
            if found.name != "item" or isinstance(found.value, str):
                continue
            number, name, shown = _read_item(found.value)
            if number == 0 and shown.lower() == "background":
                continue
            if not shown:
                message = "item without a name; left out"
                report("error", "labelmap-incomplete", found.line, message)
                continue
            if number is None:
                message = f"{shown!r} has no id: it is known by its name alone"
                report("warning", "labelmap-incomplete", found.line, message)
            elif number in owners:
                message = f"id {number} is {owners[number]!r}; {shown!r} has it as well"
                report("error", "id-repeated", found.line, f"{message}, known by its name alone")
                number = None
            else:
                owners[number] = shown
            if shown in names:
                said, other = shown, f"{shown} ({name})"
                shown = other if name and name != said and other not in names else said
                how = "taken as one class" if shown == said else f"one is {shown!r} here"
                message = f"two items are called {said!r}; {how}"
                report("warning", "category-repeated", found.line, message)
            names.add(shown)
            items.append(LabelItem(number, name, shown))
    except _Damaged as error:
        message = f"{error}; the {len(items)} item(s) before are kept"
        report("error", "labelmap-damaged", error.line, message)
    items.sort(key=lambda item: (item.id is None, item.id or 0))
    return items, faults


def write_label_map(classes: Sequence[str]) -> str:
    """The text of a label map; ids count from 1, since 0 is the background."""
    items = (
        f"item {{\n  id: {number}\n  name: '{_escape(name)}'\n}}\n"
        for number, name in enumerate(classes, 1)
    )
    return "\n".join(items)


def _read_item(fields: list[_Field]) -> tuple[int | None, str, str]:
    """Id, name, and what people call it."""
    said = {found.name: found.value for found in fields if isinstance(found.value, str)}
    name, shown = (tidy_name(said.get(key, "")) for key in ("name", "display_name"))
    return _read_id(said.get("id", "")), name, shown or name


def _read_id(text: str) -> int | None:
    try:
        number = int(text)
    except ValueError:
        return None
    return number if 0 <= number <= _LARGEST_ID else None


class _Parser:
    """Text format's grammar, one token ahead."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokenise(text)
        self._kind, self._text, self._line = next(self._tokens)

    def fields(self, closing: str, depth: int) -> Iterator[_Field]:
        """The fields up to the closing sign; "": up to the end of the text."""
        if depth > _DEEPEST:
            raise _Damaged(self._line, "messages stand too deep in one another")
        while self._text != closing:
            line = self._line
            name = self._take("word")
            if self._text == ":":
                self._take("sign")
            for value in self._values(depth):
                yield _Field(name, value, line)
            if self._text in (",", ";"):
                self._take("sign")

    def _values(self, depth: int) -> list[str | list[_Field]]:
        """One value, or those of a list in brackets."""
        if self._text != "[":
            return [self._value(depth)]
        self._take("sign")
        values = []
        while self._text != "]":
            values.append(self._value(depth))
            if self._text == ",":
                self._take("sign")
        self._take("sign")
        return values

    def _value(self, depth: int) -> str | list[_Field]:
        if self._text in _CLOSING:
            closing = _CLOSING[self._take("sign")]
            inside = list(self.fields(closing, depth + 1))
            self._take("sign")
            return inside
        if self._kind == "word":
            return self._take("word")
        parts = [self._take("text")]
        while self._kind == "text":  # texts that follow each other are one
            parts.append(self._take("text"))
        return "".join(_unescape(part[1:-1]) for part in parts)

    def _take(self, kind: str) -> str:
        """The token, which has to be of that kind; the next one is looked at from here on."""
        taken = self._text
        if self._kind != kind:
            wanted = {"word": "a field's name", "text": "a value", "sign": "a bracket"}[kind]
            shown = repr(taken[:40]) if taken else "the end"
            raise _Damaged(self._line, f"{shown} where {wanted} should be")
        self._kind, self._text, self._line = next(self._tokens)
        return taken


def _tokenise(text: str) -> Iterator[tuple[str, str, int]]:
    """Kind, text and line of each token; the last is of the kind "end", without a text."""
    position, line = 0, 1
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _Damaged(line, f"{text[position : position + 40]!r} is not closed")
        if match.lastgroup != "space":
            yield str(match.lastgroup), match[0], line
        line += match[0].count("\n")
        position = match.end()
    yield "end", "", line


def _unescape(text: str) -> str:
    """Text between quotes as it is meant; escaped bytes are UTF-8."""

    def meant(match: re.Match[bytes]) -> bytes:
        octal, hexadecimal, short, long, sign = match.groups()
        if octal or hexadecimal:
            return bytes((int(octal, 8) & 0xFF if octal else int(hexadecimal, 16),))
        if short or long:
            point = int(short or long, 16)
            return chr(point if point <= 0x10FFFF else 0xFFFD).encode("utf-8", "replace")
        return _ESCAPED.get(sign, sign)

    escaped = text.encode("utf-8", "replace")
    return _ESCAPE.sub(meant, escaped).decode("utf-8", "replace")


def _escape(text: str) -> str:
    """Text to stand between single quotes."""
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    return re.sub(r"[\x00-\x1f\x7f]", lambda match: f"\\{ord(match[0]):03o}", quoted)
