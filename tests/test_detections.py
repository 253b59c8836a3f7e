"""What was found in an image: slices, thresholds, JSON, drawing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from sightline.detections import Detection, Detections


@pytest.fixture
def found() -> Detections:
    return Detections(
        np.array([[10, 20, 60, 80], [0, 0, 5.126, 5], [30, 30, 90, 90]], np.float32),
        np.array([0.9, 0.7, 0.123456], np.float32),
        np.array([1, 0, 1], np.int32),
        ("cat", "dog"),
        width=100,
        height=90,
    )


def test_iterates_as_plain_values(found: Detections) -> None:
    first, *_ = found
    assert isinstance(first, Detection)
    assert (first.label, first.label_id, first.box_xyxy) == ("dog", 1, (10.0, 20.0, 60.0, 80.0))
    assert first.score == pytest.approx(0.9, abs=1e-7)  # float32
    assert found.labels == ["dog", "cat", "dog"]
    assert len(found) == 3


def test_slices_keep_everything_else(found: Detections) -> None:
    assert found[1].labels == found[-2].labels == found[1:2].labels == ["cat"]
    assert found[[0, 2]].labels == ["dog", "dog"]
    assert found[found.label_ids == 0].labels == ["cat"]
    assert len(found[:0]) == 0 and found[:0].to_json() == []
    assert (found[0].width, found[0].class_names) == (100, ("cat", "dog"))
    with pytest.raises(IndexError):
        found[3]


def test_above_counts_a_score_equal_to_the_threshold(found: Detections) -> None:
    """0.7 as float32 is a little less than 0.7; it is above 0.7 all the same."""
    assert found.above(0.7).labels == ["dog", "cat"]
    assert len(found.above(0.0)) == 3
    assert len(found.above(0.95)) == 0


def test_json_is_the_documented_shape(found: Detections) -> None:
    value = found.to_json()
    assert value[1] == {"label": "cat", "score": 0.7, "box": [0.0, 0.0, 5.13, 5.0]}
    assert value[2]["score"] == 0.12346
    assert json.loads(json.dumps(value)) == value


def test_shapes_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes disagree"):
        Detections(
            np.zeros((2, 4), np.float32),
            np.zeros(1, np.float32),
            np.zeros(2, np.int32),
            ("a",),
            1,
            1,
        )


def test_draw_leaves_the_original_and_marks_the_boxes(found: Detections) -> None:
    image = Image.new("RGB", (100, 90), "white")
    drawn = found[0].draw(image)
    assert drawn.size == image.size
    assert image.getextrema() == ((255, 255),) * 3
    changed = (np.asarray(drawn) != 255).any(axis=2)
    assert changed[20, 10:60].all() and changed[80, 10:61].all() and changed[20:81, 60].all()
    assert not changed[40:70, 20:50].any()  # inside
    assert found[:0].draw(image).getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize(
    ("x1", "y1"), [(60, 60), (10, 0), (10, -3), (10, 5), (150, 2), (-4, 100), (10, 118), (400, 300)]
)
def test_a_label_is_drawn_whole_wherever_its_box_is(x1: int, y1: int) -> None:
    """The same pixels of text as where there is room on all sides."""

    def draw_text(x1: int, y1: int) -> set[tuple[int, int]]:
        tv = Detections(
            np.array([[x1, y1, x1 + 40, y1 + 30]], np.float32),
            np.array([0.59], np.float32),
            np.zeros(1, np.int32),
            ("tv",),
            200,
            120,
        )
        picture = np.asarray(tv.draw(Image.new("RGB", (200, 120), "white")))
        rows, columns = np.nonzero((picture < 40).all(axis=2))
        assert rows.size
        return {*zip((rows - rows.min()).tolist(), (columns - columns.min()).tolist(), strict=True)}

    assert draw_text(x1, y1) == draw_text(50, 50)


def test_draws_boxes_beyond_the_edge_and_without_area() -> None:
    odd = Detections(
        np.array([[-50, -50, 500, 500], [5, 5, 5, 5], [8, 8, 2, 2]], np.float32),
        np.array([0.9, 0.8, 0.7], np.float32),
        np.zeros(3, np.int32),
        ("a rather long name 日本",),
        20,
        10,
    )
    assert odd.draw(Image.new("RGBA", (20, 10))).mode == "RGB"
