"""XML as a small tree that knows its line numbers. Expands no entity, reads no other file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax import SAXException, SAXParseException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl

import defusedxml.sax
from defusedxml import DefusedXmlException

# An annotation of 10,000 boxes has 3 MB and 100,000 elements.
MAX_BYTES = 16 * 1024 * 1024
MAX_ELEMENTS = 500_000


class XmlDamaged(ValueError):
    """The text is no XML that may be read; `line` says where, as far as known."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(slots=True)
class Element:
    """A tag with its children; `line` counts from 1."""

    tag: str
    line: int
    children: list[Element] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its own text, without that of its children, white space at the ends taken off."""
        return "".join(self.pieces).strip()

    def find(self, tag: str) -> Element | None:
        """The first child so called."""
        return next((child for child in self.children if child.tag == tag), None)

    def all(self, tag: str) -> Iterator[Element]:
        """The children so called."""
        return (child for child in self.children if child.tag == tag)

    def text_of(self, tag: str) -> str:
        """The text of the first child so called, else ""."""
        child = self.find(tag)
        return child.text if child else ""


class _Builder(ContentHandler):
    def __init__(self) -> None:
        super().__init__()
        self.document = Element("", 0)
        self._open = [self.document]
        self._count = 0

    def startElement(self, name: str, attrs: AttributesImpl) -> None:
        line = self._locator.getLineNumber() or 0  # type: ignore[attr-defined]  # set by SAX
        self._count += 1
        if self._count > MAX_ELEMENTS:
            raise XmlDamaged(f"more than {MAX_ELEMENTS} elements", line)
        element = Element(name, line)
        self._open[-1].children.append(element)
        self._open.append(element)

    def endElement(self, name: str) -> None:
        self._open.pop()

    def characters(self, content: str) -> None:
        self._open[-1].pieces.append(content)


def read_xml(path: Path) -> Element:
    """The root element of a file. Raises OSError, and XmlDamaged as `parse_xml` does."""
    _check_size(path.stat().st_size)  # before all of it is in memory
    return parse_xml(path.read_bytes())


def parse_xml(data: bytes) -> Element:
    """The root element. The encoding is what the file declares, else UTF-8 or UTF-16 by its mark.

    Raises XmlDamaged for what is not well-formed, too large, or declares entities (which could
    expand without end).
    """
    if not data.strip():
        raise XmlDamaged("the file is empty")
    _check_size(len(data))
    builder = _Builder()
    try:
        defusedxml.sax.parseString(data, builder)
    except SAXParseException as error:
        raise XmlDamaged(error.getMessage(), error.getLineNumber()) from error
    except DefusedXmlException as error:
        raise XmlDamaged("it declares entities, which are not expanded here") from error
    except XmlDamaged:
        raise
    except (SAXException, ValueError, LookupError) as error:  # also: unknown encodings
        raise XmlDamaged(str(error)) from error
    return builder.document.children[0]


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise XmlDamaged(f"more than {MAX_BYTES // 2**20} MiB")
