"""Line charts as inline SVG. Colours and type come from the page's style sheet."""

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

    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">'
    ]
    for value in ticks(low, high):
        _, y = place(first, value)
        parts.append(f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="tick end" x="{LEFT - 8}" y="{y + 5}">{tick_text(value)}</text>')
    for value in ticks(first, last):
        x, _ = place(value, low)
        y = HEIGHT - BOTTOM + 20
        parts.append(f'<text class="tick middle" x="{x}" y="{y}">{tick_text(value)}</text>')
    parts.append(
        f'<text class="tick middle" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}">'
        f"{escape(x_title)}</text>"
    )
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
