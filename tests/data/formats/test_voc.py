"""Pascal VOC: 34 odd files with one behaviour each, pairing, splits, and writing it back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from sightline.data.dataset import Dataset
from sightline.data.formats.contents import Contents
from sightline.data.formats.image_names import name_of
from sightline.data.formats.listing import list_files
from sightline.data.formats.voc import read_voc
from sightline.errors import DatasetError

Make = Callable[..., Any]
PLAIN = [["raccoon", 10, 20, 60, 80]]
XML = "Annotations/{}.xml"

# Where expected.json says what is wrong, or leaves a choice: severity and code of the problem, its
# file and line, and the boxes kept; None: the image is left out.
OUTCOMES: dict[str, tuple[str, str, str, int | None, list[list[object]] | None]] = {
    "q04_wrong_size": ("warning", "size-differs", XML, 1, PLAIN),
    "q06_inverted": ("warning", "box-inverted", XML, 1, PLAIN),
    "q07_outside": ("warning", "box-cut", XML, 1, [["raccoon", 0, 0, 160, 100]]),
    "q08_fully_outside": ("warning", "box-outside", XML, 1, []),
    "q09_zero_area": ("warning", "box-empty", XML, 1, []),
    "q18_filename_traversal": ("warning", "filename-outside", XML, 1, PLAIN),
    "q20_name_case": ("warning", "class-case", ".", None, [["Raccoon", 10, 20, 60, 80]]),
    "q26_duplicate": ("warning", "box-repeated", XML, 1, PLAIN),
    "q27_truncated_xml": ("error", "xml-damaged", XML, 1, None),
    "q28_entities": ("error", "xml-damaged", XML, 1, None),
    "q29_nan": ("error", "box-not-finite", XML, 1, []),
    "q30_comma": ("warning", "decimal-comma", XML, 1, [["raccoon", 10.5, 20, 60, 80]]),
    "q31_empty_name": ("warning", "class-empty", XML, 1, []),
    "q32_empty_file": ("error", "xml-damaged", XML, None, None),
    "q33_missing_image": ("warning", "image-missing", XML, 1, None),
    "q34_missing_xml": ("warning", "annotation-missing", "JPEGImages/{}.jpg", None, None),
}
# Where expected.json has the boxes, but another object of the file is worth a word.
REMARKS = {"q21_no_bndbox": {"box-missing"}}


@pytest.fixture(scope="module")
def quirks(shared: Path) -> tuple[dict[str, Any], Dataset]:
    """What expected.json says of each file, and the data set."""
    folder = shared / "data/formats/voc_quirks_made"
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return expected, Dataset.load(folder)


@pytest.mark.parametrize("number", range(1, 35))
def test_the_34_quirks(quirks: tuple[dict[str, Any], Dataset], number: int) -> None:
    expected, dataset = quirks
    assert len(expected) == 34
    (case,) = (name for name in expected if name.startswith(f"q{number:02d}_"))
    said, boxes = expected[case], boxes_of(dataset, case)
    if isinstance(said, list):
        flags = {"difficult": 0, "truncated": 0}
        assert boxes == [[*box[:5], flags | (box[5] if len(box) > 5 else {})] for box in said]
        of_file = {p.code for p in dataset.problems if p.file == XML.format(case)}
        assert of_file == REMARKS.get(case, set())
        return
    severity, code, file, line, kept = OUTCOMES[case]
    begins = said.removeprefix("XML ").partition(":")[0]
    assert begins not in ("warning", "error") or begins == severity
    problems = {(p.severity, p.code, p.file, p.line) for p in dataset.problems}
    assert (severity, code, file.format(case), line) in problems
    assert (boxes and [box[:5] for box in boxes]) == kept


def boxes_of(dataset: Dataset, case: str) -> list[list[object]] | None:
    """[class, x1, y1, x2, y2, flags] of each box of the image so called; None: it is left out."""
    if f"JPEGImages/{case}.jpg" not in dataset.names:
        return None
    record = dataset.records[dataset.names.index(f"JPEGImages/{case}.jpg")]
    assert (record.width, record.height) == (160, 100)
    return [
        [dataset.classes[label], *box, {"difficult": int(difficult), "truncated": int(truncated)}]
        for label, box, difficult, truncated in zip(
            record.label_ids.tolist(),
            record.boxes_xyxy.tolist(),
            record.is_difficult.tolist(),
            record.is_truncated.tolist(),
            strict=True,
        )
    ]


def test_faults_have_their_line(make_voc: Make, voc_object: Make) -> None:
    objects = (
        "\n<size><width>41</width><height>30</height></size>\n"
        + "\n".join(
            (
                voc_object("x", 1, 1, 9, 9),  # line 3
                "<object><name>x</name></object>",
                voc_object(" ", 1, 1, 9, 9),
                "<object>\n<name>x</name>" + voc_object("y", 19, 1, 1, 9)[len("<object>") :],
                voc_object("x", "1,5", 1, 9, 9),  # line 8
                voc_object("x", "?", 1, 9, 9),
            )
        )
    )
    found = Dataset.load(make_voc({"a.jpg": objects})).problems
    lines = {p.code: p.line for p in found if p.file == "Annotations/a.xml"}
    assert lines == {
        "size-differs": 2,
        "box-missing": 4,
        "class-empty": 5,
        "box-inverted": 7,
        "decimal-comma": 8,
        "box-not-finite": 9,
    }


class TestImageNet:
    def test_the_same_boxes_as_voc(self, shared: Path, boxes_by_image: Make) -> None:
        folder = shared / "data/formats_same100/gts"
        imagenet = Dataset.load(folder / "imagenet_format", check_images=False)
        voc = Dataset.load(folder / "pascalvoc_format", check_images=False)
        assert imagenet.format == "voc"
        assert sum(imagenet.box_counts.values()) == 273
        assert imagenet.classes == voc.classes
        assert boxes_by_image(imagenet) == boxes_by_image(voc)

    def test_files_as_imagenet_has_them(self, tmp_path: Path, write_photo: Make) -> None:
        image = tmp_path / "Data/CLS-LOC/train/n01440764/n01440764_18.JPEG"
        write_photo(image)
        xml = tmp_path / "Annotations/CLS-LOC/train/n01440764/n01440764_18.xml"
        xml.parent.mkdir(parents=True)
        xml.write_text(
            "<annotation>\n\t<folder>n01440764</folder>\n\t<filename>n01440764_18</filename>\n"
            "\t<source>\n\t\t<database>ILSVRC_2012</database>\n\t</source>\n\t<size>\n"
            "\t\t<width>40</width>\n\t\t<height>30</height>\n\t\t<depth>3</depth>\n"
            "\t</size>\n\t<segmented>0</segmented>\n\t<object>\n\t\t<name>n01440764</name>\n"
            "\t\t<pose>Unspecified</pose>\n\t\t<truncated>1</truncated>\n"
            "\t\t<difficult>0</difficult>\n\t\t<bndbox>\n\t\t\t<xmin>3</xmin>\n"
            "\t\t\t<ymin>4</ymin>\n\t\t\t<xmax>13</xmax>\n\t\t\t<ymax>14</ymax>\n"
            "\t\t</bndbox>\n\t\t<subcategory>\n\t\t\t<name>fin</name>\n"
            "\t\t</subcategory>\n\t</object>\n</annotation>\n"
        )
        dataset = Dataset.load(tmp_path)
        assert dataset.classes == ("n01440764",)
        assert dataset.records[0].boxes_xyxy.tolist() == [[3, 4, 13, 14]]
        assert dataset.records[0].is_truncated.tolist() == [True]
        assert {problem.severity for problem in dataset.problems} <= {"warning"}
        assert not any(problem.file.endswith(".xml") for problem in dataset.problems)


class TestPairing:
    def test_filename_wins_over_the_name_of_the_file(
        self, make_voc: Make, voc_object: Make
    ) -> None:
        root = make_voc({"photo 1.jpg": voc_object("x", 1, 1, 9, 9)})
        (root / "Annotations/photo 1.xml").rename(root / "Annotations/other.xml")
        dataset = Dataset.load(root)
        assert dataset.names == ("JPEGImages/photo 1.jpg",)
        assert [p.code for p in dataset.problems] == ["class-few"]

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
        assert [p.code for p in dataset.problems] == ["filename-differs", "class-few"]

    def test_two_files_for_one_image(self, make_voc: Make, voc_object: Make) -> None:
        root = make_voc({"a.jpg": voc_object("x", 1, 1, 9, 9)})
        shutil.copy(root / "Annotations/a.xml", root / "Annotations/b.xml")
        dataset = Dataset.load(root)
        assert len(dataset) == 1
        assert [(p.code, p.file) for p in dataset.problems] == [
            ("image-claimed-twice", "Annotations/b.xml"),
            ("class-few", "."),
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

    def test_what_nothing_tells_apart_is_told(self, make_set: Make) -> None:
        """One file for three photos of one name, another for two of one stem, one stem unused."""
        xml = "<annotation>\n<filename>{}</filename></annotation>"
        photos = [f"images/{name}" for name in ("a/1.jpg", "b/1.jpg", "c/1.jpg")]
        photos += [f"images/a/{name}" for name in ("A.jpg", "A.png", "B.jpg", "B.png")]
        files = {"1": "1.jpg", "A": "A.png", "B": "B.bmp"}
        root = make_set(
            dict.fromkeys(photos) | {f"xml/{k}.xml": xml.format(v) for k, v in files.items()}
        )
        contents = read_voc(list_files(root))
        assert isinstance(contents, Contents)
        assert [raw.image for raw in contents.images] == [photos[0], photos[4], photos[5]]
        found = {(p.code, p.file, p.line) for p in contents.problems}
        left = {("annotation-missing", photos[i], None) for i in (1, 2, 3, 6)}
        assert left < found
        assert {(code, file, line) for code, file, line in found - left} == {
            ("image-ambiguous", "xml/1.xml", 2),
            ("image-ambiguous", "xml/B.xml", 2),
        }

    def test_hidden_files_and_those_of_macos_are_no_data(
        self, make_voc: Make, voc_object: Make
    ) -> None:
        root = make_voc({"a.jpg": voc_object("x", 1, 1, 9, 9)})
        (root / "__MACOSX").mkdir()
        for name in ("Annotations/._a.xml", "JPEGImages/._b.jpg", "__MACOSX/c.xml"):
            (root / name).write_bytes(b"\0\5\x16\7")
        assert [p.code for p in Dataset.load(root).problems] == ["class-few"]

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

    def test_blanks_at_the_ends_of_names(self, make_voc: Make) -> None:
        root = make_voc({"trail .jpg": "", " lead.jpg": "", "trail.jpg": "", "x.jpg": ""})
        (root / "ImageSets/Main").mkdir(parents=True)
        (root / "ImageSets/Main/train.txt").write_text("trail \n lead\n")
        (root / "ImageSets/Main/val.txt").write_text("trail\n x \n")
        contents = read_voc(list_files(root))
        assert isinstance(contents, Contents)
        assert contents.problems == ()
        assert {name_of(raw.image): raw.splits for raw in contents.images} == {
            "trail .jpg": ("train",),
            " lead.jpg": ("train",),
            "trail.jpg": ("val",),
            "x.jpg": ("val",),
        }

    @pytest.mark.parametrize(
        ("annotations", "images", "splits"),
        [
            ("annotations/{}", "images/{}", True),
            ("{}/annotations", "{}/images", True),
            ("training sets/{}/xml", "training sets/{}/jpg", True),  # the outer tells none apart
            ("{}/test rig/xml", "{}/test rig/jpg", True),
            ("xml", "images/{}", True),  # only the images' folders say
            ("xml", "jpg", False),
        ],
    )
    def test_folders_anywhere_in_a_path(
        self, make_set: Make, annotations: str, images: str, splits: bool
    ) -> None:
        files: dict[str, str | None] = {}
        for name, split in (("a", "train"), ("b", "val")):
            files[f"{images.format(split)}/{name}.jpg"] = None
            files[f"{annotations.format(split)}/{name}.xml"] = "<annotation/>"
        contents = read_voc(list_files(make_set(files)))
        assert isinstance(contents, Contents)
        assert contents.splits == (("train", "val") if splits else ())
        assert [raw.splits for raw in contents.images] == (
            [("train",), ("val",)] if splits else [(), ()]
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

    def test_splits_of_any_name(self, make_voc: Make, tmp_path: Path) -> None:
        dataset = Dataset.load(make_voc({"a.jpg": "", "b.jpg": ""}))
        dataset = replace(dataset, splits={"train": (0,), "../../../x": (1,)})
        lost = dataset.save(tmp_path / "out", "voc")
        assert [problem.code for problem in lost] == ["lost-split"]
        assert {path.name for path in tmp_path.rglob("*.txt")} == {
            "classes.txt",
            "train.txt",
            "_________x.txt",
        }
        assert Dataset.load(tmp_path / "out").splits == {"train": (0,)}

    def test_characters_that_xml_cannot_hold(self, make_voc: Make, tmp_path: Path) -> None:
        root = make_voc({"a.jpg": "", "b.jpg": ""})
        (root / "JPEGImages/a.jpg").rename(root / "JPEGImages/a\1<&>.jpg")
        (root / "Annotations/a.xml").rename(root / "Annotations/a\1<&>.xml")
        Dataset.load(root).save(tmp_path / "out", "voc")
        names = Dataset.load(tmp_path / "out").names
        assert names == ("JPEGImages/a\1<&>.jpg", "JPEGImages/b.jpg")
