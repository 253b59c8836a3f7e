"""CreateML: centres and extents, one file a folder or an image, and every fault reported."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sightline.data.dataset import Dataset
from sightline.data.formats.contents import Contents
from sightline.data.formats.createml import read_createml
from sightline.data.formats.listing import Listing
from sightline.errors import DatasetUnrecognised

Make = Callable[..., Any]


@pytest.fixture
def make_createml(tmp_path: Path, write_photo: Make) -> Make:
    """(file -> its document or text) gives a folder with those and a.jpg and b.jpg, 40x30."""

    def make(files: dict[str, Any], folder: str = "") -> Path:
        for seed, name in enumerate(("a", "b")):
            write_photo(tmp_path / "set" / folder / f"{name}.jpg", seed=seed)
        for file, document in files.items():
            path = tmp_path / "set" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(document if isinstance(document, str) else json.dumps(document))
        return tmp_path / "set"

    return make


def box(label: object = "cat", **place: object) -> dict[str, object]:
    return {"label": label, "coordinates": {"x": 10, "y": 12.5, "width": 8, "height": 5, **place}}


def entry(image: object, *boxes: object) -> dict[str, object]:
    return {"image": image, "annotations": list(boxes)}


def test_centres_become_corners(make_createml: Make) -> None:
    root = make_createml({"a.json": [entry("a.jpg", box(), box("dog", x=36.0)), entry("b.jpg")]})
    dataset = Dataset.load(root)
    assert (dataset.format, dataset.classes) == ("createml", ("cat", "dog"))
    assert dataset.records[0].boxes_xyxy.tolist() == [[6, 10, 14, 15], [32, 10, 40, 15]]
    assert dataset.records[1].boxes_xyxy.shape == (0, 4)
    assert not {problem.code for problem in dataset.problems} - {"class-few"}


def test_keys_as_apple_documents_them(make_createml: Make) -> None:
    images = [{"imagefilename": "a.jpg", "annotation": [box()]}, {"imagefilename": "b.jpg"}]
    dataset = Dataset.load(make_createml({"a.json": images}))
    assert [record.boxes_xyxy.tolist() for record in dataset] == [[[6, 10, 14, 15]], []]


def test_a_file_an_image_as_labelimg_saves_them(make_createml: Make, write_photo: Make) -> None:
    files = {f"{name}.json": [entry(f"{name}.jpg", box(name))] for name in ("a", "train")}
    root = make_createml(files)
    write_photo(root / "train.jpg", seed=3)
    dataset = Dataset.load(root)
    assert (dataset.names, dataset.splits) == (("a.jpg", "train.jpg"), {})
    missing = [p.file for p in dataset.problems if p.code == "annotation-missing"]
    assert missing == ["b.jpg"]


@pytest.mark.parametrize(
    ("boxes", "code"),
    [
        ([{"label": "cat"}], "box-missing"),
        ([{"label": "cat", "coordinates": [1, 2, 3, 4]}], "box-missing"),
        (["cat"], "box-missing"),
        ([box("")], "class-empty"),
        ([box(None)], "class-empty"),
        ([box(x="10")], "box-not-finite"),
        ([box(x=None)], "box-not-finite"),
        ([box(width=10**400)], "box-not-finite"),
        ([box(width=float("nan"))], "box-not-finite"),
        ([box(width=0)], "box-empty"),
        ([box(height=-5)], "box-inverted"),
        ([box(x=38)], "box-cut"),
        ([box(x=99)], "box-outside"),
        (7, "entry-damaged"),
        ({"label": "cat"}, "entry-damaged"),
    ],
)
def test_a_faulty_annotation_costs_nothing_else(
    make_createml: Make, boxes: object, code: str
) -> None:
    lines = [
        "[" + json.dumps(entry("b.jpg", box("dog"))) + ",",
        '{"image": "a.jpg", "annotations":',
        json.dumps(boxes) + "}]",
    ]
    dataset = Dataset.load(make_createml({"x.json": "\n".join(lines)}))
    found = {problem.code: problem.line for problem in dataset.problems}
    assert found[code] == (2 if code == "entry-damaged" else 3)
    assert len(dataset) == 2
    assert dataset.box_counts["dog"] == 1


@pytest.mark.parametrize(
    ("damaged", "code"),
    [
        ({"annotations": [box()]}, "entry-damaged"),
        (entry(5), "entry-damaged"),
        ("a.jpg", "entry-damaged"),
        (entry("c.jpg", box()), "image-missing"),
        (entry("../../a.jpg", box()), "filename-outside"),
        (entry("b.jpg", box("dog"), box()), "image-claimed-twice"),
    ],
)
def test_faulty_entries(make_createml: Make, damaged: object, code: str) -> None:
    dataset = Dataset.load(make_createml({"x.json": [entry("b.jpg", box("dog")), damaged]}))
    assert code in [problem.code for problem in dataset.problems]
    assert dataset.box_counts["dog"] == 1  # of two entries for one image all boxes are kept, once
    assert dataset.box_counts.get("cat", 0) == (code in ("filename-outside", "image-claimed-twice"))


def test_splits_by_folder_and_by_file(make_createml: Make, write_photo: Make) -> None:
    name = "_annotations.createml.json"
    files = {f"{split}/{name}": [entry("a.jpg", box())] for split in ("train", "valid")}
    root = make_createml({**files, f"test/{name}": "[]"}, folder="train")
    write_photo(root / "valid/a.jpg", seed=5)
    dataset = Dataset.load(root)
    assert dataset.splits == {"train": (0,), "val": (1,), "test": ()}
    assert dataset.names == ("train/a.jpg", "valid/a.jpg")


def test_an_image_that_several_files_list(make_createml: Make) -> None:
    both = [entry("a.jpg", box()), entry("b.jpg")]
    files = {"train.json": both, "val.json": both, "val_more.json": [entry("a.jpg")]}
    dataset = Dataset.load(make_createml(files))
    assert dataset.splits == {"train": (0, 1), "val": (0, 1)}
    assert dataset.box_counts == {"cat": 1}
    codes = [problem.code for problem in dataset.problems if problem.severity != "info"]
    assert codes.count("split-overlap") == 2
    assert codes.count("image-claimed-twice") == 1


def test_other_lists_are_not_claimed(make_createml: Make) -> None:
    root = make_createml({"a.json": [{"image": "a.jpg", "label": 1}], "b.json": []})
    with pytest.raises(DatasetUnrecognised, match=r"none of \d+ \.json files? is COCO"):
        Dataset.load(root)


def test_a_damaged_file_beside_is_told(make_createml: Make) -> None:
    root = make_createml({"a.json": [entry("a.jpg", box())], "b.json": '[\n{"image": '})
    problem = Dataset.load(root).problems[0]
    assert (problem.code, problem.file, problem.line) == ("json-damaged", "b.json", 2)


def test_roboflows_export(shared: Path) -> None:
    """The same images as in its COCO export, which is smaller by 2.5 and cut to whole pixels."""
    folder = shared / "data/formats/roboflow/tests/datasets"
    ours = Dataset.load(folder / "sharks-tiny-createml", check_images=False)
    coco = Dataset.load(folder / "sharks-tiny-coco", check_images=False)
    assert ours.problems == ()
    assert ours.classes == coco.classes
    assert ours.splits == coco.splits
    assert ours.box_counts == coco.box_counts
    pairs = zip(coco.names, coco.records, strict=True)
    theirs = {name.partition(".rf")[0]: record for name, record in pairs}
    for name, record in zip(ours.names, ours.records, strict=True):
        other = theirs[name.partition(".rf")[0]]
        assert record.label_ids.tolist() == other.label_ids.tolist()
        assert np.abs(record.boxes_xyxy - other.boxes_xyxy * 2.5).max() <= 2.5


def test_writing_keeps_images_of_several_splits_and_of_none(
    make_createml: Make, tmp_path: Path
) -> None:
    source = Dataset.load(make_createml({"x.json": [entry("a.jpg", box()), entry("b.jpg")]}))
    dataset = replace(source, splits={"train": (0,), "val": (0,), "fold 1": ()})
    lost = dataset.save(tmp_path / "out", "createml")
    assert [(problem.code, problem.file) for problem in lost] == [
        ("lost-split", "fold_1"),
        ("lost-split", "a.jpg"),
    ]
    again = Dataset.load(tmp_path / "out")
    assert again.names == ("b.jpg", "train/a.jpg")
    assert again.splits == {"train": (1,), "val": ()}


def test_writing_says_what_is_lost(shared: Path, tmp_path: Path) -> None:
    dataset = Dataset.load(shared / "data/coco_val100", check_images=False)
    lost = dataset.save(tmp_path / "out", "createml")
    assert [problem.code for problem in lost] == ["lost-crowd"]
    assert "(5 image(s))" in lost[0].message
    again = Dataset.load(tmp_path / "out", check_images=False)
    assert again.classes == dataset.classes  # in COCO's order, eight of them unused
    assert again.box_counts == dataset.box_counts


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
BOXES = st.fixed_dictionaries(
    {},
    optional={
        "label": st.just("cat") | JSON,
        "coordinates": JSON | st.dictionaries(st.sampled_from(["x", "y", "width"]), JSON),
    },
)
ENTRIES = st.fixed_dictionaries(
    {"annotations": st.lists(BOXES | JSON, max_size=4) | JSON},
    optional={"image": st.just("a.jpg") | JSON, "imagefilename": st.just("a.jpg") | JSON},
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=st.lists(ENTRIES | JSON, max_size=4) | JSON)
def test_any_json_where_entries_should_be(tmp_path: Path, document: Any) -> None:
    (tmp_path / "a.json").write_text(json.dumps(document))
    found = read_createml(Listing(tmp_path, ("a.json",), ("a.jpg",)))
    assert isinstance(found, Contents | str)
