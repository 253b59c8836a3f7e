"""The folder that is published into: built beside its place, put there whole, replaced whole.

A marker in it lists its files, so that nothing that somebody else put there is ever deleted.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sightline.errors import PublishError

MARKER = "sightline.json"
_BUILDING = "publishing"


@contextmanager
def staged_site(out: Path) -> Iterator[Path]:
    """A hidden folder to write into, which takes the place of `out` when the block ends well.

    Raises PublishError where `out` holds what `sightline publish` did not write, or where the
    disk does not take it; then, and after any error, `out` is as it was.
    """
    out = out.resolve()
    check_replaceable(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _clear_leftovers(out)
        prefix = f".{out.name}.{_BUILDING}-{os.getpid()}-"
        building = Path(tempfile.mkdtemp(prefix=prefix, dir=out.parent))
    except OSError as error:
        raise PublishError(f"{out} cannot be made: {error.strerror or error}") from error
    try:
        building.chmod(0o755)
        yield building
        check_replaceable(out)  # somebody may have worked there meanwhile
        _put_in_place(building, out)
    except OSError as error:
        raise PublishError(
            f"{out} cannot be written: {error.strerror or error}; what was there is as it was"
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def check_replaceable(out: Path) -> None:
    """Raises PublishError unless `out` is absent, empty, or a published folder and nothing else."""
    if not out.exists():
        return
    if not out.is_dir():
        raise PublishError(f"{out} is a file; name a folder")
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir()}
    if not found:
        return
    foreign = sorted(found - _listed(out))
    if foreign:
        raise PublishError(
            f"{out} holds {foreign[0]}, which sightline publish did not write; publish into "
            "another folder, or move it away"
        )


def write_marker(building: Path, facts: dict[str, Any]) -> None:
    """Write the marker, which lists all files and itself. The last file to be written."""
    files = {path.relative_to(building).as_posix() for path in building.rglob("*")}
    value = {"made_by": "sightline publish", **facts, "files": sorted(files | {MARKER})}
    (building / MARKER).write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _listed(out: Path) -> set[str]:
    try:
        value = json.loads((out / MARKER).read_text(encoding="utf-8"))
        return set(value["files"]) if value["made_by"] == "sightline publish" else set()
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _put_in_place(building: Path, out: Path) -> None:
    for path in building.rglob("*"):  # on the disk before it is in use
        if path.is_file():
            with path.open("rb+") as stream:
                os.fsync(stream.fileno())
    if not out.exists():
        building.rename(out)
    elif not _exchange(building, out):
        # Where no call swaps two folders there are two steps; an error between them is undone.
        was = Path(tempfile.mkdtemp(prefix=f".{out.name}.was-", dir=out.parent))
        out.rename(was / out.name)
        try:
            building.rename(out)
        except BaseException:
            (was / out.name).rename(out)
            raise
        finally:
            shutil.rmtree(was, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step; False where the system cannot."""
    names = os.fsencode(one), os.fsencode(other)
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE (Linux); RENAME_SWAP (macOS) is 2 as well
    try:
        library = ctypes.CDLL(None)
        if sys.platform == "darwin":
            return bool(library.renamex_np(*names, swap) == 0)
        return bool(library.renameat2(here, names[0], here, names[1], swap) == 0)
    except (AttributeError, OSError, TypeError):
        return False  # an older C library, or Windows


def _clear_leftovers(out: Path) -> None:
    """Delete what runs that were ended from outside have left beside `out`."""
    start = f".{out.name}.{_BUILDING}-"
    for path in out.parent.glob(f"{start}*"):
        owner = path.name.removeprefix(start).partition("-")[0]
        if owner.isdigit() and not _is_running(int(owner)):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(process: int) -> bool:
    if os.name == "nt":
        return True  # os.kill would end it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
