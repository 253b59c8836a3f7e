"""The files of a data set's folder, and which image a name in an annotation means.

A name is only ever looked up among the files listed here, so that no annotation can make a
reader open anything outside the data set.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sightline.data.formats.image_names import (
    IMAGE_FOLDERS,
    ImageNames,
    folder_of,
    stem_of,
    without_ending,
)
from sightline.data.formats.jsonfile import JsonFile, sniff_json
from sightline.data.images import FOREIGN_SUFFIXES, IMAGE_SUFFIXES
from sightline.data.records import Problem
from sightline.data.staging import INCOMPLETE
from sightline.data.unpack import is_zip, unpack_zip
from sightline.errors import DatasetError

_ANNOTATION_FOLDERS = {"annotations", "annotation", "annots", "labels", "xml", "xmls"}
# What a data set can be read from as one file; a record file brings its images.
_ANNOTATION_SUFFIXES = {".json", ".xml", ".csv", ".yaml", ".yml", ".data", ".txt"}
# What the files on the left speak of stands in those on the right, around them.
_CONFIG_SUFFIXES, _TEXT_SUFFIXES = (".yaml", ".yml", ".data"), (".txt", ".names")


@dataclass(frozen=True)
class Listing:
    """Files below `root`, relative to it with posix slashes, sorted.

    annotations: those that readers may take for annotation files; images: those that look like
    images by name, relative to `image_root` where a reader has unpacked them elsewhere. is_whole: a
    folder was given, not one annotation file in it.
    """

    root: Path
    annotations: tuple[str, ...]
    images: tuple[str, ...]
    image_root: Path | None = None
    is_whole: bool = True

    def path(self, file: str) -> Path:
        """The absolute path of a listed annotation file."""
        return Path(os.path.normpath(f"{self.root}/{file}"))

    def image_path(self, image: str) -> Path:
        """The absolute path of a listed image."""
        return Path(os.path.normpath(f"{self.image_root or self.root}/{image}"))

    def with_suffix(self, suffix: str) -> list[str]:
        """Annotation files whose name ends so, whatever the case."""
        return [file for file in self.annotations if file.lower().endswith(suffix)]

    @cached_property
    def json_files(self) -> tuple[tuple[JsonFile, ...], tuple[Problem, ...]]:
        """What each .json file is, and a problem for each that is damaged; read once for all."""
        return sniff_json((file, self.path(file)) for file in self.with_suffix(".json"))

    def find_images(self, name: str, annotation: str) -> list[str]:
        """The listed images that `name`, written in the file `annotation`, means equally well.

        Mostly one or none. Folders in `name`, absolute ones and foreign ones included, only help
        to choose between images of the same name, as does where the annotation file lies. A
        backslash is a part of the name if there is such a name, else it ends a folder.
        """
        spellings = dict.fromkeys((name, name.replace("\\", "/")))
        for said in spellings:
            if found := self._names.find(said, annotation):
                return found
        for said in spellings:
            if found := self._lower_names.find(said.lower(), annotation):
                return found
        return []

    def find_stems(self, stem: str, annotation: str) -> list[str]:
        """The listed images with that name but for its ending, equally near; often one or none."""
        return self._stems.find(stem, annotation)

    @cached_property
    def _names(self) -> ImageNames:
        return ImageNames(self.images)

    @cached_property
    def _lower_names(self) -> ImageNames:
        return ImageNames(self.images, str.lower)

    @cached_property
    def _stems(self) -> ImageNames:
        return ImageNames(self.images, without_ending)


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
    images = _images_among(files)
    # Beside a file in such a folder may lie masks, which are not its images.
    if base.name.lower() in _ANNOTATION_FOLDERS and (not images or not given.is_dir()):
        chosen = [f"{base.name}/{file}" for file in chosen]
        base = base.parent
        files = _walk(base)
        images = _images_among(files)
        # Lists of images and of classes, but no annotations of another kind.
        around = _CONFIG_SUFFIXES + _TEXT_SUFFIXES
        chosen += [f for f in files if f.endswith(around) and not _is_in_annotations(f)]
    elif given.is_file() and given.suffix.lower() in _CONFIG_SUFFIXES:
        chosen += [file for file in files if file.endswith(_TEXT_SUFFIXES)]
    if not images:
        images = _images_above(base)
    annotations = tuple(file for file in chosen if not _is_image(file))
    return Listing(base, annotations, tuple(images), is_whole=given.is_dir())


def _is_in_annotations(file: str) -> bool:
    return not _ANNOTATION_FOLDERS.isdisjoint(folder_of(file).lower().split("/"))


def _images_among(files: list[str]) -> list[str]:
    """Those called as images are; of photos that cannot be read, those without a readable copy."""
    images = [file for file in files if _is_image(file)]
    if not any(_is_foreign(file) for file in images):
        return images
    readable = {stem_of(file) for file in images if not _is_foreign(file)}
    return [file for file in images if not _is_foreign(file) or stem_of(file) not in readable]


def _is_image(file: str) -> bool:
    return os.path.splitext(file)[1].lower() in IMAGE_SUFFIXES or _is_foreign(file)


def _is_foreign(file: str) -> bool:
    return os.path.splitext(file)[1].lower() in FOREIGN_SUFFIXES


def _walk(root: Path) -> list[str]:
    """Every file below `root`, but hidden ones and what macOS adds to archives."""
    files: list[str] = []
    seen: set[tuple[int, int]] = set()
    pending = [""]
    while pending:
        inside = pending.pop()
        status = os.stat(root / inside)
        if (status.st_dev, status.st_ino) in seen:  # a link to a folder above
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders = []
        with os.scandir(root / inside) as entries:
            for entry in entries:
                name = entry.name
                if name[0] == "." or name == "__MACOSX":
                    continue
                if entry.is_dir():
                    if INCOMPLETE not in name:
                        subfolders.append(f"{inside}{name}/")
                # Neither what waits for a writer, as a named pipe does, nor a device; but a link
                # to nothing: its image has to be told as missing.
                elif entry.is_file() or not os.path.exists(entry.path):
                    files.append(inside + name)
        pending.extend(sorted(subfolders, reverse=True))
    return sorted(files)


def _images_above(base: Path) -> list[str]:
    for up in ("..", "../.."):
        for folder in IMAGE_FOLDERS:
            there = base / up / folder
            if there.is_dir():
                found = [f"{up}/{folder}/{n}" for n in sorted(os.listdir(there)) if _is_image(n)]
                if found:
                    return found
    return []
