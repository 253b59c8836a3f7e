"""Which images are the same: byte for byte, or nearly so by what they show."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.data.images import THUMBNAIL_PX
from sightline.data.near import find_near_pairs, has_contrast

_END_BYTES = 65_536


@dataclass(frozen=True, eq=False)
class Likeness:
    """Which of N images are alike.

    identical: groups of indices of images that are byte for byte the same. kinds: (N,) int64,
    equal for those and for images whose thumbnails are equal. near: (P, 2) int64, pairs of kinds
    that show nearly the same.
    """

    identical: tuple[tuple[int, ...], ...]
    kinds: NDArray[np.int64]
    near: NDArray[np.int64]

    @cached_property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Groups (two and more) of indices of images alike, directly or through others.

        The frames of a video may all be one group, though its first and its last show nothing in
        common.
        """
        first = connect(self.near, len(self.kinds))[self.kinds]
        order = np.argsort(first, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(first[order])) + 1)
        return tuple(sorted(tuple(part.tolist()) for part in parts if len(part) > 1))

    def copies(self, among: Iterable[int]) -> dict[int, int]:
        """Image -> the first of those given that is byte for byte the same, perhaps itself."""
        there = set(among)
        found: dict[int, int] = {}
        for group in self.identical:
            first = min(there.intersection(group), default=None)
            if first is not None:
                found.update(dict.fromkeys(group, first))
        return found

    def first_alike(self, among: Sequence[int]) -> NDArray[np.int64]:
        """(N,) for each image the first of those given that is directly alike; N: there is none.

        Alike are the image itself, its copies, and what shows nearly the same.
        """
        nobody = len(self.kinds)
        of_kind = np.full(nobody, nobody)
        np.minimum.at(of_kind, self.kinds[list(among)], list(among))
        first = of_kind.copy()
        left, right = self.near.T
        np.minimum.at(first, left, of_kind[right])
        np.minimum.at(first, right, of_kind[left])
        return first[self.kinds]


def find_likeness(
    identical: Iterable[Sequence[int]], thumbnails: Sequence[bytes | None]
) -> Likeness:
    """Which images are alike, by groups of equal files and by those thumbnails that are known.

    Does not depend on the order of the images.
    """
    groups = tuple(tuple(group) for group in identical)
    kinds = np.arange(len(thumbnails))
    for group in groups:
        kinds[list(group)] = group[0]
    images = np.array([index for index, one in enumerate(thumbnails) if one], np.int64)
    packed = b"".join(one for one in thumbnails if one)
    levels = np.frombuffer(packed, np.uint8).reshape(len(images), THUMBNAIL_PX**2)
    keep = has_contrast(levels)
    images, levels = images[keep], levels[keep]
    # Equal thumbnails are one kind, and kinds are compared in the order of their bytes.
    rows = np.ascontiguousarray(levels).view(f"V{levels.shape[1]}").ravel()
    _, first, number = np.unique(rows, return_index=True, return_inverse=True)
    together = np.stack([kinds[images], kinds[images[first[number]]]], axis=1)
    near = find_near_pairs(levels[first])
    kinds = connect(together, len(kinds))[kinds]
    return Likeness(groups, kinds, kinds[images[first[near]]])


def connect(pairs: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """(count,) for each number the smallest that pairs join it with, directly or not."""
    left, right = pairs.T
    smallest = np.arange(count)
    while True:
        joined = smallest.copy()
        least = np.minimum(smallest[left], smallest[right])
        np.minimum.at(joined, smallest[left], least)
        np.minimum.at(joined, smallest[right], least)
        while not np.array_equal(joined, joined[joined]):
            joined = joined[joined]
        if np.array_equal(joined, smallest):
            return joined
        smallest = joined


def find_identical(paths: Sequence[Path]) -> list[list[int]]:
    """Groups (two and more) of indices of files with equal bytes, in order of first index.

    A file is read only where another has its size, and beyond its last 64 KiB where those, too.
    """
    ends = [
        part
        for group in _divide(range(len(paths)), paths, _size)
        for part in _divide(group, paths, _end)
    ]
    groups = []
    for group in ends:
        is_whole = _size(paths[group[0]]) <= _END_BYTES
        groups += [group] if is_whole else _divide(group, paths, _digest)
    return sorted(groups)


def _divide(
    group: Iterable[int], paths: Sequence[Path], key: Callable[[Path], Hashable]
) -> list[list[int]]:
    parts: dict[Hashable, list[int]] = {}
    for index in group:
        parts.setdefault(key(paths[index]), []).append(index)
    return [part for part in parts.values() if len(part) > 1]


def _size(path: Path) -> int:
    return path.stat().st_size


def _end(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _END_BYTES))
        return hashlib.sha256(file.read()).digest()


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
