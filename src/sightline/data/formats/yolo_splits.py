"""Which images the splits of a YOLO data set hold: by data.yaml, lists of images, folder names.

A path written there is looked up among the listed files, by its last parts where it is absolute,
of another machine or leads out: nothing is opened but listed lists of images.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property

from sightline.data.formats.contents import Reading, order_splits
from sightline.data.formats.image_names import folder_of, split_named_in
from sightline.data.formats.yolo_config import Config, ancestors
from sightline.data.formats.yolo_labels import MAX_FAULTS, read_text

_MAX_LIST_BYTES = 64 * 2**20  # a list of a million images
_MAX_PARTS = 32  # of a written path, from its end
_MARKERS = {"images", "labels", "labeltxt"}

# Image -> the splits that hold it; names of the splits, empty ones included.
Splits = tuple[dict[str, tuple[str, ...]], tuple[str, ...]]


def read_splits(
    reading: Reading, config: Config, label_files: Collection[str], labelled: Collection[str]
) -> Splits:
    """The splits that the config declares. labelled: the folders of images with label files."""
    finder = _Finder(reading, config, label_files)
    for split, entries in config.splits.items():
        finder.add(split, entries)
    finder.settle_lost(labelled)
    return finder.splits()


def name_splits(images: Collection[str]) -> Splits:
    """The splits that folders speak of, if every image lies in such a one, and one is train."""
    named = {folder: split_named_by(folder) for folder in {folder_of(image) for image in images}}
    if "train" not in named.values() or None in named.values():
        return {}, ()
    found: dict[str, tuple[str, ...]] = {
        image: (split,) for image in images if (split := named[folder_of(image)])
    }
    return found, order_splits(split for (split,) in found.values())


class _Finder:
    """The images of each split as they are found: in folders, and listed one by one."""

    def __init__(self, reading: Reading, config: Config, label_files: Collection[str]) -> None:
        root = reading.listing.root.name
        self._reading = reading
        self._config = config
        self._bases = (folder_of(config.file), "")
        folders = sorted({folder_of(image) for image in reading.listing.images})
        self._image_folders = folders
        self._folders = _Paths(root, {f for folder in folders for f in ancestors(folder)})
        lists = set(reading.listing.with_suffix(".txt")).difference(label_files)
        self._lists = _Paths(root, lists)
        self._images = _Paths(root, reading.listing.images)
        self._names: set[str] = set()
        self._by_folder: dict[str, set[str]] = defaultdict(set)
        self._by_image: dict[str, set[str]] = defaultdict(set)
        self._lost: dict[str, list[tuple[str, int]]] = defaultdict(list)

    def add(self, split: str, entries: Sequence[tuple[str, int]]) -> None:
        """Add the images of a split: what is written, each with its line, is a folder or a list."""
        if not entries:
            self._names.add(split)
        for written, line in dict(entries).items():
            wanted = posixpath.join(self._config.base, written).replace("\\", "/")
            if wanted.lower().endswith(".txt"):
                is_found = (file := self._lists.find(wanted, self._bases)) is not None
                if file is not None:
                    self._read_list(split, file)
            else:
                folder = self._folders.find(wanted, self._bases)
                # ../valid/images does not mean the only folder images that there is.
                is_found = folder is not None and _near_split(wanted) in (None, self._near(folder))
                if folder is not None and is_found:
                    self._by_folder[folder].add(split)
            if is_found:
                self._names.add(split)
            else:
                self._lost[split].append((written, line))

    def _read_list(self, split: str, file: str) -> None:
        text = read_text(self._reading, file, _MAX_LIST_BYTES) or ""
        bases = (folder_of(file), *self._bases)
        unknown = 0
        for number, line in enumerate(text.splitlines(), 1):
            written = line.strip().replace("\\", "/")
            if not written:
                continue
            image = self._images.find(written, bases)
            if image is not None and not self._is_elsewhere(written, image):
                self._by_image[image].add(split)
                continue
            unknown += 1
            if unknown <= MAX_FAULTS:
                message = f"{written[-80:]!r} is none of the images"
                self._reading.report("warning", "split-unknown", file, number, message)
        if unknown > MAX_FAULTS:
            message = f"{unknown - MAX_FAULTS} more lines are none of the images"
            self._reading.report("warning", "split-unknown", file, None, message)

    def _is_elsewhere(self, written: str, image: str) -> bool:
        """Whether the one lies in a split's folder and the other in another's."""
        said, there = _near_split(folder_of(written)), self._near(folder_of(image))
        return None not in (said, there) and said != there

    def _near(self, folder: str) -> str | None:
        return _near_split(posixpath.join(self._reading.listing.root.name, folder))

    def settle_lost(self, labelled: Collection[str]) -> None:
        """Take, for a split that leads nowhere, labelled folders called like it; report it."""
        for split, entries in self._lost.items():
            named = [
                folder
                for folder in labelled
                if split_named_by(folder) == split and not self._of_folder(folder)
            ]
            for folder in named:
                self._by_folder[folder].add(split)
                self._names.add(split)
            instead = f"{', '.join(named[:5])} by name" if named else "nothing"
            for written, line in entries:
                message = f"{split}: {written[-80:]!r} is not there; taken instead: {instead}"
                self._reading.report("warning", "split-missing", self._config.file, line, message)

    def _of_folder(self, folder: str) -> set[str]:
        return set().union(*(self._by_folder.get(f, ()) for f in ancestors(folder)))

    def splits(self) -> Splits:
        inside = {folder: self._of_folder(folder) for folder in self._image_folders}
        found = {
            image: order_splits(splits)
            for image in self._reading.listing.images
            if (splits := inside[folder_of(image)] | self._by_image.get(image, set()))
        }
        return found, order_splits(self._names)


class _Paths:
    """Listed paths, found by what somebody has written."""

    def __init__(self, root_name: str, paths: Iterable[str]) -> None:
        self._root_name = root_name
        self._paths = frozenset(paths)

    def find(self, written: str, bases: Iterable[str]) -> str | None:
        """The path that is meant: relative to one of `bases`, else by its last parts."""
        parts = _parts(written)[-_MAX_PARTS:]
        # Beside its data.yaml Roboflow's ../train/images is train/images.
        for path in (written, "/".join(parts) or written):
            for base in bases:
                there = posixpath.normpath(posixpath.join(base, path))
                there = "" if there == "." else there
                if there in self._paths:
                    return there
        endings = ("/".join(parts[start:]) for start in range(len(parts)))
        return next((self._by_ending[e] for e in endings if e in self._by_ending), None)

    @cached_property
    def _by_ending(self) -> dict[str, str | None]:
        """Last parts -> the path nearest to the top that ends so; None where several are."""
        found: dict[str, str | None] = {}
        depths: dict[str, int] = {}
        for path in sorted(self._paths, key=lambda path: path.count("/")):
            parts = [self._root_name, *_parts(path)]
            for start in range(max(len(parts) - _MAX_PARTS, 0), len(parts)):
                ending = "/".join(parts[start:])
                if ending not in found:
                    found[ending], depths[ending] = path, len(parts)
                elif depths[ending] == len(parts):
                    found[ending] = None
        return found


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".", "..")]


def split_named_by(folder: str) -> str | None:
    """The split that a folder speaks of: beside its images, else anywhere in its path."""
    anywhere = (split_named_in(part) for part in _parts(folder))
    return _near_split(folder) or next((split for split in anywhere if split), None)


def _near_split(folder: str) -> str | None:
    """The split of images/train/..., train/images/... or .../train; None where it says none."""
    parts = _parts(folder)
    marks = [index for index, part in enumerate(parts) if part.lower() in _MARKERS]
    if not marks:
        return split_named_in(parts[-1]) if parts else None
    near = parts[marks[-1] + 1 :][:1] + parts[: marks[-1]][-1:]
    return next((split for part in near if (split := split_named_in(part))), None)
