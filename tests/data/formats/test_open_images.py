"""Open Images CSV: shares of the size, codes of classes, splits, files of images not here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.dataset import Dataset
from sightline.data.formats.contents import Contents
from sightline.data.formats.listing import Listing
from sightline.data.formats.open_images import read_open_images
from sightline.errors import DatasetUnrecognised

IMAGES = ("images/0a1b.jpg", "images/ff02.png")
HEADER = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,"
    "IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
)
CAT = "0a1b,xclick,/m/01,1,0.1,0.5,0.2,0.8,0,1,0,0,0"
DOG = "ff02,xclick,/m/02,1,0,1,0.25,0.75,-1,-1,1,0,0"
NAMES = "/m/03,Cow\n/m/02,Dog\n/m/01,Cat\n"


def read_bytes(files: dict[str, bytes]) -> Contents | str:
    """What is read from files of that content beside `IMAGES`, which nobody opens."""
    with TemporaryDirectory() as folder:
        for name, data in files.items():
            Path(folder, name).write_bytes(data)
        return read_open_images(Listing(Path(folder), tuple(sorted(files)), IMAGES))


def read_rows(*rows: str, names: str = NAMES) -> Contents:
    text = "\n".join([HEADER, *rows, ""])
    contents = read_bytes({"a-annotations-bbox.csv": text.encode(), "names.csv": names.encode()})
    assert isinstance(contents, Contents), contents
    return contents


def test_boxes_flags_and_names_of_classes() -> None:
    contents = read_rows(CAT, DOG)
    first, second = contents.images
    assert (first.image, first.is_normalised, first.line) == ("images/0a1b.jpg", True, 2)
    box = first.boxes[0]
    assert (box.label, box.box_xyxy, box.line) == ("Cat", (0.1, 0.2, 0.5, 0.8), 2)
    assert (box.is_truncated, box.is_crowd) == (True, False)
    assert [(b.label, b.is_truncated, b.is_crowd) for b in second.boxes] == [("Dog", False, True)]
    assert contents.classes == ("Dog", "Cat")  # as described, without the cow that nobody saw
    assert contents.problems == ()


@pytest.mark.parametrize("names", [f"LabelName,DisplayName\n{NAMES}", NAMES.replace("\n", "\r\n")])
def test_descriptions_with_and_without_a_header(names: str) -> None:
    assert read_rows(CAT, DOG, names=names).classes == ("Dog", "Cat")


def test_codes_stay_without_descriptions() -> None:
    contents = read_rows(CAT, DOG, names="")
    assert contents.classes is None
    assert [box.label for raw in contents.images for box in raw.boxes] == ["/m/01", "/m/02"]


def test_a_description_that_is_no_pair() -> None:
    contents = read_rows(CAT, names=f"{NAMES}/m/04\n")
    assert [(p.code, p.file, p.line) for p in contents.problems if p.line] == [
        ("row-damaged", "names.csv", 4)
    ]
    assert contents.classes == ("Cat",)


@pytest.mark.parametrize("name", ["0a1b", "0a1b.jpg", "train/0a1b.jpg", " 0a1b"])
def test_names_with_and_without_an_ending(name: str) -> None:
    assert [raw.image for raw in read_rows(CAT.replace("0a1b", name)).images] == [IMAGES[0]]


def test_columns_in_another_order_and_none_that_is_not_needed() -> None:
    text = b"YMax;XMax;ImageID;XMin;YMin;LabelName\n0,8;0,5;0a1b;0,1;0,2;cat\n"
    contents = read_bytes({"val.csv": text})
    assert isinstance(contents, Contents)
    assert contents.images[0].boxes[0].box_xyxy == (0.1, 0.2, 0.5, 0.8)
    assert contents.splits == ("val",)
    assert [p.code for p in contents.problems if p.line] == ["decimal-comma"]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("0a1b,xclick,/m/01,1,0.1,0.5", "row-damaged"),
        (f"{CAT},0", "row-damaged"),
        (CAT.replace("0a1b", ""), "row-damaged"),
        (CAT.replace("xclick", "x" * 140_000), "row-damaged"),
        (CAT.replace("/m/01", " "), "class-empty"),
        (CAT.replace("0a1b", "absent"), "image-missing"),
    ],
)
def test_a_faulty_row_is_reported_with_its_line_and_the_rest_is_kept(row: str, code: str) -> None:
    contents = read_rows(CAT, row, DOG)
    assert [(p.code, p.line) for p in contents.problems] == [(code, 3)]
    assert [len(raw.boxes) for raw in contents.images] == [1, 1]


def test_a_corner_that_is_no_number(tmp_path: Path, write_photo: Callable[..., None]) -> None:
    write_photo(tmp_path / "0a1b.jpg")
    text = f"{HEADER}\n{CAT.replace('0.5', 'half')}\n{CAT}\n"
    (tmp_path / "boxes.csv").write_text(text)
    dataset = Dataset.load(tmp_path)
    assert dataset.records[0].boxes_xyxy.tolist() == [[4, 6, 20, 24]]
    assert ("box-not-finite", 2) in [(p.code, p.line) for p in dataset.problems]


def test_images_that_are_not_here_are_counted_once_a_file() -> None:
    others = [CAT.replace("0a1b", f"{number:x}zz") for number in range(2000)]
    contents = read_rows(*others[:1000], CAT, *others[1000:])
    assert len(contents.images) == 1
    problem = next(p for p in contents.problems if p.code == "image-missing")
    assert (problem.severity, problem.line) == ("info", 2)
    assert "2000 row(s)" in problem.message and "'0zz'" in problem.message
    assert len(contents.problems) == 2  # and the image that no row names


def test_splits_and_an_image_in_two_of_them() -> None:
    def text(*rows: str) -> bytes:
        return "\n".join([HEADER, *rows, ""]).encode()

    contents = read_bytes(
        {
            "oidv6-train-annotations-bbox.csv": text(CAT, DOG),
            "validation-annotations-bbox.csv": text(DOG),
            "test-annotations-bbox.csv": text(DOG.replace("/m/02", "/m/05")),
        }
    )
    assert isinstance(contents, Contents)
    assert contents.splits == ("train", "val", "test")
    assert [raw.splits for raw in contents.images] == [("train",), ("train", "val")]
    assert [len(raw.boxes) for raw in contents.images] == [1, 1]
    claimed = [p.file for p in contents.problems if p.code == "image-claimed-twice"]
    assert claimed == ["test-annotations-bbox.csv"]


@given(data=st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    read_bytes(
        {
            "a.csv": data,
            "b.csv": f"{HEADER}\n{CAT}\n".encode() + data,
            "c.csv": NAMES.encode() + data,
        }
    )


FIELDS = st.sampled_from(
    ["0a1b", "ff02.png", "../x", "/m/01", "1", "0.5", "1,5", "-3", "nan", "", " ", '"', "\0", "é"]
)


@given(rows=st.lists(st.lists(FIELDS, min_size=4, max_size=8), max_size=8))
def test_any_fields(rows: list[list[str]]) -> None:
    text = "\n".join(["ImageID,LabelName,XMin,YMin,XMax,YMax", *map(",".join, rows)])
    contents = read_bytes({"a.csv": text.encode()})
    assert isinstance(contents, Contents)
    for raw in contents.images:
        assert raw.image in IMAGES
        assert all(box.label for box in raw.boxes)


def test_the_same_100_images(shared: Path, boxes_by_image: Callable[..., Any]) -> None:
    folder = shared / "data/formats_same100/gts"
    dataset = Dataset.load(folder / "openimages_format", check_images=False)
    voc = Dataset.load(folder / "pascalvoc_format", check_images=False)
    assert dataset.format == "open-images"
    ours, theirs = boxes_by_image(dataset), boxes_by_image(voc)
    assert ours.keys() == theirs.keys()
    assert sum(len(boxes) - 1 for boxes in ours.values()) == 273
    for name, (size, *boxes) in ours.items():
        assert size == theirs[name][0]
        assert [box[0] for box in boxes] == [box[0] for box in theirs[name][1:]]
        difference = np.array([box[1:5] for box in boxes]) - [b[1:5] for b in theirs[name][1:]]
        assert np.abs(difference).max() < 0.0005  # the file has ten decimals of 500 px


def test_datumaros_small_set(shared: Path) -> None:
    folder = shared / "data/formats/datumaro/tests/assets/open_images_dataset"
    dataset = Dataset.load(folder / "v6")
    assert dataset.classes == ("Generic label #0", "Generic label #3")
    assert {name: len(indices) for name, indices in dataset.splits.items()} == {
        "train": 1,
        "test": 1,
    }
    test, train = dataset.records
    assert (test.name, train.name) == ("images/test/c.jpg", "images/train/b.jpg")
    shares = [0.2, 0.3, 1, 0.5] * np.array([train.width, train.height] * 2)
    assert np.allclose(train.boxes_xyxy, [shares])
    assert test.is_crowd.tolist() == [True]
    with pytest.raises(DatasetUnrecognised, match=r"Open Images CSV: 3 \.csv, none with columns"):
        Dataset.load(folder / "v5")  # has labels of whole images only
