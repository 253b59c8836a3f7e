"""Zip files are read as the folders in them; none writes outside the cache, or fills the disk."""

from __future__ import annotations

import io
import os
import shutil
import stat
import struct
import threading
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sightline.data.dataset import Dataset
from sightline.data.staging import INCOMPLETE
from sightline.data.unpack import is_zip, unpack_zip, unpacked_folder
from sightline.errors import DatasetError, SightlineError

Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def packed(path: Path, files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def zipped(folder: Path, path: Path, prefix: str = "") -> Path:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return packed(
        path, {prefix + file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
    )


def inside(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def described(dataset: Dataset) -> list[object]:
    return [
        dataset.format,
        dataset.classes,
        dict(dataset.splits),
        dataset.names,
        dataset.fingerprint(),
        dataset.problems,
    ]


@pytest.fixture
def voc(make_voc: Make, voc_object: Callable[..., str]) -> Path:
    return make_voc({"a b.jpg": voc_object("cat", 1, 2, 20, 21), "имя é.jpg": "", "c.jpg": None})


@pytest.mark.parametrize("prefix", ["", "my set/", "deep/er/", "./"])
def test_a_zip_of_a_folder_loads_as_the_folder_does(voc: Path, tmp_path: Path, prefix: str) -> None:
    archive = zipped(voc, tmp_path / "set.zip", prefix)
    assert described(Dataset.load(archive)) == described(Dataset.load(voc))
    assert len(Dataset.load(archive)) == 2


def test_a_zip_by_its_first_bytes(voc: Path, tmp_path: Path) -> None:
    archive = zipped(voc, tmp_path / "download")
    assert is_zip(archive)
    assert not is_zip(voc / "JPEGImages" / "c.jpg")
    assert Dataset.load(archive).format == "voc"


def test_what_macos_adds_is_no_folder_of_its_own(voc: Path, tmp_path: Path) -> None:
    archive = zipped(voc, tmp_path / "set.zip", "set/")
    with zipfile.ZipFile(archive, "a") as more:
        more.writestr("__MACOSX/set/._a b.xml", b"\0\5\x16\7")
        more.writestr("set/.DS_Store", b"\0\0\0\1Bud1")
        more.writestr("set/Annotations/._c.xml", b"\0\5\x16\7")
    assert described(Dataset.load(archive)) == described(Dataset.load(voc))


def test_a_folder_called_as_a_split_keeps_its_meaning(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", {"set/train/a.xml": b"", "set/train/b.xml": b""})
    assert inside(unpack_zip(archive)).keys() == {"train/a.xml", "train/b.xml"}


OUTSIDE = [
    "../out.txt",
    "a/../../out.txt",
    "..\\out.txt",
    "a\\..\\..\\out.txt",
    "a/..",
    "..",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_lead_outside_are_left_out(tmp_path: Path, cache: Path, name: str) -> None:
    archive = packed(tmp_path / "a.zip", {name: b"out", "in.txt": b"in", "b/in.txt": b"in"})
    assert inside(unpack_zip(archive)).keys() == {"in.txt", "b/in.txt"}
    assert {path.name for path in tmp_path.rglob("*.txt")} == {"in.txt"}


@pytest.mark.parametrize(
    "name",
    ["/abs/out.txt", "//abs/out.txt", "C:\\abs\\out.txt", "c:/abs/out.txt", "\\abs\\out.txt"],
)
def test_absolute_names_lose_their_root(tmp_path: Path, name: str) -> None:
    archive = packed(tmp_path / "a.zip", {name: b"out", "in.txt": b"in"})
    assert inside(unpack_zip(archive)).keys() == {"abs/out.txt", "in.txt"}


def test_links_and_devices_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, kind in [("link", stat.S_IFLNK), ("pipe", stat.S_IFIFO), ("disk", stat.S_IFBLK)]:
            member = zipfile.ZipInfo(name)
            member.external_attr = (kind | 0o777) << 16
            archive.writestr(member, "/etc/passwd")
        archive.writestr("link/under.txt", b"in")
        archive.writestr("in.txt", b"in")
    folder = unpack_zip(path)
    assert inside(folder) == {"in.txt": b"in", "link/under.txt": b"in"}
    assert not any(entry.is_symlink() for entry in folder.rglob("*"))


def test_what_is_left_out_is_told(voc: Path, tmp_path: Path) -> None:
    archive = zipped(voc, tmp_path / "a.zip", "folder/")
    before = Dataset.load(archive).problems
    link = zipfile.ZipInfo("folder/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as added:
        added.writestr("../out.txt", "out")
        added.writestr(link, "/etc/passwd")
        added.mkdir("folder/empty")
        added.writestr("__MACOSX/._a", "x")
    told = [p for p in Dataset.load(archive).problems if p not in before]
    assert [(p.severity, p.code) for p in told] == [("warning", "zip-left-out")]
    assert told[0].message.startswith("2 of the zip file's entries left out, '../out.txt' first")


def test_names_in_utf8_without_the_flag_for_it(tmp_path: Path) -> None:
    # As macOS packs them; zipfile itself sets the flag, so it is taken away again.
    path = packed(tmp_path / "a.zip", {"имя.txt": b"1", "b.txt": b"2"})
    data = bytearray(path.read_bytes())
    name = "имя.txt".encode()
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.index(signature)
        assert struct.unpack_from("<H", data, place + flags) == (0x800,)
        struct.pack_into("<H", data, place + flags, 0)
    assert data.count(name) == 2
    path.write_bytes(data)
    assert inside(unpack_zip(path)).keys() == {"имя.txt", "b.txt"}


def test_bombs_are_refused_before_a_byte_is_written(tmp_path: Path, cache: Path) -> None:
    path = packed(tmp_path / "a.zip", {"zeros": bytes(1 << 20)})
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 24, 3 << 30)  # as if it were 3 GiB
    path.write_bytes(data)
    with pytest.raises(DatasetError, match="no honest data set"):
        unpack_zip(path)
    assert not cache.exists()


def test_overlapping_entries_are_measured_by_the_file(tmp_path: Path, cache: Path) -> None:
    # One body of 1 MB that 1200 entries point to: each alone looks honest.
    single = packed(tmp_path / "one.zip", {"0": os.urandom(1 << 20)}, zipfile.ZIP_STORED)
    data = single.read_bytes()
    place = data.index(b"PK\x01\x02")
    entry, end = data[place:-22], data[-22:]
    entries = entry * 1200
    tail = end[:8] + struct.pack("<HHII", 1200, 1200, len(entries), place) + b"\0\0"
    path = tmp_path / "a.zip"
    path.write_bytes(data[:place] + entries + tail)
    with pytest.raises(DatasetError, match="no honest data set"):
        unpack_zip(path)
    assert not cache.exists()


def test_what_the_disk_cannot_hold_is_refused(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed(tmp_path / "a.zip", {"a": bytes(1000), "b": b""})
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1100))
    with pytest.raises(DatasetError, match=r"has 0\.0 GB free; make room, or set SIGHTLINE_CACHE"):
        unpack_zip(archive)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1200))
    assert len(inside(unpack_zip(archive))) == 2


def test_encrypted_ones_say_so(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", {"a.txt": b"secret", "b.txt": b""})
    data = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + flags] |= 1
    path.write_bytes(data)
    with pytest.raises(DatasetError, match="encrypted, password required"):
        unpack_zip(path)


def test_damage_leaves_nothing_behind(voc: Path, tmp_path: Path, cache: Path) -> None:
    archive = zipped(voc, tmp_path / "set.zip")
    data = archive.read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 3] ^= 0xFF  # in a photo, by far the most of it
    for broken in (data[: len(data) // 2], b"", b"PK\x03\x04", bytes(flipped)):
        archive.write_bytes(broken)
        with pytest.raises(DatasetError, match=r"is a damaged zip file: .*; fetch it again"):
            Dataset.load(archive)
        assert not cache.exists() or not list((cache / "data").iterdir())


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_packing(tmp_path: Path, method: int) -> None:
    files = {"a.txt": b"a" * 500, "b/c.txt": b"c"}
    assert inside(unpack_zip(packed(tmp_path / "a.zip", files, method))) == files


def test_a_file_where_another_has_a_folder(tmp_path: Path, cache: Path) -> None:
    archive = packed(tmp_path / "a.zip", {"a": b"file", "a/b": b"in a"})
    with pytest.raises(DatasetError, match="cannot be written"):
        unpack_zip(archive)
    assert not list((cache / "data").iterdir())


NAMES = st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=12)
MEMBERS = st.dictionaries(NAMES, st.binary(max_size=30), max_size=4)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=MEMBERS, changes=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=3)), max_size=3)
)
def test_any_bytes_are_unpacked_or_refused(
    tmp_path: Path, cache: Path, files: dict[str, bytes], changes: list[tuple[float, bytes]]
) -> None:
    packer = io.BytesIO()
    with zipfile.ZipFile(packer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.encode("utf-8", "replace").decode(), content)
    data = bytearray(packer.getvalue())
    for place, new in changes:
        start = int(place * (len(data) - 1))
        data[start : start + len(new)] = new
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    shutil.rmtree(cache, ignore_errors=True)
    try:
        folder = unpack_zip(path)
    except SightlineError:
        pass
    else:
        assert folder.is_relative_to(cache / "data")
        assert sum(map(len, inside(folder).values())) <= len(files) * 30
    assert {entry.name for entry in tmp_path.iterdir()} <= {"a.zip", "cache"}
    assert not cache.exists() or {entry.name for entry in cache.iterdir()} == {"data"}


def test_unpacked_once_and_anew_when_changed(tmp_path: Path, cache: Path) -> None:
    archive = packed(tmp_path / "a.zip", {"a": b"1", "b": b""})
    first = unpack_zip(archive)
    (first / "mark").touch()
    assert unpack_zip(archive) == first
    assert (first / "mark").exists()
    packed(archive, {"a": b"22", "b": b""})
    second = unpack_zip(archive)
    assert inside(second) == {"a": b"22", "b": b""}
    assert list((cache / "data").iterdir()) == [second]
    moved = archive.rename(tmp_path / "b.zip")
    assert unpack_zip(moved) != second
    assert len(list((cache / "data").iterdir())) == 2


def test_the_time_alone_makes_it_a_changed_one(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", {"a": b"1", "b": b""})
    first = unpack_zip(archive)
    os.utime(archive, ns=(1, 1))
    assert unpack_zip(archive) != first
    assert not first.exists()


def test_what_a_killed_process_left_goes_in_time(tmp_path: Path, cache: Path) -> None:
    archive = packed(tmp_path / "a.zip", {"a": b"1", "b": b""})
    first = unpack_zip(archive)
    killed, at_work = (first.with_name(f"{first.name}{INCOMPLETE}{n}") for n in (1, 2))
    for folder in (killed, at_work):
        (folder / "half").mkdir(parents=True)
    os.utime(killed, (0, 0))
    packed(archive, {"a": b"22"})
    second = unpack_zip(archive)
    assert {*(cache / "data").iterdir()} == {second, at_work}


def test_two_that_unpack_at_once_share_the_folder(tmp_path: Path, cache: Path) -> None:
    archive = tmp_path / "a"
    archive.touch()
    both = threading.Barrier(2, timeout=30)

    def write(folder: Path) -> None:
        both.wait()
        (folder / "a").write_bytes(b"1")

    folders: list[Path] = []
    threads = [
        threading.Thread(target=lambda: folders.append(unpacked_folder([archive], 1, write)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(folders)) == 1 and len(folders) == 2
    assert list((cache / "data").iterdir()) == [folders[0]]
    assert inside(folders[0]) == {"a": b"1"}


def test_an_archive_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be unpacked to the cache"):
        unpacked_folder([tmp_path / "gone"], 0, lambda folder: None)


def test_a_cache_that_cannot_be_written(tmp_path: Path, cache: Path) -> None:
    cache.write_text("a file, no folder")
    archive = packed(tmp_path / "a.zip", {"a": b"1"})
    with pytest.raises(DatasetError, match="set SIGHTLINE_CACHE"):
        unpack_zip(archive)


def test_an_entry_without_a_name(voc: Path, tmp_path: Path) -> None:
    path = zipped(voc, tmp_path / "a.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("?nameless", b"")
    # zipfile cuts names at a NUL, and then its own is_dir() fails.
    path.write_bytes(path.read_bytes().replace(b"?nameless", b"\0nameless"))
    assert described(Dataset.load(path)) == described(Dataset.load(voc))
