"""A folder that appears whole or not at all, and the images copied into it."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path, PurePosixPath

from sightline.errors import DatasetError

# In the name of a folder that is being written, or whose writing was killed.
INCOMPLETE = ".incomplete-"
# Bytes that file systems take, less what is added while the folder is being written.
_LONGEST_NAME = 255 - len(INCOMPLETE) - 8

# Called each time that an image has been written.
Tick = Callable[[], None]


@contextmanager
def staged_folder(destination: Path) -> Iterator[Path]:
    """A new folder to write into, which becomes `destination` when the block ends well.

    Until then it lies beside it as NAME.incomplete-XXXX; if the block raises, it is removed.
    Raises DatasetError where `destination` has something in it or cannot be written.
    """
    require_free(destination)
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        folder = destination.parent / f"{destination.name}{INCOMPLETE}{secrets.token_hex(4)}"
        folder.mkdir()
        try:
            yield folder
            if destination.exists():
                destination.rmdir()
            folder.rename(destination)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    except OSError as error:
        raise DatasetError(f"{destination} cannot be written: {error}") from error


def require_free(destination: Path) -> None:
    """Raises DatasetError unless `destination` can be a new folder or is an empty one.

    What lies above it is looked at too, but not whether that can be written to.
    """
    name = destination.name
    if not name or name == ".." or "\0" in str(destination):
        raise DatasetError(f"{str(destination)!r} is no name for a new folder; give it one")
    if INCOMPLETE in name:
        raise DatasetError(
            f"{destination}: a name with {INCOMPLETE!r} is that of an unfinished copy; name it "
            "otherwise"
        )
    if len(os.fsencode(name)) > _LONGEST_NAME:
        raise DatasetError(
            f"{name[:20]}... is too long a name for a folder: {len(os.fsencode(name))} bytes, "
            f"{_LONGEST_NAME} are possible"
        )
    try:
        if destination.is_symlink() and not destination.exists():
            raise DatasetError(f"{destination} is a link to nothing; name a new folder")
        if destination.exists() and not destination.is_dir():
            raise DatasetError(f"{destination} is a file; name a new folder")
        above = next(filter(os.path.lexists, destination.parents), destination.parent)
        if not above.is_dir():
            raise DatasetError(f"{destination}: {above} is no folder; name one that is, or new")
        if destination.is_dir() and any(destination.iterdir()):
            raise DatasetError(
                f"{destination} exists and is not empty; nothing is overwritten: name a new folder"
            )
    except OSError as error:
        raise DatasetError(f"{destination} cannot be written: {error}") from error


def name_copies(names: Sequence[str]) -> list[str]:
    """A plain file name for each image path, unique without its ending, whatever the case.

    Its own last part where that is free, else its folders' names before it, else a number.
    """
    taken: set[str] = set()
    numbers: dict[str, Iterator[int]] = {}  # those that each stem has left, lest all be tried again
    copies: list[str] = []
    for name in names:
        path = PurePosixPath(name)
        folders = [part for part in path.parts if part != ".."]
        left = numbers.setdefault(path.stem.lower(), count(2))
        numbered = (f"{path.stem}-{number}{path.suffix}" for number in left)
        wishes = chain((path.name, "_".join(folders)), numbered)
        copy = next(wish for wish in wishes if PurePosixPath(wish).stem.lower() not in taken)
        taken.add(PurePosixPath(copy).stem.lower())
        copies.append(copy)
    return copies


def copy_images(
    images: Sequence[Path], copies: Sequence[str], folder: Path, tick: Tick | None = None
) -> None:
    """Copy each image's bytes, untouched, to `folder` under its new name."""
    folder.mkdir(exist_ok=True)
    for image, copy in zip(images, copies, strict=True):
        shutil.copyfile(image, folder / copy)
        if tick is not None:
            tick()
