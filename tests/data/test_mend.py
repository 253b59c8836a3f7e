"""Mended copies: what is said to be done is gone, nothing else has changed, the source stays."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.data.dataset import Dataset
from sightline.data.mend import mend, put_right
from sightline.data.records import Record
from sightline.errors import DatasetEmpty, DatasetError

Make = Callable[..., Any]

# Data set -> the kinds of problems done, and images, boxes and classes of the copy.
REAL = {
    "kangaroo": ({"image-repeated", "image-unreadable"}, 162, 262, 1),
    "raccoon": ({"image-repeated"}, 196, 213, 1),
    "bccd": ({"box-empty"}, 364, 4886, 3),
    "coco_val100": (set(), 100, 714, 80),
    "formats/roboflow/tests/datasets/sharks-tiny-coco": (
        {"box-cut", "category-group", "outline-boxed"},
        *(10, 60, 3),
    ),
    "formats_same100/gts/pascalvoc_format": (set(), 100, 273, 20),
    "formats/roboflow/tests/datasets/sharks-tiny-yolov9": ({"outline-boxed"}, 10, 60, 3),
    "formats/roboflow/tests/datasets/sharks-tiny-createml": (set(), 10, 60, 3),
    "formats/label_studio/tests/data/test_import_yolo_data": ({"image-missing"}, 4, 13, 4),
    "raccoon/data/test.record": (set(), 40, 44, 1),
    "raccoon/data/train_labels.csv": ({"image-repeated"}, 156, 169, 1),
    "bccd/test.csv": ({"box-empty"}, 364, 4886, 3),
    "formats_same100/gts/labelme_format": (set(), 100, 273, 20),
    "formats_same100/gts/openimages_format": ({"decimal-comma"}, 100, 273, 20),
}
ONLY_READ = {"labelme", "open-images"}  # the copy is Pascal VOC


def digests(folder: Path) -> dict[str, str]:
    """Each file's name and sha256, and when it was last written."""
    return {
        str(path.relative_to(folder)): (
            f"{path.stat().st_mtime_ns} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def contents(dataset: Dataset) -> list[tuple[object, ...]]:
    """Of each image, whatever it is called: sha256, size, boxes (to 1e-6 px) and flags."""
    found: list[tuple[object, ...]] = []
    for record in dataset:
        boxes = sorted(
            (dataset.classes[label], *(round(x, 6) for x in box), crowd, difficult, truncated)
            for label, box, crowd, difficult, truncated in zip(
                record.label_ids.tolist(),
                record.boxes_xyxy.tolist(),
                record.is_crowd.tolist(),
                record.is_difficult.tolist(),
                record.is_truncated.tolist(),
                strict=True,
            )
        )
        digest = hashlib.sha256(record.image.read_bytes()).hexdigest()
        found.append((digest, record.width, record.height, *boxes))
    return found


@pytest.mark.parametrize("name", REAL)
def test_real_sets(shared: Path, tmp_path: Path, name: str) -> None:
    codes, images, boxes, classes = REAL[name]
    path = shared / "data" / name
    folder = path if path.is_dir() else path.parent
    before = digests(folder)
    dataset = Dataset.load(path)
    mended = mend(dataset, tmp_path / "copy")
    assert digests(folder) == before
    assert {problem.code for problem in mended.done} == codes
    copy = Dataset.load(tmp_path / "copy")
    assert codes.isdisjoint(problem.code for problem in copy.problems)
    assert {p.code for p in copy.problems} <= {p.code for p in mended.left}
    assert copy.format == mended.format
    assert copy.format == ("voc" if dataset.format in ONLY_READ else dataset.format)
    assert (len(copy), len(copy.classes)) == (images, classes)
    assert sum(copy.box_counts.values()) == boxes
    assert copy.identical == ()
    assert set(contents(copy)) <= set(contents(dataset))
    again = mend(copy, tmp_path / "again")
    assert again.done == ()
    assert sorted(contents(Dataset.load(tmp_path / "again"))) == sorted(contents(copy))


def test_every_quirk(shared: Path, tmp_path: Path) -> None:
    """28 of its 29 images are copies of one: each is made another one first."""
    folder = tmp_path / "quirks"
    shutil.copytree(shared / "data/formats/voc_quirks_made", folder)
    for number, path in enumerate(sorted((folder / "JPEGImages").iterdir())):
        with path.open("ab") as file:
            file.write(b"%d" % number)
    dataset = Dataset.load(folder)
    mended = mend(dataset, tmp_path / "copy")
    left = {p.code for p in mended.left}
    assert left.isdisjoint(p.code for p in mended.done)
    assert left == {"class-few", "class-imbalance", "image-alike"}
    done = {p.code for p in mended.done}
    assert {p.code for p in dataset.problems} | {"image-boxless"} == left | done
    # Four lost their only box: outside, without area, no number, without a class.
    boxless = {p.file.rpartition("/")[2][:3] for p in mended.done if p.code == "image-boxless"}
    assert boxless == {"q08", "q09", "q29", "q31"}
    copy = Dataset.load(tmp_path / "copy")
    assert (len(copy), "Raccoon" in copy.classes) == (len(dataset) - 4, False)
    assert copy.box_counts["raccoon"] == sum(
        dataset.box_counts[name] for name in ("raccoon", "Raccoon")
    )


def test_copies_are_kept_once_with_most_boxes(
    make_voc: Make, voc_object: Make, tmp_path: Path
) -> None:
    one, two = voc_object("x", 1, 1, 9, 9), voc_object("x", 11, 11, 29, 29)
    root = make_voc({"a.jpg": one, "b.jpg": one + two, "c.jpg": two, "d.jpg": one})
    shutil.copy(root / "JPEGImages/a.jpg", root / "JPEGImages/b.jpg")
    write_splits(root, {"train": "bc", "val": "ad"})
    mended = mend(Dataset.load(root), tmp_path / "copy")
    copy = Dataset.load(tmp_path / "copy")
    assert copy.names == ("JPEGImages/b.jpg", "JPEGImages/c.jpg", "JPEGImages/d.jpg")
    assert {name: len(indices) for name, indices in copy.splits.items()} == {"train": 1, "val": 2}
    assert len(copy.records[0].label_ids) == 2
    assert [(p.severity, p.code, p.file, p.message) for p in mended.done] == [
        (
            "error",
            "image-leaks",
            "JPEGImages/a.jpg",
            "dropped: byte for byte the same as JPEGImages/b.jpg, which stays with its 2 box(es), "
            "in val of train and val",
        )
    ]


def write_splits(root: Path, splits: Mapping[str, str]) -> None:
    (root / "ImageSets/Main").mkdir(parents=True)
    for split, stems in splits.items():
        (root / f"ImageSets/Main/{split}.txt").write_text("\n".join(stems))


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        ({"train": "abc", "val": "cd"}, {"train": (0, 1), "val": (2, 3)}),
        ({"train": "ab", "val": "bc", "test": "cd"}, {"train": (0,), "val": (1,), "test": (2, 3)}),
        ({"train": "abcd", "val": "abcd"}, {"train": (0, 1, 2, 3)}),
        ({"train": "abc", "extra": "cd"}, {"train": (0, 1), "extra": (2, 3)}),
        ({"train": "ab", "val": "cd"}, {"train": (0, 1), "val": (2, 3)}),
    ],
)
def test_images_in_two_splits_stay_in_one(
    make_voc: Make,
    voc_object: Make,
    splits: dict[str, str],
    expected: dict[str, tuple[int, ...]],
) -> None:
    root = make_voc({f"{stem}.jpg": voc_object("x", 1, 1, 9, 9) for stem in "abcd"})
    given = {name: tuple("abcd".index(stem) for stem in stems) for name, stems in splits.items()}
    mended, done = put_right(replace(Dataset.load(root), splits=given))
    assert mended.splits == expected
    overlapping = sum(sum(stem in stems for stems in splits.values()) > 1 for stem in "abcd")
    assert [p.code for p in done] == ["split-overlap"] * overlapping


def test_spellings_are_merged_into_the_commonest(make_voc: Make, voc_object: Make) -> None:
    names = ("traffic light", "Traffic_Light", "Traffic_Light", "Dog", "dog", "dog", "A", "a")
    boxes = [voc_object(name, 1, 1, 9 + row, 9) for row, name in enumerate(names)]
    root = make_voc({"a.jpg": "".join(boxes)})
    (root / "classes.txt").write_text("unused\ntraffic light\nA\nTraffic_Light\nDog\na\ndog\n")
    dataset = Dataset.load(root)
    mended, done = put_right(dataset)
    # The class without a box stays: were it dropped, the numbers of the others would change.
    assert mended.box_counts == {"unused": 0, "A": 1, "Traffic_Light": 3, "a": 1, "dog": 3}
    assert [(p.code, p.message) for p in done] == [
        ("class-spelling", "'traffic light' written as 'Traffic_Light'"),
        ("class-case", "'Dog' written as 'dog'"),
    ]
    assert mended.records[0].boxes_xyxy.tolist() == dataset.records[0].boxes_xyxy.tolist()


def test_an_image_whose_boxes_were_all_left_out_is_not_said_to_be_empty(
    make_voc: Make, voc_object: Make
) -> None:
    some, none = voc_object("x", 1, 1, 9, 9), voc_object("x", 5, 5, 5, 9)
    root = make_voc({"some.jpg": some + none, "none.jpg": none, "nan.jpg": "", "bare.jpg": ""})
    xml = root / "Annotations/nan.xml"  # a fault that the reader reports, by its file
    xml.write_text(xml.read_text().replace("</ann", "<object><name>x</name></object></ann"))
    mended, done = put_right(Dataset.load(root))
    assert mended.names == ("JPEGImages/bare.jpg", "JPEGImages/some.jpg")
    assert [(p.code, p.file) for p in done] == [
        ("image-boxless", "JPEGImages/nan.jpg"),
        ("image-boxless", "JPEGImages/none.jpg"),
    ]


def test_a_box_in_two_spellings_is_kept_once(make_voc: Make, voc_object: Make) -> None:
    both = voc_object("Dog", 1, 1, 9, 9) + voc_object("dog", 1, 1, 9, 9)
    root = make_voc({"a.jpg": both, "b.jpg": voc_object("dog", 1, 1, 9, 9)})
    mended, done = put_right(Dataset.load(root))
    assert mended.box_counts == {"dog": 2}
    assert [p.code for p in done] == ["class-case", "box-repeated"]


def test_a_clean_set_stays_as_it_is(make_voc: Make, voc_object: Make, tmp_path: Path) -> None:
    root = make_voc({"a.jpg": voc_object("x", 1, 1, 9, 9), "b.jpg": ""})
    dataset = Dataset.load(root)
    assert put_right(dataset) == (dataset, [])
    mended = mend(dataset, tmp_path / "copy")
    assert (mended.format, mended.done) == ("voc", ())
    assert [p.code for p in mended.left] == ["class-few"]
    assert Dataset.load(tmp_path / "copy").fingerprint() == dataset.fingerprint()


def test_refused(make_voc: Make, voc_object: Make, tmp_path: Path) -> None:
    root = make_voc({"a.jpg": voc_object("x", 1, 1, 9, 9)})
    with pytest.raises(DatasetError, match="not empty"):
        mend(Dataset.load(root), root)
    (root / "JPEGImages/a.jpg").write_bytes(b"")
    with pytest.raises(DatasetEmpty, match="no usable image"):
        mend(Dataset.load(root), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_rows_of_boxes_stay_together(make_voc: Make, voc_object: Make) -> None:
    """What belongs to a box goes with it when another one is taken out."""
    root = make_voc({"a.jpg": voc_object("Dog", 1, 1, 9, 9)})
    dataset = Dataset.load(root)
    corners = np.array([[1, 1, 9, 9], [1, 1, 9, 9], [2, 2, 8, 8]], np.float64)
    flags = np.array([False, False, True])
    record: Record = replace(
        dataset.records[0],
        boxes_xyxy=corners,
        label_ids=np.array([0, 1, 1]),
        is_crowd=np.array([False] * 3),
        area=np.array([64.0, 60.0, 30.0]),
        is_difficult=flags,
        is_truncated=flags,
    )
    mended, _ = put_right(replace(dataset, classes=("Dog", "dog"), records=(record,)))
    kept = mended.records[0]
    assert kept.area.tolist() == [64, 30]
    assert kept.is_difficult.tolist() == kept.is_truncated.tolist() == [False, True]
    assert (mended.classes, kept.label_ids.tolist()) == (("dog",), [0, 0])
