"""Images come out upright, RGB and 8-bit, or not at all, whatever the bytes are."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFile

from sightline.data.images import (
    MAX_EDGE,
    ImageHeader,
    decode_image,
    read_header,
    read_thumbnail,
    resize_stretch,
)
from sightline.errors import ImageError, ImageNotFound, ImageTooLarge, ImageUnreadable

# How the stored pixels come out of the upright ones (EXIF 2.32, orientation): (H, W, 3) -> same.
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: upright.swapaxes(0, 1)[::-1],
    7: lambda upright: upright.swapaxes(0, 1)[::-1, ::-1],
    8: lambda upright: upright.swapaxes(0, 1)[:, ::-1],
}
LOSSLESS = {"PNG": {}, "WEBP": {"lossless": True}, "TIFF": {"compression": "tiff_lzw"}}


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def draw_noise(width: int, height: int, channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


def orientation_block(value: int, kind: int = 3, order: str = "<") -> bytes:
    """EXIF with that one tag; kind 3 is SHORT, 4 LONG, 9 SLONG."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    packed = struct.pack(
        order + {3: "HH", 4: "I", 9: "i"}[kind], *([value, 0] if kind == 3 else [value])
    )
    entry = struct.pack(order + "HHI", 0x0112, kind, 1) + packed
    return b"Exif\0\0" + mark + struct.pack(order + "IH", 8, 1) + entry + bytes(4)


def make_png(width: int, height: int, depth: int, color: int, rows: bytes, *more: bytes) -> bytes:
    def chunk(tag: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    extra = b"".join(chunk(data[:4], data[4:]) for data in more)
    data = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + extra + data


class TestUpright:
    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("kind", LOSSLESS)
    def test_every_orientation_in_every_lossless_format(self, kind: str, orientation: int) -> None:
        upright = draw_noise(7, 5)
        stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
        if kind == "TIFF":
            data = encode(stored, kind, **LOSSLESS[kind], tiffinfo={0x0112: orientation})
        else:
            data = encode(stored, kind, **LOSSLESS[kind], exif=orientation_block(orientation))
        assert read_header(data) == ImageHeader(7, 5, kind, orientation)
        assert np.array_equal(np.asarray(decode_image(data)), upright)

    @pytest.mark.parametrize("order", "<>")
    @pytest.mark.parametrize("kind", [3, 4, 9])
    def test_both_byte_orders_and_integer_kinds(self, order: str, kind: int) -> None:
        data = encode(Image.new("RGB", (8, 4)), "JPEG", exif=orientation_block(6, kind, order))
        assert read_header(data) == ImageHeader(4, 8, "JPEG", 6)

    @pytest.mark.parametrize(
        "exif",
        [
            orientation_block(0),
            orientation_block(9),
            orientation_block(65537, kind=9),  # kangaroo 00103 has it
            b"Exif\0\0",
            b"Exif\0\0II*\0\xff\xff\xff\xff",
            b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
            orientation_block(6)[:-8],
        ],
        ids=["0", "9", "65537", "nothing", "far offset", "many entries", "cut"],
    )
    def test_senseless_values_are_ignored(self, exif: bytes) -> None:
        data = encode(Image.new("RGB", (8, 4)), "JPEG", exif=exif)
        assert read_header(data) == ImageHeader(8, 4, "JPEG", 1)
        assert decode_image(data).size == (8, 4)

    @pytest.mark.parametrize(("value", "odd"), [(0, None), (1, None), (8, None), (9, 9)])
    def test_odd_values_are_remembered(self, value: int, odd: int | None) -> None:
        data = encode(Image.new("RGB", (8, 4)), "JPEG", exif=orientation_block(value))
        assert read_header(data).odd_orientation == odd

    @pytest.mark.parametrize("orientation", [2, 3, 5, 6, 8])
    def test_broken_set_equals_its_control(self, shared: Path, orientation: int) -> None:
        folder = shared / "data/broken"
        upright = np.asarray(decode_image(folder / "01_ok.jpg"), np.float64)
        turned = np.asarray(decode_image(folder / f"14_exif_orientation_{orientation}.jpg"))
        # Encoded a second time: 2.8 levels off on average. A wrong turn is off by 40 and more.
        assert np.abs(upright - turned).mean() < 4


class TestPixels:
    def test_16_bit_grey_is_scaled(self) -> None:
        levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
        for kind in ("PNG", "TIFF"):
            grey = np.asarray(decode_image(encode(Image.fromarray(levels), kind)))
            assert np.array_equal(grey, np.repeat((levels >> 8)[..., None], 3, axis=-1))

    def test_16_bit_grey_equals_the_same_levels_as_16_bit_rgb(self) -> None:
        levels = [0, 255, 256, 1000, 32768, 65279, 65280, 65535]
        grey = make_png(8, 1, 16, 0, b"\0" + struct.pack(">8H", *levels))
        rgb = make_png(8, 1, 16, 2, b"\0" + b"".join(struct.pack(">3H", v, v, v) for v in levels))
        assert np.array_equal(np.asarray(decode_image(grey)), np.asarray(decode_image(rgb)))

    def test_alpha_is_dropped_over_white(self) -> None:
        rgba = Image.new("RGBA", (3, 1))
        rgba.putdata([(10, 20, 30, 255), (10, 20, 30, 0), (0, 100, 200, 51)])
        flat = np.asarray(decode_image(encode(rgba, "PNG")))[0].tolist()
        # 51/255 = 0.2 of the colour and 0.8 of white
        assert flat == [[10, 20, 30], [255, 255, 255], [204, 224, 244]]

    @pytest.mark.parametrize(
        ("depth", "color", "row", "key"),
        [
            (8, 0, b"\0\0\x80", b"\0\0"),
            (1, 0, b"\0\x40", b"\0\0"),
            (8, 2, b"\0\1\2\3\x80\x80\x80", struct.pack(">3H", 1, 2, 3)),
        ],
        ids=["grey", "1 bit", "RGB"],
    )
    def test_a_transparent_colour_becomes_white(
        self, depth: int, color: int, row: bytes, key: bytes
    ) -> None:
        flat = np.asarray(decode_image(make_png(2, 1, depth, color, row, b"tRNS" + key)))
        assert flat[0, 0].tolist() == [255, 255, 255]
        assert flat[0, 1, 0] == (255 if depth == 1 else 0x80)

    def test_cmyk(self) -> None:
        inks = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
        # JPEG at quality 95 is off by a few levels
        mean = np.asarray(decode_image(encode(inks, "JPEG", quality=95))).mean((0, 1))
        assert np.allclose(mean, [255, 0, 0], atol=4)

    @pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF"])
    def test_the_first_of_several_frames(self, kind: str) -> None:
        frames = [Image.new("RGB", (16, 16), color) for color in ("red", "lime", "blue")]
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert np.asarray(decode_image(data))[8, 8].tolist() == [255, 0, 0]

    @pytest.mark.parametrize("mode", ["F", "I", "LAB"])
    def test_pixels_without_a_defined_white_are_refused(self, mode: str) -> None:
        image = Image.new("L", (4, 4), 7).convert("RGB" if mode == "LAB" else "L").convert(mode)
        with pytest.raises(ImageUnreadable, match="save it"):
            decode_image(encode(image, "TIFF"))

    @given(
        kind=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]),
        mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"]),
        width=st.integers(1, 40),
        height=st.integers(1, 40),
    )
    def test_header_and_pixels_agree_and_rgb_comes_out(
        self, kind: str, mode: str, width: int, height: int
    ) -> None:
        try:
            data = encode(Image.new(mode, (width, height)), kind)
        except (OSError, ValueError, KeyError):  # the format has no such pixels
            return
        image = decode_image(data)
        assert image.mode == "RGB"
        assert (image.width, image.height) == (width, height)
        assert read_header(data) == ImageHeader(width, height, kind, 1)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "RGB", "RGBA", "P"])
def test_grey_is_told_by_the_pixel_layout(mode: str) -> None:
    assert read_header(encode(Image.new(mode, (8, 4)), "PNG")).is_grey == (mode[0] in "1LI")


class TestLimits:
    def test_the_limit_is_inclusive(self) -> None:
        data = encode(Image.new("RGB", (10, 10)), "PNG")
        assert decode_image(data, max_pixels=100).size == (10, 10)
        with pytest.raises(ImageTooLarge, match=r"10x10 .* scale it down"):
            decode_image(data, max_pixels=99)

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
    def test_too_many_pixels_are_seen_in_a_file_cut_after_its_header(self, kind: str) -> None:
        whole = encode(Image.new("RGB", (200, 300)), kind)
        # TIFF's directory may lie at the end; the others begin with their size.
        cut = whole if kind == "TIFF" else whole[: len(whole) - 20]
        with pytest.raises(ImageTooLarge):
            decode_image(cut, max_pixels=59_999)

    def test_an_edge_beyond_the_limit(self) -> None:
        rows = bytes(2 * (MAX_EDGE + 1))
        assert decode_image(make_png(1, MAX_EDGE, 8, 0, rows[2:])).height == MAX_EDGE
        with pytest.raises(ImageTooLarge, match="along an edge"):
            decode_image(make_png(1, MAX_EDGE + 1, 8, 0, rows))

    def test_a_gif_frame_larger_than_its_screen(self) -> None:
        frame = b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x4c\x01\x00;"
        data = b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0x80, 0, 0) + bytes(6) + frame
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(ImageTooLarge):
                decode_image(data)

    def test_not_a_file(self, tmp_path: Path) -> None:
        with pytest.raises(ImageNotFound, match=r"gone\.jpg"):
            decode_image(tmp_path / "gone.jpg")
        with pytest.raises(ImageUnreadable, match="folder"):
            decode_image(tmp_path)
        os.mkfifo(tmp_path / "pipe.jpg")
        writer = os.open(tmp_path / "pipe.jpg", os.O_RDWR)
        with pytest.raises(ImageUnreadable, match="regular"):
            decode_image(tmp_path / "pipe.jpg")
        os.close(writer)

    def test_nothing_global_is_changed(self, shared: Path) -> None:
        def state() -> tuple[object, ...]:
            return (
                ImageFile.LOAD_TRUNCATED_IMAGES,
                Image.MAX_IMAGE_PIXELS,
                list(warnings.filters),
                sorted(Image.OPEN),
            )

        before = state()
        for path in (shared / "data/broken").iterdir():
            try_decoding(path)
        assert state() == before


BROKEN = {
    "02_truncated_half.jpg": (ImageUnreadable, "truncated"),
    "03_truncated_last20.jpg": (ImageUnreadable, "truncated"),
    "04_header_only.jpg": (ImageUnreadable, "damaged or truncated JPEG header"),
    "06_zero_bytes.jpg": (ImageUnreadable, "empty"),
    "07_text.jpg": (ImageUnreadable, "is text"),
    "09_bomb_30000x30000_1bit.png": (ImageTooLarge, "30000x30000 = 900.0 megapixels"),
    "10_bomb_declared_only.png": (ImageTooLarge, "900.0 megapixels"),
    "11_huge_dims.png": (ImageTooLarge, "2147483647x2147483647"),
    "29_svg.svg": (ImageUnreadable, "SVG"),
    "30_riff_truncated.webp": (ImageUnreadable, "damaged or truncated WEBP"),
    "EXPECTED.md": (ImageUnreadable, "is text"),
    "SOURCES.md": (ImageUnreadable, "is text"),
}
SIZES = {
    **dict.fromkeys(("08_", "31_", "28_", "26_", "25_", "15_", "16_", "14_", "01_"), (320, 205)),
    **{"05_": (320, 205), "12_": (20000, 1), "13_": (1, 1), "17_": (160, 102)},
    **dict.fromkeys(("18_", "19_", "20_", "21_", "22_", "23_", "24_", "27_"), (96, 61)),
}


def try_decoding(path: Path) -> Image.Image | ImageError:
    try:
        return decode_image(path)
    except ImageError as error:
        return error


def test_every_broken_file_is_taken_or_refused_with_its_reason(shared: Path) -> None:
    files = sorted((shared / "data/broken").iterdir())
    assert len(files) == 37
    for path in files:
        result = try_decoding(path)
        if path.name in BROKEN:
            kind, reason = BROKEN[path.name]
            assert type(result) is kind, path.name
            assert reason in str(result)
            assert path.name in str(result)
        else:
            assert isinstance(result, Image.Image), result
            assert result.size == SIZES[path.name[:3]], path.name


def test_a_thumbnail_is_refused_where_decoding_is(shared: Path) -> None:
    for folder in ("broken", "kangaroo/images"):
        for path in (shared / "data" / folder).iterdir():
            result = try_decoding(path)
            if isinstance(result, ImageError):
                with pytest.raises(type(result)):
                    read_thumbnail(path)
            else:
                assert len(read_thumbnail(path)) == 256


def test_a_thumbnail_is_the_picture_made_small(shared: Path) -> None:
    for path in sorted((shared / "data/coco_val100/images").iterdir()):
        small = decode_image(path).resize((16, 16), Image.Resampling.HAMMING).convert("L")
        levels = np.frombuffer(read_thumbnail(path), np.uint8)
        # Made in two steps, of 8 x 8 pixels first: 1.8 levels off at most. Without regard to
        # squares that the image does not fill, 5.
        assert np.abs(levels - np.asarray(small, np.float64).ravel()).mean() < 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", LOSSLESS)
def test_a_thumbnail_is_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    upright = np.repeat(draw_noise(16, 16, 1), 3, axis=2)
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    path = tmp_path / "stored"
    if kind == "TIFF":
        path.write_bytes(encode(stored, kind, **LOSSLESS[kind], tiffinfo={0x0112: orientation}))
    else:
        exif = orientation_block(orientation)
        path.write_bytes(encode(stored, kind, **LOSSLESS[kind], exif=exif))
    assert read_thumbnail(path) == upright[:, :, 0].tobytes()


def test_memory_stays_below_1_gib(shared: Path, tmp_path: Path) -> None:
    # The worst that the limits allow: 25 megapixels, turned, with alpha, in 16 bits.
    rows = (b"\0" + bytes(5000 * 8)) * 5000
    large = make_png(5000, 5000, 16, 6, rows, b"eXIf" + orientation_block(6)[6:])
    (tmp_path / "large.png").write_bytes(large)
    del rows, large
    # VmHWM and not ru_maxrss, which a child inherits from the process that started it.
    script = """
import sys
from pathlib import Path
from sightline.data.images import decode_image, resize_stretch
from sightline.errors import ImageError
for name in sys.argv[1:]:
    try:
        resize_stretch(decode_image(Path(name)), 640, 640)
    except ImageError as error:
        pass
print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024)
"""
    files = [str(path) for path in (shared / "data/broken").iterdir()]
    command = [sys.executable, "-c", script, *files, str(tmp_path / "large.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak_mib = int(done.stdout)
    # More than the 100 MB that 25 megapixels take, or the large image was refused.
    assert 100 < peak_mib < 1024


class TestAnyBytes:
    STARTS = (
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"BM",
        b"II*\0",
        b"RIFF\0\0\0\0WEBP",
    )

    @given(start=st.sampled_from((b"", *STARTS)), rest=st.binary(max_size=200))
    def test_random_bytes_raise_nothing_but_our_errors(self, start: bytes, rest: bytes) -> None:
        self._decode(start + rest)

    @given(
        kind=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]),
        place=st.floats(0, 1),
        patch=st.binary(min_size=1, max_size=8),
        cut=st.floats(0, 1),
    )
    def test_damaged_files_raise_nothing_but_our_errors(
        self, kind: str, place: float, patch: bytes, cut: float
    ) -> None:
        data = encode(Image.fromarray(draw_noise(24, 18)), kind)
        start = int(place * len(data))
        damaged = data[:start] + patch + data[start + len(patch) :]
        self._decode(damaged)
        self._decode(damaged[: int(cut * len(damaged))])

    @staticmethod
    def _decode(data: bytes) -> None:
        # Pillow warns of what it finds odd in TIFF; here only exceptions count.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                image = decode_image(data, max_pixels=1_000_000)
            except ImageError:
                return
        assert image.mode == "RGB"


def test_stretching_gives_rows_columns_channels() -> None:
    stretched = resize_stretch(Image.new("L", (4, 3), 9), 6, 5)
    assert stretched.shape == (5, 6, 3)
    assert stretched.dtype == np.uint8
    assert stretched.flags.writeable
    assert (stretched == 9).all()
