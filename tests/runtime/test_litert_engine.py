"""LiteRT as an engine: outputs by the manifest, threads, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.errors import BundleDamaged, MissingExtra, UsageError
from sightline.manifest import Manifest
from sightline.runtime.engine import open_engine
from sightline.runtime.engines.litert import LiteRtEngine

pytestmark = pytest.mark.skipif(
    find_spec("tensorflow") is None, reason="the [tensorflow] extra is not installed"
)

MANIFEST = Manifest(
    name="quarters",
    labels=("upper", "lower"),
    width=32,
    height=32,
    score_threshold=0.5,
    nms_iou=None,
    max_detections=4,
    target="litert",
    input_name="input_tensor",
    output_names=("detection_boxes", "detection_scores", "detection_classes"),
    box_format="yxyx_norm",
)


@pytest.fixture(scope="session")
def quarters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .tflite that scores the four quarters of the image by their brightness."""
    from sightline.export.tensorflow import litert, litert_tables
    from sightline.runtime.engines.tensorflow import import_tensorflow

    tf = import_tensorflow("this test")

    def twin(pixels: Any) -> tuple[Any, Any, Any]:
        parts = tf.reshape(pixels / 255, (2, 16, 2, 16, 3))
        brightness = tf.reshape(tf.reduce_mean(parts, (1, 3, 4)), (1, 4))
        scores, order = tf.math.top_k(brightness, 4)
        corners = [[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1]]
        boxes = tf.gather(tf.constant(corners), order[0])[None]
        return boxes, scores, tf.gather(tf.constant([0, 0, 1, 1]), order[0])[None]

    folder = tmp_path_factory.mktemp("quarters")
    tables = litert_tables.read_model(litert.convert(twin, 32))
    litert_tables.name_ends(tables, litert.INPUT_NAME, litert.OUTPUT_NAMES)
    (folder / "model.tflite").write_bytes(litert_tables.pack_model(tables))
    return folder


def grey_quarters(*levels: int) -> NDArray[np.uint8]:
    """(32, 32, 3): upper left, upper right, lower left and lower right of one grey each."""
    grid = np.array(levels, np.uint8).reshape(2, 2)
    return np.ascontiguousarray(np.kron(grid, np.ones((16, 16), np.uint8))[..., None].repeat(3, 2))


def test_outputs_are_corners_scores_and_labels_best_first(quarters: Path) -> None:
    engine = open_engine(quarters, MANIFEST)
    assert engine.runtime == "litert"
    boxes, scores, labels = engine.run(grey_quarters(51, 204, 255, 102))
    np.testing.assert_allclose(scores, [1, 0.8, 0.4, 0.2], atol=1e-6)
    np.testing.assert_array_equal(labels, [1, 0, 1, 0])
    left_lower, right_upper = [0, 0.5, 0.5, 1], [0.5, 0, 1, 0.5]
    right_lower, left_upper = [0.5, 0.5, 1, 1], [0, 0, 0.5, 0.5]
    np.testing.assert_array_equal(boxes, [left_lower, right_upper, right_lower, left_upper])
    assert (boxes.dtype, scores.dtype, labels.dtype) == (np.float32, np.float32, np.int32)
    engine.close()


def test_boxes_and_labels_are_read_as_the_manifest_says(quarters: Path) -> None:
    image = grey_quarters(51, 204, 255, 102)
    boxes, _, labels = LiteRtEngine.open(quarters, MANIFEST, threads=1).run(image)
    other = replace(MANIFEST, box_format="xyxy_norm", first_label=1)
    as_xyxy, _, from_one = LiteRtEngine.open(quarters, other, threads=1).run(image)
    np.testing.assert_array_equal(as_xyxy, boxes[:, [1, 0, 3, 2]])
    np.testing.assert_array_equal(from_one, labels - 1)


def test_several_threads_may_call(quarters: Path) -> None:
    engine = LiteRtEngine.open(quarters, MANIFEST, threads=2)
    levels = [(level, 255 - level, level // 2, 7) for level in range(0, 256, 5)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda each: engine.run(grey_quarters(*each)), levels))
    for each, (_, scores, _) in zip(levels, found, strict=True):
        np.testing.assert_allclose(scores, sorted(np.array(each) / 255, reverse=True), atol=1e-6)


@pytest.mark.parametrize("keep", [0, 300, -1000], ids=["empty", "header", "cut"])
def test_a_truncated_file_is_refused(keep: int, quarters: Path, tmp_path: Path) -> None:
    whole = (quarters / "model.tflite").read_bytes()
    (tmp_path / "model.tflite").write_bytes(whole[:keep])
    with pytest.raises(BundleDamaged, match=r"model\.tflite cannot be loaded by LiteRT: .*again"):
        LiteRtEngine.open(tmp_path, MANIFEST)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"width": 64},
            r"input_tensor is uint8 \[1, 32, 32, 3\], the manifest wants uint8 \[1, 32, 64",
        ),
        ({"max_detections": 300}, r"wants float32 \[1, 300, 4\]"),
        ({"output_names": ("boxes", "scores", "labels")}, "boxes is absent"),
    ],
)
def test_a_file_that_is_not_the_manifest_s_is_refused(
    change: dict[str, Any], message: str, quarters: Path
) -> None:
    with pytest.raises(BundleDamaged, match=message):
        LiteRtEngine.open(quarters, replace(MANIFEST, **change))


def test_no_threads_are_a_usage_error(quarters: Path) -> None:
    with pytest.raises(UsageError, match="at least 1, not 0"):
        LiteRtEngine.open(quarters, MANIFEST, threads=0)


def test_without_the_package_the_extra_is_named(
    quarters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(MissingExtra, match=r"pip install 'sightline\[tensorflow\]'"):
        LiteRtEngine.open(quarters, MANIFEST)


def test_the_terminal_stays_empty_and_tensorflow_unloaded(quarters: Path) -> None:
    """In a process of its own: LiteRT speaks when it is first used."""
    code = (
        "import sys, numpy\n"
        "from pathlib import Path\n"
        "from dataclasses import replace\n"
        "from sightline.manifest import Manifest\n"
        "from sightline.runtime.engines.litert import LiteRtEngine\n"
        f"engine = LiteRtEngine.open(Path({str(quarters)!r}), {MANIFEST!r})\n"
        "assert len(engine.run(numpy.zeros((32, 32, 3), numpy.uint8)).scores) == 4\n"
        "assert not {'tensorflow', 'torch'} & sys.modules.keys()\n"
        "print('heard', file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("", "heard\n")
    assert done.returncode == 0
