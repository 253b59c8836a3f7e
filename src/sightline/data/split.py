"""A split that is the same everywhere: from names and a seed, not from a random generator.

Images are dealt out rarest class first, each to the split that still lacks most of that class
(iterative stratification: Sechidis et al., ECML PKDD 2011, algorithm 1), in an order that only
hashes of the names decide. Images that must stay together are dealt as one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence


def split_indices(
    names: Sequence[str],
    classes_of: Sequence[Iterable[int]],
    shares: Mapping[str, float],
    *,
    seed: int = 0,
    together: Iterable[Sequence[int]] = (),
) -> dict[str, tuple[int, ...]]:
    """Split name -> its indices, ascending; every index in exactly one split.

    names: one for each image, unique and the same on every machine. classes_of: the classes that
    occur in it. shares: of each split, summing to 1. together: groups kept on one side.
    """
    units = _make_units(names, together, seed)
    classes = [{c for index in unit for c in classes_of[index]} for unit in units]
    room = _room(len(names), shares)
    totals: dict[int, int] = {}
    for unit, present in zip(units, classes, strict=True):
        for c in present:
            totals[c] = totals.get(c, 0) + len(unit)
    wanted = {split: {c: totals[c] * shares[split] for c in totals} for split in shares}
    dealt: dict[str, list[int]] = {split: [] for split in shares}
    for number in _dealing_order(units, classes, totals):
        unit, present = units[number], classes[number]
        rarest = min(present, key=lambda c: (totals[c], c)) if present else None
        split = _choose(room, wanted, rarest, len(unit))
        dealt[split].extend(unit)
        room[split] -= len(unit)
        for c in present:
            wanted[split][c] -= len(unit)
    return {split: tuple(sorted(indices)) for split, indices in dealt.items()}


def _make_units(
    names: Sequence[str], together: Iterable[Sequence[int]], seed: int
) -> list[list[int]]:
    """Images to be dealt as one, in the order of a hash of seed and first name."""
    groups = [sorted(group) for group in together]
    grouped = {index for group in groups for index in group}
    groups.extend([index] for index in range(len(names)) if index not in grouped)

    def key(group: list[int]) -> bytes:
        first = min(names[index] for index in group)
        return hashlib.sha256(f"{seed}/{first}".encode("utf-8", "surrogatepass")).digest()

    return sorted(groups, key=key)


def _room(count: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Images each split is to have: rounded, at least one where its share is not zero.

    The first split takes what rounding leaves.
    """
    first, *others = shares
    room = {split: max(1, round(count * shares[split])) if shares[split] else 0 for split in others}
    return {first: count - sum(room.values()), **room}


def _dealing_order(
    units: Sequence[Sequence[int]], classes: Sequence[set[int]], totals: Mapping[int, int]
) -> list[int]:
    """Units by their rarest class, larger units first, units without a class last."""

    def key(number: int) -> tuple[float, float, int]:
        present = classes[number]
        if not present:
            return (float("inf"), 0, -len(units[number]))
        rarest = min(present, key=lambda c: (totals[c], c))
        return (totals[rarest], rarest, -len(units[number]))

    return sorted(range(len(units)), key=key)


def _choose(
    room: Mapping[str, int],
    wanted: Mapping[str, Mapping[int, float]],
    rarest: int | None,
    size: int,
) -> str:
    """The split with room that lacks most of the class, then the one with most room."""
    fitting = [split for split in room if room[split] >= size] or list(room)
    if rarest is None:
        return max(fitting, key=lambda split: room[split])
    return max(fitting, key=lambda split: (wanted[split][rarest], room[split]))
