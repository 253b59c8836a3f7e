"""`sightline data` on real sets: the JSON of contract 2, reports, copies, exit codes, kill -9."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline.cli.main import main
from sightline.data.dataset import Dataset
from sightline.data.formats import FORMATS, WRITERS
from sightline.data.staging import INCOMPLETE
from sightline.errors import DatasetError

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `sightline data`; gives exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = main(["data", *map(str, arguments)])
        return (code, *capsys.readouterr())

    return call


@pytest.fixture
def source(shared: Path) -> Any:
    """The path of a real data set, by name; at the end nothing in it may have changed."""
    given: dict[Path, dict[str, str]] = {}

    def find(name: str) -> Path:
        path = shared / "data" / name
        given[path] = digests(path)
        return path

    yield find
    for path, before in given.items():
        assert digests(path) == before


def digests(folder: Path) -> dict[str, str]:
    """Each file's name, time and sha256."""
    return {
        str(path.relative_to(folder)): (
            f"{path.stat().st_mtime_ns} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


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


def test_any_encoding_of_stdout(shared: Path) -> None:
    """As when redirected on Windows: a code page that lacks most letters."""
    done = subprocess.run(
        [sys.executable, "-m", "sightline.cli.main", "data", "inspect",
         str(shared / "data/formats/voc_quirks_made")],
        env={**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )  # fmt: skip
    assert rb"\u043a\u0435\u043d" in done.stdout


def test_nothing_to_write(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"no image")
    (folder / "a.xml").write_text("<annotation><filename>a.jpg</filename></annotation>")
    code, _, err = run("convert", folder, tmp_path / "out", "--to", "coco")
    assert code == 1
    assert "no usable image: nothing to write" in err
    assert not (tmp_path / "out").exists()


def test_images_are_decoded_or_not(run: Run, source: Any) -> None:
    """What is only seen in pixels: that two images show nearly the same."""
    kangaroo = source("kangaroo")
    for flags, expected in (((), 1), (("--images",), 1), (("--no-images",), 0)):
        _, out, _ = run("inspect", kangaroo, "--json", *flags)
        codes = [problem["code"] for problem in json.loads(out)["problems"]]
        assert codes.count("image-leaks-nearly") == expected


class TestFix:
    def test_report(self, run: Run, source: Any, tmp_path: Path) -> None:
        code, out, err = run("inspect", source("kangaroo"), "--fix", tmp_path / "copy")
        assert (code, err) == (0, "")
        done, left = out.split("left to you: 2 problems")
        assert f"done in {tmp_path / 'copy'}: 2 problems" in done
        assert "error image-unreadable (1)" in done
        assert "images/00033.jpg  dropped: byte for byte the same as images/00007.jpg" in done
        assert "info orientation-odd (1): nothing needs doing" in left
        assert "00101.jpg  shows nearly the same as JPEGImages/00118.jpg, across" in left
        assert len(Dataset.load(tmp_path / "copy")) == 162

    def test_json(self, run: Run, source: Any, tmp_path: Path) -> None:
        _, out, _ = run("inspect", source("bccd"), "--json", "--fix", tmp_path / "copy")
        value = json.loads(out)
        codes = {key: [p["code"] for p in value[key]] for key in ("problems", "fixed", "left")}
        assert codes == {
            "problems": ["box-empty", "box-empty", "class-imbalance", *["image-leaks-nearly"] * 2],
            "fixed": ["box-empty", "box-empty"],
            "left": ["class-imbalance", *["image-leaks-nearly"] * 2],
        }
        assert value["written"] == str(tmp_path / "copy")
        assert value["fixed"][0].keys() == {"severity", "code", "file", "line", "message"}

    def test_nothing_is_read_where_nothing_can_be_written(
        self, run: Run, source: Any, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("mine")
        code, out, err = run("inspect", source("kangaroo"), "--fix", tmp_path)
        assert (code, out) == (1, "")
        assert "exists and is not empty" in err
        assert (tmp_path / "file").read_text() == "mine"


class TestHtml:
    def test_page(self, run: Run, source: Any, tmp_path: Path) -> None:
        page = tmp_path / "look.html"
        code, out, err = run("inspect", source("bccd"), "--html", page)
        assert (code, err) == (0, "")
        assert out.endswith(f"wrote {page}\n")
        assert "<h1>bccd</h1>" in page.read_text(encoding="utf-8")

    def test_only_pages_are_overwritten(self, run: Run, source: Any, tmp_path: Path) -> None:
        photo = tmp_path / "photo.jpg"
        photo.write_text("mine")
        code, _, err = run("inspect", source("bccd"), "--html", photo)
        assert code == 2
        assert "name a file that ends in .html" in err
        assert photo.read_text() == "mine"


class TestConvert:
    @pytest.mark.parametrize("format", WRITERS)
    def test_every_format(self, run: Run, source: Any, tmp_path: Path, format: str) -> None:
        code, out, err = run("convert", source("kangaroo"), tmp_path / "copy", "--to", format)
        assert (code, err) == (0, "")
        described = f"{FORMATS[format]}: 163 images, 263 boxes, 1 class"
        assert out.splitlines()[-1] == f"wrote {tmp_path / 'copy'}: {described}"
        assert "error image-unreadable (1)" in out
        copy = Dataset.load(tmp_path / "copy")
        assert (copy.format, len(copy), copy.box_counts) == (format, 163, {"kangaroo": 263})
        assert {name: len(indices) for name, indices in copy.splits.items()} == {
            "train": 131,
            "val": 32,
        }

    def test_a_zip_file_is_called_by_its_own_name(
        self, run: Run, source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
        shutil.make_archive(str(tmp_path / "set"), "zip", source("formats/voc_quirks_made"))
        code, out, _ = run("inspect", tmp_path / "set.zip", "--html", tmp_path / "page.html")
        assert code == 0
        assert out.startswith(f"{tmp_path / 'set.zip'}\n")
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert "<h1>set</h1>" in page
        code, converted, _ = run("convert", tmp_path / "set.zip", tmp_path / "copy", "--to", "coco")
        assert code == 0
        for text in (out, page, converted):
            assert str(tmp_path / "cache") not in text

    def test_errors_name_the_zip_file_too(
        self, run: Run, source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
        quirks = source("formats/voc_quirks_made")
        (tmp_path / "one").mkdir()
        for file in ("JPEGImages/q01_plain.jpg", "Annotations/q01_plain.xml"):
            shutil.copy(quirks / file, tmp_path / "one")
        shutil.make_archive(str(tmp_path / "one"), "zip", tmp_path / "one")
        code, out, err = run("split", tmp_path / "one.zip", tmp_path / "copy")
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert f"{tmp_path / 'one.zip'}: 1 usable image(s) cannot be divided" in err

    def test_what_is_lost_is_said(self, run: Run, source: Any, tmp_path: Path) -> None:
        _, out, _ = run("convert", source("coco_val100"), tmp_path / "copy", "--to", "voc")
        assert "what Pascal VOC cannot hold:" in out
        assert "info lost-crowd (1)" in out
        assert "regions of crowds become boxes (5 image(s))" in out
        assert "left out" not in out

    @pytest.mark.parametrize("below", ["", ".", "inside", "inside/it"])
    def test_a_copy_inside_the_source_is_refused(
        self, run: Run, source: Any, tmp_path: Path, below: str
    ) -> None:
        folder = tmp_path / "set"
        shutil.copytree(source("formats/voc_quirks_made"), folder)
        (tmp_path / "link").symlink_to(folder)
        before = digests(folder)
        for name in ("set", "link"):
            for end in (folder / below, tmp_path / "link" / below):
                code, out, err = run("convert", tmp_path / name, end, "--to", "coco")
                assert (code, out) == (1, "")
                assert "lies in it" in err
        assert digests(folder) == before

    def test_beside_an_annotation_file_there_is_room(
        self, run: Run, source: Any, tmp_path: Path
    ) -> None:
        shutil.copytree(
            source("formats/roboflow/tests/datasets/sharks-tiny-coco/train"), tmp_path / "a"
        )
        file = tmp_path / "a/_annotations.coco.json"
        code, _, err = run("convert", file, tmp_path / "a/copy", "--to", "voc")
        assert (code, err) == (0, "")

    def test_wrong_usage(self, source: Any, tmp_path: Path) -> None:
        for tail in ([], ["--to", "labelme"], ["--to"]):
            with pytest.raises(SystemExit) as stopped:
                main(["data", "convert", str(source("bccd")), str(tmp_path / "x"), *tail])
            assert stopped.value.code == 2


class TestSplit:
    def test_the_table_and_the_copy(self, run: Run, source: Any, tmp_path: Path) -> None:
        code, out, err = run(
            "split", source("bccd"), tmp_path / "copy", "--val", "0.2", "--test", "0.1"
        )
        assert (code, err) == (0, "")
        lines = [line.split() for line in out.splitlines()]
        assert lines[0] == ["class", "train", "val", "test"]
        rows = {name: [int(number) for number in numbers] for name, *numbers in lines[1:5]}
        assert {name: sum(numbers) for name, numbers in rows.items()} == {
            "images": 364,
            "Platelets": 361,
            "RBC": 4153,
            "WBC": 372,
        }
        copy = Dataset.load(tmp_path / "copy")
        assert [len(indices) for indices in copy.splits.values()] == rows["images"]
        assert rows["images"] == [255, 73, 36]
        assert copy.format == "voc"

    def test_what_is_changed_and_lost_is_said(self, run: Run, source: Any, tmp_path: Path) -> None:
        """Of a format that is only read, and a group of objects: the copy is VOC, without it."""
        folder = tmp_path / "set"
        folder.mkdir()
        for number in (1, 2):
            shutil.copy(source("raccoon") / f"images/raccoon-{number}.jpg", folder)
        (folder / "train-annotations-bbox.csv").write_text(
            "ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf\n"
            "raccoon-1,x,0.1,0.5,0.1,0.5,1\nraccoon-2,x,0.1,0.5,0.1,0.5,0\n"
            "raccoon-2,x,0.5,0.5,0.1,0.5,0\n"
        )
        code, out, _ = run("split", folder, tmp_path / "copy", "--val", "0.5")
        assert code == 0
        changed, lost = out.split("what Pascal VOC cannot hold:")
        assert "warning box-empty (1)" in changed.split("left out or changed on reading:")[1]
        assert "info lost-crowd (1)" in lost
        assert Dataset.load(tmp_path / "copy").format == "voc"

    def test_images_alike_stay_together(self, run: Run, source: Any, tmp_path: Path) -> None:
        _, out, _ = run("split", source("kangaroo"), tmp_path / "copy")
        copy = Dataset.load(tmp_path / "copy")
        names = {split: {copy.names[i] for i in indices} for split, indices in copy.splits.items()}
        for pair in (("00101", "00118"), ("00007", "00033")):
            files = {f"JPEGImages/{number}.jpg" for number in pair}
            assert any(files <= within for within in names.values())
        images = sum(map(len, copy.likeness.groups))
        assert f"{images} images that show nearly the same as another" in out
        assert "are on the same side as it" in out

    def test_the_same_every_time(self, run: Run, source: Any, tmp_path: Path) -> None:
        folder = source("kangaroo")
        copies = []
        for name, seed in (("a", 0), ("b", 0), ("c", 1)):
            run("split", folder, tmp_path / name, "--seed", seed)
            copies.append(digests(tmp_path / name))
        contents = [{name: one.split()[1] for name, one in copy.items()} for copy in copies]
        assert contents[0] == contents[1] != contents[2]

    def test_a_format_that_is_only_read_becomes_pascal_voc(
        self, run: Run, source: Any, tmp_path: Path
    ) -> None:
        folder = source("formats_same100/gts/labelme_format")
        code, out, _ = run("split", folder, tmp_path / "copy")
        assert code == 0
        assert "Pascal VOC: 100 images, 273 boxes, 20 classes" in out

    def test_shares_that_leave_nothing(self, run: Run, source: Any, tmp_path: Path) -> None:
        code, out, err = run("split", source("bccd"), tmp_path / "copy", "--val", "1.5")
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("format", ["voc", "tfrecord"])
def test_killed_at_any_moment(source: Any, tmp_path: Path, format: str) -> None:
    """Nothing, or a folder marked incomplete, or the whole copy: never half under its name."""
    folder = source("raccoon")
    command = [sys.executable, "-m", "sightline.cli.main", "data", "convert", str(folder)]
    subprocess.run([*command, str(tmp_path / "whole"), "--to", format], check=True)
    whole = Dataset.load(tmp_path / "whole").fingerprint()
    draw = random.Random(0)
    seen = {"nothing": 0, "incomplete": 0, "whole": 0}
    for number in range(8):
        home = tmp_path / str(number)
        home.mkdir()
        with subprocess.Popen(
            [*command, str(home / "copy"), "--to", format], stdout=subprocess.DEVNULL
        ) as process:
            if number % 4:  # while it writes; else anywhere, the start of Python included
                while process.poll() is None and not list(home.iterdir()):
                    time.sleep(0.001)
                time.sleep(draw.uniform(0, 0.1))
            else:
                time.sleep(draw.uniform(0, 1))
            process.kill()
        left = [path.name for path in home.iterdir()]
        if left == ["copy"]:
            seen["whole"] += 1
            assert Dataset.load(home / "copy").fingerprint() == whole
        elif left:
            seen["incomplete"] += 1
            assert len(left) == 1
            assert left[0].startswith(f"copy{INCOMPLETE}")
            with pytest.raises(DatasetError, match="left unfinished"):
                Dataset.load(home / left[0])
        else:
            seen["nothing"] += 1
    assert seen["incomplete"] > 0
