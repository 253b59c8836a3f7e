"""XML in any declared encoding becomes a tree with lines; bombs and damage are refused."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.formats import xmltree
from sightline.data.formats.xmltree import XmlDamaged, line_of, parse_xml, read_xml, text_of

BOMB = (
    '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {n} "{f"&{m};" * 10}">' for m, n in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]><a>&i;</a>"
)


def test_tags_text_and_lines() -> None:
    root = parse_xml(b"<a>\n <b> x <i>y</i>z </b>\n\n <b/><c/></a>")
    assert (root.tag, line_of(root)) == ("a", 1)
    assert [(child.tag, line_of(child)) for child in root] == [("b", 2), ("b", 4), ("c", 4)]
    assert text_of(root.find("b")) == "x z"
    assert text_of(root.find("c")) == ""
    assert text_of(root.find("gone")) == ""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "cp1252"])
def test_encodings(encoding: str) -> None:
    declared = "utf-8" if encoding == "utf-8-sig" else encoding
    text = f'<?xml version="1.0" encoding="{declared}"?><a>café</a>'
    assert text_of(parse_xml(text.encode(encoding))) == "café"


@pytest.mark.parametrize(
    ("data", "message", "line"),
    [
        (b"", "empty", None),
        (b" \n", "empty", None),
        (b"<a>\n<b></a>", "mismatched tag", 2),
        (b"<a>", "no element found", 1),
        (b"<a>caf\xe9</a>", "not well-formed", 1),
        (BOMB.encode(), "entities", None),
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "entities", None),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "unknown encoding", None),
    ],
)
def test_damage(data: bytes, message: str, line: int | None) -> None:
    with pytest.raises(XmlDamaged, match=message) as raised:
        parse_xml(data)
    assert raised.value.line == line


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xmltree, "MAX_ELEMENTS", 3)
    assert len(parse_xml(b"<a><b/><b/></a>")) == 2
    with pytest.raises(XmlDamaged, match="more than 3 elements"):
        parse_xml(b"<a><b/><b/><b/></a>")
    monkeypatch.setattr(xmltree, "MAX_BYTES", 2**20)
    with pytest.raises(XmlDamaged, match="more than 1 MiB"):
        parse_xml(b"<a>" + b" " * 2**20 + b"</a>")


def test_a_file_too_large_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(b"<a>caf\xc3\xa9</a>")
    assert text_of(read_xml(path)) == "café"
    with path.open("r+b") as file:
        file.truncate(xmltree.MAX_BYTES + 1)
    tracemalloc.start()
    try:
        with pytest.raises(XmlDamaged, match="more than 16 MiB"):
            read_xml(path)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2**20  # far above what the check takes, far below the file


@given(data=st.binary(max_size=200) | st.text("<>/a &;!['\"]-?=x\n").map(str.encode))
def test_any_bytes(data: bytes) -> None:
    try:
        parse_xml(data)
    except XmlDamaged:
        return
