"""Boxes drawn on unturned pixels are turned as Pillow turns the pixels, and only they."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from sightline.data.dataset import Dataset
from sightline.data.formats.contents import RawBox, RawImage
from sightline.data.images import ImageHeader
from sightline.data.upright import turn_box, upright_boxes

ORIENTATION_TAG = 0x0112
TURNED = (5, 6, 7, 8)  # width and height change places

Box = tuple[float, float, float, float]


@given(data=st.data(), width=st.integers(1, 12), height=st.integers(1, 12))
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_turns_as_pillow_turns_pixels(
    orientation: int, data: st.DataObject, width: int, height: int
) -> None:
    x1, x2 = sorted(data.draw(st.tuples(*[st.integers(0, width)] * 2)))
    y1, y2 = sorted(data.draw(st.tuples(*[st.integers(0, height)] * 2)))
    assume(x1 < x2 and y1 < y2)
    pixels = np.zeros((height, width), np.uint8)
    pixels[y1:y2, x1:x2] = 255
    stored = Image.fromarray(pixels)
    stored.getexif()[ORIENTATION_TAG] = orientation
    upright = ImageOps.exif_transpose(stored)
    turned = turn_box((x1, y1, x2, y2), orientation, upright.width, upright.height)
    assert turned == upright.getbbox()


def raw(*boxes: Box, said: tuple[int, int] | None = None, is_normalised: bool = False) -> RawImage:
    drawn = tuple(RawBox("x", box) for box in boxes)
    return RawImage("a.jpg", "a.xml", drawn, said, None, (), is_normalised)


# Stored as 40x30, shown as 30x40: boxes that fit the one, the other, both, neither.
STORED_ONLY, UPRIGHT_ONLY, BOTH, NEITHER = (
    (2, 3, 39, 20), (2, 3, 20, 39), (2, 3, 20, 29), (2, 3, 39, 39),
)  # fmt: skip
TURN, KEEP, UNSURE = "box-turned", None, "orientation-unsure"


@pytest.mark.parametrize(
    ("box", "said", "expected"),
    [
        (STORED_ONLY, (40, 30), TURN),
        (BOTH, (40, 30), TURN),
        (NEITHER, (40, 30), TURN),
        (UPRIGHT_ONLY, (40, 30), KEEP),
        (STORED_ONLY, (30, 40), KEEP),
        (BOTH, (30, 40), KEEP),
        (STORED_ONLY, None, TURN),
        (STORED_ONLY, (800, 600), TURN),
        (UPRIGHT_ONLY, None, KEEP),
        (NEITHER, None, KEEP),
        (BOTH, None, UNSURE),
        (BOTH, (0, 0), UNSURE),
    ],
)
@pytest.mark.parametrize("orientation", TURNED)
def test_what_decides(
    orientation: int, box: Box, said: tuple[int, int] | None, expected: str | None
) -> None:
    header = ImageHeader(30, 40, "JPEG", orientation)
    boxes, turn = upright_boxes(raw(box, said=said), header)
    assert (turn[1] if turn else None) == expected
    kept = turn_box(box, orientation, 30, 40) if expected == TURN else box
    assert [one.box_xyxy for one in boxes] == [kept]


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_the_same_size_both_ways_tells_nothing(orientation: int) -> None:
    header = ImageHeader(30, 40, "JPEG", orientation)
    boxes, turn = upright_boxes(raw(BOTH, said=(30, 40)), header)
    assert [one.box_xyxy for one in boxes] == [BOTH]
    assert turn is not None
    assert turn[:2] == ("info", UNSURE)


def test_shares_are_scaled_by_the_size_they_are_shares_of() -> None:
    header = ImageHeader(30, 40, "JPEG", 6)
    share = (0.0, 0.0, 0.5, 0.1)  # of 40x30: the top 3 rows, which become the right 3 columns
    boxes, turn = upright_boxes(raw(share, said=(40, 30), is_normalised=True), header)
    assert [one.box_xyxy for one in boxes] == [(27, 0, 30, 20)]
    assert turn is not None
    assert turn[1] == TURN
    boxes, turn = upright_boxes(raw(share, said=(30, 40), is_normalised=True), header)
    assert [one.box_xyxy for one in boxes] == [(0, 0, 15, 4)]
    assert turn is None
    assert upright_boxes(raw(share, is_normalised=True), header)[1] is not None


def test_one_stray_box_decides_for_its_image() -> None:
    header = ImageHeader(30, 40, "JPEG", 6)
    boxes, _ = upright_boxes(raw(BOTH, STORED_ONLY), header)
    assert [one.box_xyxy for one in boxes] == [
        turn_box(box, 6, 30, 40) for box in (BOTH, STORED_ONLY)
    ]


def test_a_folder_labelled_on_unturned_photos(
    make_voc: Callable[..., Any], voc_object: Callable[..., str]
) -> None:
    size = "<size><width>40</width><height>30</height></size>"
    box = voc_object("x", 2, 3, 39, 20)
    root: Path = make_voc({"a.jpg": size + box, "b.jpg": size + box})
    photo = Image.open(root / "JPEGImages/a.jpg")
    exif = photo.getexif()
    exif[ORIENTATION_TAG] = 8
    photo.save(root / "JPEGImages/a.jpg", exif=exif)
    dataset = Dataset.load(root)
    assert dataset.records[0].boxes_xyxy.tolist() == [[3, 1, 20, 38]]
    assert dataset.records[1].boxes_xyxy.tolist() == [[2, 3, 39, 20]]
    assert [(p.severity, p.code, p.file, p.message) for p in dataset.problems[:-1]] == [
        (
            "warning",
            "box-turned",
            "Annotations/a.xml",
            "JPEGImages/a.jpg: labelled as stored, 40x30, while EXIF orientation 8 shows it 30x40; "
            "its 1 box(es) turned with it",
        )
    ]


def test_real_photos_of_three_orientations(
    shared: Path, tmp_path: Path, voc_object: Callable[..., str]
) -> None:
    """One photo stored in several ways, its box drawn on the stored pixels."""
    data = (shared / "data/broken/01_ok.jpg").read_bytes()
    upright = Image.open(io.BytesIO(data)).size
    wide = (0.1, 0.2, 0.9, 0.6)  # of the upright picture
    expected = [share * size for share, size in zip(wide, upright * 2, strict=True)]
    back = {5: 5, 6: 8, 8: 6}  # the turn that undoes it
    for orientation, undo in back.items():
        name = f"14_exif_orientation_{orientation}"
        data = (shared / f"data/broken/{name}.jpg").read_bytes()
        (tmp_path / f"{name}.jpg").write_bytes(data)
        stored = Image.open(io.BytesIO(data)).size
        x1, y1, x2, y2 = turn_box(tuple(expected), undo, *stored)  # type: ignore[arg-type]
        (tmp_path / f"{name}.xml").write_text(
            f"<annotation><size><width>{stored[0]}</width><height>{stored[1]}</height></size>"
            f"{voc_object('x', x1, y1, x2, y2)}</annotation>"
        )
    dataset = Dataset.load(tmp_path)
    assert [p.code for p in dataset.problems if p.code.startswith(("box", "size"))] == [TURN] * 3
    for record in dataset:
        assert record.boxes_xyxy[0].tolist() == pytest.approx(expected, abs=1e-9)
