"""YOLO: layouts, what is no label file, writing it for other tools, arbitrary bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.data.dataset import Dataset
from sightline.data.formats.contents import Reading
from sightline.data.formats.listing import list_files
from sightline.data.formats.yolo import label_text, read_yolo
from sightline.data.formats.yolo_labels import ClassNames, read_labels
from sightline.data.records import Problem
from sightline.errors import DatasetError, DatasetUnrecognised, SightlineError

Make = Callable[..., Any]

ROW = "0 0.5 0.5 0.5 0.4\n"
ROW_BOX = (10, 9, 30, 21)  # of 40x30 px
DATUMARO = "formats/datumaro/tests/assets"


def codes(dataset: Dataset) -> set[tuple[str, str, int | None]]:
    """(code, file, line) of what the reader found; what counts of classes say is not its own."""
    return {
        (p.code, p.file, p.line)
        for p in dataset.problems
        if p.code not in ("class-unused", "class-few", "no-boxes", "box-tiny", "split-none")
    }


def splits_by_name(dataset: Dataset) -> dict[str, list[str]]:
    return {s: [dataset.names[i] for i in indices] for s, indices in dataset.splits.items()}


class TestReal:
    def test_darknet_has_the_boxes_of_voc(self, shared: Path) -> None:
        folder = shared / "data/formats_same100/gts"
        voc = Dataset.load(folder / "pascalvoc_format", check_images=False)
        for path in (folder / "yolo_format", folder / "yolo_format/obj.data"):
            yolo = Dataset.load(path, check_images=False)
            assert (yolo.format, len(yolo), sum(yolo.box_counts.values())) == ("yolo", 100, 273)
            assert yolo.classes[:3] == ("person", "cat", "boat")
            assert yolo.box_counts == {name: voc.box_counts[name] for name in yolo.classes}
            assert {name: len(indices) for name, indices in yolo.splits.items()} == {"train": 100}
            # Their order differs; rounding before sorting could change it again.
            for mine, theirs in zip(yolo, voc, strict=True):
                assert Path(mine.name).name == Path(theirs.name).name
                distances = np.abs(mine.boxes_xyxy[:, None] - theirs.boxes_xyxy).max(2)
                same = [
                    [yolo.classes[a] == voc.classes[b] for b in theirs.label_ids]
                    for a in mine.label_ids
                ]
                matches = (distances < 0.0005) & np.array(same)
                assert (matches.sum(0) == 1).all()
                assert (matches.sum(1) == 1).all()

    def test_polygons_among_boxes(self, shared: Path) -> None:
        folder = shared / "data/formats/roboflow/tests/datasets/sharks-tiny-yolov9"
        dataset = Dataset.load(folder)
        assert (len(dataset), sum(dataset.box_counts.values())) == (10, 60)
        assert dataset.classes == ("fish", "primary", "shark")
        sizes = {name: len(indices) for name, indices in dataset.splits.items()}
        assert sizes == {"train": 7, "val": 2, "test": 1}
        noted = [p.message for p in dataset.problems if p.code == "outline-boxed"]
        assert sum(int(message.split()[0]) for message in noted) == 17
        by_file = Dataset.load(folder / "data.yaml")
        assert by_file.fingerprint() == dataset.fingerprint()
        assert by_file.splits == dataset.splits
        part = Dataset.load(folder / "valid")
        assert (part.classes, len(part)) == (("1", "2"), 2)
        assert "classes-unnamed" in {problem.code for problem in part.problems}

    def test_labels_without_their_image(self, shared: Path) -> None:
        folder = shared / "data/formats/label_studio/tests/data/test_import_yolo_data"
        dataset = Dataset.load(folder)
        assert len(dataset) == 4
        assert dataset.classes == ("closed_door", "opened_door", "bus", "number")
        assert codes(dataset) == {("image-missing", f"labels/img_{n}.txt", None) for n in (2, 3, 4)}
        assert Dataset.load(folder / "labels").fingerprint() == dataset.fingerprint()

    @pytest.mark.parametrize("name", ["labels", "annotations", "strict"])
    def test_datumaro_assets(self, shared: Path, name: str) -> None:
        dataset = Dataset.load(shared / "data" / DATUMARO / "yolo_dataset" / name)
        assert dataset.classes == tuple(f"label_{n}" for n in range(10))
        splits = {"labels": {"train": (0,), "val": (1,)}, "strict": {"train": (0,)}}
        assert dataset.splits == splits.get(name, {})
        for record in dataset:
            assert (record.width, record.height) == (15, 10)
            assert record.label_ids.tolist() == [2, 4]
            expected = [[0, 2, 4, 4], [3, 3, 5, 6]]
            # Six decimals of 15 px.
            assert np.abs(record.boxes_xyxy - expected).max() < 2e-5

    @pytest.mark.parametrize("name", ["yolo", "yolo_obb"])
    def test_roboflow_with_a_folder_of_another_name(self, shared: Path, name: str) -> None:
        dataset = Dataset.load(shared / "data" / DATUMARO / "roboflow_dataset" / name)
        assert dataset.classes == ("label_0", "label_1")
        assert dataset.splits == {"train": (0, 1), "val": (2,)}
        assert ("split-missing", "data.yaml", 2) in codes(dataset)
        expected = {
            "yolo": [[2, 1, 5, 2]],  # shares of 10x5 px
            "yolo_obb": [[0, 0, 2, 2]],  # in pixels
        }
        assert dataset.records[0].boxes_xyxy.round(9).tolist() == expected[name]

    @pytest.mark.parametrize("name", ["kangaroo", "bccd", "formats_same100/dets"])
    def test_other_text_files_are_none(self, shared: Path, name: str) -> None:
        assert isinstance(read_yolo(list_files(shared / "data" / name)), str)


class TestLayouts:
    @pytest.mark.parametrize(
        ("image", "label"),
        [
            ("images/train/a.jpg", "labels/train/a.txt"),
            ("train/images/a.jpg", "train/labels/a.txt"),
            ("images/a.jpg", "labels/a.txt"),
            ("Images/a.jpg", "Annotations/a.txt"),
            ("photos/a.jpg", "labels/a.txt"),
            ("images/train/a.jpg", "labels/a.txt"),
            ("obj_train_data/a.jpg", "obj_train_data/a.txt"),
            ("a.jpg", "a.txt"),
            ("sub/a.b c.jpg", "sub/a.b c.txt"),
            ("images/classes.jpg", "labels/classes.txt"),
        ],
    )
    def test_an_image_and_its_labels(self, make_set: Make, image: str, label: str) -> None:
        dataset = Dataset.load(make_set({image: None, label: ROW, "data.yaml": "names: [zebra]"}))
        assert (dataset.names, dataset.classes) == ((image,), ("zebra",))
        assert dataset.records[0].boxes_xyxy.round(9).tolist() == [list(ROW_BOX)]
        assert codes(dataset) == set()

    def test_equal_names_in_two_splits_are_told_apart(self, make_set: Make) -> None:
        files = {
            "images/train/1.jpg": None,
            "images/val/1.jpg": None,
            "labels/train/1.txt": ROW,
            "labels/val/1.txt": ROW.replace("0 ", "1 ", 1),
        }
        dataset = Dataset.load(make_set({**files, "data.yaml": "names: [a, b]"}))
        assert [record.label_ids.tolist() for record in dataset] == [[0], [1]]
        assert dataset.splits == {"train": (0,), "val": (1,)}

    def test_a_label_of_another_split_is_not_taken(self, make_set: Make) -> None:
        root = make_set(
            {
                "images/train/1.jpg": None,
                "images/val/2.jpg": None,
                "labels/val/1.txt": ROW,
                "labels/val/2.txt": ROW,
            }
        )
        dataset = Dataset.load(root)
        assert [len(record.label_ids) for record in dataset] == [0, 1]
        assert ("image-missing", "labels/val/1.txt", None) in codes(dataset)
        assert ("annotation-missing", "images/train/1.jpg", None) in codes(dataset)

    def test_names_that_are_not_clear(self, make_set: Make) -> None:
        root = make_set({"x/1.jpg": None, "y/1.jpg": None, "labels/1.txt": ROW, "a.jpg": None})
        contents = read_yolo(list_files(root))
        assert not isinstance(contents, str)
        assert [p.code for p in contents.problems] == ["image-missing"]
        assert "x/1.jpg or another" in contents.problems[0].message

    def test_labels_beside_the_image_yield_to_the_folder_labels(self, make_set: Make) -> None:
        other = ROW.replace("0.4", "0.2")
        root = make_set({"images/a.jpg": None, "images/a.txt": other, "labels/a.txt": ROW})
        dataset = Dataset.load(root)
        assert dataset.records[0].boxes_xyxy.round(9).tolist() == [list(ROW_BOX)]
        assert ("image-claimed-twice", "images/a.txt", None) in codes(dataset)

    def test_two_images_of_one_name(self, make_set: Make) -> None:
        root = make_set({"images/a.jpg": None, "images/a.png": None, "labels/a.txt": ROW})
        dataset = Dataset.load(root)
        assert [len(record.label_ids) for record in dataset] == [1, 1]
        assert ("label-shared", "labels/a.txt", None) in codes(dataset)

    def test_images_without_labels_are_background(self, make_set: Make) -> None:
        root = make_set(
            {
                "images/a.jpg": None,
                "images/b.jpg": None,
                "images/none/c.jpg": None,
                "images/d.jpg": None,
                "runs/result.jpg": None,
                "logo.jpg": None,
                "labels/a.txt": ROW,
                "labels/d.txt": "",
            }
        )
        dataset = Dataset.load(root)
        assert dataset.names == (
            *("images/a.jpg", "images/b.jpg"),
            *("images/d.jpg", "images/none/c.jpg"),
        )
        missing = {file for code, file, _ in codes(dataset) if code == "annotation-missing"}
        assert missing == {"images/b.jpg", "images/none/c.jpg"}

    def test_other_texts_are_no_labels(self, make_set: Make) -> None:
        dataset = Dataset.load(
            make_set(
                {
                    "images/train.jpg": None,
                    "images/a.jpg": None,
                    "labels/train.txt": ROW,
                    "labels/a.txt": ROW,
                    "labels/README.txt": "0 is a zebra, 1 is not\n",
                    "labels/classes.txt": "zebra\n",
                    "README.roboflow.txt": "1 2 3 4 5\n",
                    "requirements.txt": "numpy\n",
                    "train.txt": "images/a.jpg\n",
                    "a.txt": "a photo of a zebra\n",
                }
            )
        )
        assert dataset.box_counts == {"zebra": 2}
        assert codes(dataset) == set()

    def test_voc_beside_it_is_not_guessed(self, make_voc: Make, voc_object: Make) -> None:
        root = make_voc({"a.jpg": voc_object("x", 1, 1, 9, 9)})
        (root / "ImageSets/Main").mkdir(parents=True)
        (root / "ImageSets/Main/train.txt").write_text("a\n")
        assert Dataset.load(root).format == "voc"
        (root / "labels").mkdir()
        (root / "labels/a.txt").write_text(ROW)
        (root / "data.yaml").write_text("names: [x]")
        with pytest.raises(DatasetUnrecognised, match="Pascal VOC and YOLO"):
            Dataset.load(root)
        assert Dataset.load(root / "Annotations").format == "voc"
        assert Dataset.load(root / "labels").classes == ("x",)
        assert Dataset.load(root / "data.yaml").format == "yolo"

    def test_labels_saved_as_voc_as_well_are_voc(self, make_set: Make, voc_object: Make) -> None:
        """LabelImg was set to the other format half way; here the XML has what was drawn."""
        xml = f"<annotation>{voc_object('x', 1, 1, 9, 9)}</annotation>"
        files = {"a.jpg": None, "a.txt": ROW, "a.xml": xml, "b.jpg": None, "b.xml": xml}
        root = make_set({**files, "classes.txt": "x\n"})
        dataset = Dataset.load(root)
        assert (dataset.format, dataset.box_counts) == ("voc", {"x": 2})
        (root / "b.txt").write_text(ROW)
        (root / "b.xml").unlink()
        with pytest.raises(DatasetUnrecognised, match="Pascal VOC and YOLO"):
            Dataset.load(root)

    def test_two_sets_in_one_folder(self, make_set: Make) -> None:
        files = {f"{s}/labels/{s}.txt": ROW for s in "ab"} | {
            f"{s}/images/{s}.jpg": None for s in "ab"
        }
        root = make_set({**files, "a/data.yaml": "names: [x]", "b/data.yaml": "names: [y]"})
        with pytest.raises(
            DatasetUnrecognised, match=r"a/data\.yaml and b/data\.yaml name classes"
        ):
            Dataset.load(root)
        assert Dataset.load(root / "a").classes == ("x",)

    def test_utf_16_as_windows_writes_it(self, make_set: Make) -> None:
        root = make_set({"images/a.jpg": None, "labels/a.txt": "", "data.yaml": ""})
        (root / "labels/a.txt").write_bytes(ROW.encode("utf-16"))
        assert Dataset.load(root).box_counts == {"0": 1}
        (root / "data.yaml").write_bytes("names: [cat]".encode("utf-16"))
        assert Dataset.load(root).box_counts == {"cat": 1}

    def test_why_it_is_none(self, make_set: Make) -> None:
        root = make_set({"images/a.jpg": None, "labels/a.txt": "0 10 10 20 20\n"})
        with pytest.raises(DatasetUnrecognised, match=r"labels/a\.txt: .* not in shares"):
            Dataset.load(root)
        (root / "labels/a.txt").write_text("")
        with pytest.raises(DatasetUnrecognised, match="all empty"):
            Dataset.load(root)
        (root / "data.yaml").write_text("names: [x]")
        assert len(Dataset.load(root)) == 1


class TestWriting:
    def test_other_tools_can_read_it(
        self, make_voc: Make, voc_object: Make, tmp_path: Path
    ) -> None:
        boxes = voc_object("dog", 10, 9, 30, 21) + voc_object("cat", 0, 0, 40, 30)
        voc = Dataset.load(make_voc({"a.jpg": boxes, "b.jpg": "", "c.jpg": ""}))
        dataset = replace(voc, splits={"train": (0,), "val": (1,), "test": ()})
        assert dataset.save(tmp_path / "out", "yolo") == ()
        written = {
            path.relative_to(tmp_path / "out").as_posix()
            for path in (tmp_path / "out").rglob("*")
            if path.is_file()
        }
        assert written == {
            *("images/train/a.jpg", "images/val/b.jpg", "images/c.jpg"),
            *("labels/train/a.txt", "labels/val/b.txt", "labels/c.txt", "data.yaml"),
        }
        assert (tmp_path / "out/labels/train/a.txt").read_text() == (
            "1 0.5 0.5 0.5 0.4\n0 0.5 0.5 1.0 1.0\n"
        )
        assert (tmp_path / "out/labels/val/b.txt").read_text() == ""
        assert yaml.safe_load((tmp_path / "out/data.yaml").read_text()) == {
            "train": "images/train",
            "val": "images/val",
            "test": [],
            "nc": 2,
            "names": ["cat", "dog"],
        }
        again = Dataset.load(tmp_path / "out")
        expected = {"train": ["images/train/a.jpg"], "val": ["images/val/b.jpg"], "test": []}
        assert splits_by_name(again) == expected
        assert len(again) == 3

    def test_without_splits(self, make_voc: Make, voc_object: Make, tmp_path: Path) -> None:
        voc = Dataset.load(make_voc({"a.jpg": voc_object("x", 1, 1, 9, 9)}))
        [told] = voc.save(tmp_path / "o", "yolo")
        assert (told.severity, told.code) == ("info", "yaml-unsplit")
        assert told.message == "names no train and no val, which YOLO's trainers want"
        [told] = replace(voc, splits={"train": (0,), "val": ()}).save(tmp_path / "p", "yolo")
        assert told.message == "names no val, which YOLO's trainers want"
        assert yaml.safe_load((tmp_path / "o/data.yaml").read_text()) == {"nc": 1, "names": ["x"]}
        assert Dataset.load(tmp_path / "o").names == ("images/a.jpg",)
        (tmp_path / "o").rename(tmp_path / "train")
        assert Dataset.load(tmp_path / "train").splits == {}

    def test_what_is_lost_is_told(self, make_voc: Make, voc_object: Make, tmp_path: Path) -> None:
        dataset = Dataset.load(make_voc({"a.jpg": voc_object("x", 1, 1, 9, 9), "b.jpg": ""}))
        record = replace(
            dataset.records[0],
            is_crowd=np.array([True]),
            is_truncated=np.array([True]),
            area=np.array([1.0]),
        )
        splits = {"fold-1": (0, 1), "../x": (1,)}
        odd = replace(dataset, records=(record, dataset.records[1]), splits=splits)
        lost = odd.save(tmp_path / "out", "yolo")
        assert [(problem.code, problem.file) for problem in lost] == [
            ("lost-split", "data.yaml"),
            ("yaml-unsplit", "data.yaml"),
            ("lost-split", "JPEGImages/b.jpg"),
            ("lost-crowd", "JPEGImages/a.jpg"),
            ("lost-flags", "JPEGImages/a.jpg"),
            ("lost-area", "JPEGImages/a.jpg"),
        ]
        again = Dataset.load(tmp_path / "out")
        assert splits_by_name(again) == {"fold-1": ["images/fold-1/a.jpg", "images/fold-1/b.jpg"]}

    def test_a_failure_leaves_nothing(self, make_voc: Make, tmp_path: Path) -> None:
        dataset = Dataset.load(make_voc({"a.jpg": "", "b.jpg": ""}))
        dataset.records[1].image.unlink()
        with pytest.raises(DatasetError, match="cannot be written"):
            dataset.save(tmp_path / "out", "yolo")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]

    def test_large_images_return_to_a_billionth_of_a_pixel(self, make_set: Make) -> None:
        dataset = Dataset.load(make_set({"a.jpg": None, "a.txt": ROW, "data.yaml": "names: [x]"}))
        edge = 65_535
        corners = np.random.default_rng(0).uniform(0, edge, (500, 2, 2))
        boxes_xyxy = np.sort(corners, axis=1).reshape(-1, 4)
        record = replace(
            dataset.records[0],
            width=edge,
            height=edge,
            boxes_xyxy=boxes_xyxy,
            label_ids=np.zeros(500, np.int64),
        )
        reading = Reading(list_files(dataset.root))
        boxes, _ = read_labels(reading, "a.txt", label_text(record), ClassNames({0: "x"}))
        again = np.array([box.box_xyxy for box in boxes]) * edge
        assert np.abs(again - boxes_xyxy).max() < 1e-9


FILES = ["labels/a.txt", "labels/b.txt", "images/a.txt", "labelTxt/a.txt", "obj.names"]
FILES += ["data.yaml", "classes.txt", "labels/classes.txt", "train.txt", "obj.data", "x/data.yaml"]
WORDS = st.sampled_from(
    ["0", "1", "0.5", "-1", "1e400", "nan", "0,5", "90", "x", "\0", "imagesource:", "é", "\u2028"]
)
ROWS = st.lists(st.lists(WORDS, max_size=11).map(" ".join), max_size=4).map("\n".join)
PATHS = st.sampled_from(
    ["images", "../images", "/", "", ".", "..", "train.txt", "/etc/passwd", "~"]
)
YAML = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.text(max_size=5) | PATHS,
    lambda values: (
        st.lists(values, max_size=3) | st.dictionaries(st.integers(-1, 3), values, max_size=3)
    ),
    max_leaves=5,
)
KEYS = st.sampled_from(["names", "nc", "path", "train", "val", "test", "kpt_shape", "x"])
CONTENTS = st.one_of(
    st.binary(max_size=100),
    ROWS.map(str.encode),
    st.dictionaries(KEYS, YAML, max_size=5).map(yaml.safe_dump).map(str.encode),
    st.lists(st.tuples(KEYS, PATHS).map("=".join), max_size=3).map("\n".join).map(str.encode),
    st.tuples(st.sampled_from(["names: ", "train: "]), st.text(max_size=30)).map(
        lambda parts: "".join(parts).encode(errors="replace")
    ),
)


@settings(deadline=None, max_examples=300)
@given(files=st.dictionaries(st.sampled_from(FILES), CONTENTS, max_size=6))
def test_any_bytes_raise_nothing_but_our_errors(files: dict[str, bytes], write_photo: Make) -> None:
    with TemporaryDirectory() as folder:
        for name, data in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        write_photo(Path(folder, "images/a.jpg"))
        try:
            dataset = Dataset.load(folder, check_images=False)
        except SightlineError:
            return
    assert dataset.format == "yolo"
    assert all(isinstance(problem, Problem) for problem in dataset.problems)
    for record in dataset:
        assert np.isfinite(record.boxes_xyxy).all()
        assert (record.label_ids < len(dataset.classes)).all()
