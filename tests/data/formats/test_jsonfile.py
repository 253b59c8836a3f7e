"""JSON of any make: values as Python's parser has them, lines, and nothing but JsonDamaged."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.formats.jsonfile import (
    JsonDamaged,
    JsonFile,
    object_parts,
    read_json,
    sniff_json,
    value_of,
)
from sightline.data.formats.listing import list_files

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.text('\ud83d\ude00\\u"')
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text("abé\n"), inner), max_leaves=12
)
TOPS = st.lists(VALUES) | st.dictionaries(st.text("abé\n"), VALUES)
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("json") / "a.json"


def read_back(file: Path) -> Any:
    top = read_json(file).top
    if isinstance(top, list):
        return [value_of(part) for part in top]
    return {key: value_of(part) for key, part in top.items()}


@given(
    value=TOPS,
    encoding=st.sampled_from(ENCODINGS),
    indent=st.sampled_from([None, 1]),
    is_ascii=st.booleans(),
)
def test_every_document_in_every_encoding(
    file: Path, value: Any, encoding: str, indent: int | None, is_ascii: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=is_ascii)
    try:
        file.write_text(text, encoding)
    except UnicodeEncodeError:  # half a surrogate pair can only be written as an escape
        text = json.dumps(value, indent=indent)
        file.write_text(text, encoding)
    assert read_back(file) == json.loads(text)


@given(data=st.binary() | st.text('[]{}",:0123456789.eE-+\\unaftrNI \n\x00é').map(str.encode))
def test_bytes_that_are_no_json_are_damaged_and_nothing_else(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    try:
        expected = json.loads(data, parse_constant=lambda _: None)
    except ValueError:
        expected = None
    try:
        found = read_back(file)
    except JsonDamaged as error:
        assert not isinstance(expected, dict | list)
        assert error.line is None or 1 <= error.line <= 1 + data.count(b"\n")
    else:
        assert found == expected


@given(value=TOPS, cut=st.integers(0, 200))
def test_a_cut_document_is_damaged_or_whole(file: Path, value: Any, cut: int) -> None:
    text = json.dumps(value, indent=1).encode()
    file.write_bytes(text[:cut])
    if cut >= len(text):
        assert read_back(file) == json.loads(text)
    else:
        with pytest.raises(JsonDamaged, match=r"^no readable JSON: "):
            read_json(file)


@given(before=st.lists(st.integers(0, 9000), min_size=1, max_size=8))
def test_each_part_knows_its_line(file: Path, before: list[int]) -> None:
    """Entries with so many blank lines before them, over several blocks of the index."""
    entries = ",".join("\n" * count + f'{{"x": {count}}}' for count in before)
    file.write_text('{"é": 1,\n "list": [' + entries + "]}")
    text = read_json(file)
    expected = 2
    for part, count in zip(text.entries("list") or [], before, strict=True):
        expected += count
        assert text.line_of(part) == expected
        inner = object_parts(part)
        assert inner is not None
        assert text.line_of(inner["x"]) == expected


def test_a_document_on_one_line_has_no_lines_worth_telling(file: Path) -> None:
    file.write_text('{"list": [1, 2]}\n')
    text = read_json(file)
    assert [text.line_of(part) for part in text.entries("list") or []] == [None, None]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty, line 1"),
        (b"\n \n", "the file is empty, line 1"),
        (b'{"a":\n [1, 2', "the text ends too early, line 2"),
        (b'{"a":\n [1, 2}]}', "line 2"),
        (b'{"a": 1}\n{"a": 2}', "trailing characters, line 2"),
        (b"5", "neither an object nor a list"),
        (b"null", "neither an object nor a list"),
        (b'\n"NaN"', "neither an object nor a list"),
        (b'["ok",\n"\xff"]', "not UTF-8, line 2"),
        (b'["ok",\n"\xc3', "not UTF-8, line 2"),
        (b"\n" * 3_000_000 + b'"\xff"', "not UTF-8, line 3000001"),
        (b"\xff\xfe[\x00]\xd8", "not UTF-16"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"a":' * 100_000, "it is nested too deeply"),
        (b'["' + b'\\"' * 100_000, "the text ends too early, line 1"),
    ],
    ids=range(15),
)
def test_what_is_wrong_and_where(file: Path, data: bytes, message: str) -> None:
    file.write_bytes(data)
    with pytest.raises(JsonDamaged) as caught:
        read_json(file)
    assert str(caught.value).startswith("no readable JSON: ")
    assert str(caught.value).endswith(message)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": NaN, "b": [Infinity, -Infinity, 1]}', {"a": None, "b": [None, None, 1]}),
        ('["NaN", "say \\"NaN\\"", "\\\\", NaN]', ["NaN", 'say "NaN"', "\\", None]),
        (
            '["\\ud83d\\ude00 \\ud83d", "\\\\ud800", "\\ude00\\n"]',
            ["😀 \ud83d", "\\ud800", "\ude00\n"],
        ),
        ("[1e999, -1e999, 1" + "0" * 5000 + "]", [math.inf, -math.inf, math.inf]),
        ("[" + "9" * 25 + ", {}]", [10**25 - 1, {}]),
    ],
)
def test_what_other_tools_write_though_json_forbids_it(
    file: Path, text: str, expected: object
) -> None:
    file.write_text(text)
    assert read_back(file) == expected


def test_nesting_that_only_a_value_meets_is_as_good_as_missing(file: Path) -> None:
    file.write_text('{"a": ' + "[" * 900 + "]" * 900 + "}")
    top = read_json(file).top
    assert isinstance(top, dict)

    def deeper(levels: int) -> Any:
        return deeper(levels - 1) if levels else value_of(top["a"])

    assert deeper(500) is None


def test_what_files_are(tmp_path: Path) -> None:
    texts = {
        "object.json": '{"images": [], "b": 1}',
        "Sub/LIST.JSON": '[3, {"image": 1}, {"other": 2}]',
        "numbers.json": "[1, 2]",
        "cut.json": '{"images":\n [',
        "scalar.json": "7",
        "not.txt": "{}",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    files, problems = list_files(tmp_path).json_files
    assert files == (
        JsonFile("Sub/LIST.JSON", frozenset(["image"]), True),
        JsonFile("numbers.json", frozenset(), True),
        JsonFile("object.json", frozenset(["images", "b"]), False),
    )
    assert [(p.code, p.file, p.line) for p in problems] == [
        ("json-damaged", "cut.json", 2),
        ("json-damaged", "scalar.json", None),
    ]


def test_a_file_that_is_gone_is_a_problem(tmp_path: Path) -> None:
    files, problems = sniff_json([("a.json", tmp_path / "a.json")])
    assert files == ()
    assert [problem.code for problem in problems] == ["file-unreadable"]
