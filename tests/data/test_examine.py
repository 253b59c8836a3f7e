"""Each image is looked at once, in order, within bounds of memory, and cut files are found."""

from __future__ import annotations

import io
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sightline.data.dataset import Dataset
from sightline.data.examine import Look, examine_images
from sightline.data.file_end import reaches_end
from sightline.data.images import decode_image, read_header, read_thumbnail
from sightline.errors import ImageError

Make = Callable[..., Any]

# What decoding the files given adds to the process, in KiB.
# VmHWM and not ru_maxrss, which a child inherits from the process that started it.
ADDED = """
import sys
from pathlib import Path
from sightline.data import examine
examine.count_cores = lambda: 16
def peak_kib():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
before = peak_kib()
for found in examine.examine_images([Path(name) for name in sys.argv[1:]], decode=True):
    assert (found.header.width, found.header.height) == (4000, 3000), found
print(peak_kib() - before)
"""
# Whole, but with bytes after the end, or of the format without an end.
LONG_TAILS = {
    "broken": {"24_multipage.tiff", "26_trailing_garbage.jpg"},
    "kangaroo/images": {"00021.jpg", "00053.jpg"},
}
KINDS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def photo() -> Image.Image:
    return Image.effect_noise((40, 30), 60).convert("RGB")


def added_kib(path: Path, count: int) -> int:
    if sys.platform != "linux":
        pytest.skip("the peak of a process's memory is in KiB on Linux alone")
    command = [sys.executable, "-c", ADDED, *[str(path)] * count]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_large_webp_images_are_decoded_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    Image.linear_gradient("L").resize((4000, 3000)).convert("RGB").save(path, method=0)
    # 187 MiB for one (measured: 16 bytes a pixel), up to 280 with what two more threads keep of
    # theirs; 360 and more for two at a time.
    assert added_kib(path, 4) < 320 * 1024


def test_large_images_are_decoded_by_three_threads(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.linear_gradient("L").resize((4000, 3000)).convert("RGB").save(path, compress_level=0)
    # 4 bytes a pixel (measured): 46 MiB for one, 139 for three threads, 646 for sixteen.
    assert 40 * 1024 < added_kib(path, 16) < 250 * 1024


@pytest.mark.parametrize("decode", [True, False])
def test_images_come_back_in_order_with_their_faults(tmp_path: Path, decode: bool) -> None:
    for name in ("a.webp", "b.webp"):
        Image.new("RGB", (2000, 1600)).save(tmp_path / name, lossless=True, method=0)
    Image.new("RGB", (40, 30)).save(tmp_path / "c.png")
    cut = (tmp_path / "b.webp").read_bytes()[:-8]
    (tmp_path / "b.webp").write_bytes(cut)
    paths = [tmp_path / name for name in ("b.webp", "a.webp", "gone.png", "c.png", "b.webp")]
    seen: list[tuple[int, int]] = []
    found = examine_images(paths, decode=decode, progress=lambda *done: seen.append(done))
    kinds = [type(one).__name__ for one in found]
    assert kinds == ["ImageUnreadable", "Look", "ImageNotFound", "Look", "ImageUnreadable"]
    assert seen == [(number, 5) for number in range(1, 6)]


def test_only_decoding_gives_a_thumbnail(shared: Path) -> None:
    paths = sorted((shared / "data/bccd/BCCD/JPEGImages").iterdir())[:20]
    decoded, glanced = (examine_images(paths, decode=decode) for decode in (True, False))
    for path, one, other in zip(paths, decoded, glanced, strict=True):
        assert one == Look(read_header(path), read_thumbnail(path))
        assert other == Look(read_header(path), None)


@pytest.mark.parametrize("folder", LONG_TAILS)
def test_real_faults_are_found_without_decoding_every_image(shared: Path, folder: str) -> None:
    paths = sorted((shared / "data" / folder).iterdir())
    glanced = examine_images(paths, decode=False)
    for path, one in zip(paths, glanced, strict=True):
        try:
            decode_image(path)
        except ImageError as error:
            assert type(one) is type(error), path
        else:
            assert isinstance(one, Look), path
    looked = {path.name for path, one in zip(paths, glanced, strict=True) if decoded(one)}
    assert looked == LONG_TAILS[folder]


def decoded(one: Look | ImageError) -> bool:
    return isinstance(one, Look) and one.thumbnail is not None


@settings(deadline=None)
@given(kind=st.sampled_from(KINDS), cut=st.integers(1, 400), data=st.data())
def test_a_file_cut_anywhere_is_found_where_decoding_finds_it(
    tmp_path_factory: pytest.TempPathFactory, kind: str, cut: int, data: st.DataObject
) -> None:
    options = {"JPEG": {"progressive": data.draw(st.booleans())}, "WEBP": {"method": 0}}
    whole = encode(photo(), kind, **options.get(kind, {}))
    path = tmp_path_factory.mktemp("cut") / "a"
    path.write_bytes(whole[: -min(cut, len(whole) - 1)])
    [glanced], [decoded] = (examine_images([path], decode=decode) for decode in (False, True))
    assert isinstance(glanced, ImageError) == isinstance(decoded, ImageError)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_reach_their_end(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(encode(photo(), kind))
    assert reaches_end(path, kind) == (kind != "TIFF")
    path.write_bytes(path.read_bytes() + bytes(random.Random(0).choices(range(256), k=100)))
    # Where the end is a mark it stands elsewhere now; where it is a length the file is long enough.
    assert reaches_end(path, kind) == (kind in ("WEBP", "BMP"))


def test_a_bmp_that_leaves_its_size_at_0_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.bmp"
    whole = bytearray(encode(photo(), "BMP"))
    whole[2:6] = bytes(4)
    path.write_bytes(whole)
    [look] = examine_images([path], decode=False)
    assert isinstance(look, Look)
    assert look.thumbnail is not None


class TestHeic:
    HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)

    @pytest.mark.parametrize("name", ["a.HEIC", "a.heif", "a.avif"])
    def test_a_photo_that_is_there_is_not_called_missing(
        self, make_voc: Make, voc_object: Make, name: str
    ) -> None:
        root = make_voc({"a.jpg": voc_object("x", 1, 1, 9, 9), "b.jpg": ""})
        xml = root / "Annotations/a.xml"
        xml.write_text(xml.read_text().replace("a.jpg", name))
        (root / "JPEGImages/a.jpg").rename(root / "JPEGImages" / name)
        brand = b"avif" if name.endswith("avif") else b"heic"
        (root / "JPEGImages" / name).write_bytes(self.HEIC.replace(b"heic", brand))
        errors = [p for p in Dataset.load(root).problems if p.code.startswith("image-")]
        assert [(p.code, p.file) for p in errors] == [("image-unreadable", f"JPEGImages/{name}")]
        assert "save it as JPEG" in errors[0].message

    def test_a_readable_copy_is_taken_instead(self, make_voc: Make, voc_object: Make) -> None:
        root = make_voc({"a.jpg": voc_object("x", 1, 1, 9, 9)})
        xml = root / "Annotations/a.xml"
        xml.write_text(xml.read_text().replace("a.jpg", "a.HEIC"))
        (root / "JPEGImages/a.HEIC").write_bytes(self.HEIC)
        dataset = Dataset.load(root)
        assert dataset.names == ("JPEGImages/a.jpg",)
        assert not any(p.code.startswith("image-") for p in dataset.problems)
