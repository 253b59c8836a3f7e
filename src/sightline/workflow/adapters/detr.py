"""DEIMv2, D-FINE and RT-DETR as their official scripts export them to ONNX.

In: images float (N, 3, H, W), stretched, and orig_target_sizes int64 (N, 2) as (width, height).
Out: labels (N, K), boxes (N, K, 4) xyxy in pixels of that size, scores (N, K), the best first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.data.drawn import KINDS, draw_scene
from sightline.errors import ForeignModelError
from sightline.manifest import GRAPH_NAME, STRETCH, Manifest
from sightline.workflow.adapters.adapted import Adapted
from sightline.workflow.adapters.config import UNIT, ImportConfig
from sightline.workflow.adapters.labels import ClassNames, first_names
from sightline.workflow.adapters.onnx_file import ForeignGraph, Port, Wrapping, input_size, prepare

KIND = "DETR (DEIMv2, D-FINE, RT-DETR)"
THRESHOLD = 0.5
MOST_DETECTIONS = 300
PROBE_IMAGES = 3
_REACH = 2.0  # no box of such networks is so far outside of 0..1; in pixels all are


@dataclass(frozen=True)
class _Ports:
    images: Port
    sizes: Port
    boxes: Port
    scores: Port
    labels: Port


@dataclass(frozen=True)
class _Probe:
    """What the unchanged file gives: K, whether boxes need dividing, and the labels seen."""

    count: int
    size: tuple[int, int]  # what orig_target_sizes is set to
    divides: bool
    labels_seen: NDArray[np.int64]


def is_detr(foreign: ForeignGraph) -> bool:
    """Whether the graph has such inputs and outputs."""
    return _find_ports(foreign) is not None


def adapt_detr(foreign: ForeignGraph, config: ImportConfig, names: ClassNames) -> Adapted:
    """The file as a bundle. Raises ForeignModelError where the labels do not fit."""
    ports = _find_ports(foreign)
    assert ports is not None
    width, height = input_size(foreign, ports.images, config.size)
    pixels = config.pixels or UNIT
    probe = _probe(foreign, ports, width, height, pixels)
    ids, notes = _match_labels(probe.labels_seen, names, foreign)
    keep = min(MOST_DETECTIONS, probe.count)
    manifest = Manifest(
        name=config.name or foreign.path.stem,
        labels=names.names,
        width=width,
        height=height,
        score_threshold=THRESHOLD if config.threshold is None else config.threshold,
        nms_iou=None,
        max_detections=keep,
        resize=STRETCH,
    )
    graph = _wrap(foreign, ports, manifest, pixels, probe, ids)
    return Adapted(KIND, manifest, {GRAPH_NAME: graph}, pixels, tuple(notes))


def _find_ports(foreign: ForeignGraph) -> _Ports | None:
    """By shape and element type; outputs by their names where they have the official ones."""
    from onnx import TensorProto

    floats = (TensorProto.FLOAT, TensorProto.FLOAT16)
    images = [p for p in foreign.inputs if len(p.shape) == 4 and p.element in floats]
    sizes = [p for p in foreign.inputs if len(p.shape) == 2 and p.shape[1] in (2, None)]
    if len(images) != 1 or len(sizes) != 1 or len(foreign.inputs) != 2:
        return None
    if images[0].shape[1] not in (3, None):
        return None
    named = {port.name: port for port in foreign.outputs}
    if {"boxes", "scores", "labels"} <= set(named):
        return _Ports(images[0], sizes[0], named["boxes"], named["scores"], named["labels"])
    boxes = [p for p in foreign.outputs if len(p.shape) == 3 and p.shape[2] == 4]
    flat = [p for p in foreign.outputs if len(p.shape) == 2]
    scores = [p for p in flat if p.element in floats]
    labels = [p for p in flat if p.element in (TensorProto.INT64, TensorProto.INT32)]
    if len(boxes) == len(scores) == len(labels) == 1:
        return _Ports(images[0], sizes[0], boxes[0], scores[0], labels[0])
    return None


def _probe(foreign: ForeignGraph, ports: _Ports, width: int, height: int, pixels: str) -> _Probe:
    """Run the file as it is on drawn scenes; most guesses end here."""
    kinds = list(KINDS)
    scenes = [
        draw_scene(np.random.default_rng((1, n)), kinds, width=width, height=height).image
        for n in range(PROBE_IMAGES)
    ]

    def run(scene: NDArray[np.uint8], size: tuple[int, int]) -> dict[str, NDArray[Any]]:
        fed = prepare(scene, pixels).astype(_numpy_type(ports.images))
        return foreign.run(
            {
                ports.images.name: fed,
                ports.sizes.name: np.array([size], _numpy_type(ports.sizes)),
            }
        )

    size, divides = (1, 1), False
    found = [run(scene, size) for scene in scenes]
    boxes = found[0][ports.boxes.name]
    if np.array_equal(boxes, np.round(boxes)) or np.abs(boxes).max(initial=0) > _REACH:
        # Boxes are rounded to pixels, or in pixels of the input whatever size is asked for.
        size, divides = (width, height), True
        found = [run(scene, size) for scene in scenes]
        boxes = found[0][ports.boxes.name] / np.array([width, height, width, height])
    count = boxes.shape[1] if boxes.ndim == 3 else 0
    shapes = {one[port.name].shape for one in found for port in (ports.scores, ports.labels)}
    if boxes.shape != (1, count, 4) or shapes != {(1, count)} or not count:
        raise ForeignModelError(
            f"{foreign.path}: boxes {boxes.shape}, scores and labels {sorted(shapes)} came for one "
            "image; (1, K, 4) and (1, K) were expected"
        )
    if not np.abs(boxes).max() <= _REACH:
        raise ForeignModelError(
            f"{foreign.path}: its boxes reach {np.abs(boxes).max():.3g} times the image's size; "
            "they are neither in 0..1 nor in pixels of orig_target_sizes"
        )
    seen = np.unique(np.concatenate([one[ports.labels.name].ravel() for one in found]))
    return _Probe(count, size, divides, seen.astype(np.int64))


def _numpy_type(port: Port) -> Any:
    from onnx import helper

    return helper.tensor_dtype_to_np_dtype(port.element)


def _match_labels(
    seen: NDArray[np.int64], names: ClassNames, foreign: ForeignGraph
) -> tuple[tuple[int, ...] | None, list[str]]:
    """What the graph calls each class (None: 0, 1, 2, ...), and what is to be said of it.

    Graphs count classes from 0, or give the ids of the data set (COCO's 1..90 for 80 classes). A
    label of all outputs, the weakest included, that is beyond the list tells the second.
    """
    count, greatest = len(names.names), int(seen.max())
    if seen.min() >= 0 and greatest < count:
        return None, [f"labels 0..{count - 1} are {names.source}: {first_names(names.names)}"]
    if greatest <= names.ids[-1] and seen.min() >= 0:
        return names.ids, [
            f"labels go up to {greatest}: taken as the ids of {names.source}, "
            f"{names.ids[0]}..{names.ids[-1]}"
        ]
    raise ForeignModelError(
        f"{foreign.path} gives labels {seen.min()}..{greatest}, but {names.source} has {count} "
        f"names ({first_names(names.names)}); give the list it was trained with: --labels FILE"
    )


def _wrap(
    foreign: ForeignGraph,
    ports: _Ports,
    manifest: Manifest,
    pixels: str,
    probe: _Probe,
    ids: tuple[int, ...] | None,
) -> bytes:
    wrapping = Wrapping(foreign, manifest.width, manifest.height)
    wrapping.feed_pixels(ports.images, pixels)
    wrapping.feed_constant(ports.sizes, np.array([probe.size], _numpy_type(ports.sizes)))
    boxes = wrapping.output(ports.boxes, probe.count, 4)
    scores = wrapping.output(ports.scores, probe.count)
    labels = wrapping.output(ports.labels, probe.count)
    if probe.divides:
        extent = np.array([probe.size * 2], np.float32)
        boxes = wrapping.add("Div", boxes, wrapping.constant(extent))
    if ids is not None:
        scores, labels = _renumber(wrapping, scores, labels, ids)
    return wrapping.finish(boxes, scores, labels, probe.count, manifest.max_detections)


def _renumber(
    wrapping: Wrapping, scores: str, labels: str, ids: tuple[int, ...]
) -> tuple[str, str]:
    """Labels as places in the list; what has an id that no class has gets the score 0."""
    from onnx import TensorProto

    place = np.zeros(ids[-1] + 1, np.float32)
    is_class = np.zeros(ids[-1] + 1, np.float32)
    for index, number in enumerate(ids):
        place[number], is_class[number] = index, 1
    picks = wrapping.add("Cast", labels, to=TensorProto.INT64)
    known = wrapping.add("Gather", wrapping.constant(is_class), picks)
    return (
        wrapping.add("Mul", scores, known),
        wrapping.add("Gather", wrapping.constant(place), picks),
    )
