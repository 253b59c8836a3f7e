"""Which of some goes with which of others, best in sum. Plain arrays, no SciPy.

The browser has the same steps in the same order, so that equals are settled alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def match_pairs(gains: Floats) -> list[tuple[int, int]]:
    """The pairs (row, column) of gain above 0 with the greatest sum, by row.

    gains: (R, C), finite, at least 0. No row or column is in two pairs.
    """
    possible = gains > 0
    of_row, of_column = possible.sum(axis=1), possible.sum(axis=0)
    # Most pairs have no rival, which leaves little to solve.
    alone = possible & (of_row == 1)[:, None] & (of_column == 1)[None, :]
    pairs = [(int(row), int(column)) for row, column in zip(*alone.nonzero(), strict=True)]
    rows = np.flatnonzero((of_row > 0) & ~alone.any(axis=1))
    columns = np.flatnonzero((of_column > 0) & ~alone.any(axis=0))
    chosen = assign(-gains[np.ix_(rows, columns)])
    for row, place in zip(rows.tolist(), chosen.tolist(), strict=True):
        if place >= 0 and possible[row, columns[place]]:
            pairs.append((row, int(columns[place])))
    return sorted(pairs)


def assign(costs: Floats) -> NDArray[np.intp]:
    """(R,) for each row its column, -1 where there are too few, at the least sum of costs.

    costs: (R, C), finite. Shortest augmenting paths (Crouse, On Implementing 2D Rectangular
    Assignment Algorithms, IEEE TAES 52(4), 2016), O(n^3).
    """
    rows, columns = costs.shape
    if rows <= columns:
        return _assign_rows(costs)
    found = np.full(rows, -1, np.intp)
    row_of = _assign_rows(costs.T)
    found[row_of] = np.arange(columns)
    return found


def _assign_rows(costs: Floats) -> NDArray[np.intp]:
    """(R,) `assign` where there are enough columns: R <= C."""
    rows, columns = costs.shape
    row_price, column_price = np.zeros(rows), np.zeros(columns)
    column_of, row_of = np.full(rows, -1, np.intp), np.full(columns, -1, np.intp)
    for start in range(rows):
        distance, came_from = np.full(columns, np.inf), np.full(columns, -1, np.intp)
        is_open = np.ones(columns, bool)
        row, shortest = start, 0.0
        while True:
            reached = shortest + (costs[row] - row_price[row] - column_price)
            is_nearer = is_open & (reached < distance)
            distance[is_nearer], came_from[is_nearer] = reached[is_nearer], row
            end = int(np.where(is_open, distance, np.inf).argmin())
            shortest = float(distance[end])
            is_open[end] = False
            if row_of[end] < 0:
                break
            row = int(row_of[end])
        passed = ~is_open
        passed[end] = False
        row_price[start] += shortest
        row_price[row_of[passed]] += shortest - distance[passed]
        column_price[passed] -= shortest - distance[passed]
        while True:  # each row of the path takes the next column
            row = int(came_from[end])
            row_of[end] = row
            column_of[row], end = end, int(column_of[row])
            if row == start:
                break
    return column_of
