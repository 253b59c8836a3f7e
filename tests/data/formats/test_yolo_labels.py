"""Rows of YOLO's label files: boxes, outlines, what is ignored, what is at fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sightline.data.dataset import Dataset
from sightline.data.formats.contents import Reading
from sightline.data.formats.listing import list_files
from sightline.data.formats.yolo_labels import MAX_FAULTS, MAX_LABEL_BYTES, ClassNames, read_labels

Make = Callable[..., Any]

ROW = "0 0.5 0.5 0.5 0.4\n"


def codes(dataset: Dataset) -> set[tuple[str, str, int | None]]:
    """(code, file, line) of what the reader found; what counts of classes say is not its own."""
    return {
        (p.code, p.file, p.line)
        for p in dataset.problems
        if p.code not in ("class-unused", "class-few", "no-boxes", "box-tiny", "split-none")
    }


def read_rows(text: str, *names: str, keypoints: int = 0) -> tuple[list[Any], list[Any]]:
    """(class, box rounded, line) of each box, and (code, line) of each problem."""
    reading = Reading(list_files(Path(__file__).parent))
    by_number = dict(enumerate(names)) if names else None
    boxes, _ = read_labels(reading, "labels/a.txt", text, ClassNames(by_number), keypoints)
    return (
        [(b.label, tuple(round(v, 9) for v in b.box_xyxy), b.line) for b in boxes],
        [(p.code, p.line) for p in reading.problems],
    )


class TestRows:
    def test_a_box(self) -> None:
        assert read_rows("\n1  0.5 0.5\t0.5 .25 \r\n", "a", "b") == (
            [("b", (0.25, 0.375, 0.75, 0.625), 2)],
            [],
        )

    def test_outlines(self) -> None:
        text = "0 0.1 0.2 0.5 0.3 0.3 0.9\n0 0.5 0.1 0.9 0.5 0.5 0.9 0.1 0.5\n"
        assert read_rows(text, "a") == (
            [("a", (0.1, 0.2, 0.5, 0.9), 1), ("a", (0.1, 0.1, 0.9, 0.9), 2)],
            [("outline-boxed", None)],
        )

    def test_confidences_are_ignored(self) -> None:
        text = "0 0.5 0.5 0.5 0.5 0.93\n0 0.1 0.2 0.5 0.3 0.3 0.9 0.7\n"
        boxes, problems = read_rows(text, "a")
        assert [box[1] for box in boxes] == [(0.25, 0.25, 0.75, 0.75), (0.1, 0.2, 0.5, 0.9)]
        assert problems == [("confidence-ignored", None), ("outline-boxed", None)]

    def test_keypoints_are_ignored(self) -> None:
        text = "0 0.5 0.5 0.5 0.5 " + "0.9 0.9 2 " * 3
        assert read_rows(text, "a", keypoints=9) == ([("a", (0.25, 0.25, 0.75, 0.75), 1)], [])

    @pytest.mark.parametrize(
        ("row", "code"),
        [
            ("0 0.5 0.5 0.5", "label-damaged"),
            ("0", "label-damaged"),
            ("0 0.5 0.5 0.5 x", "label-damaged"),
            ("0,0.5,0.5,0.5,0.5", "label-damaged"),
            ("2 0.5 0.5 0.5 0.5", "category-unknown"),
            ("-1 0.5 0.5 0.5 0.5", "category-unknown"),
            ("0.5 0.5 0.5 0.5 0.5", "category-unknown"),
            ("a 0.5 0.5 0.5 0.5", "category-unknown"),
            ("9999999999999999999 0.5 0.5 0.5 0.5", "category-unknown"),
            ("0 20 15 10 10", "label-in-pixels"),
            ("0 0.1 0.2 0.5 0.3 0.3 90", "label-in-pixels"),
        ],
    )
    def test_rows_at_fault(self, row: str, code: str) -> None:
        boxes, problems = read_rows(f"{ROW}{row}\n{ROW}", "a", "b")
        assert [line for _, _, line in boxes] == [1, 3]
        assert problems == [(code, 2)]

    def test_decimal_commas(self) -> None:
        assert read_rows("0 0,5 0,5 0,5 0,25\n", "a") == (
            [("a", (0.25, 0.375, 0.75, 0.625), 1)],
            [("decimal-comma", None)],
        )

    def test_what_is_not_finite_is_told_with_the_image(self, make_set: Make) -> None:
        text = ROW + "0 nan 0.5 0.5 0.5\n0 inf 0.5 0.5 0.5\n0 0.1 0.1 0.5 0.5 0.9 nan\n"
        root = make_set({"images/a.jpg": None, "labels/a.txt": text, "data.yaml": "names: [x]"})
        dataset = Dataset.load(root)
        assert len(dataset.records[0].label_ids) == 1
        lines = {line for code, _, line in codes(dataset) if code == "box-not-finite"}
        assert lines == {2, 3, 4}

    def test_many_faults_are_counted(self) -> None:
        _, problems = read_rows("x\n" * (MAX_FAULTS + 7))
        assert problems[:-1] == [("label-damaged", n + 1) for n in range(MAX_FAULTS)]
        assert problems[-1] == ("label-damaged", None)

    def test_a_file_that_is_too_large(self, make_set: Make) -> None:
        root = make_set({"images/a.jpg": None, "images/b.jpg": None, "labels/a.txt": ROW})
        with (root / "labels/b.txt").open("wb") as file:
            file.truncate(MAX_LABEL_BYTES + 1)
        dataset = Dataset.load(root)
        assert ("file-too-large", "labels/b.txt", None) in codes(dataset)
        assert dataset.names == ("images/a.jpg",)  # not a background image: nobody has said so

    def test_dota(self, make_set: Make) -> None:
        text = (
            "imagesource:GoogleEarth\ngsd:0.1\n"
            "10 5 20 5 20 15 10 15 small-vehicle 1\n"
            "10.5 5 20 5 20 15 10 15 tennis court 0\n1 2 3\n"
        )
        root = make_set({"images/a.jpg": None, "labelTxt/a.txt": text})
        dataset = Dataset.load(root)
        assert dataset.classes == ("small-vehicle", "tennis court")
        assert dataset.records[0].boxes_xyxy.tolist() == [[10, 5, 20, 15], [10, 5, 20, 15]]
        assert dataset.records[0].is_difficult.tolist() == [True, False]
        assert codes(dataset) == {
            ("label-damaged", "labelTxt/a.txt", 5),
            ("outline-boxed", "labelTxt/a.txt", None),
        }
