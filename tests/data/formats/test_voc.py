"""Pascal VOC: 34 odd files with one behaviour each, pairing, splits, and writing it back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from sightline.data.dataset import Dataset
from sightline.errors import DatasetError

Make = Callable[..., Any]
PLAIN = [("raccoon", 10, 20, 60, 80)]

# Where expected.json leaves a choice: the problem's code and the boxes kept; None: image left out.
CHOICES: dict[str, tuple[str, list[tuple[object, ...]] | None]] = {
    "q04_wrong_size": ("size-differs", PLAIN),
    "q06_inverted": ("box-inverted", PLAIN),
    "q07_outside": ("box-cut", [("raccoon", 0, 0, 160, 100)]),
    "q08_fully_outside": ("box-outside", []),
    "q09_zero_area": ("box-empty", []),
    "q18_filename_traversal": ("filename-outside", PLAIN),
    "q20_name_case": ("class-case", [("Raccoon", 10, 20, 60, 80)]),
    "q26_duplicate": ("box-repeated", PLAIN),
    "q27_truncated_xml": ("xml-damaged", None),
    "q28_entities": ("xml-damaged", None),
    "q29_nan": ("box-not-finite", []),
    "q30_comma": ("decimal-comma", [("raccoon", 10.5, 20, 60, 80)]),
    "q31_empty_name": ("class-empty", []),
    "q32_empty_file": ("xml-damaged", None),
    "q33_missing_image": ("image-missing", None),
    "q34_missing_xml": ("annotation-missing", None),
}


def test_the_34_quirks(shared: Path, boxes_by_image: Make) -> None:
    folder = shared / "data/formats/voc_quirks_made"
    dataset = Dataset.load(folder)
    found = {Path(name).stem: boxes for name, boxes in boxes_by_image(dataset).items()}
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    assert len(expected) == 34
    for case, boxes in expected.items():
        if case in CHOICES:
            code, kept = CHOICES[case]
            of_class = code.startswith("class-case")
            assert any(
                p.code == code and (of_class or Path(p.file).stem == case) for p in dataset.problems
            ), case
        else:
            kept = [tuple(box[:5]) for box in boxes]
        if kept is None:
            assert case not in found
        else:
            assert [box[:5] for box in found[case][1:]] == kept, case
            assert found[case][0] == (160, 100)


class TestPairing:
    def test_filename_wins_over_the_name_of_the_file(
        self, make_voc: Make, voc_object: Make
    ) -> None:
        root = make_voc({"photo 1.jpg": voc_object("x", 1, 1, 9, 9)})
        (root / "Annotations/photo 1.xml").rename(root / "Annotations/other.xml")
        dataset = Dataset.load(root)
        assert dataset.names == ("JPEGImages/photo 1.jpg",)
        assert dataset.problems == ()

    def test_a_stale_filename_does_not_take_the_image_of_another(
        self, make_voc: Make, voc_object: Make, boxes_by_image: Make
    ) -> None:
        root = make_voc(
            {"a.jpg": voc_object("x", 1, 1, 9, 9), "b.jpg": voc_object("y", 1, 1, 9, 9)}
        )
        xml = root / "Annotations/b.xml"
        xml.write_text(xml.read_text().replace("b.jpg", "a.jpg"))
        dataset = Dataset.load(root)
        assert [boxes[1][0] for boxes in boxes_by_image(dataset).values()] == ["x", "y"]
        assert [p.code for p in dataset.problems] == ["filename-differs"]

    def test_two_files_for_one_image(self, make_voc: Make, voc_object: Make) -> None:
        root = make_voc({"a.jpg": voc_object("x", 1, 1, 9, 9)})
        shutil.copy(root / "Annotations/a.xml", root / "Annotations/b.xml")
        dataset = Dataset.load(root)
        assert len(dataset) == 1
        assert [(p.code, p.file) for p in dataset.problems] == [
            ("image-claimed-twice", "Annotations/b.xml")
        ]

    def test_equal_names_in_several_folders(self, tmp_path: Path, write_photo: Make) -> None:
        for seed, part in enumerate(("train", "val")):
            write_photo(tmp_path / "images" / part / "a.jpg", seed=seed)
            xml = tmp_path / "annots" / part / "a.xml"
            xml.parent.mkdir(parents=True)
            xml.write_text(f"<annotation><filename>a.jpg</filename><n>{part}</n></annotation>")
        dataset = Dataset.load(tmp_path)
        assert dataset.names == ("images/train/a.jpg", "images/val/a.jpg")

    @pytest.mark.parametrize("name", ["../secret.jpg", "/{}/secret.jpg", "x/../../secret.jpg"])
    def test_nothing_outside_the_folder_is_opened(
        self, make_voc: Make, write_photo: Make, tmp_path: Path, name: str
    ) -> None:
        root = make_voc({"a.jpg": ""})
        write_photo(tmp_path / "secret.jpg")
        xml = root / "Annotations/b.xml"
        xml.write_text(f"<annotation><filename>{name.format(tmp_path)}</filename></annotation>")
        dataset = Dataset.load(root)
        assert dataset.names == ("JPEGImages/a.jpg",)
        assert "image-missing" in [problem.code for problem in dataset.problems]

    def test_hidden_files_and_those_of_macos_are_no_data(
        self, make_voc: Make, voc_object: Make
    ) -> None:
        root = make_voc({"a.jpg": voc_object("x", 1, 1, 9, 9)})
        (root / "__MACOSX").mkdir()
        for name in ("Annotations/._a.xml", "JPEGImages/._b.jpg", "__MACOSX/c.xml"):
            (root / name).write_bytes(b"\0\5\x16\7")
        assert Dataset.load(root).problems == ()

    def test_a_folder_that_links_to_itself(self, make_voc: Make) -> None:
        root = make_voc({"a.jpg": ""})
        (root / "loop").symlink_to(root, target_is_directory=True)
        assert len(Dataset.load(root)) == 1

    def test_the_annotation_folder_alone(self, shared: Path) -> None:
        whole = Dataset.load(shared / "data/kangaroo", check_images=False)
        part = Dataset.load(shared / "data/kangaroo/annots", check_images=False)
        assert part.fingerprint() == whole.fingerprint()
        assert part.splits == whole.splits


class TestSplits:
    def test_trainval_counts_only_alone(self, make_voc: Make) -> None:
        root = make_voc(dict.fromkeys(("a.jpg", "b.jpg", "c.jpg"), ""))
        lists = root / "ImageSets/Main"
        lists.mkdir(parents=True)
        (lists / "trainval.txt").write_text("a\nb\n")
        (lists / "test.txt").write_text("c\n")
        assert Dataset.load(root).splits == {"train": (0, 1), "test": (2,)}
        (lists / "train.txt").write_text("a\n")
        (lists / "val.txt").write_text("b  1\n")
        assert Dataset.load(root).splits == {"train": (0,), "val": (1,), "test": (2,)}

    def test_unknown_names_have_their_line(self, make_voc: Make) -> None:
        root = make_voc({"a.jpg": ""})
        (root / "ImageSets/Main").mkdir(parents=True)
        (root / "ImageSets/Main/train.txt").write_text("a\n\nzebra\n")
        problem = Dataset.load(root).problems[0]
        assert (problem.code, problem.file, problem.line) == (
            "split-unknown",
            "ImageSets/Main/train.txt",
            3,
        )

    def test_folders_called_train_and_valid(self, tmp_path: Path, write_photo: Make) -> None:
        for seed, part in enumerate(("train", "valid")):
            write_photo(tmp_path / part / f"{part}.jpg", seed=seed)
            (tmp_path / part / f"{part}.xml").write_text("<annotation/>")
        assert Dataset.load(tmp_path).splits == {"train": (0,), "val": (1,)}


class TestWriting:
    def test_other_tools_can_read_it(self, shared: Path, tmp_path: Path) -> None:
        dataset = Dataset.load(shared / "data/coco_val100")
        lost = dataset.save(tmp_path / "voc", "voc")
        assert {problem.code for problem in lost} == {"lost-crowd"}
        record = dataset.records[0]
        text = (tmp_path / "voc/Annotations/000000000139.xml").read_text()
        assert text.startswith('<?xml version="1.0" encoding="utf-8"?>\n<annotation>\n\t<folder>')
        root = ElementTree.fromstring(text)  # noqa: S314  # our own file
        corners = [
            [int(box.findtext(tag, "")) for tag in ("xmin", "ymin", "xmax", "ymax")]
            for box in root.iter("bndbox")
        ]
        assert corners == record.boxes_xyxy.tolist()
        assert (tmp_path / "voc/classes.txt").read_text().split("\n")[:2] == ["person", "bicycle"]
        assert len((tmp_path / "voc/ImageSets/Main/val.txt").read_text().split()) == 100

    def test_a_failure_leaves_nothing(self, make_voc: Make, tmp_path: Path) -> None:
        dataset = Dataset.load(make_voc({"a.jpg": "", "b.jpg": ""}))
        dataset.records[1].image.unlink()
        for form in ("voc", "coco"):
            with pytest.raises(DatasetError, match="cannot be written"):
                dataset.save(tmp_path / "new" / form, form)
        assert list((tmp_path / "new").iterdir()) == []

    def test_characters_that_xml_cannot_hold(self, make_voc: Make, tmp_path: Path) -> None:
        root = make_voc({"a.jpg": "", "b.jpg": ""})
        (root / "JPEGImages/a.jpg").rename(root / "JPEGImages/a\1<&>.jpg")
        (root / "Annotations/a.xml").rename(root / "Annotations/a\1<&>.xml")
        Dataset.load(root).save(tmp_path / "out", "voc")
        names = Dataset.load(tmp_path / "out").names
        assert names == ("JPEGImages/a\1<&>.jpg", "JPEGImages/b.jpg")
