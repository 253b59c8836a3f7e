"""TFRecord: MB/s of reading beside the floor, and what unpacking to the cache takes.

    python benchmarks/tfrecord.py [--images 4000] [--kilobytes 75] [--small 100000] [--runs 5]

Each figure is the best of the runs, of a file in the page cache. Two floors: the bare read of the
file, and the checksums alone of bytes in memory.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import google_crc32c
import numpy as np

from sightline.data.formats.contents import Contents
from sightline.data.formats.example import Example, read_example, write_example
from sightline.data.formats.listing import Listing, list_files
from sightline.data.formats.record_file import read_records, write_record
from sightline.data.formats.tfrecord import read_tfrecord
from sightline.data.formats.tfrecord_fields import FIELDS

CORNERS = ("xmin", "ymin", "xmax", "ymax")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--kilobytes", type=int, default=75)
    parser.add_argument("--small", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ["SIGHTLINE_CACHE"] = str(root / "cache")
        large, small = root / "large" / "train.record", root / "small" / "train.record"
        write(large, args.images, args.kilobytes * 1000)
        write(small, args.small, 0)
        for path, count in ((large, args.images), (small, args.small)):
            size = path.stat().st_size
            print(f"\n{count} records, {size / 1e6:.0f} MB, {size // count} bytes each\n")
            print("| what | seconds | MB/s | records/s |\n|---|---|---|---|")
            for what, act in steps(path, size // count):
                seconds = min(timed(act) for _ in range(args.runs))
                rates = f"{size / seconds / 1e6:.0f} | {count / seconds:.0f}"
                print(f"| {what} | {seconds:.3f} | {rates} |", flush=True)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"\npeak memory so far: {peak:.0f} MiB\n")
        unpacking(large, args.images, args.kilobytes * 1000)


def write(path: Path, count: int, image_bytes: int) -> None:
    """A record file of noise for images, with three boxes each."""
    path.parent.mkdir()
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        for number in range(count):
            corners = rng.uniform(0, 1, (4, 3)).tolist()
            texts = {
                "image/encoded": [rng.bytes(image_bytes)] if image_bytes else [],
                "image/filename": [b"%06d.jpg" % number],
                "image/source_id": [b"%06d.jpg" % number],
                "image/format": [b"jpeg"],
                "image/key/sha256": [b"0" * 64],
                "image/object/class/text": [b"cat", b"dog", b"bird"],
            }
            floats = {f"image/object/bbox/{c}": v for c, v in zip(CORNERS, corners, strict=True)}
            integers = {
                "image/width": [640],
                "image/height": [480],
                "image/object/class/label": [1, 2, 3],
                "image/object/difficult": [0, 0, 0],
                "image/object/truncated": [0, 0, 0],
            }
            write_record(file, write_example(Example(texts, floats, integers)))


def steps(path: Path, record_bytes: int) -> list[tuple[str, Callable[[], object]]]:
    piece = bytes(record_bytes)
    pieces = path.stat().st_size // record_bytes
    return [
        ("bare read of the file", lambda: bare_read(path)),
        ("checksums alone", lambda: [google_crc32c.value(piece) for _ in range(pieces)]),
        ("frames and checksums", lambda: sum(1 for _ in read_records(path))),
        ("and Examples parsed", lambda: [examples(path)]),
    ]


def bare_read(path: Path) -> None:
    buffer = bytearray(1 << 20)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def examples(path: Path) -> None:
    for _, data in read_records(path):
        if isinstance(data, str):
            raise ValueError(data)
        read_example(data, FIELDS)


def unpacking(path: Path, count: int, image_bytes: int) -> None:
    """What the reader as a whole takes: first with unpacking, then with the cache there."""
    listing = list_files(path)
    size = path.stat().st_size

    def write_files() -> None:
        folder = Path(tempfile.mkdtemp(dir=path.parent))
        content = bytes(image_bytes)
        for number in range(count):
            (folder / str(number)).write_bytes(content)

    floor = min(timed(write_files) for _ in range(2))
    first = timed(lambda: read(listing))
    again = min(timed(lambda: read(listing)) for _ in range(3))
    for what, seconds in (
        ("as many files written, nothing else", floor),
        ("reader, images unpacked to the cache", first),
        ("reader, images in the cache already", again),
    ):
        print(f"{what}: {seconds:.2f} s ({size / seconds / 1e6:.0f} MB/s)")


def read(listing: Listing) -> None:
    found = read_tfrecord(listing)
    if not isinstance(found, Contents):
        raise ValueError(found)


def timed(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
