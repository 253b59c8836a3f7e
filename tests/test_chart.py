"""Charts: every line inside its frame, round numbers on the axes, nothing lost by thinning."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.chart import (
    HEIGHT,
    WIDTH,
    Line,
    bar_chart,
    heat_map,
    line_chart,
    smooth,
    thin,
    tick_text,
    ticks,
)

values = st.floats(-1e6, 1e6)
ordered_points = st.lists(st.tuples(st.integers(1, 10_000), st.floats(0, 1e6)), max_size=40).map(
    lambda points: [(float(x), y) for x, y in sorted(points)]
)


@given(ordered_points, ordered_points, st.sampled_from([None, (0.0, 1.0)]))
def test_everything_drawn_lies_in_the_frame(
    first: list[tuple[float, float]], second: list[tuple[float, float]],
    y_range: tuple[float, float] | None,
) -> None:  # fmt: skip
    lines = [Line("<one> & two", first, 1, marks=True), Line("three", second, 2, is_faint=True)]
    svg = line_chart(lines, title='a "title" & <more>', x_title="step", y_range=y_range)
    root = ElementTree.fromstring(svg)  # noqa: S314  # our own text
    assert root.get("aria-label") == 'a "title" & <more>'
    drawn = [path for path in root.findall("path") if "line" in (path.get("class") or "")]
    assert len(drawn) == bool(first) + bool(second)
    for path in drawn:
        for pair in (path.get("d") or "")[1:].split("L"):
            x, y = (float(number) for number in pair.split())
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT
    marks = root.findall("circle")
    assert len(marks) == len(first)
    for mark, (step, value) in zip(marks, first, strict=True):
        assert mark.findtext("title") == f"<one> & two {value:.3f} at {step:g}"


def test_a_line_by_hand() -> None:
    """Bottom left to top right of the plot."""
    svg = line_chart([Line("x", [(1.0, 0.0), (11.0, 1.0)], 1)], title="t", x_title="step",
                     y_range=(0.0, 1.0))  # fmt: skip
    assert 'd="M58.0 216.0L626.0 12.0"' in svg


@given(values, st.floats(1e-9, 1e6))
def test_ticks_are_few_even_and_within(low: float, span: float) -> None:
    high = low + span
    if not high - low > abs(low) * 1e-9:  # no room for two numbers that print differently
        return
    found = ticks(low, high)
    assert 1 <= len(found) <= 6
    slack = 1e-6 * (high - low) + abs(low) * 1e-9
    assert low - slack <= found[0] <= found[-1] <= high + slack
    gaps = {round((b - a) / (high - low), 6) for a, b in itertools.pairwise(found)}
    assert len(gaps) <= 1


def test_ticks_and_their_text_by_hand() -> None:
    assert ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert ticks(1, 204) == [50, 100, 150, 200]
    assert [tick_text(value) for value in ticks(0, 5.25e-4)] == ["0", "2e-4", "4e-4"]
    assert [tick_text(value) for value in (0.2 * 3, 1500.0, -3.0)] == ["0.6", "1500", "-3"]


@given(ordered_points, st.integers(1, 20))
def test_thinning_keeps_the_mean_of_each_run(points: list[tuple[float, float]], most: int) -> None:
    thinned = thin(points, most)
    assert len(thinned) <= most or len(points) <= most
    if points:
        low, high = min(y for _, y in points), max(y for _, y in points)
        assert all(low - 1e-6 <= y <= high + 1e-6 for _, y in thinned)
    if len(points) <= most:
        assert thinned == points
    assert thin([(float(x), float(x % 2)) for x in range(10)], 5) == [
        (0.5, 0.5), (2.5, 0.5), (4.5, 0.5), (6.5, 0.5), (8.5, 0.5),
    ]  # fmt: skip


@given(ordered_points)
def test_smoothing_stays_in_range_and_keeps_lines(points: list[tuple[float, float]]) -> None:
    smoothed = smooth(points)
    assert [x for x, _ in smoothed] == [x for x, _ in points]
    if points:
        low, high = min(y for _, y in points), max(y for _, y in points)
        assert all(low - 1e-3 <= y <= high + 1e-3 for _, y in smoothed)
    straight = [(float(x), 2.0 * x) for x in range(20)]
    inner = [y for _, y in smooth(straight)[1:-1]]
    assert inner == pytest.approx([y for _, y in straight[1:-1]])


@given(st.lists(st.integers(0, 10**6), max_size=40))
def test_bars_stand_on_the_axis_as_tall_as_their_counts(counts: list[int]) -> None:
    names = [f"<{place}>: {count}" for place, count in enumerate(counts)]
    svg = bar_chart(counts, names, title="t", x_title="x", labels=[(0, "<0>")], mark=(1, "here"))
    root = ElementTree.fromstring(svg)  # noqa: S314  # our own text
    columns = root.findall("g")
    assert [column.findtext("title") for column in columns] == names
    bars = [column.findall("rect")[1] for column in columns]
    tall = [float(bar.get("height", "")) for bar in bars]
    for bar, count, height in zip(bars, counts, tall, strict=True):
        assert float(bar.get("y", "")) + height == pytest.approx(216, abs=0.11)
        assert (height > 0) == (count > 0)
        # A small count is drawn 1.5 high, to be seen.
        assert height == pytest.approx(count / max([1, *counts]) * max(tall), abs=1.6)
        assert 0 <= float(bar.get("x", "")) < WIDTH
    assert "<0>" in [text.text for text in root.findall("text")]


def test_counts_have_whole_numbers_on_their_axis() -> None:
    root = ElementTree.fromstring(  # noqa: S314  # our own text
        bar_chart([1], ["one"], title="t", x_title="boxes", labels=[])
    )
    assert [text.text for text in root.findall("text")] == ["boxes", "0", "1"]


def test_a_heat_map_by_hand() -> None:
    root = ElementTree.fromstring(  # noqa: S314  # our own text
        heat_map([[0.0, 0.25], [1.0, 0.001]], title="<where>")
    )
    assert root.get("viewBox") == "0 0 2 2"
    assert root.get("aria-label") == "<where>"
    cells = [[rect.get(k) for k in ("x", "y", "fill-opacity")] for rect in root.findall("rect")]
    assert cells == [["1", "0", "0.25"], ["0", "1", "1.00"]]
