"""The files of a data set's folder, and which image a name in an annotation means.

A name is only ever looked up among the files listed here, so that no annotation can make a
reader open anything outside the data set.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from sightline.data.images import IMAGE_SUFFIXES
from sightline.data.staging import INCOMPLETE
from sightline.data.unpack import is_zip, unpack_zip
from sightline.errors import DatasetError

_ANNOTATION_FOLDERS = {"annotations", "annotation", "annots", "labels", "xml", "xmls"}
# What a data set can be read from as one file; a record file brings its images.
_ANNOTATION_SUFFIXES = {".json", ".xml", ".csv", ".yaml", ".yml", ".data", ".txt"}
_IMAGE_FOLDERS = ("images", "JPEGImages", "Images", "imgs", "img", "photos")


@dataclass(frozen=True)
class Listing:
    """Files below `root`, relative to it with posix slashes, sorted.

    annotations: those that readers may take for annotation files; images: those that look like
    images by name, relative to `image_root` where a reader has unpacked them elsewhere.
    """

    root: Path
    annotations: tuple[str, ...]
    images: tuple[str, ...]
    image_root: Path | None = None

    def path(self, file: str) -> Path:
        """The absolute path of a listed annotation file."""
        return Path(os.path.normpath(self.root / file))

    def image_path(self, image: str) -> Path:
        """The absolute path of a listed image."""
        return Path(os.path.normpath((self.image_root or self.root) / image))

    def with_suffix(self, suffix: str) -> list[str]:
        """Annotation files whose name ends so, whatever the case."""
        return [file for file in self.annotations if file.lower().endswith(suffix)]

    def find_image(self, name: str, annotation: str) -> str | None:
        """The listed image that `name`, written in the file `annotation`, means; None: none.

        Folders in `name`, absolute ones and foreign ones included, only help to choose between
        images of the same name, as do the folders of the annotation file.
        """
        wanted = PurePosixPath(name.replace("\\", "/"))
        found = self._by_name.get(wanted.name) or self._by_lower_name.get(wanted.name.lower())
        return self._nearest(found, {*wanted.parent.parts}, annotation) if found else None

    def find_stem(self, stem: str, annotation: str) -> str | None:
        """The listed image with that name but for its ending; None where there is none."""
        found = self._by_stem.get(stem)
        return self._nearest(found, set(), annotation) if found else None

    def _nearest(self, found: list[str], said: set[str], annotation: str) -> str:
        if len(found) == 1:
            return found[0]
        own = PurePosixPath(annotation).parent.parts

        def closeness(image: str) -> tuple[bool, int]:
            folders = PurePosixPath(image).parent.parts
            return folders == own, len(said.union(own).intersection(folders))

        return max(found, key=closeness)

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        return _group(self.images, lambda path: path.name)

    @cached_property
    def _by_lower_name(self) -> dict[str, list[str]]:
        return _group(self.images, lambda path: path.name.lower())

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        return _group(self.images, lambda path: path.stem)


def list_files(path: Path) -> Listing:
    """The files of the folder `path`, or around the annotation file `path`; OSError if unreadable.

    A zip file is unpacked to the cache first. Where only annotations lie there, the images are
    looked for where people keep them: beside a folder called annotations, or in a folder called
    images up to two levels above. Raises DatasetError for a zip file that cannot be unpacked.
    """
    given = Path(os.path.abspath(path))
    if given.is_file() and is_zip(given):
        given = unpack_zip(given)
    if INCOMPLETE in given.name:
        raise DatasetError(f"{path} was left unfinished; write the data set again, remove this one")
    base = given if given.is_dir() else given.parent
    if given.is_file() and given.suffix.lower() not in _ANNOTATION_SUFFIXES:
        return Listing(base, (given.name,), ())  # no need to walk all that lies around it
    files = _walk(base)
    chosen = files if given.is_dir() else [given.name]
    images = [file for file in files if _is_image(file)]
    # Beside a file in such a folder may lie masks, which are not its images.
    if base.name.lower() in _ANNOTATION_FOLDERS and (not images or not given.is_dir()):
        chosen = [f"{base.name}/{file}" for file in chosen]
        base = base.parent
        files = _walk(base)
        images = [file for file in files if _is_image(file)]
        chosen += [file for file in files if file.endswith(".txt") and file not in chosen]
    if not images:
        images = _images_above(base)
    return Listing(base, tuple(f for f in chosen if not _is_image(f)), tuple(images))


def _is_image(file: str) -> bool:
    return os.path.splitext(file)[1].lower() in IMAGE_SUFFIXES


def _walk(root: Path) -> list[str]:
    """Every file below `root`, but hidden ones and what macOS adds to archives."""
    files: list[str] = []
    seen: set[tuple[int, int]] = set()

    def stop(error: OSError) -> None:
        raise error

    for folder, subfolders, names in os.walk(root, onerror=stop, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:  # a link to a folder above
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders[:] = sorted(
            n for n in subfolders if n[0] != "." and n != "__MACOSX" and INCOMPLETE not in n
        )
        inside = os.path.relpath(folder, root).replace(os.sep, "/")
        prefix = "" if inside == "." else f"{inside}/"
        files.extend(prefix + name for name in names if name[0] != ".")
    return sorted(files)


def _images_above(base: Path) -> list[str]:
    for up in ("..", "../.."):
        for folder in _IMAGE_FOLDERS:
            there = base / up / folder
            if there.is_dir():
                found = [f"{up}/{folder}/{n}" for n in sorted(os.listdir(there)) if _is_image(n)]
                if found:
                    return found
    return []


def _group(images: tuple[str, ...], key: Callable[[PurePosixPath], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for image in images:
        groups.setdefault(key(PurePosixPath(image)), []).append(image)
    return groups
