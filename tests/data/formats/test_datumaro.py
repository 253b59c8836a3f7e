"""Datumaro: both layouts, outlines and groups, splits by file, each fault told."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.data.dataset import Dataset
from sightline.data.formats.contents import Contents, RawImage
from sightline.data.formats.datumaro import read_datumaro
from sightline.data.formats.listing import list_files

Make = Callable[..., Any]


@pytest.fixture
def make_datumaro(tmp_path: Path, write_photo: Make) -> Make:
    """(split -> its document) gives Datumaro's folder; each split has a.jpg and b.jpg, 40x30."""

    def make(documents: dict[str, object]) -> Path:
        root = tmp_path / "set"
        (root / "annotations").mkdir(parents=True)
        for split, document in documents.items():
            for seed, name in enumerate(("a.jpg", "b.jpg")):
                write_photo(root / "images" / split / name, seed=seed + 9 * len(split))
            (root / "annotations" / f"{split}.json").write_text(json.dumps(document))
        return root

    return make


def bbox(label: object = 1, *, group: int = 0, **more: object) -> dict[str, object]:
    """A box from (1, 2) to (11, 22)."""
    entry = {"id": 1, "type": "bbox", "attributes": {}, "group": group, "label_id": label}
    return {**entry, "bbox": [1.0, 2.0, 10.0, 20.0], "z_order": 0, **more}


def polygon(*points: float, label: object = 1, group: int = 0) -> dict[str, object]:
    return {"type": "polygon", "label_id": label, "group": group, "points": [*points]}


def item(name: object, *annotations: object, **more: object) -> dict[str, object]:
    image = {"path": f"{name}.jpg", "size": [30, 40]}
    return {"id": name, "annotations": list(annotations), "image": image, **more}


def labels(*names: object) -> dict[str, object]:
    entries = [{"name": name, "parent": "", "attributes": []} for name in names]
    return {"label": {"labels": entries, "label_groups": [], "attributes": []}}


def document(*items: object, **more: object) -> dict[str, object]:
    categories = labels("zebra", "ant", "cow")
    return {"infos": {}, "categories": categories, "items": list(items), **more}


def read(root: Path) -> Contents:
    contents = read_datumaro(list_files(root))
    assert not isinstance(contents, str)
    return contents


def boxes(raw: RawImage) -> list[tuple[object, ...]]:
    return [(box.label, *box.box_xyxy) for box in raw.boxes]


def codes(root: Path) -> list[str]:
    return [problem.code for problem in read(root).problems]


BOX = ("ant", 1, 2, 11, 22)


def test_a_fixture_of_labels_alone(shared: Path) -> None:
    """By eye: a, b in train with 1 + 4 labels of images, d in validation, c in test with 2."""
    folder = shared / "data/formats/datumaro/tests/assets/datumaro_dataset/legacy"
    dataset = Dataset.load(folder)
    assert dataset.format == "datumaro"
    assert dataset.classes == ("car", "bicycle", "tom", "mary")
    members = {
        split: {dataset.names[i].rpartition("/")[2] for i in indices}
        for split, indices in dataset.splits.items()
    }
    assert members == {"train": {"a.jpg", "b.jpg"}, "val": {"d.jpg"}, "test": {"c.jpg"}}
    assert [(p.file, p.message) for p in dataset.problems if p.code == "shape-left-out"] == [
        ("annotations/test.json", "not boxes; left out: 2 label"),
        ("annotations/train.json", "not boxes; left out: 5 label"),
    ]


@pytest.mark.parametrize("version", [{}, {"dm_format_version": "1.0", "media_type": 2}])
def test_both_layouts(make_datumaro: Make, version: dict[str, object]) -> None:
    root = make_datumaro({"default": document(item("a", bbox()), item("b"), **version)})
    contents = read(root)
    assert contents.classes == ("zebra", "ant", "cow")
    assert contents.splits == ()
    assert [raw.image for raw in contents.images] == [
        "images/default/a.jpg",
        "images/default/b.jpg",
    ]
    first, second = contents.images
    assert (boxes(first), second.boxes) == ([BOX], ())
    assert first.said_size == (40, 30)
    assert contents.problems == ()


def test_splits_with_images_of_the_same_names(make_datumaro: Make) -> None:
    """Paths without a folder mean the one that is called like the file."""
    root = make_datumaro(
        {
            "train": document(item("a", bbox(0))),
            "validation": document(item("a", bbox(1)), categories=labels("zebra", "ant", "yak")),
            "night": document(item("a", bbox(2))),
            "default": document(item("b", bbox(2))),
        }
    )
    contents = read(root)
    found = {raw.image: (raw.splits, [box.label for box in raw.boxes]) for raw in contents.images}
    assert found == {
        "images/train/a.jpg": (("train",), ["zebra"]),
        "images/validation/a.jpg": (("val",), ["ant"]),
        "images/night/a.jpg": (("night",), ["cow"]),
        "images/default/b.jpg": ((), ["cow"]),
    }
    assert contents.splits == ("train", "val", "night")
    assert contents.classes == ("zebra", "ant", "cow", "yak")


@pytest.mark.parametrize(
    "entry",
    [
        {"id": "a", "annotations": [bbox()]},
        {"id": "a", "annotations": [bbox()], "media": {"path": ""}},
        {"id": "x", "annotations": [bbox()], "media": {"path": "a.jpg"}},
        {"id": "x", "annotations": [bbox()], "image": {"path": "D:\\photos\\a.jpg"}},
        {"id": "x", "annotations": [bbox()], "image": {"path": "../../../a.jpg"}},
        {"id": "a", "annotations": [bbox()], "image": {"path": "moved.jpg"}},
        {"id": "deep/a", "annotations": [bbox()], "image": None},
    ],
)
def test_how_images_are_named(make_datumaro: Make, entry: dict[str, object]) -> None:
    contents = read(make_datumaro({"default": document(entry)}))
    assert [(raw.image, boxes(raw)) for raw in contents.images] == [("images/default/a.jpg", [BOX])]
    assert contents.problems == ()


@pytest.mark.parametrize(
    ("entry", "box"),
    [
        (polygon(5, 1, 9, 8, 2.5, 6), ("ant", 2.5, 1, 9, 8)),
        ({**polygon(3, 4, 8, 9), "type": "ellipse"}, ("ant", 3, 4, 8, 9)),
        # 10 wide and 20 high about (6, 12): turned by 90 it is 20 wide and 10 high.
        (bbox(attributes={"rotation": 90.0}), ("ant", -4, 7, 16, 17)),
        ({**polygon(6, 12, 10, 20, 90), "type": "rotated_bbox"}, ("ant", -4, 7, 16, 17)),
    ],
)
def test_outlines_become_boxes(
    make_datumaro: Make, entry: dict[str, object], box: tuple[object, ...]
) -> None:
    root = make_datumaro({"default": document(item("a", entry))})
    label, *corners = boxes(read(root).images[0])[0]
    assert [label, *corners] == [box[0], *(pytest.approx(edge, abs=1e-12) for edge in box[1:])]
    assert codes(root) == ["outline-boxed"]


def test_a_group_is_one_object(make_datumaro: Make) -> None:
    mask = {"type": "mask", "rle": {"counts": "06", "size": [2, 3]}, "label_id": 1}
    entries = [
        bbox(group=3),
        polygon(1, 2, 11, 2, 11, 20, group=3),  # the outline of that box
        {**mask, "group": 3},
        polygon(0, 0, 4, 0, 4, 4, group=4),
        polygon(9, 9, 12, 9, 12, 30, group=4),  # another part of the same
        polygon(0, 0, 4, 0, 4, 4, group=4, label=2),
        polygon(0, 0, 5, 0, 5, 5),
        bbox(2, group=5),
        bbox(2, group=5, bbox=[5, 5, 6, 6]),  # boxes are never joined
    ]
    contents = read(make_datumaro({"default": document(item("a", *entries))}))
    assert boxes(contents.images[0]) == [
        BOX,
        ("ant", 0, 0, 12, 30),
        ("cow", 0, 0, 4, 4),
        ("ant", 0, 0, 5, 5),
        ("cow", *BOX[1:]),
        ("cow", 5, 5, 11, 11),
    ]
    assert [problem.code for problem in contents.problems] == ["outline-boxed"]


def test_what_has_no_area_is_counted(make_datumaro: Make) -> None:
    others = [
        {"type": "caption", "caption": "hello"},
        {"type": "label", "label_id": 2},
        {"type": "points", "label_id": 0, "points": [1, 2, 3, 4]},
        {"type": "mask", "label_id": 0, "rle": {"counts": "06", "size": [2, 3]}},
        {"type": "label", "label_id": 1},
        {"type": "polyline", "label_id": 1, "points": [1, 2, 3, 4, 5, 6]},
    ]
    contents = read(make_datumaro({"default": document(item("a", *others, bbox()))}))
    assert boxes(contents.images[0]) == [BOX]
    [problem] = contents.problems
    assert problem.code == "shape-left-out"
    kinds = "1 caption, 2 label, 1 mask, 1 points, 1 polyline"
    assert problem.message.endswith(f"left out: {kinds}")


def test_attributes(make_datumaro: Make) -> None:
    names = ("difficult", "truncated", "is_crowd", "occluded")
    entries = [bbox(attributes={name: True}) for name in names]
    entries += [bbox(attributes={name: False for name in names})]
    [raw] = read(make_datumaro({"default": document(item("a", *entries))})).images
    flags = [(box.is_difficult, box.is_truncated, box.is_crowd) for box in raw.boxes]
    assert flags == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
        *[(False, False, False)] * 2,
    ]


@pytest.mark.parametrize(
    ("faulty", "code"),
    [
        (item("c", bbox()), "image-missing"),
        ({"annotations": [bbox()]}, "image-missing"),
        (item("b", bbox()), "image-claimed-twice"),
        (item("a", 5), "entry-damaged"),
        (5, "entry-damaged"),
        ({"id": "a"}, "entry-damaged"),
        ({"id": "a", "annotations": None}, "entry-damaged"),
        (item("a", bbox(None)), "class-empty"),
        (item("a", bbox(3)), "category-unknown"),
        (item("a", bbox(-1)), "category-unknown"),
        (item("a", bbox(True)), "category-unknown"),
        (item("a", bbox("1")), "category-unknown"),
        (item("a", bbox(bbox=[1, 2, 3])), "box-missing"),
        (item("a", bbox(bbox=None)), "box-missing"),
        (item("a", polygon(1, 2, 3, 4, 5)), "box-missing"),
        (item("a", polygon(1, 2)), "box-missing"),
        (item("a", bbox(type=["bbox"])), "shape-left-out"),
        (item("a", bbox(bbox=["1", 2, 3, 4])), "box-not-finite"),
        (item("a", bbox(attributes={"rotation": "x"})), "box-not-finite"),
        (item("a", bbox(bbox=[5, 5, -3, -3])), "box-inverted"),
        (item("a", bbox(bbox=[5, 5, 0, 3])), "box-empty"),
        (item("a", bbox(bbox=[5, 5, 90, 3])), "box-cut"),
        (item("a", image={"path": "a.jpg", "size": [40, 30]}), "size-differs"),
    ],
)
def test_a_fault_is_reported_and_the_rest_is_kept(
    make_datumaro: Make, faulty: object, code: str
) -> None:
    root = make_datumaro({"default": document(item("b", bbox(0)), faulty)})
    dataset = Dataset.load(root)
    assert code in [problem.code for problem in dataset.problems]
    assert dataset.box_counts["zebra"] == 1


@pytest.mark.parametrize(
    ("categories", "code"),
    [
        ({}, "category-damaged"),
        (None, "category-damaged"),
        ({"label": {"labels": "ant"}}, "category-damaged"),
        (labels(" ", "ant"), "category-damaged"),
        ({"label": {"labels": [5, {"name": "ant"}]}}, "category-damaged"),
        (labels("ant", "ant"), "category-repeated"),
    ],
)
def test_faulty_labels_keep_the_numbers_of_the_others(
    make_datumaro: Make, categories: object, code: str
) -> None:
    root = make_datumaro({"default": document(item("a", bbox(1)), categories=categories)})
    contents = read(root)
    assert contents.problems[0].code == code
    if contents.classes:
        assert boxes(contents.images[0]) == [BOX]


def test_problems_have_their_line(make_datumaro: Make) -> None:
    root = make_datumaro({"default": {}})
    text = json.dumps(document(item("b", bbox()), item("a", bbox(9))), indent=1)
    (root / "annotations/default.json").write_text(text)
    [problem] = read(root).problems
    assert problem.code == "category-unknown"
    entry = text.splitlines().index('     "label_id": 9,') + 1
    assert problem.line == entry - 5  # id, type, attributes, group and the brace before them


@pytest.mark.parametrize(
    "value",
    [[], {}, {"items": []}, [document()], {"images": [], "annotations": [], "categories": []}],
)
def test_other_json_is_not_datumaro(make_datumaro: Make, value: object) -> None:
    assert isinstance(read_datumaro(list_files(make_datumaro({"default": value}))), str)


DOCUMENT = document(
    item("a", bbox(), polygon(5, 1, 9, 8, 2.5, 6), {"type": "caption", "caption": "hello"}),
    {"id": "b", "annotations": [{**polygon(3, 4, 8, 9), "type": "ellipse"}]},
)


def find_boxes(value: object) -> tuple[list[tuple[Any, ...]], set[str]] | None:
    """The boxes in such a file beside a.jpg and b.jpg, and what is told of it."""
    with TemporaryDirectory() as folder:
        for name in ("a.jpg", "b.jpg"):
            Path(folder, name).touch()
        Path(folder, "default.json").write_text(json.dumps(value))
        contents = read_datumaro(list_files(Path(folder)))
    if isinstance(contents, str):
        return None
    found = [(box.label, *box.box_xyxy) for raw in contents.images for box in raw.boxes]
    return found, {problem.message for problem in contents.problems}


@settings(deadline=None)
@given(data=st.data())
def test_any_value_in_any_place(changed: Make, data: st.DataObject) -> None:
    """Nothing is raised, and boxes do not change silently where a value is of another kind."""
    value, is_of_its_kind = data.draw(changed(DOCUMENT))
    before, after = find_boxes(DOCUMENT), find_boxes(value)
    assert before is not None
    if after is not None and not is_of_its_kind and after[0] != before[0]:
        finite = all(math.isfinite(edge) for box in after[0] for edge in box[1:])
        assert after[1] - before[1] or not finite  # what is not finite, the checks tell
