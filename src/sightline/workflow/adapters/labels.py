"""Class names of a foreign model, from the files that people keep them in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.data.formats.labelmap import read_label_map
from sightline.errors import ForeignModelError
from sightline.labels import COCO_LABELS

# The ids of COCO's 80 classes among its 91 categories (instances_val2017.json).
_COCO_GAPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
COCO_IDS = tuple(n for n in range(1, 91) if n not in _COCO_GAPS)
_LARGEST = 1 << 24


@dataclass(frozen=True)
class ClassNames:
    """Names in order, and the id that their file gives each; `source` says where they are from."""

    names: tuple[str, ...]
    ids: tuple[int, ...]
    source: str


COCO = ClassNames(COCO_LABELS, COCO_IDS, "COCO's 80 names")


def read_names(path: Path) -> ClassNames:
    """The names of a .pbtxt label map, of JSON or YAML, or of a text file with one a line.

    JSON and YAML: a list, or an object with `names`, `classes`, `labels`, `id2label` or COCO's
    `categories`, or of names by id. Raises ForeignModelError.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ForeignModelError(f"{path}: the labels cannot be read: {error}") from error
    suffix = path.suffix.lower()
    if suffix == ".pbtxt":
        return _from_label_map(text, path)
    if suffix in (".json", ".yaml", ".yml"):
        return _from_value(_parse(text, path), path)
    names = [line.strip() for line in text.splitlines() if line.strip()]
    return _checked(dict(enumerate(names, 1)), path)


def _from_label_map(text: str, path: Path) -> ClassNames:
    items, faults = read_label_map(text)
    for fault in faults:
        if fault.severity == "error":
            raise ForeignModelError(f"{path}:{fault.line}: {fault.message}")
    numbered = {item.id: item.shown for item in items if item.id is not None}
    if len(numbered) != len(items):
        raise ForeignModelError(f"{path}: every item of a model's label map needs an id")
    return _checked(numbered, path)


def _parse(text: str, path: Path) -> Any:
    if path.suffix.lower() == ".json":
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ForeignModelError(f"{path} is not valid JSON: {error}") from error
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ForeignModelError(f"{path} is not valid YAML: {error}") from error


def _from_value(value: Any, path: Path) -> ClassNames:
    if isinstance(value, dict):
        for key in ("names", "classes", "labels", "id2label", "categories"):
            if isinstance(value.get(key), list | dict):
                value = value[key]
                break
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        value = {item.get("id"): item.get("name") for item in value}
    if isinstance(value, list):
        value = dict(enumerate(value, 1))
    if not isinstance(value, dict):
        raise ForeignModelError(f"{path}: no list of class names in it")
    try:
        numbered = {int(number): name for number, name in value.items()}
    except (TypeError, ValueError) as error:
        raise ForeignModelError(f"{path}: class names by their numbers expected") from error
    return _checked(numbered, path)


def _checked(numbered: dict[int, Any], path: Path) -> ClassNames:
    if not numbered or not all(isinstance(name, str) and name for name in numbered.values()):
        raise ForeignModelError(f"{path}: class names expected, as texts that are not empty")
    ids = tuple(sorted(numbered))
    return ClassNames(tuple(numbered[number] for number in ids), ids, str(path))


def first_names(names: Sequence[str]) -> str:
    """The first few, to remind a reader of which list it is."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
