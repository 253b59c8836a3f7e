"""`sightline import`: asking, showing, the JSON, the exit codes."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from sightline.cli.main import main


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def given(shared: Path, tmp_path: Path) -> list[str]:
    """FILE --out BUNDLE --sample PHOTO of a real model, and a photo that it knows."""
    return [
        str(shared / "models" / "official-atto.onnx"),
        *("--out", str(tmp_path / "models" / "atto")),
        *("--sample", str(shared / "data" / "coco_val100" / "images" / "000000000139.jpg")),
    ]


@pytest.mark.parametrize(
    ("answer", "code"), [("y\n", 0), ("YES\n", 0), ("\n", 1), ("no\n", 1), ("", 1)]
)
def test_the_bundle_is_made_when_the_boxes_fit(
    given: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    code: int,
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert main(["import", *given]) == code
    out, err = capsys.readouterr()
    assert "tv 0.8" in err
    assert "do these boxes fit? [y/N]" in err
    assert "doubtful" not in err
    picture = tmp_path / "models" / "atto-sample.jpg"
    with Image.open(picture) as image:
        assert image.size == (640, 426)
    made = [picture.name] if code else ["atto", picture.name]
    assert sorted(p.name for p in picture.parent.iterdir()) == made
    if code:
        assert "its boxes do not fit" in err
    else:
        assert "80 classes" in out
        assert "labels 0..79 are COCO's 80 names" in err


def test_a_script_says_yes_and_gets_json(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    picture = tmp_path / "elsewhere" / "boxes.jpg"
    options = [
        "--yes",
        "--json",
        "--picture",
        str(picture),
        "--name",
        "small",
        "--threshold",
        "0.7",
    ]
    assert main(["import", *given, *options]) == 0
    out, err = capsys.readouterr()
    value = json.loads(out)
    assert list(value) == ["bundle", "kind", "name", "target", "labels", "notes", "sample"]
    assert (value["name"], value["target"], value["labels"]) == ("small", "onnx", 80)
    assert [found["label"] for found in value["sample"]["detections"]] == ["tv"]
    assert value["sample"]["doubts"] == []
    assert value["sample"]["picture"] == str(picture)
    assert picture.is_file()
    assert err == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give a photo with --sample PHOTO, .* or --yes"),
        (["--sample", "photo.jpg"], "no terminal to ask on .* add --yes"),
        (["--yes", "--size", "3"], "size is at least 32"),
        (["--yes", "--threshold", "1.5"], r"a score in 0\.\.1, not 1\.5"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_read(
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    message: str,
) -> None:

    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["import", "absent.onnx", "--out", str(tmp_path / "out"), *options]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_file_that_is_no_model_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file = tmp_path / "model.onnx"
    file.write_text("no model\n" * 9, encoding="utf-8")
    assert main(["import", str(file), "--out", str(tmp_path / "out"), "--yes"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"sightline import: {file} is no ONNX file")
    assert len(err.splitlines()) == 1


def test_without_the_extra_it_says_which(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    file = tmp_path / "model.onnx"
    file.write_bytes(b"")
    assert main(["import", str(file), "--out", str(tmp_path / "out"), "--yes"]) == 1
    assert "pip install 'sightline[train]'" in capsys.readouterr().err
