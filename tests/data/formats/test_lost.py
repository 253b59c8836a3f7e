"""What counts as an area of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.formats.lost import has_other_areas
from sightline.data.records import Record

SIDES = st.floats(0.5, 5000)


def record(x: float, y: float, width: float, height: float, area: float) -> Record:
    none = np.zeros(1, np.bool_)
    boxes_xyxy = np.array([[x, y, x + width, y + height]])
    ids = np.zeros(1, np.int64)
    return Record(
        "a.jpg", Path("a.jpg"), 10_000, 10_000, boxes_xyxy, ids, none, np.array([area]), none, none
    )


@given(x=SIDES, y=SIDES, width=SIDES, height=SIDES)
def test_width_times_height_is_the_boxs_own(
    x: float, y: float, width: float, height: float
) -> None:
    assert not has_other_areas(record(x, y, width, height, width * height))
    assert has_other_areas(record(x, y, width, height, width * height * 1.000001))
    assert has_other_areas(record(x, y, width, height, 0.0))
