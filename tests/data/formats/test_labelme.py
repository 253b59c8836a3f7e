"""LabelMe: shapes of every kind, other machines' paths, each fault told, images never unpacked."""

from __future__ import annotations

import base64
import json
import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.data.dataset import Dataset
from sightline.data.formats.contents import Contents
from sightline.data.formats.labelme import read_labelme
from sightline.data.formats.listing import list_files
from sightline.errors import DatasetUnrecognised

Make = Callable[..., Any]


@pytest.fixture
def make_labelme(tmp_path: Path, write_photo: Make) -> Make:
    """(shapes, **other keys) gives a folder with a.jpg, 40x30, and its a.json."""

    def make(shapes: object, **more: object) -> Path:
        write_photo(tmp_path / "set/a.jpg")
        document = {
            "version": "5.5.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": "a.jpg",
            "imageData": None,
            "imageHeight": 30,
            "imageWidth": 40,
            **more,
        }
        (tmp_path / "set/a.json").write_text(json.dumps(document, indent=2))
        return tmp_path / "set"

    return make


def shape(**more: object) -> dict[str, object]:
    return {"label": "cat", "points": [[1, 2], [11, 22]], "shape_type": "rectangle", **more}


def read(root: Path) -> Contents:
    """What the reader alone says: checks of boxes and classes come later."""
    contents = read_labelme(list_files(root))
    assert not isinstance(contents, str)
    return contents


def codes(root: Path) -> list[str]:
    return [problem.code for problem in read(root).problems]


def test_same100_equals_voc(shared: Path, boxes_by_image: Make) -> None:
    gts = shared / "data/formats_same100/gts"
    labelme = Dataset.load(gts / "labelme_format", check_images=False)
    voc = Dataset.load(gts / "pascalvoc_format", check_images=False)
    assert read(gts / "labelme_format").problems == ()
    assert labelme.format == "labelme"
    assert (len(labelme), sum(labelme.box_counts.values())) == (100, 273)
    assert boxes_by_image(labelme) == boxes_by_image(voc)


@pytest.mark.parametrize(
    ("kind", "points", "box"),
    [
        ("rectangle", [[11, 22], [1, 2]], [1, 2, 11, 22]),  # drawn from below
        ("rectangle", [[1, 22], [11, 2]], [1, 2, 11, 22]),
        ("rectangle", [[1, 2], [11, 2], [11, 22], [1, 22]], [1, 2, 11, 22]),  # X-AnyLabeling
        ("polygon", [[5, 1], [9, 8], [2.5, 6]], [2.5, 1, 9, 8]),
        (None, [[5, 1], [9, 8], [2.5, 6]], [2.5, 1, 9, 8]),  # LabelMe 2 wrote no types
        ("circle", [[10, 10], [13, 14]], [5, 5, 15, 15]),  # 3, 4: five from the centre
        ("mask", [[3, 4], [8, 9]], [3, 4, 8, 9]),
        ("rotation", [[10, 2], [18, 10], [10, 18], [2, 10]], [2, 2, 18, 18]),
    ],
)
def test_shapes_with_an_area_become_boxes(
    make_labelme: Make, kind: str | None, points: list[list[float]], box: list[float]
) -> None:
    root = make_labelme([shape(shape_type=kind, points=points)])
    assert Dataset.load(root).records[0].boxes_xyxy.tolist() == [box]
    assert codes(root) == ([] if kind == "rectangle" else ["outline-boxed"])


def test_lines_and_points_are_counted_and_left_out(make_labelme: Make) -> None:
    shapes = [shape(shape_type=kind) for kind in ("line", "point", "line", "linestrip")]
    contents = read(make_labelme([shape(), *shapes]))
    assert len(contents.images[0].boxes) == 1
    [problem] = contents.problems
    assert problem.code == "shape-left-out"
    assert problem.message.endswith("left out: 2 line, 1 linestrip, 1 point")


def test_polygons_of_one_group_are_one_object(make_labelme: Make) -> None:
    def part(x: float, **more: object) -> dict[str, object]:
        return shape(shape_type="polygon", points=[[x, 1], [x + 2, 1], [x, 9]], **more)

    shapes = [
        part(1, group_id=1),
        part(20),
        part(9, group_id=1),
        part(5, group_id=1, label="dog"),
        part(3, group_id=None),
        shape(group_id=1),  # a box is an object of its own
    ]
    record = Dataset.load(make_labelme(shapes)).records[0]
    assert record.boxes_xyxy.tolist() == [
        [1, 1, 11, 9],
        [20, 1, 22, 9],
        [5, 1, 7, 9],
        [3, 1, 5, 9],
        [1, 2, 11, 22],
    ]


def test_difficult_boxes_and_classes_in_order(make_labelme: Make) -> None:
    root = make_labelme([shape(difficult=True), shape(label="  big\tdog "), shape(label="ant")])
    (root / "classes.txt").write_text("dog\nbig dog\ncat\n")
    dataset = Dataset.load(root)
    assert dataset.classes == ("dog", "big dog", "cat", "ant")
    assert dataset.records[0].is_difficult.tolist() == [True, False, False]


@pytest.mark.parametrize(
    "path",
    ["..\\images\\a.jpg", "C:\\Users\\me\\a.jpg", "/home/me/a.jpg", "../../../../a.jpg", "A.JPG"],
)
def test_paths_of_other_machines(make_labelme: Make, path: str) -> None:
    contents = read(make_labelme([shape()], imagePath=path))
    assert [raw.image for raw in contents.images] == ["a.jpg"]
    assert contents.problems == ()


@pytest.mark.parametrize("path", ["old-name.jpg", "", None, 5, "../../secret/b.jpg"])
def test_an_image_called_like_the_file(make_labelme: Make, tmp_path: Path, path: object) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/b.jpg").write_bytes(b"")
    root = make_labelme([shape()], imagePath=path)
    assert Dataset.load(root).names == ("a.jpg",)
    assert codes(root) == ["filename-differs"]


def test_an_image_that_lies_only_within_the_file(make_labelme: Make) -> None:
    root = make_labelme([shape()])
    copy = base64.b64encode((root / "a.jpg").read_bytes()).decode()
    document = json.loads((root / "a.json").read_text())
    (root / "b.json").write_text(
        json.dumps({**document, "imagePath": "b.jpg", "imageData": copy}, indent=2)
    )
    contents = read(root)
    assert [raw.image for raw in contents.images] == ["a.jpg"]
    [problem] = contents.problems
    assert (problem.code, problem.file) == ("image-missing", "b.json")
    assert "'b.jpg'; imageData in the file holds a copy" in problem.message
    assert '"imagePath"' in (root / "b.json").read_text().splitlines()[(problem.line or 0) - 1]


def test_the_namesake_has_the_image(make_labelme: Make, write_photo: Make) -> None:
    """0.json and b.json are copies of a.json whose imagePath nobody changed."""
    root = make_labelme([shape()])
    write_photo(root / "b.jpg", seed=1)
    write_photo(root / "c.jpg", seed=2)
    for name in ("0.json", "b.json"):
        (root / name).write_text((root / "a.json").read_text())
    contents = read(root)
    assert [(raw.image, raw.annotation) for raw in contents.images] == [
        ("a.jpg", "a.json"),
        ("b.jpg", "b.json"),
    ]
    assert [(p.code, p.file) for p in contents.problems] == [
        ("image-claimed-twice", "0.json"),
        ("filename-differs", "b.json"),
        ("annotation-missing", "c.jpg"),
    ]


def test_splits_by_folder(make_labelme: Make, tmp_path: Path) -> None:
    root = make_labelme([shape()])
    for split in ("train", "valid"):
        (root / split).mkdir()
        for name in ("a.jpg", "a.json"):
            (root / split / name).write_bytes((root / name).read_bytes())
    for name in ("a.jpg", "a.json"):
        (root / name).unlink()
    dataset = Dataset.load(root)
    assert dataset.splits == {"train": (0,), "val": (1,)}
    assert dataset.names == ("train/a.jpg", "valid/a.jpg")


@pytest.mark.parametrize(
    ("faulty", "code"),
    [
        (shape(label=""), "class-empty"),
        (shape(label=None), "class-empty"),
        (shape(points=[[1, 2]]), "box-missing"),
        (shape(points=None), "box-missing"),
        (shape(shape_type="polygon"), "box-missing"),  # of two points
        (shape(points=[[1, 2], [3]]), "box-not-finite"),
        (shape(points=[[1, 2], ["3", 4]]), "box-not-finite"),
        (shape(points=[[1, 2], [10**400, 4]]), "box-not-finite"),
        (shape(points=[[1, 2], [1, 4]]), "box-empty"),
        (shape(points=[[1, 2], [60, 4]]), "box-cut"),
        (shape(shape_type=["rectangle"]), "shape-left-out"),
        ("rectangle", "entry-damaged"),
    ],
)
def test_a_faulty_shape_is_reported_and_the_rest_is_kept(
    make_labelme: Make, faulty: object, code: str
) -> None:
    root = make_labelme([faulty, shape(label="dog")])
    dataset = Dataset.load(root)
    assert dataset.box_counts["dog"] == 1
    [problem] = [problem for problem in dataset.problems if problem.code == code]
    # Shapes begin in line 4 of what make_labelme writes: what is told of one shape has its line.
    assert problem.line == (None if code == "shape-left-out" else 5)


@pytest.mark.parametrize("shapes", [None, {}, "[]", 3])
def test_shapes_that_are_no_list(make_labelme: Make, shapes: object) -> None:
    root = make_labelme([shape()])
    (root / "b.json").write_text(json.dumps({"shapes": shapes, "imagePath": "b.jpg"}))
    assert [(p.code, p.file) for p in read(root).problems] == [("entry-damaged", "b.json")]


def test_a_size_that_is_another(make_labelme: Make) -> None:
    problems = Dataset.load(make_labelme([shape()], imageWidth=80)).problems
    assert "size-differs" in [problem.code for problem in problems]
    for width in (0, -1, None, "40", math.inf):
        assert read(make_labelme([shape()], imageWidth=width)).images[0].said_size is None


@pytest.mark.parametrize("document", [[], {}, {"shapes": []}, [{"shapes": [], "imagePath": ""}]])
def test_other_json_is_not_labelme(tmp_path: Path, document: object) -> None:
    (tmp_path / "a.json").write_text(json.dumps(document))
    assert isinstance(read_labelme(list_files(tmp_path)), str)


def test_a_damaged_file_is_told_and_the_others_are_read(make_labelme: Make) -> None:
    root = make_labelme([shape()])
    (root / "b.json").write_text((root / "a.json").read_text()[:-3])
    assert [(p.code, p.file) for p in read(root).problems] == [("json-damaged", "b.json")]
    (root / "a.json").unlink()
    with pytest.raises(DatasetUnrecognised):
        Dataset.load(root)


def test_copies_of_images_cost_no_memory(make_labelme: Make) -> None:
    """Ten files of 2 MB: more than two at a time would mean that copies are kept or unpacked."""
    root = make_labelme([shape()])
    document = json.loads((root / "a.json").read_text())
    document["imageData"] = "A" * 2_000_000
    for number in range(10):
        (root / f"{number}.json").write_text(json.dumps(document))
    listing = list_files(root)
    tracemalloc.start()
    try:
        read_labelme(listing)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


DOCUMENT = {
    "version": "5.5.0",
    "flags": {"day": True},
    "shapes": [
        shape(flags={}, description=""),
        shape(shape_type="polygon", points=[[5, 1], [9, 8], [2.5, 6]]),
        shape(shape_type="circle", points=[[10, 10], [13, 14]], difficult=True),
        shape(shape_type="line", label="road"),
    ],
    "imagePath": "a.jpg",
    "imageData": "AAAA",
    "imageHeight": 30,
    "imageWidth": 40,
}


def find_boxes(document: object) -> tuple[list[tuple[Any, ...]], set[str]] | None:
    """The boxes in such a file beside a.jpg, and what is told of it."""
    with TemporaryDirectory() as folder:
        Path(folder, "a.jpg").touch()
        Path(folder, "a.json").write_text(json.dumps(document))
        contents = read_labelme(list_files(Path(folder)))
    if isinstance(contents, str):
        return None
    boxes = [(box.label, *box.box_xyxy) for raw in contents.images for box in raw.boxes]
    return boxes, {problem.message for problem in contents.problems}


@settings(deadline=None)
@given(data=st.data())
def test_any_value_in_any_place(changed: Make, data: st.DataObject) -> None:
    """Nothing is raised, and boxes do not change silently where a value is of another kind."""
    document, is_of_its_kind = data.draw(changed(DOCUMENT))
    before, after = find_boxes(DOCUMENT), find_boxes(document)
    assert before is not None
    if after is not None and not is_of_its_kind and after[0] != before[0]:
        finite = all(math.isfinite(edge) for box in after[0] for edge in box[1:])
        assert after[1] - before[1] or not finite  # what is not finite, the checks tell
