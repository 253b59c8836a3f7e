"""The manifest of a bundle or artefact: read, checked, written. Knows no runtime and no image.

A bundle is a folder with manifest.json, model.onnx and, for further training and export,
weights.safetensors; other artefacts have other files in place of the graph (`MAIN_FILES`). The
manifest declares everything a caller must do around the graph: resize the image to `input`,
threshold, apply NMS if any, scale boxes by the image's size.
The JSON Schema is contracts/manifest.schema.json.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from sightline.errors import BundleDamaged, BundleTooNew, ModelNotFound

FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"
GRAPH_NAME = "model.onnx"
WEIGHTS_NAME = "weights.safetensors"
# What an artefact of each target is opened by.
MAIN_FILES = {
    "onnx": GRAPH_NAME,
    "onnx-fp16": GRAPH_NAME,
    "onnx-int8": GRAPH_NAME,
    "savedmodel": "saved_model.pb",
    "tfjs": "model.json",
    "litert": "model.tflite",
}
STRETCH, LETTERBOX, IN_GRAPH = RESIZES = ("stretch", "letterbox", "in-graph")


@dataclass(frozen=True)
class FileEntry:
    """Size in bytes and sha256 (hex) of one file of the bundle."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What manifest.json says. `width` and `height` are the graph's input in pixels.

    resize: how a picture gets that size: stretched, letterboxed (scaled to fit the upper left,
    the rest filled with grey 114), or by the graph itself, which then takes any size.
    output_names: of boxes, scores and labels. first_label: what the graph calls the first class.
    unproven: why no runtime has shown that the artefact finds what the network finds, else None.
    """

    name: str
    labels: tuple[str, ...]
    width: int
    height: int
    score_threshold: float
    nms_iou: float | None
    max_detections: int
    batch: int = 1
    target: str = "onnx"
    resize: str = STRETCH
    interpolation: str = "bilinear-antialias"
    input_name: str = "image"
    output_names: tuple[str, str, str] = ("boxes", "scores", "labels")
    box_format: str = "xyxy_norm"
    first_label: int = 0
    architecture: str = ""
    base: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    parity: tuple[Mapping[str, Any], ...] = ()
    unproven: str | None = None

    @property
    def main_file(self) -> str:
        """The file that the artefact is opened by."""
        return MAIN_FILES[self.target]

    def to_json(self) -> dict[str, Any]:
        """The manifest as plain JSON values, in the schema's shape."""
        boxes, scores, labels = self.output_names
        return {
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "target": self.target,
            "architecture": self.architecture,
            "labels": list(self.labels),
            "input": {
                "name": self.input_name,
                "width": self.width,
                "height": self.height,
                "batch": self.batch,
                "dtype": "uint8",
                "layout": "NHWC",
                "color": "RGB",
                "resize": self.resize,
                "interpolation": self.interpolation,
            },
            "outputs": {
                "boxes": boxes,
                "scores": scores,
                "labels": labels,
                "box_format": self.box_format,
                "first_label": self.first_label,
                "max_detections": self.max_detections,
            },
            "score_threshold": self.score_threshold,
            "nms_iou": self.nms_iou,
            "metrics": dict(self.metrics),
            "base": dict(self.base),
            "training": dict(self.training),
            "files": {
                name: {"size": entry.size, "sha256": entry.sha256}
                for name, entry in self.files.items()
            },
            "parity": [dict(certificate) for certificate in self.parity],
            **({} if self.unproven is None else {"unproven": self.unproven}),
        }


def read_manifest(bundle: Path) -> Manifest:
    """The manifest of the bundle folder, checked field by field.

    Raises ModelNotFound without a manifest.json, BundleTooNew for a later format version and
    BundleDamaged naming the field that is missing or wrong.
    """
    path = bundle / MANIFEST_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ModelNotFound(
            f"{bundle} is no model bundle: it has no {MANIFEST_NAME}. A bundle is the best/ folder "
            "of a training run, or what `sightline export` writes"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise BundleDamaged(f"{path} cannot be read: {error}") from error
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: syntax, or a number too long
        raise BundleDamaged(f"{path} is not valid JSON ({error}); make the bundle again") from error
    return _parse(value, path)


def verify_files(bundle: Path, manifest: Manifest, names: tuple[str, ...] | None = None) -> None:
    """Compare the bundle's files with the manifest's sizes and sha256; `names` limits which.

    weights.safetensors may be absent (serving does not need it) unless named.
    Raises BundleDamaged naming the file.
    """
    for name, entry in manifest.files.items():
        if names is not None and name not in names:
            continue
        path = bundle / name
        if not path.is_file():
            if names is None and name == WEIGHTS_NAME:
                continue
            raise BundleDamaged(f"{path} is missing; make the bundle again or copy it whole")
        size = path.stat().st_size
        if size != entry.size:
            raise BundleDamaged(
                f"{path} has {size} bytes, the manifest says {entry.size}: "
                "the file is truncated or was changed; make the bundle again or copy it whole"
            )
        if sha256_of(path) != entry.sha256:
            raise BundleDamaged(
                f"{path} does not have the sha256 that the manifest records: it was changed after "
                "the bundle was made; make the bundle again or copy it whole"
            )


def write_manifest(bundle: Path, manifest: Manifest) -> None:
    """Write manifest.json atomically."""
    text = json.dumps(manifest.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    temporary = bundle / f".{MANIFEST_NAME}.tmp"
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, bundle / MANIFEST_NAME)


def file_entry(path: Path) -> FileEntry:
    """Size and sha256 of a file as it lies on disk."""
    return FileEntry(path.stat().st_size, sha256_of(path))


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class _Fields:
    """Typed look-ups in a JSON object that name the file and field when they fail."""

    def __init__(self, value: Any, path: Path, where: str = "") -> None:
        self.path, self.where = path, where
        if not isinstance(value, dict):
            raise self.wrong("", f"an object expected, found {type(value).__name__}")
        self.value = value

    def wrong(self, key: str, problem: str) -> BundleDamaged:
        name = ".".join(part for part in (self.where, key) if part) or "the manifest"
        return BundleDamaged(f"{self.path}: {name}: {problem}; make the bundle again")

    def get(self, key: str, kind: type, default: Any = ...) -> Any:
        found = self.value.get(key, default)
        if found is ...:
            raise self.wrong(key, "missing")
        if found is None and default is None:
            return None
        accepted = (int, float) if kind is float else kind
        if not isinstance(found, accepted) or (kind is not bool and isinstance(found, bool)):
            raise self.wrong(key, f"{kind.__name__} expected, found {found!r:.60}")
        return found

    def positive(self, key: str, default: Any = ...) -> int:
        found: int = self.get(key, int, default)
        if found < 1:
            raise self.wrong(key, f"at least 1 expected, found {found}")
        return found

    def fraction(self, key: str) -> float:
        found: float = self.get(key, float)
        if not 0 <= found <= 1:
            raise self.wrong(key, f"a number in 0..1 expected, found {found!r:.60}")
        return float(found)

    def one_of(self, key: str, *allowed: str, default: Any = ...) -> str:
        found: str = self.get(key, str, default)
        if found not in allowed:
            raise self.wrong(key, f"{' or '.join(map(repr, allowed))} expected, found {found!r}")
        return found

    def inner(self, key: str) -> _Fields:
        where = f"{self.where}.{key}" if self.where else key
        return _Fields(self.get(key, dict), self.path, where)


def _parse(value: Any, path: Path) -> Manifest:
    top = _Fields(value, path)
    version = top.get("format_version", int)
    if version > FORMAT_VERSION:
        raise BundleTooNew(
            f"{path}: the bundle has format version {version}, this Sightline reads up to "
            f"{FORMAT_VERSION}; upgrade with pip install -U sightline"
        )
    labels = top.get("labels", list)
    if not labels or not all(isinstance(label, str) and label for label in labels):
        raise top.wrong("labels", "a list of one or more non-empty strings expected")
    target = top.one_of("target", *MAIN_FILES, default="onnx")
    graph_input, outputs = top.inner("input"), top.inner("outputs")
    for key, only in (("dtype", "uint8"), ("layout", "NHWC"), ("color", "RGB")):
        graph_input.one_of(key, only)
    names = (
        graph_input.get("name", str),
        *(outputs.get(key, str) for key in ("boxes", "scores", "labels")),
    )
    box_format = outputs.one_of("box_format", "xyxy_norm", "yxyx_norm")
    first_label = outputs.get("first_label", int, 0)
    if first_label not in (0, 1):
        raise outputs.wrong("first_label", f"0 or 1 expected, found {first_label}")
    if target.startswith("onnx"):  # which the browser's runtime reads too: it has but one contract
        graph_input.one_of("name", "image")
        outputs.one_of("box_format", "xyxy_norm")
        if names[1:] != ("boxes", "scores", "labels") or first_label:
            raise outputs.wrong("", "an ONNX graph has boxes, scores and labels from 0 on")
    entries = _parse_files(top.inner("files"), MAIN_FILES[target])
    parity = top.get("parity", list, [])
    return Manifest(
        name=top.get("name", str),
        labels=tuple(labels),
        width=graph_input.positive("width"),
        height=graph_input.positive("height"),
        batch=graph_input.positive("batch", 1),
        target=target,
        resize=graph_input.one_of("resize", *RESIZES),
        input_name=names[0],
        output_names=(names[1], names[2], names[3]),
        box_format=box_format,
        first_label=first_label,
        interpolation=graph_input.one_of("interpolation", "bilinear-antialias"),
        score_threshold=top.fraction("score_threshold"),
        nms_iou=None if top.value.get("nms_iou") is None else top.fraction("nms_iou"),
        max_detections=outputs.positive("max_detections"),
        architecture=top.get("architecture", str, ""),
        base=top.get("base", dict, {}),
        metrics=top.get("metrics", dict, {}),
        training=top.get("training", dict, {}),
        files=entries,
        parity=tuple(parity),
        unproven=top.get("unproven", str, None),
    )


def _parse_files(files: _Fields, main_file: str) -> dict[str, FileEntry]:
    entries = {}
    for name in files.value:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or not path.name:
            raise files.wrong(name, "a file's path within the bundle expected")
        item = files.inner(name)
        entries[name] = FileEntry(item.get("size", int), item.get("sha256", str))
    if main_file not in entries:
        raise files.wrong(main_file, "missing")
    return entries
