"""Still images, safely: the header first, pixels only of what is worth decoding.

Takes JPEG, PNG, WebP, GIF, BMP and TIFF; what comes out is always upright 8-bit RGB. Knows
nothing of data sets, boxes or models. Colour profiles are ignored, as OpenCV ignores them.

Pillow's own entry point, Image.open, is not used: it tries every format installed on the machine
and issues warnings that depend on a global limit. Here the first bytes pick one of six parsers.
"""

from __future__ import annotations

import io
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from sightline.errors import ImageError, ImageNotFound, ImageTooLarge, ImageUnreadable

# How files of the formats taken here are called; what a file is, its bytes decide.
IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
)
# Photos that are known and not taken: listed with the others, so that they are refused aloud.
FOREIGN_SUFFIXES = frozenset((".heic", ".heif", ".avif"))
MAX_PIXELS = 25_000_000
# 25 megapixels of 16-bit RGBA, uncompressed, are 200 MB: no honest file is larger.
MAX_BYTES = 256 * 1024 * 1024
# JPEG's and GIF's own limit. A picture of 1 x 25,000,000 pixels would fit MAX_PIXELS, and take
# 64 GB the moment it is resized one axis at a time.
MAX_EDGE = 65_535
THUMBNAIL_PX = 16
LETTERBOX_GREY = 114  # YOLOX's padding

_ORIENTATION_TAG = 0x0112  # TIFF 6.0, section 8; EXIF 2.32, table 4
_TRANSPOSED = {5, 6, 7, 8}  # orientations whose rows are the scene's columns
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Pillow's pixel layouts that have a defined black and white, and a conversion to RGB.
_MODES_8_BIT = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"}
_MODES_16_BIT = {"I", "I;16", "I;16L", "I;16B", "I;16N"}
_GREY_MODES = {"1", "L", "LA", "La", *_MODES_16_BIT}
_TAKEN = "JPEG, PNG, WebP, GIF, BMP and TIFF are taken"


@dataclass(frozen=True)
class ImageHeader:
    """What the first bytes say: `width` and `height` of the upright image, in pixels.

    format: JPEG, PNG, WEBP, GIF, BMP or TIFF. orientation: EXIF's, 1..8; 1 where absent or
    senseless. Remarks, of no weight in comparisons: is_grey, without colour by its pixel layout;
    odd_orientation, what EXIF has instead of 1..8 (0, which many programs write for "unknown",
    counts as absent); is_progressive, a JPEG of several passes, which a decoder holds in memory.
    """

    width: int
    height: int
    format: str
    orientation: int
    is_grey: bool = field(default=False, compare=False)
    odd_orientation: int | None = field(default=None, compare=False)
    is_progressive: bool = field(default=False, compare=False)


class _JpegFile(JpegImagePlugin.JpegImageFile):
    """Pillow's JPEG parser without its look for a print resolution in EXIF.

    That look warns about damaged EXIF, which is none of our business.
    """

    def _read_dpi_from_exif(self) -> None:
        pass


_PARSERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": _JpegFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
}


def read_header(
    source: Path | bytes, *, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> ImageHeader:
    """Upright size, format and orientation, without decoding a pixel.

    Raises ImageNotFound, ImageUnreadable or ImageTooLarge, naming the file.
    """
    with _opened(source, name, max_pixels) as (_, header, _name):
        return header


def decode_image(
    source: Path | bytes, *, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """The upright image as 8-bit RGB: first frame, alpha over white, 16 bits scaled to 8.

    `name` stands in messages (default: the path). Raises ImageNotFound, ImageUnreadable or
    ImageTooLarge; more than `max_pixels` are refused before any of them is decoded.
    """
    with _opened(source, name, max_pixels) as (image, header, shown):
        _load(image, shown)
        rgb = flatten_image(image)
        # Pillow itself turns TIFF upright while loading.
        if header.format != "TIFF" and header.orientation != 1:
            rgb = rgb.transpose(_UPRIGHT[header.orientation])
        if rgb.size != (header.width, header.height):
            raise ImageUnreadable(
                f"{shown}: its header says {header.width}x{header.height} pixels, its data "
                f"{rgb.width}x{rgb.height}; save it again with an image editor"
            )
        return rgb


def read_thumbnail(source: Path, *, max_pixels: int = MAX_PIXELS) -> bytes:
    """256 grey levels, row by row: the upright image stretched to 16 x 16 pixels.

    The image is decoded to its end, so this finds truncated ones: raises what `decode_image`
    raises. JPEG is decoded without colour and at down to an eighth of its size; every compressed
    byte is read all the same, in half the time.
    """
    with _opened(source, None, max_pixels) as (image, header, shown):
        side = (THUMBNAIL_PX, THUMBNAIL_PX)
        drafted = image.draft("L", side)
        _load(image, shown)
        # An eighth of 100 pixels is 12.5 of the 13 that there are then.
        within = drafted[1] if drafted else None
        is_flat = image.mode in ("L", "RGB") and not image.has_transparency_data
        flat = image if is_flat else flatten_image(image)
        small = flat.resize(side, Image.Resampling.HAMMING, within).convert("L")
        if header.format != "TIFF" and header.orientation != 1:
            small = small.transpose(_UPRIGHT[header.orientation])
        return small.tobytes()


def resize_stretch(image: Image.Image, width: int, height: int) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB, stretched with Pillow's antialiased bilinear filter.

    The one resize of training and inference; the manifest calls it "bilinear-antialias". Width
    first, then height, in two calls: the steps between are rounded to 8 bits, so the order shows,
    and Pillow 13 began to choose it by the image's shape (python-pillow/Pillow#9549). The bytes
    are the same with every Pillow and in the browser: contracts/golden/resize.json.
    """
    if image.mode != "RGB":
        image = image.convert("RGB")
    if image.width != width:
        image = image.resize((width, image.height), Image.Resampling.BILINEAR)
    if image.height != height:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.array(image, np.uint8)


def resize_letterbox(image: Image.Image, width: int, height: int) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB: scaled by one factor into the upper left, the rest grey 114.

    What YOLOX was trained on (YOLOX, `preproc` of its data augmentation), with the one filter of
    `resize_stretch`. contracts/golden/resize.json holds the browser to the same bytes.
    """
    inner_width, inner_height = letterbox_size(image.width, image.height, width, height)
    canvas = np.full((height, width, 3), LETTERBOX_GREY, np.uint8)
    canvas[:inner_height, :inner_width] = resize_stretch(image, inner_width, inner_height)
    return canvas


def letterbox_size(image_width: int, image_height: int, width: int, height: int) -> tuple[int, int]:
    """Width and height of an image that is scaled to fit into width x height, rounded down."""
    if image_width * height >= image_height * width:
        return width, max(1, image_height * width // image_width)
    return max(1, image_width * height // image_height), height


def flatten_image(image: Image.Image) -> Image.Image:
    """The pixels of an image in memory as 8-bit RGB: alpha over white, 16 bits scaled to 8."""
    if image.mode in _MODES_16_BIT:
        # The high byte: what decoders do for 16-bit RGB, so both give the same grey.
        levels = np.clip(np.asarray(image), 0, 0xFFFF) >> 8
        return Image.fromarray(levels.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        above = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(above, mask=above.getchannel("A"))
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


@contextmanager
def _opened(
    source: Path | bytes, name: str | None, max_pixels: int
) -> Iterator[tuple[ImageFile.ImageFile, ImageHeader, str]]:
    """A parsed, undecoded image within the limits, its header and its name for messages."""
    if isinstance(source, bytes):
        shown = name or "the image"
        _check_bytes(len(source), shown)
        yield *_parse(io.BytesIO(source), shown, max_pixels), shown
        return
    shown = name or str(source)
    try:
        file = source.open("rb")
    except FileNotFoundError as error:
        raise ImageNotFound(f"{shown}: no such file") from error
    except IsADirectoryError as error:
        raise ImageUnreadable(f"{shown} is a folder, not an image file") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise ImageUnreadable(f"{shown} cannot be opened: {error}") from error
    with file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ImageUnreadable(f"{shown} is no regular file")
        _check_bytes(status.st_size, shown)
        yield *_parse(file, shown, max_pixels), shown


def _check_bytes(size: int, shown: str) -> None:
    if size == 0:
        raise ImageUnreadable(f"{shown} is empty (0 bytes)")
    if size > MAX_BYTES:
        raise ImageTooLarge(
            f"{shown} has {size / 2**20:.0f} MiB; at most {MAX_BYTES // 2**20} MiB are read"
        )


def _parse(file: IO[bytes], shown: str, max_pixels: int) -> tuple[ImageFile.ImageFile, ImageHeader]:
    try:
        start = file.read(512)
        file.seek(0)
        kind = _sniff(start, shown)
        _check_pixels(*_declared_size(kind, start), shown, max_pixels)
        image = _PARSERS[kind](file, shown)
        header = _header(kind, image)
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLarge(f"{shown}: {error}") from error
    except Exception as error:  # Pillow's parsers raise a dozen kinds on damaged bytes
        raise ImageUnreadable(f"{shown}: damaged or truncated {kind} header ({error})") from error
    _check_pixels(header.width, header.height, shown, max_pixels)
    return image, header


def _sniff(start: bytes, shown: str) -> str:
    """The format by its first bytes, whatever the file is called."""
    if start.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "WEBP"
    if start.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if start.startswith(b"BM"):
        return "BMP"
    if start.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "TIFF"
    raise ImageUnreadable(f"{shown} {_what_it_is(start)}; {_TAKEN}")


def _what_it_is(start: bytes) -> str:
    if b"<svg" in start.lower():
        return "is an SVG drawing"
    if start[4:8] == b"ftyp":
        brand = start[8:12].decode("latin-1")
        if brand in ("avif", "avis"):
            return "is an AVIF image: save it as JPEG or PNG"
        if brand in ("heic", "heix", "mif1", "msf1"):
            return "is a HEIC photo: save it as JPEG"
        return "is a video"
    if start.startswith(b"%PDF"):
        return "is a PDF document"
    try:
        start.decode("utf-8", "strict" if len(start) < 512 else "ignore")
    except UnicodeDecodeError:
        return "is no image that is known here"
    return "is text" if b"\0" not in start else "is no image that is known here"


def _declared_size(kind: str, start: bytes) -> tuple[int, int]:
    """Canvas size from the first bytes where Pillow allocates before one can ask; else (1, 1)."""
    if kind == "GIF" and len(start) >= 10:
        width, height = struct.unpack_from("<HH", start, 6)
        return width, height
    if kind == "WEBP" and len(start) >= 30:
        chunk = start[12:16]
        if chunk == b"VP8 ":  # RFC 6386, 9.1
            width, height = struct.unpack_from("<HH", start, 26)
            return width & 0x3FFF, height & 0x3FFF
        if chunk == b"VP8L":  # WebP lossless bitstream, 3
            bits = int.from_bytes(start[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        if chunk == b"VP8X":  # RFC 9649, 2.7.1
            width = int.from_bytes(start[24:27], "little") + 1
            return width, int.from_bytes(start[27:30], "little") + 1
    return 1, 1


def _check_pixels(width: int, height: int, shown: str, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"{shown} has {width}x{height} = {width * height / 1e6:.1f} megapixels; "
            f"at most {max_pixels / 1e6:g} are decoded: scale it down"
        )
    if max(width, height) > MAX_EDGE:
        raise ImageTooLarge(
            f"{shown} has {width}x{height} pixels; at most {MAX_EDGE} are taken along an edge"
        )


def _header(kind: str, image: ImageFile.ImageFile) -> ImageHeader:
    width, height = image.size
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        value = image.tag_v2.get(_ORIENTATION_TAG)
        # Versions of Pillow differ in whether `size` is upright before loading; tags do not.
        width, height = image.tag_v2[256], image.tag_v2[257]
    else:
        value = _exif_orientation(image.info.get("exif", b""))
    value = value if isinstance(value, int) and value else 1
    orientation, odd = (value, None) if 1 <= value <= 8 else (1, value)
    if orientation in _TRANSPOSED:
        width, height = height, width
    is_progressive = "progressive" in image.info
    is_grey = image.mode in _GREY_MODES
    return ImageHeader(width, height, kind, orientation, is_grey, odd, is_progressive)


def _exif_orientation(exif: bytes) -> int:
    """The orientation tag of an EXIF block's first directory; 1 where there is none to read."""
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 8:
        return 1
    (directory,) = struct.unpack_from(f"{order}I", block, 4)
    if directory + 2 > len(block):
        return 1
    (count,) = struct.unpack_from(f"{order}H", block, directory)
    for start in range(directory + 2, min(directory + 2 + 12 * count, len(block) - 11), 12):
        tag, kind = struct.unpack_from(f"{order}HH", block, start)
        if tag == _ORIENTATION_TAG:
            layout = {3: "H", 4: "I", 9: "i"}.get(kind)  # SHORT, LONG, SLONG
            return struct.unpack_from(order + layout, block, start + 8)[0] if layout else 1
    return 1


def _load(image: ImageFile.ImageFile, shown: str) -> None:
    """Decode the pixels, or say why that cannot be, or why they would mean nothing."""
    try:
        image.load()
    except Exception as error:  # Pillow's parsers raise a dozen kinds on damaged bytes
        raise ImageUnreadable(f"{shown}: truncated or damaged image data ({error})") from error
    # Mode I is a 16-bit PNG in some versions of Pillow, and 32-bit integers in TIFF.
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        raise ImageUnreadable(
            f"{shown} has 32-bit pixels, whose black and white nobody defines; save it with 8 or 16"
        )
    if image.mode not in _MODES_8_BIT | _MODES_16_BIT:
        raise ImageUnreadable(f"{shown} has {image.mode} pixels; save it as RGB or grey")
