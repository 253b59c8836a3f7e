"""Every image of a data set looked at once: is it whole, how large is it.

Knows nothing of annotations.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from threading import Lock

from sightline.data.images import ImageHeader, read_header, verify_image
from sightline.errors import ImageError

Progress = Callable[[int, int], None]

# An image of 25 megapixels takes 100 to 200 MiB while it is decoded (measured; most as a
# progressive CMYK JPEG), as WebP 410 MiB: four threads, one with a large WebP, stay below 1 GiB.
_MOST_THREADS = 4
_LARGE_WEBP_PIXELS = 3_000_000


def examine_images(
    paths: Sequence[Path], *, decode: bool, progress: Progress | None = None
) -> list[ImageHeader | ImageError]:
    """Of each image its header, or why it cannot be used.

    With `decode` the pixels are decoded as well, which alone finds truncated files: 2-3 ms a
    photo and core. Pillow lets go of the interpreter lock while it decodes, so threads do.
    """
    large_webp = Lock()

    def look(path: Path) -> ImageHeader | ImageError:
        try:
            header = read_header(path)
            if not decode:
                return header
            is_large = header.width * header.height > _LARGE_WEBP_PIXELS
            with large_webp if is_large and header.format == "WEBP" else nullcontext():
                return verify_image(path)
        except ImageError as error:
            return error

    results: list[ImageHeader | ImageError] = []
    with ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS)) as pool:
        for result in pool.map(look, paths):
            results.append(result)
            if progress is not None:
                progress(len(results), len(paths))
    return results
