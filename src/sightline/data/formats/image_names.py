"""Which of a data set's images a written name means, where several are called alike.

Knows paths only: nothing here is opened. Names are compared after `fold`, which makes small
letters of them or takes their endings off.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache

IMAGE_FOLDERS = ("images", "JPEGImages", "Images", "imgs", "img", "photos")
_MOST_PARTS = 32  # of a written path, which may be of any length, from its end
_SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


def folder_of(file: str) -> str:
    """The folders before the name, "" where there are none."""
    return file.rpartition("/")[0]


def name_of(file: str) -> str:
    """The name without its folders."""
    return file.rpartition("/")[2]


def stem_of(file: str) -> str:
    """The name without its folders and its ending."""
    name = name_of(file)
    dot = name.rfind(".")
    return name[:dot] if dot > 0 else name


def without_ending(file: str) -> str:
    """The path but for the ending of its name."""
    return file[: len(file) - len(name_of(file))] + stem_of(file)


def split_named_in(text: str) -> str | None:
    """The split that a file or folder name speaks of: instances_train2017 gives "train"."""
    for word in re.findall(r"[a-z]+", text.lower()):
        if word in _SPLIT_WORDS:
            return _SPLIT_WORDS[word]
    return None


@lru_cache(maxsize=10_000)
def split_of_folders(folder: str) -> str | None:
    """The split that the innermost of the folders which names one speaks of."""
    parts = reversed(folder.split("/"))
    return next((split for part in parts if (split := split_named_in(part))), None)


class ImageNames:
    """Sorted images by name, and by every end of their paths where several share a name."""

    def __init__(self, images: Sequence[str], fold: Callable[[str], str] = str) -> None:
        self._fold = fold
        self._by_name: dict[str, list[str]] = {}
        for image in images:
            self._by_name.setdefault(fold(name_of(image)), []).append(image)
        self._folders = [(fold(f"{name}/x")[:-2],) for name in IMAGE_FOLDERS]
        self._found: dict[tuple[str, str], list[str]] = {}  # where several share the name

    @cached_property
    def _by_end(self) -> dict[str, list[str]]:
        """Images that share a name, by their path and each end of it that has a folder."""
        ends: dict[str, list[str]] = {}
        for images in self._by_name.values():
            if len(images) > 1:
                for image in images:
                    end = f"/{self._fold(image)}"  # only all of the path begins so
                    while "/" in end:
                        ends.setdefault(end, []).append(image)
                        end = end.partition("/")[2]
        return ends

    def find(self, said: str, annotation: str) -> list[str]:
        """The images that `said`, already folded, in the file `annotation` means equally well.

        An image at just that place counts most, seen from the annotation's folder, from a folder
        of images in it or, in the end, from one above it. Before the last comes the one whose
        folders are called like the annotation's; after it the one that shares most of the path.
        """
        alike = self._by_name.get(name_of(said), [])
        if len(alike) < 2:
            return alike
        parts = [part for part in said.split("/") if part not in ("", ".")][-_MOST_PARTS:]
        folder = self._fold(f"{folder_of(annotation)}/x").rpartition("/")[0]
        own = folder.split("/") if folder else []
        if (said, annotation) not in self._found:
            found = (
                self._at([own], parts)
                or self._ending([*own, *parts], len(own))
                or self._at([own[:count] for count in reversed(range(len(own)))], parts)
                or self._ending(parts, len(parts) - 1)
                or alike
            )
            best = found if len(found) == 1 else _best(found, parts, annotation)
            self._found[said, annotation] = best
        return self._found[said, annotation]

    def _at(self, bases: Sequence[list[str]], parts: list[str]) -> list[str]:
        for base in bases:
            for inner in ((), *self._folders):
                path = "/".join((*base, *inner, *parts))
                if found := self._by_end.get(f"/{path}"):
                    return found
        return []

    def _ending(self, parts: Sequence[str], count: int) -> list[str]:
        """The images that share the longest end with `parts`, at most `count` parts shortened."""
        ends = ("/".join(parts[start:]) for start in range(count))
        return next((self._by_end[end] for end in ends if end in self._by_end), [])


def _best(found: list[str], parts: Sequence[str], annotation: str) -> list[str]:
    """Those below the nearest folder, of the annotation's split, with the fewest odd folders."""
    near = found
    folder = folder_of(annotation)
    while folder:
        start, end = bisect_left(found, f"{folder}/"), bisect_left(found, f"{folder}0")  # / is < 0
        if start < end:
            near = found[start:end]
            break
        folder = folder_of(folder)
    # The annotation of one image has its name, which speaks of no split.
    is_of_one = stem_of(annotation) == stem_of(found[0])
    split = None if is_of_one else split_named_in(stem_of(annotation))
    split = split or split_of_folders(folder_of(annotation))
    known = {*folder_of(annotation).split("/"), *parts[:-1], *IMAGE_FOLDERS}

    def closeness(image: str) -> tuple[int, int]:
        folder = folder_of(image)
        there = split_of_folders(folder) if split else None
        odd = sum(part not in known for part in folder.split("/"))
        return (1 if there is None else 2 * (there == split), -odd)

    scores = [closeness(image) for image in near]
    best = max(scores)
    return [image for image, score in zip(near, scores, strict=True) if score == best]
