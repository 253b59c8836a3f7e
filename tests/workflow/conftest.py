"""Small foreign models that run, whose answer for any image is known."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

# The four quarters of an image, as (x1, y1, x2, y2) in 0..1.
QUARTERS = np.array(
    [[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1]], np.float32
)


def save(
    path: Path,
    nodes: list[Any],
    inputs: list[Any],
    outputs: list[Any],
    constants: dict[str, NDArray[Any]],
    opset: int = 17,
) -> Path:
    graph = helper.make_graph(
        nodes,
        "foreign",
        inputs,
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", opset)])
    onnx.save(model, path)
    return path


def write_detr(
    path: Path,
    *,
    labels: tuple[int, ...] = (0, 0, 1, 1),
    boxes: str = "of-size",
    gain: float = 1.0,
    batch: int | str = "N",
    sides: tuple[int | str, int | str] = (24, 32),
    names: tuple[str, str, str] = ("labels", "boxes", "scores"),
    opset: int = 17,
) -> Path:
    """A DETR's inputs and outputs; a quarter's score is its mean pixel, `gain` times.

    boxes: "of-size" as the official export, "rounded" to whole pixels, or "input" pixels whatever
    orig_target_sizes says.
    """
    call, out = helper.make_node, dict(zip(("labels", "boxes", "scores"), names, strict=True))
    constants = {
        "parts": np.array([-1, 3, 2, 12, 2, 16], np.int64),
        "row": np.array([-1, 4], np.int64),
        "four": np.array([4], np.int64),
        "quarters": QUARTERS if boxes != "input" else QUARTERS * np.float32([32, 24, 32, 24]),
        "kinds": np.array(labels, np.int64),
        "one": np.array([1], np.int64),
        "gain": np.array(gain, np.float32),
    }
    nodes = [
        call("Reshape", ["images", "parts"], ["cells"]),
        call("ReduceMean", ["cells"], ["means"], axes=[1, 3, 5], keepdims=0),
        call("Reshape", ["means", "row"], ["levels"]),
        call("Mul", ["levels", "gain"], ["strengths"]),
        call("TopK", ["strengths", "four"], [out["scores"], "order"]),
        call("Gather", ["kinds", "order"], [out["labels"]]),
        call("Gather", ["quarters", "order"], ["places"]),
        call("Concat", ["orig_target_sizes"] * 2, ["extent"], axis=1),
        call("Cast", ["extent"], ["extent_px"], to=TensorProto.FLOAT),
        call("Unsqueeze", ["extent_px", "one"], ["scale"]),
    ]
    if boxes == "input":
        nodes.append(call("Identity", ["places"], [out["boxes"]]))
    elif boxes == "rounded":
        nodes += [
            call("Mul", ["places", "scale"], ["exact"]),
            call("Round", ["exact"], [out["boxes"]]),
        ]
    else:
        nodes.append(call("Mul", ["places", "scale"], [out["boxes"]]))
    value = helper.make_tensor_value_info
    return save(
        path,
        nodes,
        [
            value("images", TensorProto.FLOAT, [batch, 3, *sides]),
            value("orig_target_sizes", TensorProto.INT64, [batch, 2]),
        ],
        [
            value(out["labels"], TensorProto.INT64, [batch, 4]),
            value(out["boxes"], TensorProto.FLOAT, [batch, 4, 4]),
            value(out["scores"], TensorProto.FLOAT, [batch, 4]),
        ],
        constants,
        opset,
    )


def write_yolox(path: Path, *, is_decoded: bool, side: int = 128, classes: int = 2) -> Path:
    """YOLOX's head on average colours: finds 32 px squares, class 0 red ones and 1 blue ones.

    As the specification says: cells of strides 8, 16, 32; BGR 0..255 in; x, y, w, h, object and
    classes out, the last ones through a sigmoid; only cells of stride 32 ever see an object.
    """
    call, parts, nodes = helper.make_node, [], []
    constants: dict[str, NDArray[Any]] = {}
    for stride in (8, 16, 32):
        weights = np.zeros((5 + classes, 3, 1, 1), np.float32)  # of blue, green, red
        bias = np.zeros(5 + classes, np.float32)
        bias[:2] = 0.5
        bias[2:4] = math.log(32 / stride)
        weights[4, :, 0, 0] = (0.2, -0.2, 0.2)
        bias[4] = -36 if stride == 32 else -80
        weights[5, :, 0, 0] = (-0.1, 0, 0.1)
        weights[6, :, 0, 0] = (0.1, 0, -0.1)
        constants |= {f"w{stride}": weights, f"b{stride}": bias}
        cells = (side // stride) ** 2
        constants[f"flat{stride}"] = np.array([1, 5 + classes, cells], np.int64)
        nodes += [
            call(
                "AveragePool",
                ["images"],
                [f"mean{stride}"],
                kernel_shape=[stride] * 2,
                strides=[stride] * 2,
            ),
            call("Conv", [f"mean{stride}", f"w{stride}", f"b{stride}"], [f"map{stride}"]),
            call("Reshape", [f"map{stride}", f"flat{stride}"], [f"rows{stride}"]),
        ]
        parts.append(f"rows{stride}")
    constants["split"] = np.array([4, 1 + classes], np.int64)
    nodes += [
        call("Concat", parts, ["all"], axis=2),
        call("Transpose", ["all"], ["table"], perm=[0, 2, 1]),
        call("Split", ["table", "split"], ["box", "logits"], axis=2),
        call("Sigmoid", ["logits"], ["probabilities"]),
    ]
    if is_decoded:
        grid, strides = [], []
        for stride in (8, 16, 32):
            n = side // stride
            grid += [(x, y) for y in range(n) for x in range(n)]
            strides += [(stride, stride)] * (n * n)
        constants |= {
            "grid": np.array(grid, np.float32),
            "strides": np.array(strides, np.float32),
            "halves": np.array([2, 2], np.int64),
        }
        nodes += [
            call("Split", ["box", "halves"], ["xy", "wh"], axis=2),
            call("Add", ["xy", "grid"], ["cell"]),
            call("Mul", ["cell", "strides"], ["centre"]),
            call("Exp", ["wh"], ["factor"]),
            call("Mul", ["factor", "strides"], ["size"]),
            call("Concat", ["centre", "size", "probabilities"], ["output"], axis=2),
        ]
    else:
        nodes.append(call("Concat", ["box", "probabilities"], ["output"], axis=2))
    value = helper.make_tensor_value_info
    rows = sum((side // s) ** 2 for s in (8, 16, 32))
    return save(
        path,
        nodes,
        [value("images", TensorProto.FLOAT, [1, 3, side, side])],
        [value("output", TensorProto.FLOAT, [1, rows, 5 + classes])],
        constants,
        13,
    )


def write_classifier(path: Path) -> Path:
    call = helper.make_node
    value = helper.make_tensor_value_info
    return save(
        path,
        [
            call("GlobalAveragePool", ["input"], ["mean"]),
            call("Flatten", ["mean"], ["logits"]),
        ],
        [value("input", TensorProto.FLOAT, ["N", 3, 224, 224])],
        [value("logits", TensorProto.FLOAT, ["N", 3])],
        {},
    )


def draw_quarters(path: Path, levels: tuple[int, int, int, int]) -> Path:
    """A grey PNG of 32 x 24 pixels, as the graph takes it, whose quarters have these levels."""
    pixels = np.array(levels, np.uint8).reshape(2, 2).repeat(12, axis=0).repeat(16, axis=1)
    Image.fromarray(pixels).convert("RGB").save(path)
    return path


def draw_square(path: Path) -> Path:
    """A grey PNG of 256 x 128 pixels with a red square at (128, 64), of 64 px."""
    pixels = np.full((128, 256, 3), 114, np.uint8)
    pixels[64:128, 128:192] = (255, 0, 0)
    Image.fromarray(pixels).save(path)
    return path


def write_tfjs(folder: Path, outputs: dict[str, list[int]], weights: int = 8) -> Path:
    """A graph model's model.json with that signature, and a shard; nothing that runs."""

    def signed(name: str, kind: str, shape: list[int]) -> dict[str, Any]:
        sizes = [{"size": str(n)} for n in shape]
        return {"name": name, "dtype": kind, "tensorShape": {"dim": sizes}}

    model = {
        "format": "graph-model",
        "signature": {
            "inputs": {"input_tensor:0": signed("input_tensor:0", "DT_UINT8", [1, -1, -1, 3])},
            "outputs": {name: signed(name, "DT_FLOAT", shape) for name, shape in outputs.items()},
        },
        "modelTopology": {"node": []},
        "weightsManifest": [
            {
                "paths": ["group1-shard1of1.bin"],
                "weights": [{"name": "w", "shape": [2], "dtype": "float32"}],
            }
        ],
    }
    folder.mkdir()
    (folder / "model.json").write_text(json.dumps(model), encoding="utf-8")
    (folder / "group1-shard1of1.bin").write_bytes(bytes(weights))
    return folder


@pytest.fixture(scope="session")
def foreign() -> SimpleNamespace:
    """The functions above: what they write, and photos that suit it."""
    return SimpleNamespace(
        quarters=QUARTERS,
        detr=write_detr,
        yolox=write_yolox,
        classifier=write_classifier,
        tfjs=write_tfjs,
        draw_quarters=draw_quarters,
        draw_square=draw_square,
    )
