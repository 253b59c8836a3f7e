"""Label maps: every dialect people write, real ones, and all as protobuf's own parser has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.data.formats.contents import tidy_name
from sightline.data.formats.labelmap import LabelItem, read_label_map, write_label_map

# File -> items, and the largest id: from SOURCES.md, and the ends of the files.
REAL = {
    "ava_label_map_v2.1.pbtxt": (60, 80),
    "face_label_map.pbtxt": (1, 1),
    "fgvc_2854_classes_label_map.pbtxt": (2854, 2854),
    "kitti_label_map.pbtxt": (2, 2),
    "mscoco_label_map.pbtxt": (80, 90),
    "oid_bbox_trainable_label_map.pbtxt": (545, 545),
    "oid_object_detection_challenge_500_label_map.pbtxt": (500, 500),
    "pascal_label_map.pbtxt": (20, 20),
    "pet_label_map.pbtxt": (37, 37),
    "user_5taku_label_map.pbtxt": (5, 5),
    "user_mask_labelmap.pbtxt": (2, 2),
    "user_raccoon.pbtxt": (1, 1),
}
NAMES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=10)


def reference() -> Any:
    """StringIntLabelMap as the library knows it, from a description like the API's own."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="map.proto", package="tf", syntax="proto2")
    item = file.message_type.add(name="Item")
    one = kinds.LABEL_OPTIONAL
    item.field.add(name="name", number=1, type=kinds.TYPE_STRING, label=one)
    item.field.add(name="id", number=2, type=kinds.TYPE_INT32, label=one)
    item.field.add(name="display_name", number=3, type=kinds.TYPE_STRING, label=one)
    items = file.message_type.add(name="Map")
    items.field.add(
        name="item",
        number=1,
        type=kinds.TYPE_MESSAGE,
        label=kinds.LABEL_REPEATED,
        type_name=".tf.Item",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tf.Map"))


REFERENCE = reference()


def parsed(text: str) -> list[tuple[int, str, str]]:
    message = text_format.Parse(text, REFERENCE())
    return [(item.id, item.name, item.display_name) for item in message.item]


@pytest.mark.parametrize("name", REAL)
def test_real_maps(shared: Path, name: str) -> None:
    text = (shared / "data/tfod_samples/label_maps" / name).read_text("utf-8")
    items, faults = read_label_map(text)
    count, last = REAL[name]
    assert (len(items), items[-1].id) == (count, last)
    assert [(item.id, item.name) for item in items] == sorted(
        (number, tidy_name(name)) for number, name, _ in parsed(text)
    )
    said = {number: tidy_name(display or name) for number, name, display in parsed(text)}
    others = {item.shown for item in items if said[item.id or 0] != item.shown}
    # Open Images has two classes each of these names.
    twice = {"Mouse (/m/020lf)", "Bench (/m/076lb9)"}
    assert others == (twice if name.startswith("oid_bbox") else set())
    assert [fault.code for fault in faults] == ["category-repeated"] * len(others)


def test_all_real_maps_have_their_names(shared: Path) -> None:
    found = {path.name for path in (shared / "data/tfod_samples/label_maps").iterdir()}
    assert found == REAL.keys()


@settings(deadline=None)
@given(names=st.lists(NAMES, unique=True))
def test_what_is_written_is_read_here_and_by_the_library(names: list[str]) -> None:
    text = write_label_map(names)
    assert parsed(text) == [(number, name, "") for number, name in enumerate(names, 1)]
    items, _ = read_label_map(text)
    tidied = [tidy_name(name) for name in names]
    assert [item.name for item in items] == [name for name in tidied if name]


@pytest.mark.parametrize(
    "text",
    [
        "item { id: 1 name: 'cat' }",
        'item {\n  name: "cat"\n  id: 1\n}\n',
        "# a map\nitem: { id: 1, name: 'cat', }",
        "item < id: 1; name: 'cat' >",
        "item{id:1 name:'cat'}",
        "item: [ { id: 1 name: 'cat' } ]",
        "item { id: 1 name: 'c' \"at\" # two texts are one\n }",
        "item { id: 1 name: 'cat' keypoints { id: 2 label: 'item' } keypoints: < id: 3 > }",
        "item { id: 1 name: 'cat' ancestor_ids: [1, 2] frequency: COMMON weight: -.5e3 }",
        "\n\titem {\r\n id: 1\r\n name: 'cat'\r\n}",
        "other { id: 7 } item { id: 1 name: 'cat' }",
        # None of these is protobuf's, all are written.
        "item { id: '1' name: cat }",
        "item { id: 1 name: 'dog' name: 'cat' }",
    ],
)
def test_dialects(text: str) -> None:
    assert read_label_map(text) == ([LabelItem(1, "cat", "cat")], [])


def test_people_read_the_display_name() -> None:
    text = "item { name: '/m/01yrx' id: 3 display_name: 'Cat' } item { name: 'b' display_name: ''}"
    items, _ = read_label_map(text)
    assert items == [LabelItem(3, "/m/01yrx", "Cat"), LabelItem(None, "b", "b")]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"it\'s", "it's"),
        (r"a\"b", 'a"b'),
        (r"\303\251t\351", "ét\ufffd"),
        (r"\xC3\xa9", "é"),
        (r"\u00e9\U0001F431", "é🐱"),
        (r"back\\slash", "back\\slash"),
        (r"two\nlines\t", "two lines"),
        ("é 猫", "é 猫"),
        (r"\U0011ffff", "\ufffd"),
    ],
)
def test_escapes(written: str, meant: str) -> None:
    assert read_label_map(f"item {{ id: 1 name: '{written}' }}")[0][0].shown == meant


def test_ids_decide_the_order_and_gaps_stay() -> None:
    text = "item { id: 9 name: 'c' } item { id: 2 name: 'b' } item { name: 'd' }"
    items, faults = read_label_map(f"item {{ id: 0 name: 'background' }} {text}")
    assert [(item.id, item.name) for item in items] == [(2, "b"), (9, "c"), (None, "d")]
    assert [(f.severity, f.code) for f in faults] == [("warning", "labelmap-incomplete")]
    assert read_label_map("item { id: 0 name: 'cat' }")[0] == [LabelItem(0, "cat", "cat")]


def test_an_id_is_one_class_only() -> None:
    items, faults = read_label_map("item {id: 1 name: 'a'}\nitem {id: 1 name: 'b'}")
    assert items == [LabelItem(1, "a", "a"), LabelItem(None, "b", "b")]
    assert [(f.code, f.line) for f in faults] == [("id-repeated", 2)]
    assert "id 1 is 'a'; 'b' has it as well" in faults[0].message


def test_two_classes_of_one_name() -> None:
    item = "item {{ id: {} name: '{}' display_name: 'Mouse' }}\n"
    items, faults = read_label_map(item.format(1, "/m/a") + item.format(2, "/m/b"))
    assert [found.shown for found in items] == ["Mouse", "Mouse (/m/b)"]
    items, faults = read_label_map("item { id: 1 name: 'a' } item { id: 2 name: 'a' }")
    assert [found.shown for found in items] == ["a", "a"]
    assert [f.message for f in faults] == ["two items are called 'a'; taken as one class"]


@pytest.mark.parametrize("number", ["-1", "2147483648", "1.5", "one", "9" * 5000])
def test_what_is_no_id(number: str) -> None:
    items, faults = read_label_map(f"item {{ id: {number} name: 'a' }}")
    assert items == [LabelItem(None, "a", "a")]
    assert [fault.code for fault in faults] == ["labelmap-incomplete"]


@pytest.mark.parametrize(
    ("damage", "line", "message"),
    [
        ("item { id: 2", 2, "the end where a field's name"),
        ("item { id: 2 name: 'b\n }", 2, "is not closed"),
        ("item { id: }", 2, "'}' where a value"),
        ("}", 2, "'}' where a field's name"),
        ("item { id: 2\n >", 3, "'>' where a field's name"),
        ("item [ { name: 'b' }", 2, "the end where a value"),
        ("a {" * 50, 2, "too deep"),
    ],
)
def test_damage_keeps_what_stands_before(damage: str, line: int, message: str) -> None:
    items, faults = read_label_map(f"item {{ id: 1 name: 'a' }}\n{damage}")
    assert items == [LabelItem(1, "a", "a")]
    assert [(f.severity, f.code, f.line) for f in faults] == [("error", "labelmap-damaged", line)]
    assert message in faults[0].message
    assert "the 1 item(s) before are kept" in faults[0].message


def test_items_without_any_name() -> None:
    items, faults = read_label_map("item { id: 1 }\nitem { id: 2 name: ' ' }")
    assert (items, [(f.code, f.line) for f in faults]) == (
        [],
        [("labelmap-incomplete", 1), ("labelmap-incomplete", 2)],
    )


SIGNS = ["item", "{", "}", "<", ">", "[", "]", ":", ",", "id", "name", "'a'", '"b', "1", "#", "\n"]


@settings(max_examples=300)
@given(text=st.text(max_size=40) | st.lists(st.sampled_from(SIGNS), max_size=30).map(" ".join))
def test_any_text_gives_items_or_faults(text: str) -> None:
    items, faults = read_label_map(text)
    ids = [item.id for item in items if item.id is not None]
    assert ids == sorted(set(ids))
    assert all(item.shown for item in items)
    assert all(1 <= fault.line <= 1 + text.count("\n") for fault in faults)


@st.composite
def fields(draw: st.DrawFn) -> str:
    """An item in one of the ways that text format has."""
    between = st.sampled_from([" ", "\n", "\t# note\n", ", ", " ; "])
    colon = st.sampled_from([":", " : ", ":# note\n"])
    texts = ["'it\\'s'", '"a"', """"\\303\\251" 'é'""", "'\\x41\\n\\\\'", "'#{'"]
    quoted = st.sampled_from(texts)
    parts = [f"id{draw(colon)}{draw(st.integers(1, 99))}", f"name{draw(colon)}{draw(quoted)}"]
    if draw(st.booleans()):
        parts.append(f"display_name{draw(colon)}{draw(quoted)}")
    opening, closing = draw(st.sampled_from(["{}", "<>"]))
    inside = "".join(part + draw(between) for part in draw(st.permutations(parts)))
    return f"item{draw(st.sampled_from([' ', '', ': ']))}{opening}{inside}{closing}"


@given(items=st.lists(fields(), max_size=4))
def test_what_the_library_takes_is_taken(items: list[str]) -> None:
    text = "\n".join(items)
    found, faults = read_label_map(text)
    assert "labelmap-damaged" not in {fault.code for fault in faults}
    assert sorted(item.name for item in found) == sorted(tidy_name(n) for _, n, _ in parsed(text))
    assert {item.id for item in found} - {None} == {number for number, _, _ in parsed(text)}
