"""The display threshold and NMS: properties and cases worked by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.evaluate.matching import ImageDetections, ImageTruth
from sightline.evaluate.threshold import CANDIDATES, best_threshold, choose_nms, f1_scores

BOX = [10.0, 10.0, 60.0, 60.0]
FAR = [200.0, 200.0, 250.0, 250.0]


def truth(*boxes_xyxy: list[float], crowd: int = 0) -> ImageTruth:
    boxes = np.array(boxes_xyxy, float).reshape(-1, 4)
    is_crowd = np.arange(len(boxes)) >= len(boxes) - crowd
    return ImageTruth(boxes, np.zeros(len(boxes), int), is_crowd, np.full(len(boxes), 2500.0))


def found(*scored: tuple[list[float], float]) -> ImageDetections:
    boxes = np.array([box for box, _ in scored], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score in scored], np.float32)
    return ImageDetections(boxes, scores, np.zeros(len(scored), int))


def test_lies_between_hits_and_false_alarms() -> None:
    """Hits at .8 and .6, a false alarm at .41: best from .42 to .60, the middle is .51."""
    chosen = best_threshold(
        [truth(BOX, FAR)], [found((BOX, 0.8), (FAR, 0.6), ([0, 0, 9, 9], 0.41))]
    )
    assert chosen == 0.51


def test_a_score_equal_to_the_threshold_counts() -> None:
    """0.6 as float32 is above 0.6, 0.7 below: both are shown at their own threshold."""
    for score in (0.6, 0.7):
        f1 = f1_scores([truth(BOX)], [found((BOX, score))])
        assert CANDIDATES[f1 == 1.0].max() == score


def test_stays_within_its_limits() -> None:
    assert best_threshold([truth(BOX)], [found((BOX, 0.02))]) == 0.3  # found by none: fallback
    assert best_threshold([truth(BOX)], [found((BOX, 0.06), (FAR, 0.05))]) == 0.06
    assert best_threshold([truth(BOX)], [found((BOX, 0.99), (FAR, 0.95))]) == 0.47  # .05 to .90
    assert best_threshold([], []) == 0.3
    assert best_threshold([truth()], [found((BOX, 0.9))]) == 0.3


def test_crowd_regions_count_neither_way() -> None:
    crowd = [100.0, 100.0, 400.0, 400.0]
    f1 = f1_scores([truth(BOX, crowd, crowd=1)], [found((BOX, 0.9), (FAR, 0.9))])
    assert f1.min() == 1.0


scored_boxes = st.lists(
    st.tuples(st.sampled_from([BOX, FAR, [0.0, 0.0, 9.0, 9.0]]), st.integers(0, 100)), max_size=12
)


@given(scored_boxes)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_no_candidate_is_clearly_better(scored: list[tuple[list[float], int]]) -> None:
    truths = [truth(BOX, FAR)]
    detections = [found(*((box, percent / 100) for box, percent in scored))]
    f1 = f1_scores(truths, detections)
    chosen = best_threshold(truths, detections)
    at_chosen = f1[np.argmin(abs(CANDIDATES - chosen))]
    assert at_chosen >= 0.99 * f1.max()  # a hundredth is the tolerance it documents
    assert ((f1 >= 0) & (f1 <= 1)).all()


def test_nms_only_where_it_helps() -> None:
    near = [12.0, 10.0, 60.0, 60.0]  # IoU .96 with BOX
    clean = [found((BOX, 0.9), (FAR, 0.8))]
    doubled = [found((BOX, 0.9), (near, 0.85), (FAR, 0.8))]
    assert choose_nms([truth(BOX, FAR)], clean) is None
    assert choose_nms([truth(BOX, FAR)], doubled) == 0.7
    # Two real objects that overlap: suppressing one costs more than it gives.
    assert choose_nms([truth(BOX, near)], [found((BOX, 0.9), (near, 0.85))]) is None
    assert choose_nms([], []) is None


def test_a_hair_better_at_the_cliff_is_not_worth_it() -> None:
    """60 objects at .50, 1 false alarm at .49: F1 .992 from .05 to .49, 1 at .50 alone."""
    boxes = [[20.0 * i, 0.0, 20.0 * i + 10, 10.0] for i in range(60)]
    scored = [(box, 0.5) for box in boxes] + [([0.0, 90.0, 9.0, 99.0], 0.49)]
    assert best_threshold([truth(*boxes)], [found(*scored)]) == 0.27
