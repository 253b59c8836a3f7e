"""Whether an image file reaches its end, told by its last bytes alone.

Cheap enough for a hundred thousand files, and blind to damage in between. Knows no pixels.
"""

from __future__ import annotations

import os
from pathlib import Path

# Programs pad files and add a line break; a longer tail is for the decoder to judge.
_TAIL_BYTES = 32


def reaches_end(path: Path, format: str) -> bool:
    """Whether the file has the end that its format prescribes; False also where none can tell.

    format: as in ImageHeader. TIFF has no end, and a BMP may leave its size at 0. A valid file may
    carry more after its end: decoding decides. Raises OSError.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(_TAIL_BYTES)
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
    if format == "JPEG":  # end of image; never within compressed data (ITU-T T.81, B.1.1.5)
        return b"\xff\xd9" in tail
    if format == "PNG":
        return b"IEND\xae\x42\x60\x82" in tail
    if format == "GIF":  # trailer (GIF89a, section 27)
        return tail.rstrip(b"\0").endswith(b";")
    if format == "WEBP":  # the RIFF chunk's size, which leaves out 8 bytes
        return size >= 8 + int.from_bytes(start[4:8], "little")
    if format == "BMP":
        declared = int.from_bytes(start[2:6], "little")
        return 0 < declared <= size
    return False
