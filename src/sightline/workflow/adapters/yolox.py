"""YOLOX as its official script exports it to ONNX (Apache-2.0; Ge et al., arXiv 2107.08430).

In: images float (1, 3, H, W), BGR 0..255, letterboxed with 114 in the upper left. Out: (1, A, 5+C)
with a row for each cell of the grids of strides 8, 16, 32 (and 64 in P6 models): centre x, y,
width, height, then the probabilities of an object and of each class. Boxes are in pixels of the
input where the export had --decode_in_inference, else offsets in cells and logarithms of sizes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.data.drawn import KINDS, draw_scene
from sightline.errors import ForeignModelError
from sightline.manifest import GRAPH_NAME, LETTERBOX, Manifest
from sightline.workflow.adapters.adapted import Adapted
from sightline.workflow.adapters.config import BGR255, ImportConfig
from sightline.workflow.adapters.labels import ClassNames, first_names
from sightline.workflow.adapters.onnx_file import ForeignGraph, Port, Wrapping, input_size, prepare

KIND = "YOLOX"
THRESHOLD = 0.3
NMS_IOU = 0.45
MOST_DETECTIONS = 300
_STRIDES = ((8, 16, 32), (8, 16, 32, 64))
_BOX = 5  # centre, size, object; classes after


class _Cells(NamedTuple):
    """Of each row of the output: its cell's column and row, (A, 2), and its stride, (A, 1)."""

    places: NDArray[np.float32]
    strides: NDArray[np.float32]


def is_yolox(foreign: ForeignGraph) -> bool:
    """Whether the graph has one image in, one table of rows and at least a class out."""
    if len(foreign.inputs) != 1 or len(foreign.outputs) != 1:
        return False
    image, table = foreign.inputs[0].shape, foreign.outputs[0].shape
    if len(image) != 4 or image[1] != 3 or len(table) != 3:
        return False
    rows, columns = table[-2:]
    if columns is not None and columns <= _BOX:
        return False
    if rows is None or None in image[2:]:  # decided when it has run
        return columns is not None
    _, _, height, width = image
    return any(rows == _cells(width or 0, height or 0, s).places.shape[0] for s in _STRIDES)


def adapt_yolox(foreign: ForeignGraph, config: ImportConfig, names: ClassNames) -> Adapted:
    """The file as a bundle. Raises ForeignModelError where rows or labels do not fit."""
    port = foreign.inputs[0]
    width, height = input_size(foreign, port, config.size)
    pixels = config.pixels or BGR255
    table = _probe(foreign, port, width, height, pixels)
    cells = _fitting_cells(table, width, height, foreign)
    classes = table.shape[1] - _BOX
    if classes != len(names.names):
        raise ForeignModelError(
            f"{foreign.path} has {classes} classes, but {names.source} has {len(names.names)} "
            f"names ({first_names(names.names)}); give the list it was trained with: --labels FILE"
        )
    decodes = _is_raw(table, cells)
    manifest = Manifest(
        name=config.name or foreign.path.stem,
        labels=names.names,
        width=width,
        height=height,
        score_threshold=THRESHOLD if config.threshold is None else config.threshold,
        nms_iou=NMS_IOU,
        max_detections=min(MOST_DETECTIONS, len(table)),
        resize=LETTERBOX,
    )
    how = "are decoded in the bundle's graph" if decodes else "come decoded"
    notes = (
        f"boxes {how}; duplicates of a class go at an IoU of {NMS_IOU}",
        f"labels 0..{classes - 1} are {names.source}: {first_names(names.names)}",
    )
    graph = _wrap(foreign, manifest, pixels, cells, classes, decodes)
    return Adapted(KIND, manifest, {GRAPH_NAME: graph}, pixels, notes)


def _cells(width: int, height: int, strides: tuple[int, ...]) -> _Cells:
    """The cells of all strides, row by row, as YOLOX lists them."""
    places, sizes = [], []
    for stride in strides:
        columns, rows = width // stride, height // stride
        x, y = np.meshgrid(np.arange(columns), np.arange(rows))
        places.append(np.stack([x.ravel(), y.ravel()], axis=1))
        sizes.append(np.full((columns * rows, 1), stride))
    return _Cells(
        np.concatenate(places).astype(np.float32), np.concatenate(sizes).astype(np.float32)
    )


def _probe(
    foreign: ForeignGraph, port: Port, width: int, height: int, pixels: str
) -> NDArray[np.float32]:
    """(A, 5+C): what the unchanged file says of a drawn scene."""
    from onnx import helper

    random = np.random.default_rng(1)
    scene = draw_scene(random, list(KINDS), width=width, height=height).image
    fed = prepare(scene, pixels).astype(helper.tensor_dtype_to_np_dtype(port.element))
    table = foreign.run({port.name: fed})[foreign.outputs[0].name]
    if table.ndim == 3 and table.shape[0] == 1:
        table = table[0]
    if table.ndim != 2:
        raise ForeignModelError(f"{foreign.path}: {table.shape} came for one image, not (1, A, B)")
    return np.asarray(table, np.float32)


def _fitting_cells(
    table: NDArray[np.float32], width: int, height: int, foreign: ForeignGraph
) -> _Cells:
    counts = []
    for strides in _STRIDES:
        cells = _cells(width, height, strides)
        if len(cells.places) == len(table):
            return cells
        counts.append(str(len(cells.places)))
    raise ForeignModelError(
        f"{foreign.path} gives {len(table)} rows for {width} x {height} pixels; YOLOX has "
        f"{' or '.join(counts)}, one for each cell of its strides"
    )


def _is_raw(table: NDArray[np.float32], cells: _Cells) -> bool:
    """Whether boxes are still to be decoded: their centres lie about 0, not about their cells."""
    from_zero = np.abs(table[:, :2])
    from_cells = np.abs(table[:, :2] / cells.strides - cells.places)
    return bool(np.median(from_zero) < np.median(from_cells))


def _wrap(
    foreign: ForeignGraph,
    manifest: Manifest,
    pixels: str,
    cells: _Cells,
    classes: int,
    decodes: bool,
) -> bytes:
    count = len(cells.places)
    wrapping = Wrapping(foreign, manifest.width, manifest.height)
    wrapping.feed_pixels(foreign.inputs[0], pixels)
    table = wrapping.output(foreign.outputs[0], count, _BOX + classes)

    def columns(first: int, last: int) -> str:
        place = [wrapping.constant(np.array([n], np.int64)) for n in (first, last, 1)]
        return str(wrapping.add("Slice", table, place[0], place[1], place[2], place[2]))

    centres, sizes = columns(0, 2), columns(2, 4)
    if decodes:
        strides = wrapping.constant(cells.strides)
        centres = wrapping.add("Add", centres, wrapping.constant(cells.places))
        centres = wrapping.add("Mul", centres, strides)
        sizes = wrapping.add("Mul", wrapping.add("Exp", sizes), strides)
    extent = wrapping.constant(np.array([manifest.width, manifest.height], np.float32))
    centres, sizes = (wrapping.add("Div", value, extent) for value in (centres, sizes))
    halves = wrapping.add("Div", sizes, wrapping.constant(np.array(2, np.float32)))
    corners = [wrapping.add(operator, centres, halves) for operator in ("Sub", "Add")]
    boxes = wrapping.add("Concat", *corners, axis=1)
    # As YOLOX does: a cell counts for its best class only.
    one = wrapping.constant(np.array([1], np.int64))
    best, labels = wrapping.add("TopK", columns(_BOX, _BOX + classes), one, axis=1, outputs=2)
    flat = wrapping.constant(np.array([count], np.int64))
    scores = wrapping.add("Mul", best, columns(_BOX - 1, _BOX))
    return wrapping.finish(
        boxes,
        wrapping.add("Reshape", scores, flat),
        wrapping.add("Reshape", labels, flat),
        count,
        manifest.max_detections,
    )
