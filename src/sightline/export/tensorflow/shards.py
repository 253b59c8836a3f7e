"""Weights in TensorFlow.js's binary layout: end to end, cut into files of a given size.

Layout: github.com/tensorflow/tfjs, "weightsManifest". Knows no graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ExportError

# What a browser holds: no 64-bit numbers, no small integers.
_STORED = {
    "float32": "float32",
    "float64": "float32",
    "int32": "int32",
    "int64": "int32",
    "int16": "int32",
    "int8": "int32",
    "uint8": "int32",
    "bool": "bool",
}
_WHOLE = 32767
_INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class Weight:
    """A constant of the graph.

    stored: in 16 bits, from which TensorFlow.js makes float32 when it loads; "uint16" is for whole
    numbers from -32767 to 32767.
    """

    name: str
    values: NDArray[Any]
    stored: Literal["float16", "uint16"] | None = None


def write_shards(weights: Sequence[Weight], folder: Path, shard_bytes: int) -> list[dict[str, Any]]:
    """The "weightsManifest" of model.json; writes group1-shardNofM.bin of at most `shard_bytes`.

    A weight may begin in one file and end in the next. Raises ExportError for values that
    TensorFlow.js cannot hold.
    """
    entries, parts = [], []
    for weight in weights:
        entry, stored = _encode(weight)
        entries.append(entry)
        parts.append(stored.tobytes())
    data = b"".join(parts)
    count = max(1, -(-len(data) // shard_bytes))
    names = [f"group1-shard{number}of{count}.bin" for number in range(1, count + 1)]
    for index, name in enumerate(names):
        (folder / name).write_bytes(data[index * shard_bytes : (index + 1) * shard_bytes])
    return [{"paths": names, "weights": entries}]


def _encode(weight: Weight) -> tuple[dict[str, Any], NDArray[Any]]:
    """The manifest's entry of one weight, and its values as stored, little-endian."""
    dtype = _STORED.get(weight.values.dtype.name)
    if dtype is None:
        raise ExportError(
            f"the constant {weight.name} holds {weight.values.dtype} values, which TensorFlow.js "
            "cannot; export to savedmodel, litert or onnx instead"
        )
    values = weight.values
    if dtype == "int32":
        # "to the end" is the greatest int64 in many slices, and the greatest int32 says the same
        values = values.clip(_INT32.min, _INT32.max)
    entry: dict[str, Any] = {"name": weight.name, "shape": list(values.shape), "dtype": dtype}
    if weight.stored is None:
        return entry, values.astype(np.dtype(dtype).newbyteorder("<"))
    entry["quantization"] = {"dtype": weight.stored, "original_dtype": "float32"}
    if weight.stored == "uint16":
        entry["quantization"] |= {"min": -_WHOLE, "scale": 1}
        return entry, (values + _WHOLE).astype("<u2")
    with np.errstate(over="ignore"):
        half = values.astype("<f2")
    if not np.isfinite(half).all():
        raise ExportError(
            f"the constant {weight.name} reaches {np.abs(values).max():g}, more than float16 holds "
            "(65504); export without --quantize"
        )
    return entry, half
