"""Classes: misspelt names are suspected, COCO's are not; too few boxes and imbalance are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.classes import check_classes, group_spellings
from sightline.data.dataset import Dataset


def suspected(counts: dict[str, int]) -> list[str]:
    """The messages that name another class for one."""
    return [
        p.message for p in check_classes(counts) if "meant" in p.message or "looks" in p.message
    ]


@given(counts=st.dictionaries(st.text(max_size=8), st.integers(0, 60), max_size=8))
def test_any_names_are_taken(counts: dict[str, int]) -> None:
    problems = check_classes(counts)
    unused = [p for p in problems if p.code == "class-unused"]
    assert len(unused) == (sum(not n for n in counts.values()) if any(counts.values()) else 0)
    for group in group_spellings(list(counts)):
        assert len(group) > 1
        assert set(group) <= counts.keys()


@pytest.mark.parametrize(
    ("rare", "common"),
    [
        ("racoon", "raccoon"),
        ("kangoroo", "kangaroo"),
        ("brocolli", "broccoli"),
        ("trafic light", "traffic-light"),
        ("cars", "car"),
        ("buses", "Bus"),
        ("bishop", "white-bishop"),
        ("Bishop", "white_bishop"),
    ],
)
def test_a_rare_class_beside_what_was_meant(rare: str, common: str) -> None:
    expected = f"class {rare!r} looks like {common!r}, misspelt or cut short (4 box(es), the other "
    assert [m[: len(expected)] for m in suspected({common: 40, rare: 4})] == [expected]
    assert suspected({common: 40, rare: 40}) == []


def test_the_commoner_of_two_is_meant() -> None:
    found = suspected({"white-bishop": 30, "black-bishop": 40, "white-king": 9, "bishop": 1})
    assert len(found) == 1
    assert "'bishop' looks like 'black-bishop'" in found[0]


def test_a_missing_word_counts_more_where_it_stands_before_other_classes_too() -> None:
    assert suspected({"white-bishop": 8, "bishop": 2}) == []
    assert len(suspected({"white-bishop": 8, "bishop": 2, "white-king": 1})) == 1


@pytest.mark.parametrize(
    "pair",
    [
        ("car", "cat"),
        ("cow", "cat"),
        ("bear", "pear"),
        ("type 1", "type 2"),
        ("version 1.0", "version 1.1"),
        ("grade a", "grade b"),
        ("mask", "no mask"),
        ("male", "female"),
        ("left hand", "right hand"),
    ],
)
def test_names_that_are_alike_and_mean_two_things(pair: tuple[str, str]) -> None:
    one, other = pair
    assert suspected({one: 500, other: 1}) == []
    assert suspected({one: 1, other: 500}) == []


def test_no_false_alarm_on_real_sets(shared: Path) -> None:
    folder = shared / "data"
    for name in ("coco_val100", "kangaroo", "bccd", "formats_same100/gts/pascalvoc_format"):
        dataset = Dataset.load(folder / name, check_images=False)
        assert suspected(dataset.box_counts) == []


def test_cocos_names_each_rare_once(shared: Path) -> None:
    names = Dataset.load(shared / "data/coco_val100", check_images=False).classes
    found = set()
    for name in names:
        found.update(suspected({**dict.fromkeys(names, 50), name: 1}))
        assert suspected({**dict.fromkeys(names, 50), name: 0}) == []
    assert {message.split(", ")[0] for message in found} == {
        "class 'bear' looks like 'teddy bear'",
        "class 'dog' looks like 'hot dog'",
    }


def test_an_unused_class_names_the_one_that_is_meant() -> None:
    found = check_classes({"racoon": 0, "raccoon": 7, "tiger": 0})
    assert [(p.code, p.message) for p in found] == [
        ("class-unused", "class 'racoon' has no box; is 'raccoon' meant?"),
        ("class-unused", "class 'tiger' has no box"),
        ("class-few", "'raccoon' has 7 box(es), the other classes no more"),
    ]


def test_spellings() -> None:
    names = ["traffic light", "dog", "Traffic_Light", "traffic-light", "Dog", "A", "a", "1.5", "15"]
    groups = group_spellings(names)
    assert groups == [["traffic light", "Traffic_Light", "traffic-light"], ["dog", "Dog"]]
    found = check_classes(dict.fromkeys(names, 5))
    assert [(p.severity, p.code) for p in found] == [
        ("warning", "class-spelling"),
        ("warning", "class-case"),
        ("warning", "class-few"),
    ]


def test_classes_of_a_folder(make_voc: Callable[..., Any], voc_object: Callable[..., str]) -> None:
    root = make_voc({"a.jpg": voc_object("Cat", 1, 1, 9, 9) + voc_object("cat", 1, 1, 9, 9)})
    (root / "classes.txt").write_text("cat\ndog\n")
    dataset = Dataset.load(root)
    assert dataset.classes == ("cat", "dog", "Cat")
    assert [(p.code, p.message) for p in dataset.problems] == [
        ("class-unused", "class 'dog' has no box"),
        ("class-case", "classes 'cat' and 'Cat' differ by case only: counted as different"),
        ("class-few", "'cat' has 1 box(es), the other classes no more"),
    ]


def test_few_boxes_and_imbalance() -> None:
    found = check_classes({"RBC": 4153, "WBC": 372, "Platelets": 361, "rest": 9, "half": 2000})
    assert [(p.severity, p.code, p.message) for p in found] == [
        ("warning", "class-few", "class 'rest' has 9 box(es)"),
        (
            "warning",
            "class-imbalance",
            "'RBC' has 4153 boxes, 'rest' 9, 'Platelets' 361, 'WBC' 372: a tenth of that and less",
        ),
    ]
    assert check_classes({"a": 99, "b": 10}) == []


def test_what_is_only_begun_is_told_once() -> None:
    assert [p.message for p in check_classes({"a": 1})] == ["'a' has 1 box(es)"]
    [found] = check_classes({"a": 2, "b": 9, "c": 9})
    assert (found.severity, found.code) == ("warning", "class-few")
    assert found.message == "'b' has 9 box(es), the other classes no more"
