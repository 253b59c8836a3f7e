"""Threshold, NMS and scaling: the golden vectors, then properties."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sightline.data.images import letterbox_size
from sightline.runtime.postprocess import letterbox_span, postprocess

GOLDEN = Path(__file__).resolve().parents[2] / "contracts" / "golden" / "postprocess.json"
CASES, LETTERBOX = (
    json.loads(GOLDEN.read_text(encoding="utf-8"))[k] for k in ("cases", "letterbox")
)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_golden(case: dict) -> None:
    scores = np.array(case["scores"], np.float32)
    label_ids = np.array(case["label_ids"], np.int32)
    kept = postprocess(
        np.array(case["boxes_xyxy_norm"], np.float32).reshape(-1, 4),
        scores,
        label_ids,
        threshold=case["threshold"],
        nms_iou=case["nms_iou"],
        width=case["width"],
        height=case["height"],
    )
    np.testing.assert_array_equal(kept.scores, scores[case["kept"]])
    np.testing.assert_array_equal(kept.label_ids, label_ids[case["kept"]])
    expected_xyxy = np.array(case["boxes_xyxy"], np.float32).reshape(-1, 4)
    np.testing.assert_array_equal(kept.boxes_xyxy, expected_xyxy)
    assert (kept.boxes_xyxy.dtype, kept.scores.dtype, kept.label_ids.dtype) == (
        np.float32,
        np.float32,
        np.int32,
    )


@pytest.mark.parametrize("case", LETTERBOX, ids=[case["name"] for case in LETTERBOX])
def test_golden_letterbox(case: dict) -> None:
    assert list(letterbox_size(*case["image"], *case["input"])) == case["inner"]
    width, height = letterbox_span(*case["image"], *case["input"])
    kept = postprocess(
        np.array(case["boxes_xyxy_norm"], np.float32),
        np.ones(1, np.float32),
        np.zeros(1, np.int32),
        threshold=0.5,
        nms_iou=None,
        width=width,
        height=height,
    )
    np.testing.assert_array_equal(kept.boxes_xyxy, np.array(case["boxes_xyxy"], np.float32))


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 12
    assert len({case["name"] for case in CASES}) == len(CASES)


corners = arrays.arrays(
    np.float32, st.tuples(st.integers(0, 20), st.just(2)), elements=st.floats(0, 1, width=32)
)


@given(corners, st.randoms(use_true_random=False), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_nms_before_or_after_the_threshold_is_the_same(
    low: np.ndarray, random: object, threshold: float, nms_iou: float
) -> None:
    """Only a better box drops one, so thresholding first (cheaper) changes nothing."""
    count = len(low)
    boxes = np.concatenate([low, low + np.float32(0.25)], axis=1)
    scores = np.sort(np.array([random.random() for _ in range(count)], np.float32))[::-1]
    labels = np.array([random.randrange(2) for _ in range(count)], np.int32)
    size = {"width": 64, "height": 32}
    first = postprocess(boxes, scores, labels, threshold=threshold, nms_iou=nms_iou, **size)
    every = postprocess(boxes, scores, labels, threshold=0.0, nms_iou=nms_iou, **size)
    above = every.scores >= np.float32(threshold)
    for early, late in zip(first, every, strict=True):
        np.testing.assert_array_equal(early, late[above])
