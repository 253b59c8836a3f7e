"""A foreign ONNX file: read safely, run once as it is, and wrapped into a graph of ours.

The wrapped graph holds the foreign one unchanged, with nodes before it that take uint8 pixels and
nodes after it that give the manifest's outputs. Knows no family of networks.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import BundleDamaged, ForeignModelError, MissingExtra
from sightline.runtime.engines.onnx import first_line, open_session
from sightline.workflow.adapters.config import BGR255, IMAGENET, UNIT

OLDEST_OPSET = 11  # the first whose TopK, Clip and Slice are as they are used here
_OLDEST_IR, _NEWEST_IR = 8, 10  # what every ONNX Runtime of the last years reads
_FOREIGN = "foreign/"
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Port:
    """An input or output: its name, ONNX element type and shape, None where any size goes."""

    name: str
    element: int
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        import onnx

        kind = onnx.TensorProto.DataType.Name(self.element).lower()
        return f"{self.name} {kind} [{', '.join('?' if n is None else str(n) for n in self.shape)}]"


@dataclass(frozen=True)
class ForeignGraph:
    """A parsed file; `model` is its onnx.ModelProto, with weights that lay beside it too."""

    path: Path
    model: Any
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    is_split: bool

    @cached_property
    def _session(self) -> Any:
        if not self.is_split:
            return open_session(self.path)
        # ONNX Runtime does not take sizes and axes from other files, which is where they may be.
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / self.path.name
            whole.write_bytes(serialise(self.model, self.path))
            return open_session(whole)

    def describe(self) -> str:
        """Inputs and outputs in one line."""
        return (
            f"{'; '.join(map(str, self.inputs)) or 'nothing'} in, "
            f"{'; '.join(map(str, self.outputs)) or 'nothing'} out"
        )

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """All outputs by name, from the unchanged file in ONNX Runtime.

        Raises ForeignModelError where it does not load or run.
        """
        try:
            found = self._session.run(None, dict(feeds))
        except BundleDamaged as error:
            raise ForeignModelError(str(error)) from error
        except Exception as error:  # ONNX Runtime raises a dozen kinds, straight from Exception
            raise ForeignModelError(f"{self.path} does not run: {first_line(error)}") from error
        return dict(zip((port.name for port in self.outputs), found, strict=True))


def read_foreign(path: Path) -> ForeignGraph:
    """The file's graph. Raises ForeignModelError for what is no usable ONNX, MissingExtra."""
    try:
        import onnx
    except ImportError as error:
        raise MissingExtra("importing an ONNX file", "train") from error
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ForeignModelError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's DecodeError, and what it raises on odd bytes
        raise ForeignModelError(
            f"{path} is no ONNX file, or a damaged or truncated one: {first_line(error)}"
        ) from error
    if not model.graph.node or not model.opset_import:
        raise ForeignModelError(f"{path} is no ONNX file, or an empty one: it has no graph")
    _check_opset(model, path)
    is_split = _load_external(model, path)
    weights = {item.name for item in model.graph.initializer}
    return ForeignGraph(
        path,
        model,
        tuple(_port(item) for item in model.graph.input if item.name not in weights),
        tuple(_port(item) for item in model.graph.output),
        is_split,
    )


def _port(item: Any) -> Port:
    tensor = item.type.tensor_type
    sizes = tuple(d.dim_value if d.dim_value > 0 else None for d in tensor.shape.dim)
    return Port(item.name, tensor.elem_type, sizes)


def _check_opset(model: Any, path: Path) -> None:
    import onnx

    standard = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    opset, newest = max(standard, default=0), onnx.defs.onnx_opset_version()
    if opset > newest:
        raise ForeignModelError(
            f"{path} needs ONNX operator set {opset}, the newest known here is {newest}: export it "
            "with opset 17, or upgrade with pip install -U onnx onnxruntime"
        )
    if opset < OLDEST_OPSET:
        raise ForeignModelError(
            f"{path} has ONNX operator set {opset}, at least {OLDEST_OPSET} is needed: export it "
            "with opset 17"
        )


def _load_external(model: Any, path: Path) -> bool:
    """Take weights that lie in files beside the graph into it; whether there were any."""
    from onnx import external_data_helper

    files = {
        entry.value
        for tensor in model.graph.initializer
        if external_data_helper.uses_external_data(tensor)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    if missing := sorted(name for name in files if not (path.parent / name).is_file()):
        raise ForeignModelError(
            f"{path} keeps its weights in another file that is not beside it: "
            f"{', '.join(missing)}; put it there"
        )
    try:
        external_data_helper.load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # paths outside the folder, files too short
        raise ForeignModelError(
            f"{path}: its weights in {', '.join(sorted(files))} cannot be read: {first_line(error)}"
        ) from error
    return bool(files)


def input_size(foreign: ForeignGraph, port: Port, size: int | None) -> tuple[int, int]:
    """Width and height of a float image input [1, 3, H, W], in pixels.

    Raises ForeignModelError for a fixed batch, or where any size goes and none is given, or where
    another is given than the graph's.
    """
    batch, _, height, width = port.shape
    if batch not in (None, 1):
        raise ForeignModelError(
            f"{foreign.path} takes {batch} images at once; export it for one, or for any number"
        )
    if height is None or width is None:
        if size is None:
            raise ForeignModelError(
                f"{foreign.path} takes images of any size; say which side it was trained at with "
                "--size, as --size 640"
            )
        return width or size, height or size
    if size is not None and size not in (width, height):
        raise ForeignModelError(
            f"{foreign.path} takes {width} x {height} pixels only, not --size {size}"
        )
    return width, height


def prepare(pixels: NDArray[np.uint8], layout: str) -> NDArray[np.float32]:
    """(1, 3, H, W) float32 as the network wants it, of (H, W, 3) uint8 RGB."""
    planes = pixels.transpose(2, 0, 1)[None].astype(np.float32)
    if layout == BGR255:
        return np.ascontiguousarray(planes[:, ::-1])
    if layout in (UNIT, IMAGENET):
        planes = planes / np.float32(255)
    if layout == IMAGENET:
        mean, deviation = (
            np.array(v, np.float32).reshape(1, 3, 1, 1)
            for v in (_IMAGENET_MEAN, _IMAGENET_DEVIATION)
        )
        planes = (planes - mean) / deviation
    return planes


class Wrapping:
    """A graph under construction around a foreign one.

    Values are known by their names; those of the foreign graph stand under "foreign/".
    """

    def __init__(self, foreign: ForeignGraph, width: int, height: int) -> None:
        import onnx

        self.foreign, self.width, self.height = foreign, width, height
        self._before: list[Any] = []
        self._after: list[Any] = []
        self._nodes = self._before
        self._constants: list[Any] = []
        copy = onnx.ModelProto()
        copy.CopyFrom(foreign.model)
        self._model = onnx.compose.add_prefix(copy, _FOREIGN)

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; returns the name of its output, or of each."""
        from onnx import helper

        first = len(self._before) + len(self._after)
        names = [f"{operator.lower()}_{first}_{n}" for n in range(outputs)]
        self._nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, value: NDArray[Any]) -> str:
        """The name of an array in the graph."""
        from onnx import numpy_helper

        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def feed_pixels(self, port: Port, layout: str) -> None:
        """Give the foreign graph's image input what `prepare` gives, from the uint8 `image`."""
        from onnx import TensorProto

        value = self.add("Cast", "image", to=TensorProto.FLOAT)
        value = self.add("Transpose", value, perm=[0, 3, 1, 2])
        if layout == BGR255:
            value = self.add("Gather", value, self.constant(np.array([2, 1, 0])), axis=1)
        if layout in (UNIT, IMAGENET):
            value = self.add("Div", value, self.constant(np.array(255, np.float32)))
        if layout == IMAGENET:
            for operator, numbers in (("Sub", _IMAGENET_MEAN), ("Div", _IMAGENET_DEVIATION)):
                column = np.array(numbers, np.float32).reshape(1, 3, 1, 1)
                value = self.add(operator, value, self.constant(column))
        self._rename(self.add("Cast", value, to=port.element), _FOREIGN + port.name)

    def feed_constant(self, port: Port, value: NDArray[Any]) -> None:
        """Give another input of the foreign graph the same array every time."""
        from onnx import numpy_helper

        self._constants.append(numpy_helper.from_array(value, _FOREIGN + port.name))

    def _rename(self, old: str, new: str) -> None:
        assert self._nodes[-1].output[0] == old
        self._nodes[-1].output[0] = new

    def output(self, port: Port, *shape: int) -> str:
        """The foreign output as float32 of that shape; nodes added from here on stand after."""
        from onnx import TensorProto

        self._nodes = self._after
        name = _FOREIGN + port.name
        if port.element != TensorProto.FLOAT:
            name = self.add("Cast", name, to=TensorProto.FLOAT)
        return str(self.add("Reshape", name, self.constant(np.array(shape, np.int64))))

    def finish(self, boxes: str, scores: str, labels: str, count: int, keep: int) -> bytes:
        """The file with the best `keep` of `count` detections, sorted by score.

        boxes: (count, 4) float32 xyxy in 0..1; scores: (count,); labels: (count,) float32 whole
        numbers.
        """
        from onnx import TensorProto, helper

        assert keep <= count
        scores, order = self.add("TopK", scores, self.constant(np.array([keep])), axis=0, outputs=2)
        boxes = self.add("Gather", boxes, order, axis=0)
        labels = self.add("Cast", self.add("Gather", labels, order), to=TensorProto.INT32)
        outputs = []
        for name, value, element, shape in (
            ("boxes", boxes, TensorProto.FLOAT, [1, keep, 4]),
            ("scores", scores, TensorProto.FLOAT, [1, keep]),
            ("labels", labels, TensorProto.INT32, [1, keep]),
        ):
            self._rename(self.add("Reshape", value, self.constant(np.array(shape))), name)
            outputs.append(helper.make_tensor_value_info(name, element, shape))
        model, graph = self._model, self._model.graph
        nodes = [*self._before, *graph.node, *self._after]
        for part, items in (
            (graph.node, nodes),
            (
                graph.input,
                [
                    helper.make_tensor_value_info(
                        "image", TensorProto.UINT8, [1, self.height, self.width, 3]
                    )
                ],
            ),
            (graph.output, outputs),
        ):
            del part[:]
            part.extend(items)
        graph.initializer.extend(self._constants)
        # Shapes noted for any number of images would contradict the one image that it is now.
        del graph.value_info[:]
        # From 4 on weights need not be inputs as well.
        model.ir_version = min(max(model.ir_version, _OLDEST_IR), _NEWEST_IR)
        return serialise(model, self.foreign.path)


def serialise(model: Any, path: Path) -> bytes:
    """The model as one file's content. Raises ForeignModelError where that is too large."""
    try:
        return bytes(model.SerializeToString())
    except Exception as error:  # protobuf's EncodeError, a ValueError before
        raise ForeignModelError(
            f"{path} is larger than the 2 GB that fit into one ONNX file"
        ) from error
