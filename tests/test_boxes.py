"""Box arithmetic: bounds, hand-worked cases, NMS against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sightline.boxes import area, iou_matrix, nms_per_class

# Sixteenths up to 4096: sums and products are exact in float64, so equalities hold.
sixteenths = st.integers(0, 16 * 4096).map(lambda value: value / 16)


@st.composite
def boxes(draw: st.DrawFn, max_size: int = 12) -> np.ndarray:
    """(N, 4) xyxy, some without area."""
    shape = st.tuples(st.integers(0, max_size), st.just(4))
    corners = draw(arrays.arrays(np.float64, shape, elements=sixteenths))
    low = np.minimum(corners[:, :2], corners[:, 2:])
    return np.concatenate([low, np.maximum(corners[:, :2], corners[:, 2:])], axis=1)


def test_area_by_hand() -> None:
    box_xyxy = np.array([[10.0, 20.0, 40.0, 80.0]])
    assert area(box_xyxy).tolist() == [1800]
    assert area(np.array([[40.0, 20.0, 10.0, 80.0]])).tolist() == [0]  # inverted


@given(boxes(), boxes())
@settings(deadline=None, derandomize=True)
def test_iou_is_a_symmetric_share(a_xyxy: np.ndarray, b_xyxy: np.ndarray) -> None:
    iou = iou_matrix(a_xyxy, b_xyxy)
    assert iou.shape == (len(a_xyxy), len(b_xyxy))
    assert ((iou >= 0) & (iou <= 1)).all()
    np.testing.assert_array_equal(iou, iou_matrix(b_xyxy, a_xyxy).T)
    own = np.diag(iou_matrix(a_xyxy, a_xyxy))
    np.testing.assert_array_equal(own, (area(a_xyxy) > 0).astype(float))


def test_iou_by_hand() -> None:
    a_xyxy = np.array([[0.0, 0.0, 2.0, 2.0]])
    b_xyxy = np.array([[1.0, 1.0, 3.0, 3.0], [2.0, 0.0, 4.0, 2.0], [0.0, 0.0, 2.0, 1.0]])
    assert iou_matrix(a_xyxy, b_xyxy).tolist() == [[1 / 7, 0.0, 0.5]]


def slow_nms(
    boxes_xyxy: np.ndarray, scores: np.ndarray, label_ids: np.ndarray, limit: float
) -> list[int]:
    """The definition, box by box."""
    kept: list[int] = []
    for index in sorted(range(len(scores)), key=lambda i: -scores[i]):
        rivals = [other for other in kept if label_ids[other] == label_ids[index]]
        box = boxes_xyxy[index : index + 1]
        if all(iou_matrix(box, boxes_xyxy[other : other + 1])[0, 0] <= limit for other in rivals):
            kept.append(index)
    return kept


@given(boxes(), st.data())
@settings(deadline=None, derandomize=True)
def test_nms_is_its_definition(boxes_xyxy: np.ndarray, data: st.DataObject) -> None:
    count = len(boxes_xyxy)
    draw = lambda values: data.draw(st.lists(values, min_size=count, max_size=count))  # noqa: E731
    scores = np.array(draw(st.integers(0, 4)), float) / 4  # few values: ties occur
    label_ids = np.array(draw(st.integers(0, 1)), int)
    limit = data.draw(st.sampled_from([0.0, 0.3, 0.7, 1.0]))
    kept = nms_per_class(boxes_xyxy, scores, label_ids, limit)
    assert kept.tolist() == slow_nms(boxes_xyxy, scores, label_ids, limit)
    assert (np.diff(scores[kept]) <= 0).all()
    if limit == 1.0:
        assert len(kept) == count


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_kind_of_float_is_kept(kind: type) -> None:
    box = np.array([[1, 2, 3, 4]], kind)
    assert area(box).dtype == kind
