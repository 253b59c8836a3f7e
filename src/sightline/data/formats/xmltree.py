"""XML with line numbers: a small file as a tree, a large one as events.

Expat does the parsing. No entity is expanded, no other file read.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

# Of a file read as a tree. An annotation of 10,000 boxes has 3 MB and 100,000 elements.
MAX_BYTES = 16 * 1024 * 1024
MAX_ELEMENTS = 500_000
# Of one tag with its attributes, in a file read as events: until its end is there, expat begins
# anew at its start with every chunk.
MAX_TAG_BYTES = 16 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
# Where the line is kept: no attribute of a file can be called so.
_LINE = ""


class XmlDamaged(ValueError):
    """The text is no XML that may be read; `line` says where, as far as known."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def line_of(element: Element) -> int:
    """The line of the file that its tag begins in, from 1."""
    return int(element.attrib[_LINE])


def text_of(element: Element | None) -> str:
    """Its own text, without that of its children and white space at the ends; "" for None."""
    if element is None:
        return ""
    text = element.text or ""
    if len(element):
        text += "".join(child.tail or "" for child in element)
    return text.strip()


def read_xml(path: Path, root: str | None = None) -> Element:
    """The root element of a file. Raises OSError, and XmlDamaged as `parse_xml` does."""
    with path.open("rb", buffering=0) as file:
        _check_size(os.fstat(file.fileno()).st_size)  # before all of it is in memory
        return parse_xml(file.read(), root)


def parse_xml(data: bytes, root: str | None = None) -> Element:
    """The root element, its attributes left out. `line_of` and `text_of` tell of each element.

    The encoding is what the file declares, else UTF-8 or UTF-16 by its mark. Where `root` names
    the root that is wanted, another one is given without anything below it, and the rest is not
    parsed. Raises XmlDamaged for what is not well-formed, too large, or declares entities (which
    could expand without end).
    """
    if not data.strip():
        raise XmlDamaged("the file is empty")
    _check_size(len(data))
    builder = TreeBuilder()
    count = 0

    def start(tag: str, _: dict[str, str]) -> None:
        nonlocal count
        count += 1
        line = parser.CurrentLineNumber
        if count > MAX_ELEMENTS:
            raise XmlDamaged(f"more than {MAX_ELEMENTS} elements", line)
        builder.start(tag, {_LINE: line})
        if count == 1 and root is not None and tag != root:
            raise _OtherRoot

    parser = _new_parser()
    parser.StartElementHandler = start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        _feed(parser, data, is_last=True)
    except _OtherRoot:
        pass
    finally:
        parser.StartElementHandler = None  # it holds the parser, which holds it
    return builder.close()


def read_events(
    path: Path,
    start: Callable[[str, dict[str, str], int], None],
    end: Callable[[str, str], None],
) -> None:
    """Call start(tag, attributes, line) and end(tag, text) for the elements of a file, in order.

    The text is what stands since the tag before. The file may have any size. Raises OSError, and
    XmlDamaged for what is not well-formed or declares entities; what the two raise passes through.
    """
    pieces: list[str] = []

    def on_start(tag: str, attributes: dict[str, str]) -> None:
        pieces.clear()
        start(tag, attributes, parser.CurrentLineNumber)

    def on_end(tag: str) -> None:
        end(tag, "".join(pieces).strip())
        pieces.clear()

    parser = _new_parser()
    parser.StartElementHandler = on_start
    parser.EndElementHandler = on_end
    parser.CharacterDataHandler = pieces.append
    fed = 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                _feed(parser, chunk, is_last=False)
                fed += len(chunk)
                if fed - parser.CurrentByteIndex > MAX_TAG_BYTES:
                    what = f"a tag of more than {MAX_TAG_BYTES // 2**20} MiB"
                    raise XmlDamaged(what, parser.CurrentLineNumber)
            _feed(parser, b"", is_last=True)
    finally:
        parser.StartElementHandler = parser.EndElementHandler = None


class _OtherRoot(Exception):
    """The root is not the one that was asked for."""


def _new_parser() -> expat.XMLParserType:
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.EntityDeclHandler = _refuse_entity
    parser.UnparsedEntityDeclHandler = _refuse_entity
    parser.ExternalEntityRefHandler = _refuse_entity
    return parser


def _refuse_entity(*_: object) -> int:
    raise XmlDamaged("it declares entities, which are not expanded here")


def _feed(parser: expat.XMLParserType, data: bytes, *, is_last: bool) -> None:
    try:
        parser.Parse(data, is_last)
    except expat.ExpatError as error:
        raise XmlDamaged(expat.ErrorString(error.code), error.lineno) from error
    except XmlDamaged as error:
        error.line = error.line or parser.CurrentLineNumber
        raise
    except (ValueError, LookupError) as error:  # encodings that are unknown or not taken
        raise XmlDamaged(str(error)) from error


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise XmlDamaged(f"more than {MAX_BYTES // 2**20} MiB")
