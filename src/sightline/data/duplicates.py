"""Which files are byte for byte the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path

_END_BYTES = 4096


def find_identical(paths: Sequence[Path]) -> list[list[int]]:
    """Groups (two and more) of indices of files with equal bytes, in order of first index.

    A file is read whole only where another has its size and its last 4 KiB.
    """
    groups = [list(range(len(paths)))]
    for key in (_size, _end, _digest):
        groups = [part for group in groups for part in _divide(group, paths, key)]
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
        return file.read()


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
