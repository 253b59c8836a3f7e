"""The graph model: what TensorFlow.js reads from it is what TensorFlow computes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorflow as tf
import torch
from PIL import Image

from sightline.data.formats.labelmap import read_label_map
from sightline.data.images import resize_stretch
from sightline.errors import ExportError
from sightline.export.deploy import DeployedDetector
from sightline.export.tensorflow.shards import Weight, write_shards
from sightline.export.tensorflow.tfjs import (
    MODEL_NAME,
    OUTPUT_NAMES,
    write_graph_model,
    write_tfjs,
)
from sightline.export.tensorflow.tfjs_ops import TFJS_OPS, TFJS_VERSION
from sightline.labels import COCO_LABELS

REPO = Path(__file__).resolve().parents[3]
WEB = REPO / "web"
CONVERTER = WEB / "node_modules/@tensorflow/tfjs-converter"

if TYPE_CHECKING:
    from sightline.models.deimv2.network import DeimV2

Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def run_in_node() -> Run:
    """What TensorFlow.js in Node makes of a folder, on a backend, for int32 inputs by name."""
    node = shutil.which("node")
    if node is None or not CONVERTER.is_dir():
        pytest.skip("needs Node and web/node_modules (run `python hatch_build.py npm ci`)")

    def run(folder: Path, backend: str, **inputs: np.ndarray) -> dict[str, Any]:
        told = {k: {"shape": v.shape, "values": v.ravel().tolist()} for k, v in inputs.items()}
        script = Path(__file__).with_name("run_graph_model.cjs")
        done = subprocess.run(
            [node, script, WEB, folder, backend],
            input=json.dumps({"inputs": told}), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        assert said["backend"] == backend
        return said

    return run


def arrays(outputs: dict[str, Any]) -> dict[str, np.ndarray]:
    return {
        name: np.array(found["values"], found["dtype"]).reshape(found["shape"])
        for name, found in outputs.items()
    }


def trace(function: Callable[[Any], dict[str, Any]]) -> Any:
    spec = tf.TensorSpec([1, None, None, 3], tf.uint8, name="input_tensor")
    return tf.function(function, autograph=False).get_concrete_function(spec)


def write(function: Any, outputs: list[str], folder: Path, **options: Any) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    write_graph_model(function, outputs, folder, **{"shard_bytes": 4 * 2**20, **options})
    model: dict[str, Any] = json.loads((folder / MODEL_NAME).read_text())
    return model


def ops_of(model: dict[str, Any]) -> Counter[str]:
    return Counter(node["op"] for node in model["modelTopology"]["node"] if node["op"] != "Const")


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def small_network(pixels: Any) -> dict[str, Any]:
    """One of each kind of operation that detectors are made of, with sizes known only when run."""
    x = tf.cast(pixels, tf.float32) / 255
    size = tf.shape(x)
    x = x[:, size[1] // 4 :, : size[2] // 2]
    x = tf.nn.conv2d(x, normal(1, 3, 3, 3, 8), 2, [[0, 0], [1, 1], [1, 1], [0, 0]])
    x = tf.nn.relu(x + normal(2, 8))
    x = tf.nn.depthwise_conv2d(x, normal(3, 3, 3, 8, 1), [1, 1, 1, 1], "SAME")
    x = tf.nn.bias_add(x, normal(4, 8))
    best, order = tf.math.top_k(tf.reduce_mean(x, [1, 2]), 3)
    rows = tf.gather(tf.constant(normal(5, 8, 100)), tf.reshape(order, [-1]))
    scores = tf.sigmoid(tf.matmul(rows, normal(6, 100, 5)) + normal(7, 5))
    end = tf.constant([2**40, 3], tf.int64)  # beyond int32: to the end
    table = tf.strided_slice(tf.constant(normal(8, 6, 4)), tf.zeros(2, tf.int64), end)
    return {"scores": scores, "order": order, "best": best, "constant": table}


OUTPUTS = ["scores", "order", "best", "constant"]
PIXELS = np.random.default_rng(9).integers(0, 256, (1, 40, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("backend", ["cpu", "wasm"])
def test_tensorflow_js_computes_what_tensorflow_does(
    backend: str, tmp_path: Path, run_in_node: Run
) -> None:
    function = trace(small_network)
    write(function, OUTPUTS, tmp_path, shard_bytes=100)
    said = run_in_node(tmp_path, backend, input_tensor=PIXELS)
    assert said["inputs"] == [{"name": "input_tensor", "shape": [1, -1, -1, 3], "dtype": "int32"}]
    assert said["ops"].count("_FusedConv2D") == said["ops"].count("_FusedMatMul") == 1
    expected = function(tf.constant(PIXELS))
    for run in said["runs"]:  # the second after everything the first gave was freed
        assert run["leaked"] == 0
        assert list(run["outputs"]) == OUTPUTS
        for name, found in arrays(run["outputs"]).items():
            # float32 sums in another order: 1e-6 of numbers near 1
            np.testing.assert_allclose(found, expected[name].numpy(), atol=1e-5, err_msg=name)


def test_the_signature_says_names_types_and_shapes(tmp_path: Path) -> None:
    model = write(trace(small_network), OUTPUTS, tmp_path)
    assert model["format"] == "graph-model"
    assert model["signature"]["inputs"] == {
        "input_tensor": {
            "name": "input_tensor:0",
            "dtype": "DT_UINT8",
            "tensorShape": {"dim": [{"size": n} for n in ("1", "-1", "-1", "3")]},
        }
    }
    assert list(model["signature"]["outputs"]) == OUTPUTS
    assert model["signature"]["outputs"]["order"] == {
        "name": "order:0",
        "dtype": "DT_INT32",
        "tensorShape": {"dim": [{"size": "1"}, {"size": "3"}]},
    }


def test_the_topology_has_neither_values_nor_control(tmp_path: Path) -> None:
    model = write(trace(small_network), OUTPUTS, tmp_path)
    constants = 0
    for node in model["modelTopology"]["node"]:
        assert not any(name.startswith("^") for name in node.get("input", []))
        assert not any(key.startswith("_") for key in node.get("attr", {}))
        if node["op"] == "Const":
            constants += 1
            assert set(node["attr"]["value"]["tensor"]) <= {"dtype", "tensorShape"}
    assert constants == len(model["weightsManifest"][0]["weights"])
    assert set(model["modelTopology"]) == {"node", "versions"}


def test_bias_and_relu_are_part_of_the_product(tmp_path: Path) -> None:
    found = ops_of(write(trace(small_network), OUTPUTS, tmp_path))
    assert found["_FusedConv2D"] == found["FusedDepthwiseConv2dNative"] == 1
    assert found["_FusedMatMul"] == 1
    assert not found.keys() & {"Conv2D", "DepthwiseConv2dNative", "MatMul", "Relu", "BiasAdd"}


def test_rows_are_gathered_by_the_quick_kernel(tmp_path: Path) -> None:
    found = ops_of(write(trace(small_network), OUTPUTS, tmp_path))
    assert found["GatherNd"] == 1
    assert not found["GatherV2"]


def test_joined_large_maps_are_not_joined(tmp_path: Path, run_in_node: Run) -> None:
    """Small ones are, and those that others read too, or that are joined along another axis."""

    def network(pixels: Any) -> dict[str, Any]:
        small = tf.ensure_shape(tf.cast(pixels, tf.float32) / 255, [1, 40, 30, 3])
        parts = [tf.tile(small, [1, 3, 2, n]) for n in (1, 2, 3)]
        large = tf.concat([part * n for n, part in enumerate(parts, 1)], -1)
        padding = [[0, 0], [1, 0], [0, 2], [0, 0]]
        y = tf.nn.conv2d(large, normal(1, 3, 3, 18, 4), 2, padding)
        read_twice = tf.concat([parts[0], -parts[1]], 3)
        rows = tf.concat([parts[0], -parts[0]], 1)
        few = tf.concat([small, -small], 3)
        return {
            "a": tf.nn.relu(y + normal(2, 4)),
            "b": tf.nn.conv2d(read_twice, normal(3, 1, 1, 9, 2), 1, "VALID"),
            "c": tf.reduce_sum(read_twice, [1, 2]),
            "d": tf.nn.conv2d(rows, normal(4, 1, 1, 3, 2), 1, "VALID"),
            "e": tf.nn.conv2d(few, normal(5, 2, 2, 6, 2), 1, "SAME"),
        }

    function = trace(network)
    found = ops_of(write(function, list("abcde"), tmp_path))
    assert found["Conv2D"] == 3 + 1 + 1 + 1
    assert found["ConcatV2"] == 3
    expected = function(tf.constant(PIXELS))
    outputs = run_in_node(tmp_path, "wasm", input_tensor=PIXELS)["runs"][0]["outputs"]
    for name, found_values in arrays(outputs).items():
        # sums of up to 162 products of numbers near 1; c sums 7200 of them
        bound = 0.1 if name == "c" else 1e-4
        np.testing.assert_allclose(found_values, expected[name].numpy(), atol=bound)


def test_what_must_not_be_fused_stays(tmp_path: Path, run_in_node: Run) -> None:
    """A product read twice, a bias that is none, and wasm's wrong transposed product."""

    def network(pixels: Any) -> dict[str, Any]:
        x = tf.reshape(tf.cast(pixels, tf.float32) / 255, [40 * 30 // 20, 60])
        twice = tf.matmul(x, normal(1, 60, 60))
        transposed = tf.matmul(twice, tf.cast(normal(2, 60, 60), tf.float32), transpose_b=True)
        wide = tf.matmul(x, normal(3, 60, 60)) + normal(4, 60, 1)
        return {"a": twice + normal(5, 60), "b": twice, "c": transposed + normal(6, 60), "d": wide}

    function = trace(network)
    assert not ops_of(write(function, list("abcd"), tmp_path)).keys() & {"_FusedMatMul"}
    expected = function(tf.constant(PIXELS))
    outputs = run_in_node(tmp_path, "wasm", input_tensor=PIXELS)["runs"][0]["outputs"]
    for name, found in arrays(outputs).items():
        # sums of 60 products of numbers up to 50
        np.testing.assert_allclose(found, expected[name].numpy(), rtol=1e-4, atol=1e-4)


def test_an_operation_that_tensorflow_js_lacks_is_named(tmp_path: Path) -> None:
    function = trace(lambda pixels: {"y": tf.math.lgamma(tf.cast(pixels, tf.float32))})
    with pytest.raises(ExportError, match=r"TensorFlow\.js 4\.22\.0 does not know Lgamma \(node"):
        write(function, ["y"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_known_operations_are_the_npm_package_s() -> None:
    if not CONVERTER.is_dir():
        pytest.skip("needs web/node_modules (run `python hatch_build.py npm ci`)")
    assert json.loads((CONVERTER / "package.json").read_text())["version"] == TFJS_VERSION
    operations = CONVERTER / "dist" / "operations"
    mapper = (operations / "operation_mapper.js").read_text()
    named: set[str] = set()
    for name in re.findall(r"^import .* from '\./(op_list/\w+)';$", mapper, re.MULTILINE):
        named.update(re.findall(r"'tfOpName': '(\w+)'", (operations / f"{name}.js").read_text()))
    assert named == TFJS_OPS


WEIGHTS = [
    Weight("kernel", normal(1, 3, 3, 4, 5), "float16"),
    Weight("bias", normal(2, 5)),
    Weight("whole", np.array([-32767, 0, 5, 32767], np.float32), "uint16"),
    Weight("scalar", np.array(7, np.int64)),
    Weight("end", np.array([2**40, -(2**40)], np.int64)),
    Weight("flags", np.array([True, False, True])),
    Weight("pixels", np.array([0, 255], np.uint8)),
    Weight("empty", np.zeros((0, 4), np.float32)),
]


def read_shards(folder: Path, manifest: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """The weights as TensorFlow.js reads them: one after the other, through all files."""
    found = {}
    for group in manifest:
        data = b"".join((folder / name).read_bytes() for name in group["paths"])
        start = 0
        for entry in group["weights"]:
            stored = entry.get("quantization", entry)["dtype"]
            kind = np.dtype("uint8" if stored == "bool" else stored).newbyteorder("<")
            count = int(np.prod(entry["shape"]))
            values = np.frombuffer(data, kind, count, start).astype(entry["dtype"])
            if stored == "uint16":
                values = values * entry["quantization"]["scale"] + entry["quantization"]["min"]
            found[entry["name"]] = values.reshape(entry["shape"])
            start += count * kind.itemsize
        assert start == len(data)
    return found


@pytest.mark.parametrize("shard_bytes", [1, 7, 100, 410, 411, 412, 10**6])
def test_shards_hold_every_weight_whatever_their_size(shard_bytes: int, tmp_path: Path) -> None:
    manifest = write_shards(WEIGHTS, tmp_path, shard_bytes)
    paths = manifest[0]["paths"]
    assert paths == [f"group1-shard{n + 1}of{len(paths)}.bin" for n in range(len(paths))]
    assert sorted(paths) == sorted(path.name for path in tmp_path.iterdir())
    sizes = [(tmp_path / path).stat().st_size for path in paths]
    assert set(sizes[:-1]) <= {shard_bytes}
    assert 0 < sizes[-1] <= shard_bytes
    found = read_shards(tmp_path, manifest)
    assert [*found] == [weight.name for weight in WEIGHTS]
    np.testing.assert_array_equal(
        found["kernel"], WEIGHTS[0].values.astype(np.float16).astype(np.float32)
    )
    np.testing.assert_array_equal(found["bias"], WEIGHTS[1].values)
    assert found["whole"].tolist() == [-32767, 0, 5, 32767]
    assert found["scalar"].tolist() == 7
    assert found["end"].tolist() == [2**31 - 1, -(2**31)]
    assert found["flags"].tolist() == [True, False, True]
    assert found["pixels"].tolist() == [0, 255]
    assert manifest[0]["weights"][0]["quantization"] == {
        "dtype": "float16",
        "original_dtype": "float32",
    }


def test_numbers_that_cannot_be_held_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="big reaches 70000"):
        write_shards([Weight("big", np.array([7e4], np.float32), "float16")], tmp_path, 100)
    with pytest.raises(ExportError, match="words holds object values"):
        write_shards([Weight("words", np.array([b"a"], object))], tmp_path, 100)
    assert list(tmp_path.iterdir()) == []


def wide_network(pixels: Any) -> dict[str, Any]:
    """The first convolution is small; the channels of the second differ in size a thousandfold."""
    x = tf.nn.conv2d(tf.cast(pixels, tf.float32) / 255, normal(1, 3, 3, 3, 48), 4, "VALID")
    sizes = np.logspace(-3, 0, 96).astype(np.float32)
    y = tf.nn.relu(tf.nn.conv2d(x, normal(2, 3, 3, 48, 96) * sizes, 2, "VALID"))
    y = tf.nn.depthwise_conv2d(y, normal(3, 3, 3, 96, 1), [1, 1, 1, 1], "VALID")
    z = tf.matmul(tf.reduce_mean(y, [1, 2]), normal(4, 96, 20)) + normal(5, 20)
    return {"map": y / sizes, "row": z}


def test_float16_stores_large_kernels_in_16_bits(tmp_path: Path, run_in_node: Run) -> None:
    function = trace(wide_network)
    model = write(function, ["map", "row"], tmp_path, quantize="float16")
    stored = {
        tuple(entry["shape"]): entry.get("quantization", entry)["dtype"]
        for entry in model["weightsManifest"][0]["weights"]
    }
    assert stored[3, 3, 3, 48] == "float32"  # among the first, whose errors pass through the rest
    assert stored[3, 3, 48, 96] == stored[3, 3, 96, 1] == "uint16"
    assert stored[96, 20] == "float16"
    assert stored[20,] == "float32"
    expected = function(tf.constant(PIXELS))
    found = arrays(run_in_node(tmp_path, "wasm", input_tensor=PIXELS)["runs"][1]["outputs"])
    for name, values in found.items():
        error = np.abs(values - expected[name].numpy()).max()
        # 16 bits of each channel's greatest, summed 432 times; 11 bits of each factor, 96 times
        assert 0 < error < {"map": 0.01, "row": 0.05}[name] * np.abs(values).max()


@pytest.fixture(scope="module")
def atto_folder(
    coco_network: Callable[[str], DeimV2], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("atto")
    write_tfjs(coco_network("atto"), COCO_LABELS, folder, shard_bytes=10**6)
    return folder


def test_a_detector_is_a_model_shards_and_a_label_map(atto_folder: Path) -> None:
    names = [f"group1-shard{n}of3.bin" for n in (1, 2, 3)]
    assert sorted(path.name for path in atto_folder.iterdir()) == [
        *names, "labelmap.pbtxt", "model.json"
    ]  # fmt: skip
    items, faults = read_label_map((atto_folder / "labelmap.pbtxt").read_text())
    assert not faults
    assert [(item.id, item.shown) for item in items] == list(enumerate(COCO_LABELS, 1))


def test_a_detector_finds_in_tensorflow_js_what_the_network_finds(
    atto_folder: Path, coco_network: Callable[[str], DeimV2], shared: Path, run_in_node: Run
) -> None:
    """A photo larger than the network's input, so that the graph has to resize it."""
    photo = np.load(shared / "models" / "golden-femto.npz")["images_uint8"][:1]
    said = run_in_node(atto_folder, "wasm", input_tensor=photo)
    outputs = said["runs"][0]["outputs"]
    assert outputs == said["runs"][1]["outputs"]
    assert tuple(outputs) == OUTPUT_NAMES
    boxes, scores, classes, count = (arrays(outputs)[name] for name in OUTPUT_NAMES)
    assert count.tolist() == [300]
    assert (boxes.shape, scores.shape, classes.shape) == ((1, 300, 4), (1, 300), (1, 300))
    pixels = resize_stretch(Image.fromarray(photo[0]), 320, 320)
    with torch.no_grad():
        expected = DeployedDetector(coco_network("atto"))(torch.from_numpy(pixels)[None])
    sure = int((expected[1] > 0.4).sum())
    assert sure >= 4
    # float32 sums in another order: 2e-5 was measured
    np.testing.assert_allclose(scores[0, :sure], expected[1][0, :sure], atol=2e-4)
    np.testing.assert_array_equal(classes[0, :sure], expected[2][0, :sure] + 1)
    corners = expected[0][0, :sure][:, [1, 0, 3, 2]]
    np.testing.assert_allclose(boxes[0, :sure], corners, atol=2e-4)
