"""A graph's outputs in the convention of its manifest become ours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sightline.errors import BundleDamaged
from sightline.manifest import Manifest
from sightline.runtime.engines.conversion import to_outputs

OURS = Manifest("toy", ("cat", "dog", "cow"), 64, 64, 0.5, None, 3)
DETECTION_API = replace(OURS, target="tfjs", box_format="yxyx_norm", first_label=1)

BOXES = [[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]]


def test_our_own_convention_passes_unchanged() -> None:
    found = to_outputs([BOXES], [[0.9, 0.8]], [[2, 0]], OURS)
    np.testing.assert_array_equal(found.boxes_xyxy_norm, np.array(BOXES, np.float32))
    np.testing.assert_array_equal(found.scores, np.array([0.9, 0.8], np.float32))
    np.testing.assert_array_equal(found.label_ids, [2, 0])
    assert [array.dtype for array in found] == [np.float32, np.float32, np.int32]


def test_the_detection_api_gives_y_first_and_counts_from_one() -> None:
    found = to_outputs(BOXES, [0.9, 0.8], np.array([1.0, 3.0], np.float32), DETECTION_API)
    swapped = np.array([[0.2, 0.1, 0.4, 0.3], [0.6, 0.5, 0.8, 0.7]], np.float32)
    np.testing.assert_array_equal(found.boxes_xyxy_norm, swapped)
    np.testing.assert_array_equal(found.label_ids, [0, 2])


def test_rows_are_sorted_by_score_and_equal_ones_keep_their_order() -> None:
    boxes = np.arange(12, dtype=np.float32) / 12
    found = to_outputs(boxes, [0.1, 0.7, 0.1], [0, 1, 2], OURS)
    np.testing.assert_array_equal(found.label_ids, [1, 0, 2])
    np.testing.assert_array_equal(found.boxes_xyxy_norm[0], boxes[4:8])


def test_nothing_found_is_no_error() -> None:
    found = to_outputs([], [], [], DETECTION_API)
    assert found.boxes_xyxy_norm.shape == (0, 4)
    assert found.scores.shape == found.label_ids.shape == (0,)


@pytest.mark.parametrize(
    ("boxes", "scores", "labels", "said"),
    [
        (BOXES, [0.9], [0], "1 scores"),
        (BOXES, [0.9, 0.8], [0], "1 labels"),
        (BOXES, [0.9, np.nan], [0, 1], "scores that are not numbers"),
        ([[np.inf, 0, 1, 1]], [0.9], [0], "boxes that are not numbers"),
    ],
)
def test_outputs_that_do_not_fit_are_refused(
    boxes: list[list[float]], scores: list[float], labels: list[int], said: str
) -> None:
    with pytest.raises(BundleDamaged, match=said):
        to_outputs(boxes, scores, labels, OURS)
