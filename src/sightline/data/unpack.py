"""Archives unpacked to the cache, once: zip files, and the images inside of record files.

What was unpacked is found again as long as the archive's place, size and time stay the same;
what a changed archive had given is removed.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import shutil
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from sightline.data.staging import INCOMPLETE, staged_folder
from sightline.errors import DatasetError
from sightline.zoo import cache_dir

# What deflate can reach on text is about 20; a bomb has 1000.
_BOMB_RATIO = 200
_BOMB_BYTES = 1024**3
_MOST_FILES = 5_000_000
# After so long, nobody is still unpacking into a folder: its process was killed.
_STALE_SECONDS = 24 * 3600
# A folder that holds all the others says nothing, but for one of these names.
_SPLIT_FOLDERS = {"train", "training", "val", "valid", "validation", "test", "testing"}


def unpacked_folder(archives: Sequence[Path], size: int, write: Callable[[Path], None]) -> Path:
    """The cached folder of what `write` unpacks from the archives, made where it is not there.

    `write` is given the empty folder to fill with `size` bytes, which appears in the cache whole
    or not at all. Raises DatasetError where an archive is gone or the cache cannot be written.
    """
    names = sorted(os.path.abspath(archive) for archive in archives)
    place = hashlib.sha256("\0".join(names).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    state = hashlib.sha256()
    try:
        for name in names:
            status = os.stat(name)
            state.update(f"{status.st_size} {status.st_mtime_ns}\n".encode())
        base = cache_dir() / "data"
        base.mkdir(parents=True, exist_ok=True)
        folder = base / f"{place}-{state.hexdigest()[:16]}"
        if folder.is_dir():
            return folder
        for stale in base.glob(f"{place}-*"):
            # Another process may be unpacking the same archive.
            if INCOMPLETE not in stale.name or time.time() - stale.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(stale, ignore_errors=True)
        free = shutil.disk_usage(base).free
    except OSError as error:
        message = f"{names[0]} cannot be unpacked to the cache: {error}; "
        raise DatasetError(f"{message}see to it, or set SIGHTLINE_CACHE") from error
    if size > free * 0.9:
        raise DatasetError(
            f"{names[0]} unpacks to {size / 1e9:.1f} GB, and {base} has {free / 1e9:.1f} GB free; "
            "make room, or set SIGHTLINE_CACHE to a larger disk"
        )
    try:
        with staged_folder(folder) as staged:
            write(staged)
    except DatasetError:
        if not folder.is_dir():  # else the other process was faster
            raise
    return folder


def is_zip(path: Path) -> bool:
    """Whether the file is called .zip or begins as zip files do."""
    if path.suffix.lower() == ".zip":
        return True
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def unpack_zip(path: Path) -> Path:
    """The folder that holds the files of a zip file, unpacked to the cache.

    Names that lead outside, links and other special files are left out. A folder that holds all
    the others is gone into. Raises DatasetError for what is no zip file, is damaged or encrypted,
    or would fill the disk.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if _is_plain(member)]
            size = sum(member.file_size for member in members)
            _refuse_bombs(path, len(members), size)

            def write(folder: Path) -> None:
                for member in members:
                    target = folder.joinpath(*_parts(member))
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(member) as source, target.open("wb") as copy:
                        shutil.copyfileobj(source, copy)

            return _innermost(unpacked_folder([path], size, write))
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise DatasetError(f"{path} is a damaged zip file: {error}; fetch it again") from error
    except (RuntimeError, NotImplementedError, ValueError) as error:
        # How zipfile says that a password is needed, or a way of packing is unknown.
        raise DatasetError(f"{path} cannot be unpacked: {error}") from error


def find_left_out(path: Path) -> list[str]:
    """The names in a zip file, which can be unpacked, that were left out as unsafe."""
    with zipfile.ZipFile(path) as archive:
        return [member.filename for member in archive.infolist() if _is_unsafe(member)]


def _is_plain(member: zipfile.ZipInfo) -> bool:
    """A file, no folder or link, whose name stays inside; nothing that macOS adds."""
    parts = _parts(member)
    if not parts or member.is_dir() or _is_unsafe(member):
        return False
    return parts[0] != "__MACOSX" and parts[-1] != ".DS_Store"


def _is_unsafe(member: zipfile.ZipInfo) -> bool:
    """A link or another special file, or a name that leads outside."""
    kind = member.external_attr >> 16 & 0o170000
    return ".." in _parts(member) or kind not in (0, 0o040000, 0o100000)


def _parts(member: zipfile.ZipInfo) -> tuple[str, ...]:
    """The folders and the name, without a root or a drive."""
    name = member.filename
    if not member.flag_bits & 0x800:
        # Without that flag names are in a code page of DOS; macOS writes UTF-8 all the same.
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            name = member.filename
    parts = PurePosixPath(name.replace("\\", "/").lstrip("/")).parts
    return parts[1:] if parts and re.fullmatch("[A-Za-z]:", parts[0]) else parts


def _refuse_bombs(path: Path, count: int, size: int) -> None:
    # Not what the entries say that they take: those of a bomb overlap.
    packed = max(1, path.stat().st_size)
    if count > _MOST_FILES or (size > _BOMB_BYTES and size / packed > _BOMB_RATIO):
        raise DatasetError(
            f"{path} would unpack {count} files of {size / 1e9:.1f} GB from "
            f"{packed / 1e9:.3f} GB: this is no honest data set"
        )


def _innermost(folder: Path) -> Path:
    """The folder, or the only thing in it, and so on, where that is a folder without meaning."""
    while True:
        inside = [path for path in folder.iterdir() if not path.name.startswith(".")]
        if len(inside) != 1 or not inside[0].is_dir() or inside[0].name.lower() in _SPLIT_FOLDERS:
            return folder
        folder = inside[0]
