"""What a YOLO data set says about itself: data.yaml, darknet's obj.data, files of class names.

Knows no label rows and resolves no paths. Everything in a YAML file is taken as written, so that
the classes yes, 1 and null keep their names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from sightline.data.formats.contents import CLASSES_FILE, Reading, tidy_name
from sightline.data.formats.image_names import folder_of, name_of
from sightline.data.formats.yolo_labels import ClassNames, read_text

MAX_CONFIG_BYTES = 2**20
# Nobody keeps more of them in one folder; a megabyte of YAML takes seconds.
_MAX_CONFIGS = 10
_SPLIT_KEYS = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
_SPLIT_NAME = re.compile(r"[A-Za-z0-9_-]+")
_OTHER_KEYS = {"names", "nc", "path", "kpt_shape"}
_ABSENT = {"", "~", "null", "Null", "NULL"}
_NUMBER = re.compile(r"[0-9]{1,6}")
_DOUBLE_QUOTED = re.compile('"[^"\n]*"')
_INDENT = re.compile(r"^[ \t]+", re.MULTILINE)
_NAMES_FILES = (".names", "/_darknet.labels", f"/{CLASSES_FILE}")


@dataclass(frozen=True)
class Config:
    """One data.yaml or obj.data. names: by class number, empty where it has none.

    splits: split -> its folders or lists of images, as written, each with its line. base: what
    they are relative to, as written. keypoint_columns: numbers of keypoints behind each box.
    """

    file: str
    names: Mapping[int, str]
    splits: Mapping[str, tuple[tuple[str, int], ...]]
    base: str = ""
    keypoint_columns: int = 0


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # yaml has no types
    """Refuses aliases: no data.yaml needs them, and nested ones grow without bound."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "aliases (*) are not taken", mark)
        return super().compose_node(parent, index)


def read_configs(reading: Reading) -> list[Config]:
    """Every data.yaml, whatever its name, and obj.data; the one nearest to the top first."""
    files = [
        f for ending in (".yaml", ".yml", ".data") for f in reading.listing.with_suffix(ending)
    ]
    files.sort(key=lambda f: (f.count("/"), f.endswith(".data"), "data.y" not in f, f))
    found: list[Config] = []
    for file in files:
        text = read_text(reading, file, MAX_CONFIG_BYTES)
        if text is None or not re.search("names|train", text):
            continue
        read = _read_darknet if file.lower().endswith(".data") else _read_yaml
        if config := read(reading, file, text):
            found.append(config)
        if len(found) == _MAX_CONFIGS:
            break
    return found


def _read_yaml(reading: Reading, file: str, text: str) -> Config | None:
    try:
        top = _compose(text)
    except _YamlDamaged as error:
        mended = _as_meant(text)
        try:
            if mended == text:
                raise
            top = _compose(mended)
        except _YamlDamaged:
            message = f"no readable YAML: {error}; not used"
            reading.report("error", "yaml-damaged", file, error.line, message)
            return None
        message = (
            f"no readable YAML: {error}; read with backslashes in double quotes as they stand and "
            "tabs as blanks: write / for \\, and blanks for tabs"
        )
        reading.report("warning", "yaml-damaged", file, error.line, message)
    keys = {key.value: value for key, value in _pairs(top)}
    if not {"names", "train"} & keys.keys():
        return None
    names = _read_yaml_names(reading, file, keys.get("names"))
    splits: dict[str, tuple[tuple[str, int], ...]] = {}
    for key, value in keys.items():
        entries = tuple((node.value, node.start_mark.line + 1) for node in _scalars(value))
        split = _SPLIT_KEYS.get(key) or (key if _is_own_split(key, value) else None)
        if split and (entries or isinstance(value, yaml.SequenceNode)):
            splits[split] = splits.get(split, ()) + entries
    count = _whole(keys.get("nc"))
    if names and count is not None and count != len(names):
        message = f"nc says {count} classes, names has {len(names)}: the names count"
        line = keys["nc"].start_mark.line + 1
        reading.report("warning", "class-count-differs", file, line, message)
    keypoints = [_whole(node) or 0 for node in _scalars(keys.get("kpt_shape"))]
    columns = keypoints[0] * keypoints[1] if len(keypoints) == 2 else 0
    base = next((node.value for node in _scalars(keys.get("path"))), "")
    return Config(file, names, splits, base, columns)


class _YamlDamaged(Exception):
    """Says why; `line` says where, if known."""

    def __init__(self, why: str, line: int | None = None) -> None:
        super().__init__(why)
        self.line = line


def _compose(text: str) -> Any:
    """The document's node. Raises _YamlDamaged."""
    try:
        return yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        why = getattr(error, "problem", None) or "a character that YAML does not allow"
        raise _YamlDamaged(why, mark.line + 1 if mark else None) from error
    except RecursionError as error:
        raise _YamlDamaged("nested too deeply") from error
    except (ValueError, OverflowError) as error:  # "\\Uffffffff"
        raise _YamlDamaged(str(error)) from error


def _as_meant(text: str) -> str:
    """The text with what people write on Windows, "C:\\Users" and tabs, written as YAML wants."""
    text = _DOUBLE_QUOTED.sub(lambda found: found[0].replace("\\", "\\\\"), text)
    return _INDENT.sub(lambda found: found[0].expandtabs(), text)


def _is_own_split(key: str, value: Any) -> bool:
    """Whether it is a split of an unusual name, as the writer here has them."""
    is_scalar = isinstance(value, yaml.ScalarNode) and value.value == f"images/{key}"
    return is_scalar and is_split_key(key)


def is_split_key(name: str) -> bool:
    """Whether a split of that name can stand in data.yaml, and be a folder's name."""
    return bool(_SPLIT_NAME.fullmatch(name)) and name not in _OTHER_KEYS


def _read_yaml_names(reading: Reading, file: str, node: Any) -> dict[int, str]:
    names: dict[int, str] = {}
    if isinstance(node, yaml.SequenceNode):
        entries: Iterable[tuple[str, Any]] = ((str(i), item) for i, item in enumerate(node.value))
    else:
        entries = ((key.value, value) for key, value in _pairs(node))
    for key, value in entries:
        line = value.start_mark.line + 1
        number = int(key) if _NUMBER.fullmatch(key) else None
        if number is None:
            message = f"names: {key[:40]!r} is no class number; left out"
            reading.report("error", "category-damaged", file, line, message)
        elif number in names:
            message = f"names: class {number} is named twice; {names[number]!r} is kept"
            reading.report("error", "id-repeated", file, line, message)
        else:
            name = tidy_name(value.value) if isinstance(value, yaml.ScalarNode) else ""
            names[number] = _named(reading, file, line, number, name)
    return _checked(reading, file, names)


def _named(reading: Reading, file: str, line: int, number: int, name: str) -> str:
    if not name:
        message = f"class {number} has no name; called '{number}'"
        reading.report("error", "category-damaged", file, line, message)
    return name or str(number)


def _checked(reading: Reading, file: str, names: dict[int, str]) -> dict[int, str]:
    if len(set(names.values())) < len(names):
        message = "several class numbers have one name: taken as one class"
        reading.report("warning", "category-repeated", file, None, message)
    return dict(sorted(names.items()))


def _read_darknet(reading: Reading, file: str, text: str) -> Config | None:
    """What lines like `train = data/train.txt` say."""
    values: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        key, is_pair, value = line.partition("=")
        if is_pair and value.strip():
            values[key.strip()] = (value.strip(), number)
    if not {"names", "train"} & values.keys():
        return None
    splits = {split: (values[key],) for key, split in _SPLIT_KEYS.items() if key in values}
    names: dict[int, str] = {}
    if "names" in values:
        wanted = name_of(values["names"][0].replace("\\", "/"))
        folder = folder_of(file)
        files = [f for f in reading.listing.annotations if name_of(f) == wanted]
        files.sort(key=lambda f: (folder_of(f) != folder, f))
        names = _read_names(reading, files[0]) if files else {}
    return Config(file, names, splits)


def _read_names(reading: Reading, file: str) -> dict[int, str]:
    """A name a line, as in classes.txt; empty lines at the end are none."""
    text = read_text(reading, file, MAX_CONFIG_BYTES) or ""
    lines = [tidy_name(line) for line in text.rstrip().splitlines()]
    names = {n: _named(reading, file, n + 1, n, name) for n, name in enumerate(lines)}
    return _checked(reading, file, names)


def read_class_names(
    reading: Reading, config: Config | None, folders: Iterable[str]
) -> dict[str, ClassNames]:
    """Folder of label files -> what its class numbers mean.

    As the config says; else as the nearest file of names does: in the folder, above it, or
    wherever there is one. Where there is none the numbers are the names.
    """
    if config and config.names:
        return dict.fromkeys(folders, ClassNames(config.names))
    files = [f for f in reading.listing.annotations if f"/{f}".endswith(_NAMES_FILES)]
    files.sort(key=lambda f: f.count("/"))
    by_folder = {folder_of(file): file for file in reversed(files)}
    read: dict[str, ClassNames] = {}
    found: dict[str, ClassNames] = {}
    for folder in folders:
        file = next((by_folder[f] for f in ancestors(folder) if f in by_folder), None)
        file = file or next(iter(files), "")
        if file not in read:
            read[file] = ClassNames((file and _read_names(reading, file)) or None)
        found[folder] = read[file]
    return found


def ancestors(folder: str) -> Iterator[str]:
    """The folder, then each one above it up to "", the top."""
    while folder:
        yield folder
        folder = folder_of(folder)
    yield ""


def _pairs(node: Any) -> list[tuple[Any, Any]]:
    """The (key, value) of a mapping whose keys are plain values; none where it is no mapping."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return [(key, value) for key, value in pairs if isinstance(key, yaml.ScalarNode)]


def _scalars(node: Any) -> list[Any]:
    """A plain value, or those of a list, but empty ones."""
    items = node.value if isinstance(node, yaml.SequenceNode) else [node]
    return [n for n in items if isinstance(n, yaml.ScalarNode) and n.value not in _ABSENT]


def _whole(node: Any) -> int | None:
    is_number = isinstance(node, yaml.ScalarNode) and _NUMBER.fullmatch(node.value)
    return int(node.value) if is_number else None
