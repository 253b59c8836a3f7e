"""Boxes are mended or left out by rule, and each fault has a code with a hint."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sightline.data
from sightline.data.check import check_box
from sightline.data.dataset import Dataset
from sightline.data.formats.contents import RawBox
from sightline.data.hints import HINTS
from sightline.errors import ImageNotFound, ImageTooLarge, ImageUnreadable

Make = Callable[..., Any]
CORNERS = st.floats() | st.integers(-20, 120).map(float)


@given(box_xyxy=st.tuples(CORNERS, CORNERS, CORNERS, CORNERS))
def test_a_box_that_is_kept_lies_in_the_image_and_has_area(box_xyxy: tuple[float, ...]) -> None:
    kept, faults = check_box(RawBox("x", box_xyxy), 100, 80)  # type: ignore[arg-type]
    if kept is None:
        assert faults
        return
    x1, y1, x2, y2 = kept.box_xyxy
    assert 0 <= x1 < x2 <= 100
    assert 0 <= y1 < y2 <= 80
    again, none = check_box(kept, 100, 80)
    assert (again, none) == (kept, [])


@pytest.mark.parametrize(
    ("box_xyxy", "kept", "codes"),
    [
        ((10, 20, 60, 70), (10, 20, 60, 70), []),
        ((0, 0, 100, 80), (0, 0, 100, 80), []),
        ((60, 70, 10, 20), (10, 20, 60, 70), [("warning", "box-inverted")]),
        ((-5, -3, 170, 130), (0, 0, 100, 80), [("warning", "box-cut")]),
        ((10, 10, 100.3, 80), (10, 10, 100, 80), [("info", "box-cut")]),
        ((10, 10, 100.001, 80), (10, 10, 100, 80), []),
        ((200, 200, 300, 300), None, [("warning", "box-outside")]),
        ((-9, 0, 0, 9), None, [("warning", "box-outside")]),
        ((30, 30, 30, 30), None, [("warning", "box-empty")]),
        ((30, 10, 30, 50), None, [("warning", "box-empty")]),
        ((math.nan, 1, 2, 3), None, [("error", "box-not-finite")]),
        ((0, 1, math.inf, 3), None, [("error", "box-not-finite")]),
    ],
)
def test_the_rules(
    box_xyxy: tuple[float, ...],
    kept: tuple[float, ...] | None,
    codes: list[tuple[str, str]],
) -> None:
    box, faults = check_box(RawBox("x", box_xyxy), 100, 80)  # type: ignore[arg-type]
    assert (None if box is None else box.box_xyxy) == kept
    assert [(severity, code) for severity, code, _ in faults] == codes


def test_every_code_has_a_hint_and_every_hint_a_code() -> None:
    folder = Path(next(iter(sightline.data.__path__)))
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py")))
    text = re.sub(r"HINTS: Mapping.*?\n}\n", "", text, flags=re.DOTALL)
    reported = set(re.findall(r'"(?:error|warning|info)",\s*"((?:[a-z]+-)+[a-z]+)"', text))
    quoted = set(re.findall(r'"((?:[a-z]+-)+[a-z]+)"', text))
    raised = {kind.code for kind in (ImageNotFound, ImageTooLarge, ImageUnreadable)}
    assert len(reported) > 20
    assert reported | raised <= HINTS.keys()
    assert HINTS.keys() <= quoted | raised


def test_a_size_that_is_not_the_images(make_voc: Callable[..., Any]) -> None:
    size = "<size><width>30</width><height>40</height></size>"
    dataset = Dataset.load(make_voc({"a.jpg": size, "b.jpg": size.replace("30", "0")}))
    assert [p.code for p in dataset.problems] == ["size-differs", "no-boxes"]
    assert "JPEGImages/a.jpg: annotated as 30x40, but is 40x30" in dataset.problems[0].message
    assert dataset.records[0].width == 40


class TestSharesForPixels:
    def test_one_error_for_all(self, make_voc: Make, voc_object: Make) -> None:
        shares = voc_object("x", 0.1, 0.2, 0.6, 1.0) + voc_object("y", 0, 0, 1, 1)
        dataset = Dataset.load(make_voc({"a.jpg": shares, "b.jpg": shares}))
        [found] = [p for p in dataset.problems if p.code in ("boxes-normalised", "box-tiny")]
        assert (found.severity, found.file, found.line) == ("error", "Annotations/a.xml", 1)
        assert found.message.startswith("4 of 4 boxes have all corners within 0 and 1")
        # What they mean is not guessed.
        assert dataset[0].boxes_xyxy[0].tolist() == pytest.approx([0.1, 0.2, 0.6, 1.0])

    @pytest.mark.parametrize(
        "objects", [[(0, 0, 1, 1)], [(0.1, 0.1, 0.9, 0.9), (1, 1, 9, 9)], [(-0.5, 0, 0.5, 1)], []]
    )
    def test_small_boxes_are_no_shares(
        self, make_voc: Make, voc_object: Make, objects: list[tuple[float, ...]]
    ) -> None:
        xml = "".join(voc_object("x", *corners) for corners in objects)
        dataset = Dataset.load(make_voc({"a.jpg": xml}))
        assert "boxes-normalised" not in {p.code for p in dataset.problems}

    def test_formats_of_shares_have_them(self, make_set: Make) -> None:
        files = {"images/a.jpg": None, "labels/a.txt": "0 .5 .5 .5 .5", "classes.txt": "x"}
        assert "boxes-normalised" not in {p.code for p in Dataset.load(make_set(files)).problems}
