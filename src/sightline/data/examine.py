"""Every image of a data set looked at once: is it whole, how large is it, what does it show.

Knows nothing of annotations.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Lock

from sightline.data.file_end import reaches_end
from sightline.data.images import ImageHeader, read_header, read_thumbnail
from sightline.errors import ImageError, ImageUnreadable

Progress = Callable[[int, int], None]

# Bytes a pixel while a thumbnail is made (measured, the most of each format's kinds): a baseline
# JPEG is decoded at an eighth of its size, a progressive one holds its coefficients.
_BYTES_A_PIXEL = {"JPEG": 0.25, "WEBP": 19}
_BYTES_A_PIXEL_PROGRESSIVE = 9
_BYTES_A_PIXEL_ELSE = 13
# What needs more is decoded by few threads, for each keeps the memory of its largest image. The
# largest images taken, of 25 megapixels, have 100 to 325 MB, as WebP 475: three, one of them a
# WebP, stay below 1 GiB.
_LARGE_BYTES = 32 * 2**20
_MOST_LARGE = 3
_MOST_THREADS = 16
_AT_A_TIME = 1024  # images given to the threads at once


@dataclass(frozen=True, slots=True)
class Look:
    """What an image shows at first sight.

    thumbnail: 256 grey levels, as `read_thumbnail` gives them; None where it was not decoded.
    """

    header: ImageHeader
    thumbnail: bytes | None


def examine_images(
    paths: Sequence[Path], *, decode: bool, progress: Progress | None = None
) -> list[Look | ImageError]:
    """A look at each image, or why it cannot be used.

    With `decode` every image is decoded: 1-4 ms a photo and core. Threads do it, for Pillow lets go
    of the interpreter lock meanwhile. Without, only those whose files do not end as they should,
    to see whether they are cut: 17,000 files a second on one core, which threads do not speed up.
    """
    if not decode:
        return _collect(map(_glance, paths), len(paths), progress)
    cores = count_cores()
    large_webp = Lock()
    with (
        ThreadPoolExecutor(min(cores, _MOST_THREADS)) as pool,
        ThreadPoolExecutor(min(cores, _MOST_LARGE)) as large_pool,
    ):

        def look(path: Path) -> Look | ImageError:
            try:
                header = read_header(path)
                if _decoding_bytes(header) <= _LARGE_BYTES:
                    return Look(header, read_thumbnail(path))
                return Look(header, large_pool.submit(decode_large, path, header).result())
            except ImageError as error:
                return error

        def decode_large(path: Path, header: ImageHeader) -> bytes:
            with large_webp if header.format == "WEBP" else nullcontext():
                return read_thumbnail(path)

        starts = range(0, len(paths), _AT_A_TIME)
        parts = (pool.map(look, paths[start : start + _AT_A_TIME]) for start in starts)
        return _collect(chain.from_iterable(parts), len(paths), progress)


def _glance(path: Path) -> Look | ImageError:
    """A look at the header; at the pixels only where the file does not end as it should."""
    try:
        header = read_header(path)
        return Look(header, None if reaches_end(path, header.format) else read_thumbnail(path))
    except ImageError as error:
        return error
    except OSError as error:
        return ImageUnreadable(f"{path} cannot be read: {error}")


def _collect(
    looks: Iterable[Look | ImageError], count: int, progress: Progress | None
) -> list[Look | ImageError]:
    results: list[Look | ImageError] = []
    for look in looks:
        results.append(look)
        if progress is not None:
            progress(len(results), count)
    return results


def count_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _decoding_bytes(header: ImageHeader) -> float:
    """About what making a thumbnail takes at most."""
    each = _BYTES_A_PIXEL.get(header.format, _BYTES_A_PIXEL_ELSE)
    if header.is_progressive:
        each = _BYTES_A_PIXEL_PROGRESSIVE
    return header.width * header.height * each
