"""SavedModels run by their manifest: ours, and those of the TF Object Detection API."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.errors import BundleDamaged, MissingExtra, UsageError
from sightline.manifest import Manifest
from sightline.runtime.engine import open_engine

tf = pytest.importorskip("tensorflow")

MANIFEST = Manifest(
    name="foreign",
    labels=("cat", "dog", "hen"),
    width=8,
    height=8,
    score_threshold=0.5,
    nms_iou=None,
    max_detections=5,
    target="savedmodel",
    resize="in-graph",
    input_name="input_tensor",
    output_names=("detection_boxes", "detection_scores", "detection_classes"),
    box_format="yxyx_norm",
    first_label=1,
)


def save(folder: Path, detect: Any, name: str = "input_tensor", dtype: Any = tf.uint8) -> Path:
    """A SavedModel of the function."""
    module = tf.Module()
    module.detect = tf.function(
        detect, input_signature=[tf.TensorSpec([1, None, None, 3], dtype, name=name)]
    )
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.detect})
    return folder


def find_three(input_tensor: Any) -> dict[str, Any]:
    """As the TF Object Detection API's SSDs: three detections, filled up to five.

    The first score is the image's mean brightness, the second box ends where the image does.
    """
    shape = tf.cast(tf.shape(input_tensor), tf.float32)
    brightness = tf.reduce_mean(tf.cast(input_tensor, tf.float32)) / 255
    scores = [0.25, brightness, 0.75, 0.9, 0.9]
    boxes = [[0.1, 0.2, 0.3, 0.4], [0, 0, shape[1] / 100, shape[2] / 100], [0, 0, 0.5, 1]]
    return {
        "detection_boxes": tf.stack([[tf.stack(box) for box in [*boxes, [1.0] * 4, [1.0] * 4]]]),
        "detection_scores": tf.stack([scores]),
        "detection_classes": tf.constant([[1.0, 3, 2, 1, 1]]),
        "num_detections": tf.constant([3.0]),
        "raw_detection_scores": tf.zeros([1, 9]),
    }


def test_a_foreign_model_runs_by_its_manifest(tmp_path: Path) -> None:
    engine = open_engine(save(tmp_path / "model", find_three), MANIFEST)
    assert engine.runtime == "tensorflow"
    outputs = engine.run(np.full((30, 60, 3), 255, np.uint8))
    np.testing.assert_allclose(outputs.scores, [1, 0.75, 0.25])
    assert outputs.label_ids.tolist() == [2, 1, 0]
    np.testing.assert_allclose(
        outputs.boxes_xyxy_norm, [[0, 0, 0.6, 0.3], [0, 0, 1, 0.5], [0.2, 0.1, 0.4, 0.3]]
    )
    assert [part.dtype for part in outputs] == [np.float32, np.float32, np.int32]
    dark = engine.run(np.zeros((50, 20, 3), np.uint8))  # of another size
    np.testing.assert_allclose(dark.scores, [0.75, 0.25, 0])
    np.testing.assert_allclose(dark.boxes_xyxy_norm[2], [0, 0, 0.2, 0.5])
    engine.close()


def test_a_fresh_process_prints_nothing(tmp_path: Path) -> None:
    save(tmp_path / "model", find_three)
    program = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from sightline.manifest import Manifest\n"
        "from sightline.runtime.engine import open_engine\n"
        f"engine = open_engine(Path(sys.argv[1]), {MANIFEST!r}, threads=1)\n"
        "assert len(engine.run(np.zeros((9, 9, 3), np.uint8)).scores) == 3\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "model"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"input_name": "image"}, "takes .*input_tensor.* wants image"),
        ({"output_names": ("boxes", "detection_scores", "detection_classes")}, "wants boxes"),
    ],
)
def test_a_manifest_of_another_model_is_refused(
    changed: dict[str, Any], said: str, tmp_path: Path
) -> None:
    folder = save(tmp_path / "model", find_three)
    with pytest.raises(BundleDamaged, match=said):
        open_engine(folder, replace(MANIFEST, **changed))


def test_an_input_of_floats_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", find_three, dtype=tf.float32)
    with pytest.raises(BundleDamaged, match="float32"):
        open_engine(folder, MANIFEST)


def test_a_model_without_signature_is_refused(tmp_path: Path) -> None:
    tf.saved_model.save(tf.Module(), str(tmp_path))
    with pytest.raises(BundleDamaged, match="serving_default"):
        open_engine(tmp_path, MANIFEST)


@pytest.mark.parametrize("damage", ["absent", "text", "truncated"])
def test_a_damaged_model_is_refused(damage: str, tmp_path: Path) -> None:
    folder = save(tmp_path / "model", find_three)
    graph = folder / "saved_model.pb"
    if damage == "absent":
        graph.unlink()
    else:
        graph.write_bytes(b"no graph" if damage == "text" else graph.read_bytes()[:-500])
    with pytest.raises(BundleDamaged, match="cannot be loaded by TensorFlow"):
        open_engine(folder, MANIFEST)


def test_without_tensorflow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(MissingExtra, match=r"running a SavedModel.*sightline\[tensorflow\]"):
        open_engine(tmp_path, MANIFEST)


def test_no_threads_are_no_number_of_threads(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least 1, not 0"):
        open_engine(tmp_path, MANIFEST, threads=0)


def test_webrtc_works_in_a_process_that_runs_tensorflow() -> None:
    code = (
        "from sightline.runtime.engines.tensorflow import import_tensorflow as load\n"
        "load('a test')\nimport aiortc"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
