"""`sightline data inspect` on real sets: the JSON of contract 2, a report, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from sightline.cli.main import main


def test_json(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "inspect", str(shared / "data/kangaroo"), "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    value = json.loads(out)
    problems = value.pop("problems")
    assert value == {
        "format": "voc",
        "images": 163,
        "boxes": 263,
        "classes": {"kangaroo": 263},
        "splits": {"train": 131, "val": 32},
    }
    assert problems[0].keys() == {"severity", "code", "file", "line", "message"}
    assert problems[0]["file"] == "images/00090.jpg"
    assert problems[0]["line"] is None


def test_strict_fails_on_errors_only(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "inspect", str(shared / "data/kangaroo"), "--strict"]) == 1
    assert "1 error" in capsys.readouterr().err
    assert main(["data", "inspect", str(shared / "data/bccd"), "--strict"]) == 0
    assert capsys.readouterr().err == ""


def test_report(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "inspect", str(shared / "data/bccd")]) == 0
    out = capsys.readouterr().out
    assert "Pascal VOC: 364 images, 4886 boxes, 3 classes" in out
    assert "splits: train 205, val 87, test 72" in out
    assert ["Platelets", "361", "201"] in [line.split() for line in out.splitlines()]
    assert "warning box-empty (2): remove the box, or draw it again" in out
    assert "BCCD/Annotations/BloodImage_00338.xml:163  " in out


def test_long_lists_are_cut_in_the_report(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "inspect", str(shared / "data/coco_val100")]) == 0
    out = capsys.readouterr().out
    assert "warning class-unused (8)" in out
    assert "and 3 more; --json lists them all" in out


def test_names_cannot_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.jpg")
    (tmp_path / "a.xml").write_text(
        "<annotation><filename>a.jpg</filename><object><name>[red]\x9b31m</name><bndbox>"
        "<xmin>1</xmin><ymin>1</ymin><xmax>8</xmax><ymax>8</ymax></bndbox></object></annotation>",
        encoding="utf-8",
    )
    assert main(["data", "inspect", str(tmp_path)]) == 0
    assert "[red]\ufffd31m" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["gone", "broken"])
def test_what_cannot_be_read_is_one_line(
    shared: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["data", "inspect", str(shared / "data" / name)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("sightline data: ")


def test_wrong_usage() -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["data", "inspect"])
    assert stopped.value.code == 2
