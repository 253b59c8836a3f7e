"""TFRecord files: records of bytes, each framed by its length and two checksums.

Knows nothing of what the records hold. A record is, little-endian, as TensorFlow's guide
"TFRecord and tf.train.Example" has it:

    uint64 length, uint32 masked CRC32C of the length, the data, uint32 masked CRC32C of the data
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import google_crc32c

HEADER_BYTES = 12
_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
# The checksum takes bytes objects only: a copy of this many stays in the processor's cache.
_PIECE = 1 << 20
# Pages of the file that were read are handed back after this many bytes.
_KEPT = 1 << 26


def read_records(path: Path) -> Iterator[tuple[int, bytes | memoryview | str]]:
    """Where each record starts in the file, with its data or what is wrong with it.

    A record with a wrong checksum is passed over. Where a length cannot be trusted, or leads
    beyond the end of the file, no next record can be found: the iteration ends. Long records are
    views into the file, not copied. Raises OSError.
    """
    with path.open("rb") as file:
        if file.seek(0, 2) == 0:  # what is empty cannot be mapped
            return
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    view, size = memoryview(mapped), len(mapped)
    start = released = 0
    while start < size:
        header = mapped[start : start + HEADER_BYTES]
        fault = _header_fault(header, size - start)
        if fault is not None:
            yield start, fault
            return
        begin = start + HEADER_BYTES
        end = begin + _HEADER.unpack(header)[0]
        (said,) = _FOOTER.unpack_from(mapped, end)
        data = mapped[begin:end] if end - begin <= _PIECE else view[begin:end]
        yield start, data if _mask(checksum(data)) == said else "its checksum is wrong; left out"
        start = end + _FOOTER.size
        if start - released > _KEPT and hasattr(mmap, "MADV_DONTNEED"):
            pages = (start - released) // mmap.PAGESIZE * mmap.PAGESIZE
            mapped.madvise(mmap.MADV_DONTNEED, released, pages)
            released += pages


def looks_like_records(path: Path) -> bool:
    """Whether the file begins with a length and its right checksum."""
    with path.open("rb") as file:
        return _header_fault(file.read(HEADER_BYTES), path.stat().st_size) is None


def write_record(file: IO[bytes], data: bytes) -> None:
    """Append one record."""
    length = struct.pack("<Q", len(data))
    file.write(length + _FOOTER.pack(_mask(google_crc32c.value(length))))
    file.write(data)
    file.write(_FOOTER.pack(_mask(google_crc32c.value(data))))


def _header_fault(header: bytes, left: int) -> str | None:
    """What is wrong with a header after which, itself included, `left` bytes of the file are."""
    if header.startswith(b"\x1f\x8b\x08"):
        return "the file is compressed with gzip; unpack it first"
    if len(header) < HEADER_BYTES:
        return "the file ends within its header; the rest is lost"
    length, said = _HEADER.unpack(header)
    if _mask(google_crc32c.value(header[:8])) != said:
        return "the checksum of its length is wrong; nothing after it can be read"
    within = left - HEADER_BYTES - _FOOTER.size
    if length > within:
        return f"it has {length} bytes, the file ends after {max(0, within)}; the rest is lost"
    return None


def checksum(data: memoryview | bytes) -> int:
    """The CRC32C of the data."""
    found: int = google_crc32c.value(bytes(data[:_PIECE]))
    for start in range(_PIECE, len(data), _PIECE):
        found = google_crc32c.extend(found, bytes(data[start : start + _PIECE]))
    return found


def _mask(value: int) -> int:
    """The checksum as it is stored."""
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF
