"""The table of contents of a safetensors file, read and checked without torch.

The format: 8 bytes little-endian header length, a JSON header, then raw tensor data without
holes (https://huggingface.co/docs/safetensors). Knows nothing of networks or downloads.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import BundleDamaged

_HEADER_LIMIT = 100_000_000  # bytes; the format's own limit
_ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "U16": 2, "F16": 2,
    "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8,
}  # fmt: skip
_FLOATS = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}


@dataclass(frozen=True)
class TensorEntry:
    """One tensor: `start` and `stop` are byte offsets in the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class SafetensorsHeader:
    """`tensors` by name; `aliases`: a tied tensor's other name -> the name it is stored under."""

    path: Path
    tensors: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]

    @property
    def aliases(self) -> dict[str, str]:
        """Names that the file leaves out because another tensor is the same one.

        safetensors.torch.save_model, and with it the Hugging Face hub's mixin, stores tied
        tensors once and records {left out: kept} in the metadata.
        """
        return {
            name: kept
            for name, kept in self.metadata.items()
            if kept in self.tensors and name not in self.tensors
        }

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor, the left-out names of tied ones included."""
        stored = {name: entry.shape for name, entry in self.tensors.items()}
        return stored | {name: stored[kept] for name, kept in self.aliases.items()}

    def not_finite(self) -> list[str]:
        """Names of the floating-point tensors that hold NaN or infinity."""
        raw = np.memmap(self.path, np.uint8, mode="r")
        return [
            name
            for name, entry in self.tensors.items()
            if not _is_finite(raw[entry.start : entry.stop], entry.dtype)
        ]


def read_header(path: Path) -> SafetensorsHeader:
    """The header of a safetensors file whose tensors fill the rest of the file exactly.

    Raises BundleDamaged saying what is wrong: no such format, truncated, overlapping tensors.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        first = stream.read(8)
        length = int.from_bytes(first, "little")
        if len(first) < 8 or not 2 <= length <= min(_HEADER_LIMIT, size - 8):
            raise _damaged(path, f"it begins with {first!r}, not with a header length")
        text = stream.read(length)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"its header is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise _damaged(path, "its header is not a JSON object")
    metadata = value.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise _damaged(path, "its metadata is not a JSON object")
    tensors = {name: _entry(path, name, item, 8 + length) for name, item in value.items()}
    _check_layout(path, tensors, 8 + length, size)
    return SafetensorsHeader(path, tensors, {str(k): str(v) for k, v in metadata.items()})


def _entry(path: Path, name: str, item: Any, data_start: int) -> TensorEntry:
    try:
        dtype, shape = str(item["dtype"]), tuple(item["shape"])
        start, stop = item["data_offsets"]
        counts = (*shape, start, stop)
    except (TypeError, KeyError, ValueError) as error:
        raise _damaged(path, f"{name} has no dtype, shape or offsets") from error
    if not all(type(count) is int and count >= 0 for count in counts) or dtype not in _ITEM_BYTES:
        raise _damaged(path, f"{name} has an unknown type or a senseless size")
    if stop - start != math.prod(shape) * _ITEM_BYTES[dtype]:
        raise _damaged(path, f"{name} has {stop - start} bytes, which is not {dtype} {shape}")
    return TensorEntry(dtype, shape, data_start + start, data_start + stop)


def _check_layout(path: Path, tensors: Mapping[str, TensorEntry], start: int, size: int) -> None:
    position = start
    for name, entry in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.start != position:
            raise _damaged(path, f"there is a hole or an overlap before {name}")
        position = entry.stop
    if position != size:
        raise _damaged(path, f"it has {size} bytes where its header promises {position}")


def _is_finite(raw: NDArray[np.uint8], dtype: str) -> bool:
    if dtype == "BF16":  # the upper half of a float32: all exponent bits set means not finite
        return not bool(((raw.view("<u2") & 0x7F80) == 0x7F80).any())
    return dtype not in _FLOATS or bool(np.isfinite(raw.view(_FLOATS[dtype])).all())


def _damaged(path: Path, problem: str) -> BundleDamaged:
    return BundleDamaged(f"{path} is no intact safetensors file: {problem}")
