"""Models of the TF Object Detection API: outputs, labels and files, found or asked for."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from sightline.errors import ForeignModelError
from sightline.manifest import read_manifest
from sightline.runtime.detector import Detector
from sightline.workflow.adapters.config import ImportConfig
from sightline.workflow.adapters.tf_detection import adapt_tf, read_tfjs
from sightline.workflow.import_model import import_model

# As exporter_main_v2.py and tensorflowjs_converter number the outputs of an SSD of 7 classes.
NUMBERED = {
    "Identity_7:0": [1, 12804, 8],
    "Identity_2:0": [1, 100],
    "Identity_4:0": [1, 100],
    "Identity_6:0": [1, 12804, 4],
    "Identity_1:0": [1, 100, 4],
    "Identity_3:0": [1, 100, 8],
    "Identity_5:0": [1],
    "Identity:0": [1, 100],
}
SHORT = {
    "StatefulPartitionedCall:0": [1, 10, 4],
    "StatefulPartitionedCall:1": [1, 10],
    "StatefulPartitionedCall:2": [1, 10],
    "StatefulPartitionedCall:3": [1],
}


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "names.txt"
    path.write_text("\n".join("abcdefg"), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("outputs", "found"),
    [
        (NUMBERED, ("Identity_1:0", "Identity_4:0", "Identity_2:0")),
        (
            SHORT,
            tuple(f"StatefulPartitionedCall:{number}" for number in (0, 2, 1)),
        ),
        (
            {
                "detection_scores": [1, 9],
                "detection_classes": [1, 9],
                "detection_boxes": [1, 9, 4],
                "num_detections": [1],
                "odd": [1],
            },
            ("detection_boxes", "detection_scores", "detection_classes"),
        ),
    ],
)
def test_outputs_are_found(
    foreign: SimpleNamespace,
    tmp_path: Path,
    names: Path,
    outputs: dict[str, list[int]],
    found: tuple[str, str, str],
) -> None:
    model = read_tfjs(foreign.tfjs(tmp_path / "web", outputs) / "model.json")
    manifest = adapt_tf(model, ImportConfig(labels=str(names))).manifest
    assert manifest.output_names == found
    assert manifest.input_name == "input_tensor:0"
    assert (manifest.target, manifest.resize, manifest.box_format, manifest.first_label) == (
        "tfjs",
        "in-graph",
        "yxyx_norm",
        1,
    )
    assert manifest.labels == tuple("abcdefg")
    assert manifest.max_detections == outputs[found[1]][1]


def test_outputs_that_are_not_clear_are_asked_for(
    foreign: SimpleNamespace, tmp_path: Path, names: Path
) -> None:
    outputs = {"a:0": [1, 10, 4], "b:0": [1, 10], "c:0": [1, 10]}
    model = read_tfjs(foreign.tfjs(tmp_path / "web", outputs) / "model.json")
    with pytest.raises(ForeignModelError, match=r"a:0 \[1, 10, 4\]; .*--outputs BOXES,SCORES,CLA"):
        adapt_tf(model, ImportConfig(labels=str(names)))
    config = ImportConfig(labels=str(names), outputs="a, c:0,b")
    assert adapt_tf(model, config).manifest.output_names == ("a:0", "c:0", "b:0")
    with pytest.raises(ForeignModelError, match="three names expected"):
        adapt_tf(model, ImportConfig(labels=str(names), outputs="a,b,d"))


def test_numbers_that_contradict_the_shapes_are_not_believed(
    foreign: SimpleNamespace, tmp_path: Path, names: Path
) -> None:
    outputs = {**NUMBERED, "Identity_1:0": [1, 100], "Identity_2:0": [1, 100, 4]}
    model = read_tfjs(foreign.tfjs(tmp_path / "web", outputs) / "model.json")
    with pytest.raises(ForeignModelError, match="which of its outputs are boxes"):
        adapt_tf(model, ImportConfig(labels=str(names)))


def test_labels_come_from_a_map_beside_or_are_asked_for(
    foreign: SimpleNamespace, tmp_path: Path
) -> None:
    folder = foreign.tfjs(tmp_path / "web", NUMBERED)
    model = read_tfjs(folder / "model.json")
    with pytest.raises(ForeignModelError, match=r"no label map .*it has 7 classes\) with --labels"):
        adapt_tf(model, ImportConfig())
    (folder / "graph.pbtxt").write_text("node { name: 'x' }", encoding="utf-8")
    label_map = folder / "label_map.pbtxt"
    label_map.write_text("item { id: 3 name: 'hand' } item { id: 1 name: 'face' }", "utf-8")
    adapted = adapt_tf(model, ImportConfig())
    # A class without a name keeps its place.
    assert adapted.manifest.labels[:3] == ("face", "unnamed 2", "hand")
    assert len(adapted.manifest.labels) == 7
    label_map.write_text("item { id: 8 name: 'hand' }", encoding="utf-8")
    with pytest.raises(ForeignModelError, match=r"has 7 classes, but .*goes up to 8"):
        adapt_tf(model, ImportConfig())


def test_coco_is_known_by_its_90_ids(foreign: SimpleNamespace, tmp_path: Path) -> None:
    outputs = {**NUMBERED, "Identity_3:0": [1, 100, 91], "Identity_7:0": [1, 12804, 91]}
    folder = foreign.tfjs(tmp_path / "web", outputs)
    labels = adapt_tf(read_tfjs(folder / "model.json"), ImportConfig()).manifest.labels
    assert (len(labels), labels[0], labels[16], labels[89]) == (90, "person", "cat", "toothbrush")
    assert labels[11] == "unnamed 12"


def test_damaged_graph_models_are_refused(foreign: SimpleNamespace, tmp_path: Path) -> None:
    short = foreign.tfjs(tmp_path / "short", NUMBERED, weights=5)
    with pytest.raises(ForeignModelError, match="have 5 bytes, it says 8: a file is truncated"):
        read_tfjs(short / "model.json")
    (short / "group1-shard1of1.bin").unlink()
    with pytest.raises(ForeignModelError, match="are not beside it"):
        read_tfjs(short / "model.json")
    layers = tmp_path / "layers.json"
    layers.write_text(
        json.dumps({"format": "layers-model", "modelTopology": {}, "weightsManifest": []})
    )
    with pytest.raises(ForeignModelError, match=r"is a layers model; .*tfjs_graph_model"):
        read_tfjs(layers)
    outside = json.loads((tmp_path / "short" / "model.json").read_text(encoding="utf-8"))
    outside["weightsManifest"][0]["paths"] = ["../names.txt"]
    (tmp_path / "names.txt").write_text("a", encoding="utf-8")
    (short / "model.json").write_text(json.dumps(outside), encoding="utf-8")
    with pytest.raises(ForeignModelError, match="are not beside it"):
        read_tfjs(short / "model.json")


def test_casts_to_booleans_become_comparisons(foreign: SimpleNamespace, tmp_path: Path) -> None:
    """TensorFlow.js on wasm says that 0.5 as a boolean is false."""
    path = foreign.tfjs(tmp_path / "web", NUMBERED) / "model.json"
    assert read_tfjs(path).files["model.json"] == path  # nothing to mend: the file itself
    number, boolean = {"type": "DT_FLOAT"}, {"type": "DT_BOOL"}
    model = json.loads(path.read_text(encoding="utf-8"))
    model["modelTopology"]["node"] = [
        {"name": "a", "op": "Cast", "input": ["x"], "attr": {"SrcT": number, "DstT": boolean}},
        {"name": "b", "op": "Cast", "input": ["a"], "attr": {"SrcT": boolean, "DstT": number}},
    ]
    path.write_text(json.dumps(model), encoding="utf-8")
    mended = read_tfjs(path).files["model.json"]
    assert isinstance(mended, bytes)
    nodes = {node["name"]: node for node in json.loads(mended)["modelTopology"]["node"]}
    assert nodes["a"] == {
        "name": "a",
        "op": "NotEqual",
        "input": ["x", "a/zero"],
        "attr": {"T": number},
    }
    assert nodes["a/zero"]["op"] == "Sub"
    assert nodes["b"] == model["modelTopology"]["node"][1]


@pytest.fixture
def saved_model(tmp_path: Path) -> Path:
    """A SavedModel with the API's signature, which finds the brighter half of an image."""
    from sightline.runtime.engines.tensorflow import import_tensorflow

    tf = import_tensorflow("a test")

    class Halves(tf.Module):  # type: ignore[misc, name-defined]
        @tf.function(input_signature=[tf.TensorSpec([1, None, None, 3], tf.uint8)])
        def __call__(self, input_tensor):  # type: ignore[no-untyped-def]
            levels = tf.reduce_mean(tf.cast(input_tensor, tf.float32), axis=[0, 1, 3]) / 255
            half = tf.shape(levels)[0] // 2
            scores = tf.stack([tf.reduce_mean(levels[:half]), tf.reduce_mean(levels[half:])])
            scores, order = tf.math.top_k(scores, 2)
            boxes = tf.constant([[0.0, 0.0, 1.0, 0.5], [0.0, 0.5, 1.0, 1.0]])
            return {
                "detection_boxes": tf.gather(boxes, order)[None],
                "detection_scores": scores[None],
                "detection_classes": tf.cast(order + 1, tf.float32)[None],
                "num_detections": tf.constant([2.0]),
            }

    folder = tmp_path / "my_ssd" / "saved_model"
    module = Halves()
    tf.saved_model.save(module, str(folder), {"serving_default": module.__call__})
    (tmp_path / "my_ssd" / "label_map.pbtxt").write_text(
        "item { id: 1 name: 'left' } item { id: 2 name: 'right' }", encoding="utf-8"
    )
    return folder


def test_a_saved_model_is_taken_whole(saved_model: Path, tmp_path: Path) -> None:
    import numpy as np

    imported = import_model(saved_model.parent, out=tmp_path / "bundle")
    manifest = read_manifest(tmp_path / "bundle")
    assert manifest == imported.manifest
    assert manifest.name == "my_ssd"
    assert manifest.labels == ("left", "right")
    assert manifest.input_name == "input_tensor"
    assert manifest.output_names == ("detection_boxes", "detection_scores", "detection_classes")
    assert {"saved_model.pb", "variables/variables.index", "labelmap.pbtxt"} <= set(manifest.files)
    photo = np.zeros((40, 60, 3), np.uint8)
    photo[:, 30:] = 204
    found = Detector.load(tmp_path / "bundle")(photo)
    assert found.labels == ["right"]
    np.testing.assert_allclose(found.boxes_xyxy, [[30, 0, 60, 40]])
    np.testing.assert_allclose(found.scores, [0.8], atol=1e-5)


def test_damaged_saved_models_are_refused(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"not a protocol buffer")
    with pytest.raises(ForeignModelError, match="is no SavedModel, or a damaged one"):
        import_model(tmp_path, out=tmp_path / "bundle")
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ForeignModelError, match="no signature serving_default"):
        import_model(tmp_path, out=tmp_path / "bundle")
