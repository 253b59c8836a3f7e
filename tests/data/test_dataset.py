"""Real data sets load with their known counts; broken ones say what is wrong, in our errors."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.data.dataset import Dataset
from sightline.data.records import Problem
from sightline.errors import (
    DatasetEmpty,
    DatasetError,
    DatasetNotFound,
    DatasetUnrecognised,
    SightlineError,
    UsageError,
)

Make = Callable[..., Any]

# data set -> format, images, boxes per class, splits: from its SOURCES.md, less what is unusable
# (kangaroo 00090 is truncated and has 3 of its 266 boxes; two boxes of BCCD have no area).
REAL = {
    "kangaroo": ("voc", 163, {"kangaroo": 263}, {"train": 131, "val": 32}),
    "raccoon": ("voc", 200, {"raccoon": 217}, {}),
    "bccd": (
        "voc",
        364,
        {"Platelets": 361, "RBC": 4153, "WBC": 372},
        {"train": 205, "val": 87, "test": 72},
    ),
    "formats/roboflow/tests/datasets/sharks-tiny-coco": (
        "coco",
        10,
        None,
        {"train": 7, "val": 2, "test": 1},
    ),
}
REAL_PROBLEMS = {
    "kangaroo": {
        ("error", "image-unreadable", "images/00090.jpg"),
        ("info", "orientation-odd", "images/00103.jpg"),
        ("warning", "image-repeated", "images/00033.jpg"),
        ("warning", "image-leaks-nearly", "images/00101.jpg"),
    },
    "raccoon": {
        *(("info", "image-grey", f"images/raccoon-{number}.jpg") for number in (150, 152, 161)),
        *(
            ("warning", "image-repeated", f"images/raccoon-{number}.jpg")
            for number in (116, 83, 74, 98)
        ),
        *(("info", "image-alike", f"images/raccoon-{number}.jpg") for number in (45, 52, 85)),
    },
    "bccd": {
        ("warning", "class-imbalance", "."),
        *(
            ("warning", "box-empty", f"BCCD/Annotations/BloodImage_00{number}.xml")
            for number in (338, 343)
        ),
        *(
            ("warning", "image-leaks-nearly", f"BCCD/JPEGImages/BloodImage_00{number}.jpg")
            for number in ("037", "391")
        ),
    },
    "formats/roboflow/tests/datasets/sharks-tiny-coco": {
        ("info", "category-group", "test/_annotations.coco.json"),
        ("info", "box-cut", "train/_annotations.coco.json"),
        *(
            ("info", "outline-boxed", f"{s}/_annotations.coco.json")
            for s in ("train", "valid", "test")
        ),
        # Frames of a video; the last numbers of their names are left out here.
        *(("info", "image-alike", f"train/sharks_mp4-{n}_jpg") for n in (7, 13, 15, 17, 20)),
        *(("warning", "image-leaks-nearly", f"valid/sharks_mp4-{n}_jpg") for n in (14, 18)),
        ("warning", "image-leaks-nearly", "test/sharks_mp4-1_jpg"),
    },
}


@pytest.mark.parametrize("name", REAL)
def test_real_data_sets(shared: Path, name: str) -> None:
    form, images, counts, splits = REAL[name]
    dataset = Dataset.load(shared / "data" / name)
    assert dataset.format == form
    assert len(dataset) == images
    assert counts is None or dataset.box_counts == counts
    assert {split: len(indices) for split, indices in dataset.splits.items()} == splits
    found = {(p.severity, p.code, p.file.partition(".rf.")[0]) for p in dataset.problems}
    assert found == REAL_PROBLEMS[name]


def test_coco_val100(shared: Path) -> None:
    dataset = Dataset.load(shared / "data/coco_val100")
    assert (dataset.format, len(dataset), len(dataset.classes)) == ("coco", 100, 80)
    assert dataset.box_counts["person"] == 287
    assert sum(dataset.box_counts.values()) == 714
    assert sum(int(record.is_crowd.sum()) for record in dataset) == 5
    assert list(dataset.splits) == ["val"]
    assert Counter(problem.code for problem in dataset.problems) == {
        "box-tiny": 17,
        "class-few": 59,
        "class-imbalance": 1,
        "class-unused": 8,
        "image-grey": 1,
    }
    one_file = Dataset.load(shared / "data/coco_val100/instances_val100.json")
    assert one_file.fingerprint() == dataset.fingerprint()


def test_lines_of_problems_point_at_the_box(shared: Path) -> None:
    dataset = Dataset.load(shared / "data/bccd", check_images=False)
    for problem in (p for p in dataset.problems if p.code == "box-empty"):
        lines = (dataset.root / problem.file).read_text().splitlines()
        assert problem.line is not None
        assert "<bndbox>" in lines[problem.line - 1]
        assert lines[problem.line].strip() == lines[problem.line + 2].strip().replace("max", "min")


def test_one_set_in_two_formats_has_the_same_boxes(shared: Path, boxes_by_image: Make) -> None:
    folder = shared / "data/formats_same100/gts"
    voc = Dataset.load(folder / "pascalvoc_format")
    assert (len(voc), sum(voc.box_counts.values()), len(voc.classes)) == (100, 273, 20)
    for version in ("coco_format_v1", "coco_format_v2"):
        coco = Dataset.load(folder / version)
        assert boxes_by_image(coco) == boxes_by_image(voc)


class TestDecoding:
    def test_headers_and_ends_of_files_are_enough_for_truncated_ones(self, shared: Path) -> None:
        dataset = Dataset.load(shared / "data/kangaroo", check_images=False)
        assert len(dataset) == 163
        codes = {problem.code for problem in dataset.problems}
        assert codes == {"image-unreadable", "orientation-odd", "image-repeated"}

    def test_many_images_are_not_decoded_unless_asked_for(
        self, shared: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sightline.data.dataset._MOST_DECODED", 163)
        dataset = Dataset.load(shared / "data/kangaroo")
        [problem] = [p for p in dataset.problems if p.code == "images-not-decoded"]
        assert (problem.severity, problem.file) == ("info", ".")
        assert problem.message.startswith("164 images are many")
        for check_images in (True, False):
            again = Dataset.load(shared / "data/kangaroo", check_images=check_images)
            assert "images-not-decoded" not in {p.code for p in again.problems}
            assert ("image-leaks-nearly" in {p.code for p in again.problems}) == check_images

    def test_what_was_not_decoded_is_when_it_is_asked_for(self, shared: Path) -> None:
        dataset = Dataset.load(shared / "data/kangaroo", check_images=False)
        assert dataset.find_leaks() == {}
        assert dataset.likeness.groups == Dataset.load(shared / "data/kangaroo").likeness.groups
        val = dataset.splits["val"]
        assert len(dataset.find_leaks()) == 1
        # What was seen stays known, also of parts.
        assert dataset.subset("val").known_likeness.groups == ()
        assert len(dataset.subset("val").thumbnails) == 163 > len(val)

    def test_a_photo_that_is_gone_by_then_is_like_no_other(
        self, make_voc: Make, voc_object: Make
    ) -> None:
        root = make_voc({f"{name}.jpg": voc_object("x", 1, 1, 9, 9) for name in "abc"})
        dataset = Dataset.load(root, check_images=False)
        assert dataset.identical == ()
        (root / "JPEGImages/a.jpg").unlink()
        assert dataset.likeness.groups == ()
        assert len(dataset.split().splits["val"]) == 1


def test_a_folder_of_broken_images(shared: Path, tmp_path: Path, voc_object: Make) -> None:
    refused = {"02", "03", "04", "06", "07", "09", "10", "11", "30"}
    (tmp_path / "images").mkdir()
    (tmp_path / "annots").mkdir()
    for path in sorted((shared / "data/broken").iterdir()):
        if path.suffix not in (".md", ".svg"):
            shutil.copy(path, tmp_path / "images")
            text = f"<annotation><filename>{path.name}</filename>{voc_object('a', 0, 0, 1, 1)}"
            (tmp_path / "annots" / f"{path.stem}.xml").write_text(f"{text}</annotation>")
    dataset = Dataset.load(tmp_path)
    errors = {p.file for p in dataset.problems if p.severity == "error"}
    assert {Path(file).name[:2] for file in errors} == refused
    assert len(dataset) == 34 - len(refused)
    assert all(str(tmp_path) not in problem.message for problem in dataset.problems)


class TestRefused:
    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetNotFound, match="no such folder"):
            Dataset.load(tmp_path / "gone")
        with pytest.raises(DatasetError):
            Dataset.load("nul\0byte")

    def test_no_path(self, make_voc: Make) -> None:
        with pytest.raises(DatasetNotFound, match="is empty"):
            Dataset.load("")
        with pytest.raises(DatasetError, match="is empty"):
            Dataset.load(make_voc({"a.jpg": ""})).save("", "coco")

    def test_pipes_and_devices_are_not_opened(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.json")
        for path in (tmp_path / "a.json", Path("/dev/null")):
            with pytest.raises(DatasetError, match="neither a file nor a folder"):
                Dataset.load(path)
        with pytest.raises(DatasetUnrecognised, match="is empty"):
            Dataset.load(tmp_path)

    def test_two_formats_at_once(self, shared: Path) -> None:
        with pytest.raises(DatasetUnrecognised, match=r"Pascal VOC and .*COCO"):
            Dataset.load(shared / "data/formats_same100")

    def test_no_boxes(self, make_voc: Make) -> None:
        dataset = Dataset.load(make_voc({"a.jpg": "", "b.jpg": ""}))
        assert len(dataset) == 2
        assert [(p.severity, p.code) for p in dataset.problems] == [("error", "no-boxes")]
        with pytest.raises(DatasetEmpty, match="no box in its 2 image"):
            dataset.require_boxes()

    def test_no_usable_image(self, make_voc: Make) -> None:
        root = make_voc({"a.jpg": ""})
        (root / "JPEGImages/a.jpg").write_bytes(b"")
        with pytest.raises(DatasetEmpty, match=r"no usable image \(2 problems"):
            Dataset.load(root).require_boxes()

    def test_a_split_without_boxes(self, make_voc: Make, voc_object: Make) -> None:
        root = make_voc({"a.jpg": voc_object("x", 1, 1, 9, 9), "b.jpg": ""})
        dataset = replace(Dataset.load(root), splits={"train": (0,), "val": (1,)})
        dataset.require_boxes("train")
        with pytest.raises(DatasetEmpty, match=r"split 'val' of .* no box in its 1 image"):
            dataset.require_boxes("val")
        with pytest.raises(DatasetEmpty, match="no split 'test'; its splits: train, val"):
            dataset.subset("test")


class TestSplits:
    def test_the_same_everywhere(self, shared: Path) -> None:
        # Recorded once: another value would make runs on two machines incomparable.
        dataset = Dataset.load(shared / "data/raccoon", check_images=False).split()
        again = Dataset.load(shared / "data/raccoon").split()
        assert again.splits == dataset.splits
        val = sorted(dataset.names[index] for index in dataset.splits["val"])
        assert [len(indices) for indices in dataset.splits.values()] == [160, 40]
        assert val[:4] == [f"images/raccoon-{number}.jpg" for number in (101, 104, 114, 115)]

    def test_images_alike_stay_together(self, shared: Path) -> None:
        dataset = Dataset.load(shared / "data/raccoon", check_images=False)
        assert len(dataset.identical) == 4
        assert len(dataset.likeness.groups) == 6
        for seed in range(10):
            val = set(dataset.split(seed=seed).splits["val"])
            assert all(
                len(val.intersection(group)) in (0, len(group)) for group in dataset.likeness.groups
            )

    def test_of_a_video_a_side_takes_what_it_must(self, shared: Path) -> None:
        folder = shared / "data/formats/roboflow/tests/datasets/sharks-tiny-coco"
        dataset = Dataset.load(folder)
        assert sorted(map(len, dataset.likeness.groups)) == [3, 7]
        # Asked for 2 of 10 images; 3 that belong together are less than twice as many.
        made = dataset.split()
        assert set(made.splits["val"]) in map(set, dataset.likeness.groups)
        assert made.find_leaks() == {}
        # Asked for 1, more than that is divided, and told.
        divided = dataset.split(val=0.1)
        assert len(divided.splits["val"]) == 1
        assert len(divided.find_leaks()) == 1

    def test_own_splits_are_kept(self, shared: Path) -> None:
        dataset = Dataset.load(shared / "data/bccd", check_images=False)
        assert dataset.with_splits() is dataset

    def test_val_is_taken_from_train_where_only_it_is_missing(self, shared: Path) -> None:
        full = Dataset.load(shared / "data/bccd", check_images=False)
        own = {name: full.splits[name] for name in ("train", "test")}
        dataset = replace(full, splits=own).with_splits()
        assert list(dataset.splits) == ["train", "val", "test"]
        assert dataset.splits["test"] == own["test"]
        assert sorted((*dataset.splits["train"], *dataset.splits["val"])) == list(own["train"])

    def test_too_few_images(self, make_voc: Make, voc_object: Make) -> None:
        dataset = Dataset.load(make_voc({"a.jpg": voc_object("x", 1, 1, 9, 9)}))
        with pytest.raises(DatasetEmpty, match=r"1 usable image.* train and val"):
            dataset.with_splits()

    def test_copies_of_one_image(self, make_voc: Make, voc_object: Make) -> None:
        root = make_voc({f"{name}.jpg": voc_object("x", 1, 1, 9, 9) for name in "abc"})
        for name in "bc":
            shutil.copy(root / "JPEGImages/a.jpg", root / f"JPEGImages/{name}.jpg")
        with pytest.raises(DatasetEmpty, match="nothing is left for val"):
            Dataset.load(root).split()

    @pytest.mark.parametrize(("val", "test"), [(0, 0), (1, 0), (0.5, 0.5), (-0.1, 0), (0.2, -1)])
    def test_senseless_shares(self, make_voc: Make, val: float, test: float) -> None:
        with pytest.raises(UsageError):
            Dataset.load(make_voc({"a.jpg": "", "b.jpg": ""})).split(val, test)

    def test_a_subset_has_the_records_of_its_split(self, shared: Path) -> None:
        dataset = Dataset.load(shared / "data/bccd", check_images=False)
        val = dataset.subset("val")
        assert val.records == tuple(dataset.records[i] for i in dataset.splits["val"])
        assert val.classes == dataset.classes
        assert val.splits == {"val": tuple(range(87))}


class TestFingerprint:
    def test_it_does_not_depend_on_where_the_folder_lies(
        self, make_voc: Make, voc_object: Make
    ) -> None:
        root = make_voc({"a.jpg": voc_object("x", 1, 1, 9, 9), "b.jpg": ""})
        before = Dataset.load(root).fingerprint()
        root.rename(root.with_name("elsewhere"))
        assert Dataset.load(root.with_name("elsewhere")).fingerprint() == before

    def test_it_changes_with_box_class_and_name(self, make_voc: Make, voc_object: Make) -> None:
        root = make_voc({"a.jpg": voc_object("x", 1, 1, 9, 9)})
        seen = {Dataset.load(root).fingerprint()}
        xml = root / "Annotations/a.xml"
        for old, new in (("<xmax>9", "<xmax>8"), ("<name>x", "<name>y")):
            xml.write_text(xml.read_text().replace(old, new))
            seen.add(Dataset.load(root).fingerprint())
        xml.rename(root / "Annotations/b.xml")
        (root / "JPEGImages/a.jpg").rename(root / "JPEGImages/b.jpg")
        seen.add(Dataset.load(root).fingerprint())
        assert len(seen) == 4


def test_progress_counts_every_image(make_voc: Make) -> None:
    calls: list[tuple[int, int]] = []
    Dataset.load(make_voc({"a.jpg": "", "b.jpg": ""}), progress=lambda *call: calls.append(call))
    assert calls == [(1, 2), (2, 2)]


def test_saving_needs_a_known_format_and_a_new_folder(make_voc: Make, tmp_path: Path) -> None:
    dataset = Dataset.load(make_voc({"a.jpg": ""}))
    with pytest.raises(UsageError, match="known: voc, coco"):
        dataset.save(tmp_path / "out", "paper")
    with pytest.raises(DatasetError, match="not empty"):
        dataset.save(tmp_path, "coco")


NAMES = ["a.xml", "b/b.xml", "a.json", "train/_annotations.coco.json", "a.jpg", "classes.txt"]
NAMES += ["ImageSets/Main/train.txt", "Annotations/a.xml", "images/a.jpg"]
FIELDS = ["id", "image_id", "category_id", "bbox", "file_name", "name", "area", "iscrowd", "width"]
VALUES = st.one_of(
    st.integers(0, 2),
    st.sampled_from(["a.jpg", "../a.jpg", "", 1e400, 10**400, None]),
    st.lists(st.floats() | st.integers(), max_size=5),
)
ENTRIES = st.lists(st.dictionaries(st.sampled_from(FIELDS), VALUES) | st.integers(), max_size=4)
COCO = st.fixed_dictionaries(dict.fromkeys(("images", "annotations", "categories"), ENTRIES))
VOC = "<annotation><filename>a.jpg</filename>{}</annotation>"


@settings(deadline=None)
@given(
    files=st.dictionaries(
        st.sampled_from(NAMES),
        st.one_of(
            st.binary(max_size=300),
            st.text(max_size=100).map(lambda text: VOC.format(text).encode(errors="replace")),
            COCO.map(lambda value: json.dumps(value).encode()),
        ),
        max_size=5,
    )
)
def test_any_bytes_raise_nothing_but_our_errors(files: dict[str, bytes]) -> None:
    with TemporaryDirectory() as folder:
        for name, data in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        try:
            dataset = Dataset.load(folder)
        except SightlineError:
            return
    assert all(isinstance(problem, Problem) for problem in dataset.problems)
