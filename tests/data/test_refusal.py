"""What is no data set is refused in a few words: the cause first, and what to do."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from sightline.data.dataset import Dataset
from sightline.errors import DatasetUnrecognised

Make = Callable[[Mapping[str, str | None]], Path]


def refusal(path: Path) -> str:
    with pytest.raises(DatasetUnrecognised) as caught:
        Dataset.load(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    said = message.removeprefix(str(path))
    assert len(said) < 400
    return said


def test_nothing_at_all(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith(" is empty")


def test_photos_alone_are_to_be_labelled(make_set: Make) -> None:
    root = make_set({"a.jpg": None, "b.jpg": None})
    assert refusal(root).startswith(" has 2 photos and no annotations: label them with LabelImg")
    assert refusal(root / "a.jpg") == " is one image; give its folder"


@pytest.mark.parametrize(
    ("text", "why"),
    [('{"images": [', "the text ends too early, line 1"), ("", "the file is empty, line 1")],
)
def test_damage_comes_first(make_set: Make, text: str, why: str) -> None:
    root = make_set({"a.jpg": None, "b.json": text, "c.xml": "<html/>"})
    said = refusal(root)
    assert f"known here: b.json: no readable JSON: {why}; export or copy the file again" in said
    assert "c.xml: no VOC annotation" in said
    assert "none of" not in said


def test_damaged_xml_and_records(make_set: Make) -> None:
    root = make_set({"a.jpg": None, "a.xml": "<annotation>", "a.record": "\0" * 20})
    said = refusal(root)
    assert "a.xml: no readable XML" in said
    assert "a.record: record 1 (byte 0): the checksum of its length is wrong" in said


def test_each_kind_of_file_is_spoken_of_once(make_set: Make) -> None:
    root = make_set({"a.jpg": None, "a.xml": "<html/>", "a.json": "[1]", "b.json": "{}"})
    said = refusal(root)
    assert "a.xml: no VOC annotation" in said
    assert said.count(".json") == 1
    assert "none of 2 .json files is COCO, LabelMe, Label Studio, CreateML or Datumaro" in said


def test_what_a_model_found_is_no_data_set(make_set: Make) -> None:
    root = make_set({"a.json": '[{"image_id": 1, "category_id": 1, "bbox": [], "score": 1}]'})
    assert "the .json lists detections of a model" in refusal(root)


def test_other_files(make_set: Make) -> None:
    root = make_set({"a.jpg": None, "notes.pdf": "x", "LICENSE": "x"})
    assert "1 photo and no annotations, only other files (.pdf, no ending)" in refusal(root)
    (root / "notes.txt").write_text("hello")
    assert "no .txt file in a folder labels, nor one of an image's name" in refusal(root)


def test_archives_are_named(tmp_path: Path, make_set: Make) -> None:
    root = make_set({"a.zip": "", "b.zip": ""})
    assert (
        refusal(root)
        == " has no annotations but in a.zip (and 1 more archive): give that file itself"
    )
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.write(root / "a.zip", "a.zip")
    assert refusal(tmp_path / "outer.zip") == " has no annotations but in a.zip: unpack it first"
