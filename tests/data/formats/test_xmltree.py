"""XML in any declared encoding becomes a tree with lines; bombs and damage are refused."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sightline.data.formats import xmltree
from sightline.data.formats.xmltree import (
    XmlDamaged,
    line_of,
    parse_xml,
    read_events,
    read_xml,
    text_of,
)

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
        (BOMB.encode(), "entities", 1),
        (b'\n<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "entities", 2),
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


def test_another_root_is_not_read_further() -> None:
    assert parse_xml(b"<b>\n<c/><c></b>", root="a").tag == "b"
    assert len(parse_xml(b"<a><c/></a>", root="a")) == 1
    with pytest.raises(XmlDamaged, match="mismatched tag"):
        parse_xml(b"<a><c></a>", root="a")


def events_of(path: Path) -> list[tuple[object, ...]]:
    events: list[tuple[object, ...]] = []
    read_events(
        path,
        lambda tag, attributes, line: events.append((tag, attributes, line)),
        lambda tag, text: events.append((tag, text)),
    )
    return events


def test_events(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(b'<a x="1">\n <b> caf\xc3\xa9 </b>\n <c y="&lt;2"/> </a>\n')
    assert events_of(path) == [
        ("a", {"x": "1"}, 1),
        ("b", {}, 2),
        ("b", "café"),
        ("c", {"y": "<2"}, 3),
        ("c", ""),
        ("a", ""),
    ]


@pytest.mark.parametrize(
    ("data", "message", "line"),
    [
        (b"", "no element found", 1),
        (b"<a>\n<b></a>", "mismatched tag", 2),
        (b"<a>\n\n", "no element found", 3),
        (b"\n" + BOMB.encode(), "entities", 2),
    ],
)
def test_damage_among_events(tmp_path: Path, data: bytes, message: str, line: int | None) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(data)
    with pytest.raises(XmlDamaged, match=message) as raised:
        events_of(path)
    assert raised.value.line == line


def test_events_of_a_large_file_take_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    outline = b'<polygon points="' + b"1.25,20.5;" * 100 + b'"> text </polygon>\n'
    with path.open("wb") as file:
        file.write(b"<a>" + outline * 10_000)
        file.write(outline * 10_000 + b"</a>")
    assert path.stat().st_size > xmltree.MAX_BYTES
    ended = 0

    def end(tag: str, text: str) -> None:
        nonlocal ended
        ended += text == "text"

    tracemalloc.start()
    try:
        read_events(path, lambda tag, attributes, line: None, end)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert ended == 20_000
    assert peak_bytes < 8 * 2**20  # a few chunks of 1 MiB; the file has 20


def test_a_tag_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xmltree, "MAX_TAG_BYTES", 2**20)
    monkeypatch.setattr(xmltree, "_CHUNK_BYTES", 2**18)
    path = tmp_path / "a.xml"
    path.write_bytes(b"<a>\n<m rle='" + b"1, " * 300_000 + b"'/></a>")
    assert [event[0] for event in events_of(path)] == ["a", "m", "m", "a"]
    path.write_bytes(b"<a>\n<m rle='" + b"1, " * 600_000 + b"'/></a>")
    with pytest.raises(XmlDamaged, match="a tag of more than 1 MiB") as raised:
        events_of(path)
    assert raised.value.line == 2


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


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200) | st.text("<>/a &;!['\"]-?=x\n").map(str.encode))
def test_any_bytes_as_events(tmp_path: Path, data: bytes) -> None:
    """What is read one way is read the other."""
    path = tmp_path / "a.xml"
    path.write_bytes(data)
    try:
        tags = [element.tag for element in parse_xml(data).iter()]
    except XmlDamaged:
        with pytest.raises(XmlDamaged):
            events_of(path)
    else:
        assert tags == [event[0] for event in events_of(path) if len(event) == 3]
