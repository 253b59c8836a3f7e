"""Parity finds what is lost, gained or moved, and lets rounding pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from sightline.data.images import decode_image, resize_stretch
from sightline.detections import Detections
from sightline.export.parity import Parity, compare
from sightline.export.proof import NetworkEngine
from sightline.models.deimv2.network import DeimV2
from sightline.runtime.engines.onnx import open_session
from sightline.runtime.postprocess import postprocess

pytestmark = pytest.mark.usefixtures("one_thread")

LABELS = ("cat", "dog")


def detections(*rows: tuple[float, float, float, float, float, int]) -> Detections:
    """x1, y1, x2, y2, score, label id, of a 100 x 100 image."""
    values = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(values[:, :4], values[:, 4], values[:, 5].astype(np.int32), LABELS, 100, 100)


CAT = (10.0, 10.0, 30.0, 30.0, 0.9, 0)
DOG = (50.0, 50.0, 90.0, 90.0, 0.5, 1)


def parity(expected: Detections, found: Detections) -> Parity:
    return compare("test", [(expected, found)])


def test_equal_detections_agree_whatever_their_order() -> None:
    result = parity(detections(CAT, DOG), detections(DOG, CAT))
    assert result == Parity("test", 1, pytest.approx(0.2), 2, 0, 1.0, 0.0, 0.0, 0.0, 1e-3, 0.5, 0)
    assert result.holds()


@pytest.mark.parametrize(
    "found",
    [
        detections(CAT),  # lost
        detections(CAT, DOG, (0, 0, 9, 9, 0.3, 0)),  # gained
        detections(CAT, (*DOG[:5], 0)),  # another label
        detections(CAT, (*DOG[:4], 0.55, 1)),  # another score
        detections(CAT, (52, 50, 90, 90, 0.5, 1)),  # moved by 2 px
        detections(CAT, (0, 0, 20, 20, 0.5, 1)),  # elsewhere
        detections(CAT, CAT, DOG),  # twice
        detections(),
    ],
)
def test_differences_are_caught_both_ways(found: Detections) -> None:
    expected = detections(CAT, DOG)
    assert not parity(expected, found).holds()
    assert not parity(found, expected).holds()


def test_what_barely_passes_the_floor_may_fall_under_it() -> None:
    weak = (0.0, 0.0, 9.0, 9.0)
    assert parity(detections((*weak, 0.2004, 0)), detections((*weak, 0.1996, 0))).holds()
    assert not parity(detections((*weak, 0.21, 0)), detections((*weak, 0.15, 0))).holds()


def test_a_weak_model_is_proven_by_its_best_guesses() -> None:
    """None reaches the floor, which would prove nothing."""
    guess = (0.0, 0.0, 9.0, 9.0)
    result = parity(detections((*guess, 0.03, 0)), detections((*guess, 0.0302, 0)))
    assert result.holds()
    assert (result.matched, result.score_floor) == (1, pytest.approx(0.03))
    assert not parity(detections((*guess, 0.03, 0)), detections((*guess, 0.03, 1))).holds()
    assert not parity(detections(), detections()).holds()
    many = [(50.0 * n, 0.0, 50.0 * n + 40, 40.0, 0.9 - 0.03 * n, 0) for n in range(30)]
    assert parity(detections(*many), detections(*many)).matched == 24  # those above 0.2


def test_neighbours_are_matched_by_score_too() -> None:
    """Two objects in nearly the same place: each keeps its own score."""
    near = ((10, 10, 30, 30, 0.9, 0), (11, 10, 31, 30, 0.6, 0))
    result = parity(detections(*near), detections(*near[::-1]))
    assert result.max_score_drift == 0
    assert result.holds()


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0.21, 1), st.integers(0, 1)), max_size=6),
       st.integers(0, 1000))  # fmt: skip
def test_drift_is_measured(rows: list[tuple[int, float, int]], seed: int) -> None:
    """Objects in a row of their own, all moved by the same pixels and scores."""
    rng = np.random.default_rng(seed)
    score, pixels = float(rng.uniform(0, 9e-4)), float(rng.uniform(0, 0.45))
    places = [(100 * place, 0, 100 * place + 40, 40, s, label)
              for place, (_, s, label) in enumerate(rows)]  # fmt: skip
    moved = [(x1 + pixels, y1, x2 + pixels, y2, s - score, label)
             for x1, y1, x2, y2, s, label in places]  # fmt: skip
    result = parity(detections(*places), detections(*moved))
    assert result.matched == len(rows)
    assert result.holds() == bool(rows)
    if rows:
        assert result.max_score_drift == pytest.approx(score, abs=1e-6)
        assert result.max_box_drift_px == pytest.approx(pixels, abs=1e-4)
        assert result.mean_box_drift_px == pytest.approx(pixels, abs=1e-4)
        pairs = [(detections(*places), detections(*moved))]
        assert not compare("test", pairs, score_bound=score / 2 - 1e-6).holds()
        stricter = compare("test", pairs, box_bound_px=pixels / 2 - 1e-4)
        assert (stricter.beyond, stricter.fault(share=1.0)) == (len(rows), "")
        assert f"{len(rows)} of {len(rows)} detections moved" in stricter.fault(share=0.9)
    assert set(result.to_json()) == {
        "runtime", "images", "score_floor", "matched", "unmatched", "max_score_drift",
        "max_box_drift_px", "mean_box_drift_px", "label_agreement", "ap", "ap_pytorch", "ap_images",
        "score_bound", "box_bound_px", "beyond",
    }  # fmt: skip


@pytest.fixture(scope="module")
def pictures(shared: Path) -> list[np.ndarray]:
    """32 real photos at atto's input size."""
    files = sorted((shared / "data" / "coco_val100" / "images").glob("*.jpg"))[:32]
    return [resize_stretch(decode_image(file), 320, 320) for file in files]


@pytest.fixture(scope="module")
def expected(pictures: list[np.ndarray], coco_network: Callable[[str], DeimV2]) -> list[Detections]:
    engine = NetworkEngine(coco_network("atto"))
    return [on_640_by_480(*engine.run(pixels)) for pixels in pictures]


def on_640_by_480(*outputs: np.ndarray) -> Detections:
    kept = postprocess(*outputs, threshold=0.0, nms_iou=None, width=640, height=480)
    return Detections(*kept, tuple(str(index) for index in range(80)), 640, 480)


def run_graph(graph: Path, pictures: list[np.ndarray]) -> list[Detections]:
    session = open_session(graph, threads=1)
    found = []
    for pixels in pictures:
        outputs = session.run(["boxes", "scores", "labels"], {"image": pixels[None]})
        found.append(on_640_by_480(*(values[0] for values in outputs)))
    return found


def test_graph_finds_what_the_network_finds_on_real_photos(
    pictures: list[np.ndarray], expected: list[Detections], atto_bundle: Path
) -> None:
    found = run_graph(atto_bundle / "model.onnx", pictures)
    result = compare("onnxruntime", list(zip(expected, found, strict=True)))
    assert result.images == 32
    assert result.matched > 100
    assert result.holds()


def shift_a_class_bias(model: Any) -> None:
    """The score head's bias of one class, up by a tenth."""
    for initializer in model.graph.initializer:
        value = numpy_helper.to_array(initializer)
        if value.shape == (80,) and value.dtype == np.float32:
            changed = value.copy()
            changed[0] += 0.1
            initializer.CopyFrom(numpy_helper.from_array(changed, initializer.name))
            return
    raise AssertionError("the graph has no bias of 80 classes")


def forget_the_stem_s_zeros(model: Any) -> None:
    """What ONNX Runtime's Pad_Fusion did to other exports: the pool is padded with -inf."""
    pool = next(node for node in model.graph.node if node.op_type == "MaxPool")
    padding = next(node for node in model.graph.node if node.output[0] == pool.input[0])
    pads = next(entry for entry in padding.attribute if entry.name == "pads")
    assert list(pads.ints) == [0, 0, 1, 1]
    pool.attribute.append(pads)
    padding.attribute.remove(pads)


@pytest.mark.parametrize("damage", [shift_a_class_bias, forget_the_stem_s_zeros])
def test_a_damaged_graph_is_caught(
    damage: Callable[[Any], None], pictures: list[np.ndarray], expected: list[Detections],
    atto_bundle: Path, tmp_path: Path,
) -> None:  # fmt: skip
    model = onnx.load(atto_bundle / "model.onnx")
    whole = model.SerializeToString()
    damage(model)
    assert model.SerializeToString() != whole
    onnx.save(model, tmp_path / "damaged.onnx")
    found = run_graph(tmp_path / "damaged.onnx", pictures)
    result = compare("onnxruntime", list(zip(expected, found, strict=True)))
    assert not result.holds()
