"""Copies of files as browsers take them compressed: NAME.br and NAME.gz beside NAME."""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
from pathlib import Path

from sightline.zoo import cache_dir

COPIES = (".br", ".gz")
_LEAST_BYTES = 200  # smaller files are sent as fast without
_WORTH = 0.97  # of the size: a copy that saves less is not made
_QUALITY, _QUICK_QUALITY = 11, 9  # the latter takes a twelfth of the time and a sixth more bytes
_WINDOW = 24  # the largest that every browser takes: 16 MiB
_WORTH_KEEPING = 1_000_000  # bytes whose compression takes seconds: 42 s for ONNX Runtime's wasm


def compress(path: Path, *, quickly: bool = False) -> dict[str, int]:
    """Write the copies that are worth it beside the file; their sizes by suffix.

    quickly: for what few will fetch.
    """
    content = path.read_bytes()
    if len(content) < _LEAST_BYTES:
        return {}
    packed = {".br": _brotli(content, quickly), ".gz": gzip.compress(content, 9, mtime=0)}
    sizes = {}
    for suffix, copy in packed.items():
        if len(copy) < _WORTH * len(content):
            path.with_name(path.name + suffix).write_bytes(copy)
            sizes[suffix] = len(copy)
    return sizes


def _brotli(content: bytes, quickly: bool) -> bytes:
    """Compressed; where that takes long, once on this machine."""
    import brotli

    if quickly or len(content) < _WORTH_KEEPING:
        quality = _QUICK_QUALITY if quickly else _QUALITY
        return bytes(brotli.compress(content, quality=quality, lgwin=_WINDOW))
    digest = hashlib.sha256(content).hexdigest()
    kept = cache_dir() / "brotli" / f"{digest}.br"
    try:
        found = kept.read_bytes()
        if brotli.decompress(found) == content:
            return found
    except (OSError, brotli.error):
        pass  # not there yet, or damaged: made anew
    packed = bytes(brotli.compress(content, quality=_QUALITY, lgwin=_WINDOW))
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as stream:
            stream.write(packed)
        os.replace(stream.name, kept)
    except OSError:
        pass  # a cache that cannot be written only costs the time again
    return packed
