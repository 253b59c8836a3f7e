"""Distributions of boxes: nothing is lost, and cases by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.figures import aspects, boxes_per_image, coverage, relative_sizes
from sightline.data.records import Record

WIDTH, HEIGHT = 80, 40


def make_record(boxes: list[tuple[float, ...]]) -> Record:
    none = np.zeros(len(boxes), np.bool_)
    return Record(
        "a.jpg", Path("a.jpg"), WIDTH, HEIGHT, np.array(boxes, np.float64).reshape(-1, 4),
        np.zeros(len(boxes), np.int64), none, np.ones(len(boxes)), none, none,
    )  # fmt: skip


boxes = st.lists(
    st.tuples(
        st.floats(0, WIDTH - 1), st.floats(0, HEIGHT - 1), st.floats(0.01, 1), st.floats(0.01, 1)
    ).map(lambda b: (b[0], b[1], b[0] + b[2] * (WIDTH - b[0]), b[1] + b[3] * (HEIGHT - b[1]))),
    max_size=70,
)


@given(st.lists(boxes, max_size=5))
def test_every_image_and_every_box_is_counted_once(found: list[list[tuple[float, ...]]]) -> None:
    records = [make_record(one) for one in found]
    total = sum(map(len, found))
    numbers = boxes_per_image(records)
    assert sum(numbers.counts) == len(records)
    assert numbers.counts[0] == sum(not one for one in found)
    assert len(numbers.counts) + 1 == len(numbers.starts) <= 26
    for bars in (relative_sizes(records), aspects(records)):
        assert sum(bars.counts) == total
        assert len(bars.counts) + 1 == len(bars.starts)
        assert list(bars.starts) == sorted(bars.starts)
    shares = coverage(records)
    assert shares.min() >= 0
    assert shares.max() <= 1


@given(boxes.filter(bool))
def test_coverage_is_what_counting_cell_by_cell_gives(found: list[tuple[float, ...]]) -> None:
    cells = 24
    middles = (np.arange(cells) + 0.5) / cells
    expected = np.zeros((cells, cells))
    for x1, y1, x2, y2 in found:
        across = (middles >= x1 / WIDTH) & (middles < x2 / WIDTH)
        down = (middles >= y1 / HEIGHT) & (middles < y2 / HEIGHT)
        expected += down[:, None] & across[None, :]
    assert coverage([make_record(found)]) == pytest.approx(expected / len(found))


def test_by_hand() -> None:
    half = (0.0, 0.0, 40.0, 20.0)  # half of both sides; 2:1
    whole = (0.0, 0.0, 80.0, 40.0)
    speck = (0.0, 0.0, 0.1, 0.1)  # below the first edge: counted in the first bar
    records = [make_record([half, whole, speck]), make_record([]), make_record([half])]
    assert boxes_per_image(records).counts == [1, 1, 0, 1]
    sizes = relative_sizes(records)
    assert sizes.starts[0] == 1 / 256
    assert {sizes.starts[i]: n for i, n in enumerate(sizes.counts) if n} == pytest.approx(
        {1 / 256: 1, 0.5: 2, 2**-0.25: 1}
    )
    shapes = aspects(records)
    assert {shapes.starts[i]: n for i, n in enumerate(shapes.counts) if n} == pytest.approx(
        {1: 1, 2: 3}
    )


def test_many_boxes_share_bars_and_none_has_its_own() -> None:
    records = [make_record([(0, 0, 9, 9)] * number) for number in (0, 1, 2, 3, 60)]
    bars = boxes_per_image(records)
    assert bars.starts[:4] == [0, 1, 4, 7]
    assert (bars.counts[:2], bars.counts[-1], sum(bars.counts)) == ([1, 3], 1, 5)
