"""Fixtures over the real data sets and weights that lie beside the project."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

with contextlib.suppress(ImportError):
    import pylibsrtp  # noqa: F401 - crashes where TensorFlow is loaded before it (engines/tensorflow.py)

if TYPE_CHECKING:
    from sightline.models.deimv2.network import DeimV2

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data sets, videos, broken files and weights."""
    path = Path(os.environ.get("SIGHTLINE_SHARED", REPO.parent / "shared")).resolve()
    if not (path / "data").is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"SIGHTLINE_SHARED: {path} is not there, and CI may not skip")
        pytest.skip(f"real data sets are absent: {path} (set SIGHTLINE_SHARED)")
    return path


@pytest.fixture(scope="session")
def contracts() -> Path:
    """The schemas and golden vectors that Python and TypeScript share."""
    return REPO / "contracts"


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """Torch on one thread: as fast for these sizes, and steady on a machine that works."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def coco_network(shared: Path, one_thread: None) -> Callable[[str], DeimV2]:
    """The network of a size ("atto" or "femto") with COCO weights, each time a new one."""
    from sightline.models.weights import build_model, read_weights

    @cache
    def load(size: str) -> DeimV2:
        weights = shared / "models" / f"deimv2-{size}-coco.safetensors"
        return build_model(size, 80, read_weights(weights)).eval()

    return lambda size: copy.deepcopy(load(size))


@pytest.fixture(scope="session")
def coco_bundle(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of deimv2-femto with COCO weights, as `sightline models pull` makes it."""
    return _bundle("deimv2-femto", shared, tmp_path_factory)


@pytest.fixture(scope="session")
def atto_bundle(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of deimv2-atto with COCO weights."""
    return _bundle("deimv2-atto", shared, tmp_path_factory)


def _bundle(name: str, shared: Path, folders: pytest.TempPathFactory) -> Path:
    from sightline.workflow.resolve import make_zoo_bundle

    weights = shared / "models" / f"{name}-coco.safetensors"
    return make_zoo_bundle(name, weights, folders.mktemp("bundles") / name)


@pytest.fixture
def tiny_bundle(tmp_path: Path) -> Path:
    """A bundle whose graph scores the four quarters of the image by their brightness.

    Classes: "upper" and "lower". Input 32 x 24 pixels; threshold 0.5, no NMS. A real graph that
    loads and runs in milliseconds and whose answer for any image is known.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from sightline.manifest import Manifest, file_entry, write_manifest

    constants = {
        "quarters": np.array([1, 2, 12, 2, 16, 3], np.int64),
        "within": np.array([2, 4, 5], np.int64),
        "row": np.array([1, 4], np.int64),
        "white": np.array(255, np.float32),
        "four": np.array([4], np.int64),
        "all_boxes": np.array(
            [[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1]], np.float32
        ),
        "all_labels": np.array([0, 0, 1, 1], np.int32),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["pixels", "quarters"], ["parts"]),
        helper.make_node("ReduceMean", ["parts", "within"], ["means"], keepdims=0),
        helper.make_node("Reshape", ["means", "row"], ["levels"]),
        helper.make_node("Div", ["levels", "white"], ["brightness"]),
        helper.make_node("TopK", ["brightness", "four"], ["scores", "order"]),
        helper.make_node("Gather", ["all_boxes", "order"], ["boxes"]),
        helper.make_node("Gather", ["all_labels", "order"], ["labels"]),
    ]
    graph = helper.make_graph(
        nodes,
        "quarters",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 24, 32, 3])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, 4, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 4]),
            helper.make_tensor_value_info("labels", TensorProto.INT32, [1, 4]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])
    bundle = tmp_path / "tiny"
    bundle.mkdir()
    onnx.save(model, bundle / "model.onnx")
    write_manifest(
        bundle,
        Manifest(
            name="tiny",
            labels=("upper", "lower"),
            width=32,
            height=24,
            score_threshold=0.5,
            nms_iou=None,
            max_detections=4,
            files={"model.onnx": file_entry(bundle / "model.onnx")},
        ),
    )
    return bundle
