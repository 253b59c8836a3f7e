"""tf.train.Example on the wire: named lists of byte strings, floats or integers.

The message, as TensorFlow's example.proto and feature.proto define it:

    Example { Features features = 1; }
    Features { map<string, Feature> feature = 1; }
    Feature { oneof { BytesList bytes_list = 1; FloatList float_list = 2;
                      Int64List int64_list = 3; } }
    BytesList, FloatList, Int64List { repeated bytes, float or int64 value = 1; }

Read and written by the protocol buffers' encoding guide, without their library: numbers packed
or not, the last of equal names counts, unknown fields are passed over. What the features mean is
not known here.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

# What a field holds, in the lowest three bits of its tag. Groups (3, 4) are refused: out of use.
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIELD_1, _FIELD_2, _FIELD_3 = (number << 3 | _LENGTH for number in (1, 2, 3))
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = _FIELD_1, _FIELD_2, _FIELD_3
_LONE_VARINT, _LONE_FLOAT = 1 << 3 | _VARINT, 1 << 3 | _FIXED32  # of a list that is not packed
_LONGEST_VARINT = 10
# No image has so many boxes, and each value may take 200 bytes of memory for 2 of the file.
_MOST_VALUES = 100_000

# Of a list: where its bytes are.
_Range = tuple[int, int]


class ExampleDamaged(Exception):
    """These bytes are no tf.train.Example."""


@dataclass(frozen=True, slots=True)
class Example:
    """Features by name, each of one of three kinds."""

    texts: Mapping[str, Sequence[bytes | memoryview]] = field(default_factory=dict)
    floats: Mapping[str, Sequence[float]] = field(default_factory=dict)
    integers: Mapping[str, Sequence[int]] = field(default_factory=dict)


def read_example(data: bytes | memoryview, wanted: Container[str]) -> Example:
    """The features whose names are `wanted`; byte strings are views into `data`.

    The time grows with the length of `data`, whatever is in it. Raises ExampleDamaged.
    """
    found: dict[str, tuple[int, list[_Range]]] = {}
    for tag, start, stop in _fields(data, 0, len(data)):
        if tag == _FIELD_1:
            for inner, begin, end in _fields(data, start, stop):
                if inner == _FIELD_1:
                    key, kind, ranges = _read_entry(data, begin, end)
                    if key in wanted:
                        found[key] = kind, ranges
    texts: dict[str, list[bytes | memoryview]] = {}
    floats: dict[str, list[float]] = {}
    integers: dict[str, list[int]] = {}
    for key, (kind, ranges) in found.items():
        if kind == _BYTES_LIST:
            texts[key] = _read_texts(data, ranges)
        elif kind == _FLOAT_LIST:
            floats[key] = _read_floats(data, ranges)
        elif kind == _INT64_LIST:
            integers[key] = _read_integers(data, ranges)
    return Example(texts, floats, integers)


def write_example(example: Example) -> bytes:
    """The message with these features, by name; numbers packed."""
    entries: dict[str, tuple[int, bytes]] = {}
    for key, texts in example.texts.items():
        entries[key] = _BYTES_LIST, b"".join(_field(_FIELD_1, text) for text in texts)
    for key, floats in example.floats.items():
        entries[key] = _FLOAT_LIST, _packed(struct.pack(f"<{len(floats)}f", *floats))
    for key, integers in example.integers.items():
        entries[key] = _INT64_LIST, _packed(b"".join(map(_varint, integers)))
    features = (
        _field(_FIELD_1, _field(_FIELD_1, key.encode()) + _field(_FIELD_2, _field(kind, values)))
        for key, (kind, values) in sorted(entries.items())
    )
    return _field(_FIELD_1, b"".join(features))


def _read_entry(data: bytes | memoryview, start: int, stop: int) -> tuple[str, int, list[_Range]]:
    """The name of one feature, its kind (0: none), and where its lists are."""
    key, kind = "", 0
    ranges: list[_Range] = []
    for tag, begin, end in _fields(data, start, stop):
        if tag == _FIELD_1:
            key = str(data[begin:end], "utf-8", "replace")
        elif tag == _FIELD_2:
            for inner, first, last in _fields(data, begin, end):
                if inner in (_BYTES_LIST, _FLOAT_LIST, _INT64_LIST):
                    if inner != kind:  # of a oneof the last counts; equal ones are joined
                        kind, ranges = inner, []
                    ranges.append((first, last))
                    _check_count(ranges)
    return key, kind, ranges


def _read_texts(data: bytes | memoryview, ranges: Sequence[_Range]) -> list[bytes | memoryview]:
    view = memoryview(data)
    values: list[bytes | memoryview] = []
    for start, stop in ranges:
        for tag, begin, end in _fields(data, start, stop):
            if tag == _FIELD_1:
                values.append(view[begin:end])
                _check_count(values)
    return values


def _read_floats(data: bytes | memoryview, ranges: Sequence[_Range]) -> list[float]:
    values: list[float] = []
    for start, stop in ranges:
        for tag, begin, end in _fields(data, start, stop):
            if tag == _FIELD_1:
                if (end - begin) % 4:
                    raise ExampleDamaged("a list of floats ends within one")
                if end - begin > 4 * _MOST_VALUES:
                    raise ExampleDamaged(f"a list has more than {_MOST_VALUES} values")
                values += struct.unpack(f"<{(end - begin) // 4}f", data[begin:end])
            elif tag == _LONE_FLOAT:
                values += struct.unpack("<f", data[begin:end])
            _check_count(values)
    return values


def _read_integers(data: bytes | memoryview, ranges: Sequence[_Range]) -> list[int]:
    values: list[int] = []
    for start, stop in ranges:
        for tag, begin, end in _fields(data, start, stop):
            if tag not in (_FIELD_1, _LONE_VARINT):
                continue
            while begin < end:  # packed: many; else the one
                value, begin = _read_varint(data, begin, end)
                values.append(value - (1 << 64) if value >> 63 else value)
                _check_count(values)
    return values


def _check_count(values: Sequence[object]) -> None:
    if len(values) > _MOST_VALUES:
        raise ExampleDamaged(f"a list has more than {_MOST_VALUES} values")


def _fields(data: bytes | memoryview, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Of each field of a message its tag, and where its bytes start and stop."""
    while position < end:
        tag = data[position]
        if tag < 0x80:  # the usual case, without a call
            position += 1
        else:
            tag, position = _read_varint(data, position, end)
        kind = tag & 7
        if kind == _LENGTH:
            if position < end and (length := data[position]) < 0x80:
                stop = position = position + 1
                stop += length
            else:
                length, position = _read_varint(data, position, end)
                stop = position + length
        elif kind == _VARINT:
            stop = _read_varint(data, position, end)[1]
        elif kind == _FIXED32:
            stop = position + 4
        elif kind == _FIXED64:
            stop = position + 8
        else:
            raise ExampleDamaged(f"byte {position} begins nothing that is known")
        if stop > end or not 8 <= tag < 1 << 32:
            raise ExampleDamaged(f"the field at byte {position} leads beyond what it is part of")
        yield tag, position, stop
        position = stop


def _read_varint(data: bytes | memoryview, position: int, end: int) -> tuple[int, int]:
    """An unsigned 64-bit number, and where the next byte is."""
    if position < end and (byte := data[position]) < 0x80:
        return byte, position + 1
    value = 0
    for count in range(min(_LONGEST_VARINT, end - position)):
        byte = data[position + count]
        value |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position + count + 1
    raise ExampleDamaged(f"the number at byte {position} has no end")


def _field(tag: int, payload: bytes | memoryview) -> bytes:
    return b"".join((_varint(tag), _varint(len(payload)), payload))


def _packed(values: bytes) -> bytes:
    return _field(_FIELD_1, values) if values else b""


def _varint(value: int) -> bytes:
    """A 64-bit number, negative ones as their two's complement."""
    value &= 0xFFFF_FFFF_FFFF_FFFF
    if value < 0x80:
        return bytes((value,))
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)
