"""Charts as inline SVG: lines, bars, heat maps. Colours and type come from the style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 12, 44
MOST_POINTS = 300  # of a line: more would not be seen, only stored


@dataclass(frozen=True)
class Line:
    """points: (x, y) in order of x. series: 1..3, which colour. marks: show each point."""

    name: str
    points: Points
    series: int
    marks: bool = False
    is_faint: bool = False


def line_chart(
    lines: Sequence[Line], *, title: str, x_title: str, y_range: tuple[float, float] | None = None
) -> str:
    """An <svg> of the lines over common axes. Without `y_range` the axis starts at 0."""
    xs = [x for line in lines for x, _ in line.points] or [0.0]
    ys = [y for line in lines for _, y in line.points] or [0.0]
    low, high = y_range or (0.0, max(max(ys), 1e-12) * 1.05)
    first, last = min(xs), max(max(xs), min(xs) + 1)

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - first) / (last - first) * (WIDTH - LEFT - RIGHT)
        up = TOP + (1 - (min(max(y, low), high) - low) / (high - low)) * (HEIGHT - TOP - BOTTOM)
        return round(across, 1), round(up, 1)

    parts = _frame(title, x_title)
    for value in ticks(low, high):
        _, y = place(first, value)
        parts.append(f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="tick end" x="{LEFT - 8}" y="{y + 5}">{tick_text(value)}</text>')
    for value in ticks(first, last):
        x, _ = place(value, low)
        y = HEIGHT - BOTTOM + 20
        parts.append(f'<text class="tick middle" x="{x}" y="{y}">{tick_text(value)}</text>')
    for line in lines:
        placed = [place(x, y) for x, y in thin(line.points)]
        path = "M" + "L".join(f"{x} {y}" for x, y in placed)
        faint = " faint" if line.is_faint else ""
        if placed:
            parts.append(f'<path class="line series-{line.series}{faint}" d="{path}"/>')
        if line.marks:
            parts += [
                f'<circle class="mark series-{line.series}" cx="{x}" cy="{y}" r="3.5">'
                f"<title>{escape(line.name)} {value:.3f} at {step:g}</title></circle>"
                for (x, y), (step, value) in zip(placed, thin(line.points), strict=True)
            ]
    return "".join([*parts, "</svg>"])


def bar_chart(
    counts: Sequence[int],
    names: Sequence[str],
    *,
    title: str,
    x_title: str,
    labels: Sequence[tuple[float, str]],
    mark: tuple[float, str] | None = None,
) -> str:
    """An <svg> of one bar a count; names show on hovering.

    labels: below the axis, at places counted in bars from the left edge of the first. mark: a
    vertical line with its text.
    """
    high = max([*counts, 1]) * 1.05
    step = (WIDTH - LEFT - RIGHT) / max(1, len(counts))
    floor = HEIGHT - BOTTOM
    parts = _frame(title, x_title)
    for value in filter(float.is_integer, ticks(0, high)):
        y = round(floor - value / high * (floor - TOP), 1)
        parts.append(f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="tick end" x="{LEFT - 8}" y="{y + 5}">{tick_text(value)}</text>')
    for place, (count, name) in enumerate(zip(counts, names, strict=True)):
        tall = count / high * (floor - TOP)
        # What is not zero is seen, and the whole column answers to the pointer.
        shown = max(tall, 1.5) if count else 0
        x = LEFT + place * step
        parts.append(
            f'<g class="column"><rect class="hover" x="{x:.1f}" y="{TOP}" width="{step:.1f}" '
            f'height="{floor - TOP}"/><rect class="value" x="{x + step * 0.08:.1f}" '
            f'y="{floor - shown:.1f}" width="{step * 0.84:.1f}" height="{shown:.1f}"/>'
            f"<title>{escape(name)}</title></g>"
        )
    for where, text in labels:
        x = LEFT + where * step
        parts.append(
            f'<text class="tick middle" x="{x:.1f}" y="{floor + 20}">{escape(text)}</text>'
        )
    if mark is not None:
        x = round(LEFT + mark[0] * step, 1)
        parts.append(
            f'<path class="mark" d="M{x} {TOP}V{floor}"/>'
            f'<text class="tick" x="{x + 6}" y="{TOP + 13}">{escape(mark[1])}</text>'
        )
    return "".join([*parts, "</svg>"])


def heat_map(shares: Sequence[Sequence[float]], *, title: str) -> str:
    """An <svg> of a grid, row by row from the top, each cell as strong as its share (0..1)."""
    rows, columns = len(shares), len(shares[0])
    parts = [
        f'<svg class="heat" viewBox="0 0 {columns} {rows}" preserveAspectRatio="none" '
        f'shape-rendering="crispEdges" role="img" aria-label="{escape(title)}">'
    ]
    for y, row in enumerate(shares):
        parts += [
            f'<rect x="{x}" y="{y}" width="1" height="1" fill-opacity="{share:.2f}"/>'
            for x, share in enumerate(row)
            if share >= 0.005
        ]
    return "".join([*parts, "</svg>"])


def _frame(title: str, x_title: str) -> list[str]:
    """The beginning of a chart: its name, and what runs along its horizontal axis."""
    return [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">',
        f'<text class="tick middle" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}">'
        f"{escape(x_title)}</text>",
    ]


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most `most` round numbers in low..high, 1, 2 or 5 times a power of ten apart."""
    span = high - low
    if span <= 0:
        return [low]
    step = 10.0 ** math.floor(math.log10(span / most))
    for factor in (1, 2, 5, 10, 20):
        if span / (step * factor) <= most - 1:
            step *= factor
            break
    start = math.ceil(low / step - 1e-9)
    return [count * step for count in range(start, math.floor(high / step + 1e-9) + 1)]


def tick_text(value: float) -> str:
    """A number as short as an axis wants it."""
    if value and abs(value) < 0.01:
        digits, exponent = f"{value:.0e}".split("e")
        return f"{digits}e{int(exponent)}"
    return f"{round(value, 4):g}"


def thin(points: Points, most: int = MOST_POINTS) -> Points:
    """At most `most` points: the means of equal runs where there are more."""
    if len(points) <= most:
        return points
    size = math.ceil(len(points) / most)
    runs = [points[start : start + size] for start in range(0, len(points), size)]
    return [(sum(x for x, _ in run) / len(run), sum(y for _, y in run) / len(run)) for run in runs]


def smooth(points: Points) -> Points:
    """The points' running mean over a fifteenth of them, centred, so it neither leads nor lags."""
    reach = max(1, len(points) // 30)
    sums = [0.0]
    for _, y in points:
        sums.append(sums[-1] + y)
    result = []
    for index, (x, _) in enumerate(points):
        begin, end = max(0, index - reach), min(len(points), index + reach + 1)
        result.append((x, (sums[end] - sums[begin]) / (end - begin)))
    return result
