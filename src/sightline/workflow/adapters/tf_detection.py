"""Models of the TF Object Detection API: SavedModels, and TF.js graph models made of them.

In: uint8 (1, H, W, 3) of any size. Out, among others: boxes (1, K, 4) as ymin, xmin, ymax, xmax in
0..1, scores (1, K), classes (1, K) counted from 1. The files are taken as they are, but for one
operation that TensorFlow.js gets wrong. Knows their signatures, not how to run them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sightline.data.formats.labelmap import write_label_map
from sightline.errors import ForeignModelError
from sightline.manifest import IN_GRAPH, STRETCH, Manifest
from sightline.workflow.adapters.adapted import Adapted
from sightline.workflow.adapters.config import ImportConfig
from sightline.workflow.adapters.labels import COCO, ClassNames, first_names, read_names

THRESHOLD = 0.5
LABEL_MAP = "labelmap.pbtxt"
_USUAL_SIZE = 320
_USUAL_COUNT = 100
_COCO_CATEGORIES = 90
_NAMES = ("detection_boxes", "detection_scores", "detection_classes")
# What exporters put out, in the order in which numbered outputs stand for them: by name.
_ALL = (
    "detection_anchor_indices",
    "detection_boxes",
    "detection_classes",
    "detection_multiclass_scores",
    "detection_scores",
    "num_detections",
    "raw_detection_boxes",
    "raw_detection_scores",
)
_LISTS = (
    _ALL,
    _ALL[1:],
    ("detection_boxes", "detection_classes", "detection_scores", "num_detections"),
)
_RANKS = {
    "detection_boxes": 3,
    "detection_multiclass_scores": 3,
    "num_detections": 1,
    "raw_detection_boxes": 3,
    "raw_detection_scores": 3,
}
_NUMBERED = re.compile(r"^(?P<stem>.*?)(?:_(?P<number>\d+))?(?::(?P<port>\d+))?$")
_ITEM = re.compile(rb"\bitem\s*:?\s*[{<\[]")

Shape = tuple[int | None, ...] | None  # None where nothing is said of it


@dataclass(frozen=True)
class TfModel:
    """A model's signature: (dtype, shape) of inputs and outputs by name, and its files."""

    kind: str
    target: str
    folder: Path
    inputs: Mapping[str, tuple[str, Shape]]
    outputs: Mapping[str, tuple[str, Shape]]
    files: Mapping[str, Path | bytes]


def read_saved_model(folder: Path) -> TfModel:
    """The SavedModel's serving signature. Raises ForeignModelError, or MissingExtra."""
    from sightline.runtime.engines.tensorflow import import_tensorflow

    import_tensorflow("importing a SavedModel")
    from tensorflow.core.protobuf import saved_model_pb2

    path = folder / "saved_model.pb"
    try:
        saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    except Exception as error:  # OSError, protobuf's DecodeError
        raise ForeignModelError(f"{path} is no SavedModel, or a damaged one: {error}") from error
    graphs = [g for g in saved.meta_graphs if "serve" in g.meta_info_def.tags]
    if not graphs or "serving_default" not in graphs[0].signature_def:
        raise ForeignModelError(
            f"{path} has no signature serving_default; export it with the TF Object Detection "
            "API's exporter_main_v2.py"
        )
    signature = graphs[0].signature_def["serving_default"]
    parts = ("saved_model.pb", "fingerprint.pb", "variables", "assets")
    files = {
        file.relative_to(folder).as_posix(): file
        for part in parts
        for file in sorted([folder / part, *(folder / part).rglob("*")])
        if file.is_file()
    }
    return TfModel(
        "SavedModel of the TF Object Detection API",
        "savedmodel",
        folder,
        {name: _signed(info) for name, info in signature.inputs.items()},
        {name: _signed(info) for name, info in signature.outputs.items()},
        files,
    )


def _signed(info: Any) -> tuple[str, Shape]:
    from tensorflow.core.framework import types_pb2

    shape = info.tensor_shape
    sizes = None if shape.unknown_rank else tuple(_size(d.size) for d in shape.dim)
    return types_pb2.DataType.Name(info.dtype), sizes


def _size(text: str | int) -> int | None:
    return None if int(text) < 0 else int(text)


def read_tfjs(path: Path) -> TfModel:
    """The graph model's signature and shards. Raises ForeignModelError."""
    try:
        model = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ForeignModelError(f"{path} is no TensorFlow.js model: {error}") from error
    if not isinstance(model, dict) or "weightsManifest" not in model:
        raise ForeignModelError(f"{path} is no TensorFlow.js model: it has no weightsManifest")
    if model.get("format") == "layers-model" or "node" not in model.get("modelTopology", {}):
        raise ForeignModelError(
            f"{path} is a layers model; detectors are graph models, as tensorflowjs_converter "
            "makes of a SavedModel with --output_format=tfjs_graph_model"
        )
    signature = model.get("signature") or model.get("userDefinedMetadata", {}).get("signature")
    if not signature:
        signature = _guess_signature(model["modelTopology"]["node"])
    files: dict[str, Path | bytes] = {"model.json": path}
    if _mend_casts(model["modelTopology"]["node"]):
        files["model.json"] = json.dumps(model, separators=(",", ":")).encode("utf-8")
    return TfModel(
        "TensorFlow.js graph model of the TF Object Detection API",
        "tfjs",
        path.parent,
        {name: _signed_json(value) for name, value in signature.get("inputs", {}).items()},
        {name: _signed_json(value) for name, value in signature.get("outputs", {}).items()},
        {**files, **_shards(model["weightsManifest"], path)},
    )


def _mend_casts(nodes: list[dict[str, Any]]) -> bool:
    """Make x != 0 of casts to booleans; whether there were any.

    TensorFlow.js 4.22 on wasm truncates there, so that 0.5 is false. The API's SSDs ask in this way
    whether a box has an area, in parts of the image: on wasm they find nothing but whole images.
    """
    zeros = []
    for node in nodes:
        attributes = node.get("attr", {})
        if node["op"] != "Cast" or attributes.get("DstT", {}).get("type") not in ("DT_BOOL", 10):
            continue
        kind = {"T": attributes["SrcT"]}
        given, zero = node["input"][0], f"{node['name']}/zero"
        zeros.append({"name": zero, "op": "Sub", "input": [given, given], "attr": kind})
        node["op"], node["input"], node["attr"] = "NotEqual", [given, zero], kind
    nodes.extend(zeros)
    return bool(zeros)


def _signed_json(value: Mapping[str, Any]) -> tuple[str, Shape]:
    shape = value.get("tensorShape")
    if not shape or shape.get("unknownRank"):
        return str(value.get("dtype", "")), None
    return str(value.get("dtype", "")), tuple(_size(d["size"]) for d in shape.get("dim", []))


def _guess_signature(nodes: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What old converters left out: placeholders go in, what nothing reads comes out."""
    read = {name.lstrip("^").split(":")[0] for node in nodes for name in node.get("input", [])}
    unread: dict[str, dict[str, Any]] = {
        node["name"]: {} for node in nodes if node["name"] not in read
    }
    placed = {
        node["name"]: {"dtype": node.get("attr", {}).get("dtype", {}).get("type", "")}
        for node in nodes
        if node["op"] == "Placeholder"
    }
    return {"inputs": placed, "outputs": unread}


def _shards(groups: list[dict[str, Any]], path: Path) -> dict[str, Path]:
    """The weight files by name, as long together as the model says."""
    files: dict[str, Path] = {}
    for group in groups:
        size = 0
        for name in group["paths"]:
            inside = PurePosixPath(name)
            file = path.parent / name
            if inside.is_absolute() or ".." in inside.parts or not file.is_file():
                raise ForeignModelError(f"{path}: its weights {name} are not beside it")
            files[name] = file
            size += file.stat().st_size
        expected = sum(map(_weight_bytes, group["weights"]))
        if all(weight["dtype"] != "string" for weight in group["weights"]) and size != expected:
            raise ForeignModelError(
                f"{path}: its weights {', '.join(group['paths'])} have {size} bytes, it says "
                f"{expected}: a file is truncated or from another model"
            )
    return files


def _weight_bytes(weight: Mapping[str, Any]) -> int:
    kind = weight.get("quantization", {}).get("dtype") or weight["dtype"]
    size = {"uint8": 1, "bool": 1, "uint16": 2, "float16": 2, "complex64": 8}.get(kind, 4)
    return int(size * math.prod(weight["shape"]))


def adapt_tf(model: TfModel, config: ImportConfig) -> Adapted:
    """The files as a bundle. Raises ForeignModelError where outputs or labels are not clear."""
    if config.pixels is not None:
        raise ForeignModelError(
            f"{model.folder}: such models prepare their pixels themselves; leave --pixels out"
        )
    input_name, shape = _find_input(model)
    outputs, note = _find_outputs(model, config.outputs)
    names = _find_names(model, config)
    fixed = shape is not None and len(shape) == 4 and None not in shape[1:3]
    height, width = (shape[1], shape[2]) if fixed and shape else (config.size or _USUAL_SIZE,) * 2
    scores = model.outputs.get(outputs[1], ("", None))[1]
    manifest = Manifest(
        name=config.name or _name_of(model),
        labels=names.names,
        width=width or _USUAL_SIZE,
        height=height or _USUAL_SIZE,
        score_threshold=THRESHOLD if config.threshold is None else config.threshold,
        nms_iou=None,
        max_detections=(scores[-1] if scores else None) or _USUAL_COUNT,
        target=model.target,
        resize=STRETCH if fixed else IN_GRAPH,
        input_name=input_name,
        output_names=outputs,
        box_format="yxyx_norm",
        first_label=1,
    )
    notes = (
        note,
        f"classes 1..{len(names.names)} are {names.source}: {first_names(names.names)}",
    )
    label_map = write_label_map(names.names).encode("utf-8")
    return Adapted(model.kind, manifest, {**model.files, LABEL_MAP: label_map}, None, notes)


def _name_of(model: TfModel) -> str:
    """The folder's name; exporters call the inner one saved_model, whatever the model."""
    folder = model.folder.resolve()
    return (
        folder.parent.name if folder.name in ("saved_model", "tfjs", "web_model") else folder.name
    )


def _find_input(model: TfModel) -> tuple[str, Shape]:
    images = {
        name: shape
        for name, (dtype, shape) in model.inputs.items()
        if dtype in ("DT_UINT8", "DT_INT32") and (shape is None or len(shape) == 4)
    }
    if len(images) != 1:
        raise ForeignModelError(
            f"{model.folder}: one input of uint8 pixels expected, as the TF Object Detection API "
            f"exports with --input_type image_tensor; it has {_listed(model.inputs)}"
        )
    return images.popitem()


def _find_outputs(model: TfModel, asked: str | None) -> tuple[tuple[str, str, str], str]:
    """Names of boxes, scores and classes, and a note on how they were found."""
    bare = {name.removesuffix(":0"): name for name in model.outputs}
    if asked is not None:
        given = [name.strip().removesuffix(":0") for name in asked.split(",")]
        if len(given) != 3 or not all(name in bare for name in given):
            raise ForeignModelError(
                f"--outputs {asked}: three names expected, of boxes, scores and classes, out of "
                f"{_listed(model.outputs)}"
            )
        return (bare[given[0]], bare[given[1]], bare[given[2]]), f"outputs as given: {asked}"
    if all(name in bare for name in _NAMES):
        return (bare[_NAMES[0]], bare[_NAMES[1]], bare[_NAMES[2]]), "outputs are known by name"
    for order in _LISTS:
        if found := _by_number(model, order):
            boxes, scores, classes = (found[name] for name in _NAMES)
            note = f"outputs are numbered; by order and shape {boxes} are the boxes, {scores} the "
            return (boxes, scores, classes), f"{note}scores, {classes} the classes"
    raise ForeignModelError(
        f"{model.folder}: which of its outputs are boxes, scores and classes? It has "
        f"{_listed(model.outputs)}; say it with --outputs BOXES,SCORES,CLASSES"
    )


def _by_number(model: TfModel, order: tuple[str, ...]) -> dict[str, str] | None:
    """The numbered outputs by what they are, if there are as many and all shapes agree."""
    numbers: dict[tuple[int, int], str] = {}
    for name in model.outputs:
        parts = _NUMBERED.match(name)
        assert parts is not None
        numbers[int(parts["port"] or 0), int(parts["number"] or 0)] = name
    if len(numbers) != len(order) or len(model.outputs) != len(order):
        return None
    found = dict(zip(order, (numbers[key] for key in sorted(numbers)), strict=True))
    for meaning, name in found.items():
        shape = model.outputs[name][1]
        if shape is None or len(shape) != _RANKS.get(meaning, 2):
            return None
        if meaning.endswith("boxes") and shape[-1] != 4:
            return None
    return found


def _find_names(model: TfModel, config: ImportConfig) -> ClassNames:
    """From --labels, else a label map beside the model; each class's name at its place from 1."""
    count = _class_count(model)
    path = Path(config.labels) if config.labels else _label_map_beside(model.folder)
    if path is None:
        if count != _COCO_CATEGORIES:
            has = "" if count is None else f" (it has {count} classes)"
            raise ForeignModelError(
                f"{model.folder}: no label map (.pbtxt) beside it; name its classes{has} with "
                "--labels FILE"
            )
        names = COCO
    else:
        names = read_names(path)
    if count is not None and names.ids[-1] > count:
        raise ForeignModelError(
            f"{model.folder} has {count} classes, but {names.source} goes up to {names.ids[-1]} "
            f"({first_names(names.names)}); give the list it was trained with: --labels FILE"
        )
    shift = 1 if names.ids[0] == 0 else 0
    placed = {number + shift: name for number, name in zip(names.ids, names.names, strict=True)}
    last = max(count or 0, *placed)
    every = tuple(placed.get(n, f"unnamed {n}") for n in range(1, last + 1))
    return ClassNames(every, tuple(range(1, last + 1)), names.source)


def _class_count(model: TfModel) -> int | None:
    """How many classes there are, where an output with a score for each (and for none) says it."""
    order = next((found for names in _LISTS if (found := _by_number(model, names))), {})
    for name in ("detection_multiclass_scores", "raw_detection_scores"):
        shape = model.outputs.get(order.get(name, name), ("", None))[1]
        if shape and shape[-1]:
            return shape[-1] - 1
    return None


def _label_map_beside(folder: Path) -> Path | None:
    for place in (folder, folder.resolve().parent):
        maps = [file for file in sorted(place.glob("*.pbtxt")) if _ITEM.search(file.read_bytes())]
        if maps:
            return min(maps, key=lambda file: "label" not in file.name.lower())
    return None


def _listed(ports: Mapping[str, tuple[str, Shape]]) -> str:
    return (
        "; ".join(
            name
            if shape is None
            else f"{name} [{', '.join('?' if n is None else str(n) for n in shape)}]"
            for name, (_, shape) in sorted(ports.items())
        )
        or "none"
    )
