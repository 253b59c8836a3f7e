"""Archives unpacked to the cache, once: zip files, and the images inside of record files.

What was unpacked is found again as long as the archive's place, size and time stay the same;
what a changed archive had given is removed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from sightline.data.staging import staged_folder
from sightline.errors import DatasetError
from sightline.zoo import cache_dir

# What deflate can reach on text is about 20; a bomb has 1000.
_BOMB_RATIO = 200
_BOMB_BYTES = 1024**3
_MOST_FILES = 5_000_000


def unpacked_folder(archives: Sequence[Path], write: Callable[[Path], None]) -> Path:
    """The cached folder of what `write` unpacks from the archives, made where it is not there.

    `write` is given the empty folder to fill, which appears in the cache whole or not at all.
    Raises DatasetError where the cache cannot be written.
    """
    names = sorted(os.path.abspath(archive) for archive in archives)
    place = hashlib.sha256("\0".join(names).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    state = hashlib.sha256()
    for name in names:
        status = os.stat(name)
        state.update(f"{status.st_size} {status.st_mtime_ns}\n".encode())
    base = cache_dir() / "data"
    folder = base / f"{place}-{state.hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    for stale in base.glob(f"{place}-*"):
        shutil.rmtree(stale, ignore_errors=True)
    with staged_folder(folder) as staged:
        write(staged)
    return folder


def is_zip(path: Path) -> bool:
    """Whether the file is called .zip or begins as zip files do."""
    if path.suffix.lower() == ".zip":
        return True
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def unpack_zip(path: Path) -> Path:
    """The folder that holds the files of a zip file, unpacked to the cache.

    Names that lead outside, links and other special files are left out. Raises DatasetError for
    what is no zip file, is damaged or encrypted, or would fill the disk.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if _is_plain(member)]
            _refuse_bombs(path, members)

            def write(folder: Path) -> None:
                for member in members:
                    target = folder.joinpath(*_parts(member.filename))
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(member) as source, target.open("wb") as copy:
                        shutil.copyfileobj(source, copy)

            return unpacked_folder([path], write)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise DatasetError(f"{path} is a damaged zip file: {error}; fetch it again") from error
    except RuntimeError as error:  # how zipfile says that a password is needed
        raise DatasetError(f"{path} cannot be unpacked: {error}") from error


def _is_plain(member: zipfile.ZipInfo) -> bool:
    """A file, no folder or link, whose name stays inside."""
    kind = member.external_attr >> 16 & 0o170000
    parts = _parts(member.filename)
    return not member.is_dir() and kind in (0, 0o100000) and bool(parts) and ".." not in parts


def _parts(name: str) -> tuple[str, ...]:
    """The folders and the name, without a root or a drive."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return tuple(part for part in parts if part != "/" and not part.endswith(":"))


def _refuse_bombs(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    size = sum(member.file_size for member in members)
    packed = max(1, sum(member.compress_size for member in members))
    if len(members) > _MOST_FILES or (size > _BOMB_BYTES and size / packed > _BOMB_RATIO):
        raise DatasetError(
            f"{path} would unpack {len(members)} files of {size / 1e9:.1f} GB from "
            f"{packed / 1e9:.3f} GB: this is no honest data set"
        )
    base = cache_dir()
    base.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(base).free
    if size > free * 0.9:
        raise DatasetError(
            f"{path} unpacks to {size / 1e9:.1f} GB, and {base} has {free / 1e9:.1f} GB free; make "
            "room, or set SIGHTLINE_CACHE to a larger disk"
        )
