"""Metadata of a .tflite detector: what MediaPipe and the TFLite Task Library read.

The tables are those of metadata_schema.fbs 1.5.0, which the TFLite Support library and MediaPipe
publish under Apache-2.0 (mediapipe/tasks/metadata/metadata_schema.fbs). Fields are numbered from
0 in the schema's order; a union takes two numbers, its type's and its value's. Knows no
TensorFlow and no network.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flatbuffers

LABELS_NAME = "labels.txt"
IDENTIFIER = b"M001"  # the schema's file_identifier
PARSER_VERSION = "1.2.0"  # the schema's version that brought TensorGroup, the newest table here

# Enums and members of unions, by the schema's numbers.
_TENSOR_VALUE_LABELS = 3  # AssociatedFileType
_RGB = 1  # ColorSpaceType
_BOUNDARIES = 1  # BoundingBoxType
_RATIO = 0  # CoordinateType
_FEATURE, _IMAGE, _BOUNDING_BOX = 1, 2, 3  # ContentProperties
_NORMALIZATION = 1  # ProcessUnitOptions

# The names by which the libraries know a detector's outputs. The count belongs to no group: it
# is one number, not one a detection.
_LOCATION, _CATEGORY, _SCORE, _COUNT = "location", "category", "score", "number of detections"

# Puts one field of a table into the buffer; given the field's number.
_Field = Callable[[int], Any]


def append_labels(model: bytes, text: str) -> bytes:
    """`model` with labels.txt behind it: a zip archive, stored, without a time of its own."""
    stream = io.BytesIO()
    stream.write(model)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        # ZipInfo's date is 1980 unless told: the same model gives the same bytes
        archive.writestr(zipfile.ZipInfo(LABELS_NAME), text)
    return stream.getvalue()


def labels_text(labels: Sequence[str]) -> str:
    """One label a line, numbered from 0; line breaks within a label become spaces."""
    return "".join(" ".join(label.splitlines()) + "\n" for label in labels)


def write_metadata(name: str, input_px: int) -> bytes:
    """The TFLITE_METADATA flatbuffer of a detector of one uint8 image, input_px a side.

    The image's values are taken as they are; boxes are ymin, xmin, ymax, xmax in 0..1.
    """
    return _Writer().detector(name, input_px)


class _Writer:
    """One metadata flatbuffer, table by table; inner tables come before those that hold them."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(1024)

    def detector(self, name: str, input_px: int) -> bytes:
        grouped = self.texts([_LOCATION, _CATEGORY, _SCORE])
        group = self.table({0: self.text("detection_result"), 1: grouped})  # TensorGroup
        subgraph = self.table(  # SubGraphMetadata
            {
                2: self.tables([self.image(input_px)]),
                3: self.tables([self.location(), self.category(), self.score(), self.count()]),
                8: self.tables([group]),
            }
        )
        model = self.table(  # ModelMetadata
            {
                0: self.text(name),
                1: self.text("Finds objects in an image: boxes, classes and scores, best first."),
                2: self.text("1"),
                3: self.tables([subgraph]),
                5: self.text("Apache-2.0"),
                7: self.text(PARSER_VERSION),
            }
        )
        self.builder.Finish(model, IDENTIFIER)
        return bytes(self.builder.Output())

    def image(self, input_px: int) -> int:
        size = self.table({0: self.number(input_px), 1: self.number(input_px)})  # ImageSize
        properties = self.table({0: self.byte(_RGB), 1: self.offset(size)})  # ImageProperties
        as_is = self.table({0: self.floats([0]), 1: self.floats([1])})  # NormalizationOptions
        unit = self.table({0: self.byte(_NORMALIZATION), 1: self.offset(as_is)})  # ProcessUnit
        return self.table(  # TensorMetadata
            {
                0: self.text("image"),
                1: self.text("RGB, stretched to the input's size."),
                3: self.content(_IMAGE, properties),
                4: self.tables([unit]),
                5: self.offset(self.table({0: self.floats([255]), 1: self.floats([0])})),  # Stats
            }
        )

    def location(self) -> int:
        properties = self.table(  # BoundingBoxProperties
            {
                0: self.numbers([1, 0, 3, 2]),  # where left, top, right and bottom stand
                1: self.byte(_BOUNDARIES),
                2: self.byte(_RATIO),
            }
        )
        return self.table(
            {
                0: self.text(_LOCATION),
                1: self.text("The boxes: ymin, xmin, ymax, xmax in 0..1 of the image."),
                3: self.content(_BOUNDING_BOX, properties, each=True),
            }
        )

    def category(self) -> int:
        labels = self.table(  # AssociatedFile
            {
                0: self.text(LABELS_NAME),
                1: self.text("The classes' names, one a line."),
                2: self.byte(_TENSOR_VALUE_LABELS),
            }
        )
        return self.table(
            {
                0: self.text(_CATEGORY),
                1: self.text("The classes' numbers, from 0."),
                3: self.content(_FEATURE, self.table({}), each=True),
                6: self.tables([labels]),
            }
        )

    def score(self) -> int:
        return self.table(
            {
                0: self.text(_SCORE),
                1: self.text("The scores in 0..1, best first."),
                3: self.content(_FEATURE, self.table({}), each=True),
            }
        )

    def count(self) -> int:
        return self.table(
            {
                0: self.text(_COUNT),
                1: self.text("How many detections there are."),
                3: self.content(_FEATURE, self.table({})),
            }
        )

    def content(self, kind: int, properties: int, *, each: bool = False) -> _Field:
        """Content; `each`: it describes one of the tensor's elements, not all of it."""
        fields = {0: self.byte(kind), 1: self.offset(properties)}
        if each:
            fields[2] = self.offset(self.table({0: self.number(2), 1: self.number(2)}))
        return self.offset(self.table(fields))

    def table(self, fields: Mapping[int, _Field]) -> int:
        """The offset of a table with these fields, by number."""
        self.builder.StartObject(max(fields, default=-1) + 1)
        for number, put in fields.items():
            put(number)
        offset: int = self.builder.EndObject()
        return offset

    def offset(self, offset: int) -> _Field:
        return lambda field: self.builder.PrependUOffsetTRelativeSlot(field, offset, 0)

    def byte(self, value: int) -> _Field:
        return lambda field: self.builder.PrependInt8Slot(field, value, 0)

    def number(self, value: int) -> _Field:
        return lambda field: self.builder.PrependInt32Slot(field, value, 0)

    def text(self, value: str) -> _Field:
        return self.offset(self.builder.CreateString(value))

    def texts(self, values: Sequence[str]) -> _Field:
        return self.tables([self.builder.CreateString(value) for value in values])

    def tables(self, offsets: Sequence[int]) -> _Field:
        return self.vector(offsets, self.builder.PrependUOffsetTRelative)

    def numbers(self, values: Sequence[int]) -> _Field:
        return self.vector(values, self.builder.PrependInt32)

    def floats(self, values: Sequence[float]) -> _Field:
        return self.vector(values, self.builder.PrependFloat32)

    def vector(self, values: Sequence[Any], put: Callable[[Any], Any]) -> _Field:
        """A vector of four-byte elements."""
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            put(value)
        return self.offset(self.builder.EndVector())
