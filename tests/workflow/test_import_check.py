"""What a photo tells of wrong guesses, on arrays made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.runtime.engine import Outputs
from sightline.workflow.import_check import (
    compare_pixels,
    compare_runtimes,
    find_doubts,
    find_faults,
)

BOX = (0.1, 0.1, 0.5, 0.5)
NAMES = ("cat", "dog")


def outputs(*rows: tuple[tuple[float, float, float, float], float, int]) -> Outputs:
    boxes, scores, labels = zip(*rows, strict=True)
    return Outputs(
        np.array(boxes, np.float32), np.array(scores, np.float32), np.array(labels, np.int32)
    )


def test_a_good_answer_has_neither_faults_nor_doubts() -> None:
    good = outputs((BOX, 0.9, 1), ((-0.02, 0.3, 0.4, 1.01), 0.5, 0), (BOX, 0.01, 0))
    assert find_faults(good, NAMES) == []
    assert find_doubts(good) == []


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        (outputs((BOX, 7.0, 0), (BOX, -3.0, 1)), "scores are -3..7, not in 0..1"),
        (outputs((BOX, float("nan"), 0)), "not numbers"),
        (outputs((BOX, 0.9, 2)), "labels are 2..2, but there are 2 names"),
        (outputs((BOX, 0.9, -1)), "labels are -1..-1"),
        (outputs(((10, 20, 300, 240), 0.9, 0)), "boxes reach 300"),
        (outputs(((0.5, 0.5, 0.2, 0.2), 0.9, 0)), "corners the wrong way round"),
    ],
)
def test_what_cannot_be_is_a_fault(found: Outputs, fault: str) -> None:
    (told,) = find_faults(found, NAMES)
    assert fault in told


@pytest.mark.parametrize(
    ("found", "doubt"),
    [
        (outputs((BOX, 0.29, 0)), "nothing is found with a score of 0.3 or more (best 0.29)"),
        (outputs(((-0.4, 0.1, 0.5, 0.5), 0.9, 0)), "1 of 1 boxes lie partly outside"),
        (outputs(*[((0, 0, 1, 1), 0.9, 0)] * 3), "3 of 3 boxes cover the whole photo"),
    ],
)
def test_what_is_unlikely_is_a_doubt(found: Outputs, doubt: str) -> None:
    assert find_faults(found, NAMES) == []
    (told,) = find_doubts(found)
    assert doubt in told


def test_another_way_of_feeding_pixels_must_be_clearly_better() -> None:
    strength = {"unit": (3, 2.0, 0.8), "imagenet": (3, 2.2, 0.9), "bgr255": (0, 0.0, 0.1)}
    assert compare_pixels(strength, "unit") is None
    told = compare_pixels(strength, "bgr255")
    assert told is not None
    assert told.startswith("--pixels imagenet fits this photo better: 3 found")
    assert "with bgr255 0 (best 0.10)" in told


def test_runtimes_that_disagree_are_told() -> None:
    good, same = np.array([0.92, 0.4], np.float32), np.array([0.91, 0.1], np.float32)
    assert compare_runtimes({"tfjs/wasm": good, "tfjs/webgl": same}) is None
    told = compare_runtimes({"tfjs/wasm": np.array([0.01], np.float32), "tfjs/webgl": good})
    assert told is not None
    assert told.startswith("tfjs/wasm finds 0 (best 0.01) and tfjs/webgl finds 2 (best 0.92)")
