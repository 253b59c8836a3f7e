"""What the TF Object Detection API calls things in a tf.train.Example: image, boxes, classes.

Knows neither files nor where images lie.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from sightline.data.formats.contents import RawBox, tidy_name
from sightline.data.formats.example import Example
from sightline.data.formats.labelmap import LabelItem
from sightline.data.formats.lost import has_other_areas
from sightline.data.records import Record, Severity

ENCODED = "image/encoded"
_FILENAME, _SOURCE, _FORMAT = "image/filename", "image/source_id", "image/format"
_WIDTH, _HEIGHT, _SHA256 = "image/width", "image/height", "image/key/sha256"
_EDGES = tuple(f"image/object/bbox/{edge}" for edge in ("xmin", "ymin", "xmax", "ymax"))
_TEXT, _LABEL = "image/object/class/text", "image/object/class/label"
_DIFFICULT, _TRUNCATED = "image/object/difficult", "image/object/truncated"
# The script for COCO has is_crowd, the one for Open Images group_of, which decoders look for.
_GROUP, _CROWD = "image/object/group_of", "image/object/is_crowd"
_AREA = "image/object/area"
_TEXTS = (ENCODED, _FILENAME, _SOURCE, _TEXT)
_OF_OBJECTS = (_LABEL, _DIFFICULT, _TRUNCATED, _GROUP, _CROWD, _AREA)
_NUMBERS = (_WIDTH, _HEIGHT, *_EDGES, *_OF_OBJECTS)
# Bytes of a name: what is longer is damage, and no message should show it all.
_LONGEST_TEXT = 1000
# All that is read; whatever else a record holds is ignored.
FIELDS = frozenset((*_TEXTS, *_NUMBERS))


class Classes:
    """What the classes are called, by a label map, or by the records where there is none.

    items: of the label map; None: there is none. unknown: texts of the records that are not in
    it -> the smallest label they have, infinite for none. is_used: whether a box has a class of
    the map. is_numbered: whether labels stand for themselves, for want of a map. contradictions:
    number of boxes whose text and label mean different classes; the first in words.
    """

    def __init__(self, items: Sequence[LabelItem] | None) -> None:
        self.items = items
        self.unknown: dict[str, float] = {}
        self.is_used = False
        self.is_numbered = False
        self.contradictions = 0
        self.first_contradiction = ""
        self._by_id = {item.id: item.shown for item in items or () if item.id is not None}
        self._by_name = {item.shown: item.shown for item in items or ()}
        self._by_name |= {item.name: item.shown for item in reversed(items or ()) if item.name}

    def name(self, text: str, label: int | None) -> str | None:
        """The class of a box with that text ("": none) and label; None where it has none."""
        by_label = None if label is None else self._by_id.get(label)
        shown = self._by_name.get(text) if text else by_label
        if shown is not None:
            self.is_used = True
            if by_label is not None and by_label != shown:
                self.contradictions += 1
                if self.contradictions == 1:
                    self.first_contradiction = f"{text!r} with label {label}, {by_label!r}"
            return shown
        if not text:
            if self.items is not None or label is None:
                return None
            self.is_numbered = True
            text = str(label)
        number = math.inf if label is None else label
        self.unknown[text] = min(number, self.unknown.get(text, math.inf))
        return text

    def ids(self) -> dict[str, float]:
        """Name -> id, infinite where it has none; without those of a map that is of no use."""
        if self.unknown and not self.is_used:
            return dict(self.unknown)
        ids: dict[str, float] = {}
        for item in self.items or ():  # with ids before those without, see read_label_map
            ids.setdefault(item.shown, math.inf if item.id is None else item.id)
        for text, number in self.unknown.items():
            ids[text] = math.inf if number in self._by_id else number
        return ids


@dataclass(frozen=True, slots=True)
class Described:
    """The image that an Example describes. name: as written, "" for none; encoded: its bytes."""

    name: str
    encoded: memoryview | bytes
    said_size: tuple[float, float] | None
    boxes: tuple[RawBox, ...]
    faults: tuple[tuple[Severity, str, str], ...]


def describe(example: Example, classes: Classes) -> Described | None:
    """The image and its boxes, and what was wrong as (severity, code, message); None: no image."""
    encoded = next(iter(example.texts.get(ENCODED, ())), b"")
    names = (_as_text(text) for key in (_FILENAME, _SOURCE) for text in example.texts.get(key, ()))
    name = next(filter(None, names), "")
    if not name and not encoded:
        return None
    faults: list[tuple[Severity, str, str]] = []
    for key in _NUMBERS:
        if example.texts.get(key):
            faults.append(("error", "entry-damaged", f"{key} holds texts, not numbers; ignored"))
    for key in _TEXTS:
        if example.integers.get(key) or example.floats.get(key):
            faults.append(("error", "entry-damaged", f"{key} holds numbers, not texts; ignored"))
    width, height = (next(iter(_numbers(example, key)), 0) for key in (_WIDTH, _HEIGHT))
    size = (float(width), float(height)) if width > 0 and height > 0 else None
    boxes = _read_boxes(example, classes, faults)
    return Described(name, encoded, size, tuple(boxes), tuple(faults))


def _read_boxes(
    example: Example, classes: Classes, faults: list[tuple[Severity, str, str]]
) -> list[RawBox]:
    xmin, ymin, xmax, ymax = edges = [_numbers(example, key) for key in _EDGES]
    of_objects = [_numbers(example, key) for key in _OF_OBJECTS]
    labels, difficult, truncated, group, crowd, areas = of_objects
    texts = example.texts.get(_TEXT, ())
    count = min(map(len, edges))
    lengths = zip((*_EDGES, *_OF_OBJECTS, _TEXT), (*edges, *of_objects, texts), strict=True)
    odd = [f"{key} has {len(values)}" for key, values in lengths if len(values) not in (0, count)]
    if odd or max(map(len, edges)) > count:
        message = f"{count} box(es) are whole and read, but {', '.join(odd)} values"
        faults.append(("error", "entry-damaged", message))
    boxes: list[RawBox] = []
    nameless: list[str] = []
    for index, box_xyxy in enumerate(zip(xmin, ymin, xmax, ymax, strict=False)):
        text = tidy_name(_as_text(texts[index])) if index < len(texts) else ""
        label = _as_id(_at(labels, index))
        name = classes.name(text, label)
        if name is None:
            said = "neither text nor label" if label is None else f"no text, and label {label}"
            nameless.append(f"box {index + 1} has {said}")
            continue
        own_area = _at(areas, index)
        boxes.append(
            RawBox(
                name,
                box_xyxy,
                is_crowd=_at(group, index) == 1 or _at(crowd, index) == 1,
                area=own_area if own_area is not None and 0 <= own_area < math.inf else None,
                is_difficult=_at(difficult, index) == 1,
                is_truncated=_at(truncated, index) == 1,
            )
        )
    if nameless:
        others = f", {len(nameless) - 1} more likewise" if len(nameless) > 1 else ""
        faults.append(("warning", "class-empty", f"{nameless[0]}{others}; left out"))
    return boxes


def as_example(
    record: Record, name: str, encoded: bytes, form: str, classes: Sequence[str]
) -> Example:
    """The features of one image as the API's own scripts name them.

    form: "jpeg", "png" and so on. Boxes are shares of the upright image as float32: a corner is
    off by at most 2**-25 of the width or height.
    """
    sizes = (record.width, record.height) * 2
    edges = zip(_EDGES, record.boxes_xyxy.T.tolist(), sizes, strict=True)
    floats = {key: [value / size for value in values] for key, values, size in edges}
    if has_other_areas(record):  # else it need not be said
        floats[_AREA] = record.area.tolist()
    called = name.encode("utf-8", "surrogateescape")
    labels = record.label_ids.tolist()
    return Example(
        {
            ENCODED: [encoded],
            _FILENAME: [called],
            _SOURCE: [called],
            _FORMAT: [form.encode()],
            _SHA256: [hashlib.sha256(encoded).hexdigest().encode()],
            _TEXT: [classes[label].encode("utf-8", "replace") for label in labels],
        },
        floats,
        {
            _WIDTH: [record.width],
            _HEIGHT: [record.height],
            _LABEL: [label + 1 for label in labels],
            _DIFFICULT: record.is_difficult.tolist(),
            _TRUNCATED: record.is_truncated.tolist(),
            _GROUP: record.is_crowd.tolist(),
        },
    )


def _numbers(example: Example, key: str) -> Sequence[float]:
    return example.integers.get(key) or example.floats.get(key) or ()


def _at(values: Sequence[float], index: int) -> float | None:
    return values[index] if index < len(values) else None


def _as_id(value: float | None) -> int | None:
    """A label as an integer, which it is in all but damaged records."""
    return int(value) if value is not None and math.isfinite(value) else None


def _as_text(text: bytes | memoryview) -> str:
    return str(text[:_LONGEST_TEXT], "utf-8", "replace")
