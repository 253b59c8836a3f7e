"""COCO's numbers: properties, cases worked by hand, parity with pycocotools."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sightline.evaluate.coco import NUMBERS, coco_metrics
from sightline.evaluate.matching import ImageDetections, ImageTruth


def truth(boxes_xyxy: list[list[float]], labels: list[int], crowd: int = 0) -> ImageTruth:
    """Objects whose last `crowd` boxes are crowd regions."""
    boxes = np.array(boxes_xyxy, float).reshape(-1, 4)
    is_crowd = np.arange(len(boxes)) >= len(boxes) - crowd
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return ImageTruth(boxes, np.array(labels, int), is_crowd, areas)


def found(boxes_xyxy: list[list[float]], scores: list[float], labels: list[int]) -> ImageDetections:
    boxes = np.array(boxes_xyxy, float).reshape(-1, 4)
    return ImageDetections(boxes, np.array(scores, float), np.array(labels, int))


def is_near(value: float | None, expected: float) -> bool:
    """Equal but for the rounding of a mean of a thousand values."""
    return value is not None and abs(value - expected) < 1e-12


BOX = [10.0, 10.0, 60.0, 60.0]  # 2500 px²: medium
FAR = [200.0, 200.0, 250.0, 250.0]


def test_every_object_found_gives_one() -> None:
    metrics = coco_metrics(
        [truth([BOX, FAR], [0, 1])], [found([BOX, FAR], [0.9, 0.8], [0, 1])], "ab"
    )
    assert metrics.AP == metrics.AP50 == metrics.AR100 == metrics.APm == 1.0
    assert metrics.AR1 == 1.0  # one of each class
    assert metrics.APs is None and metrics.ARl is None
    assert metrics.per_class["a"].AP == 1.0


def test_nothing_found_gives_zero_and_nothing_to_find_gives_none() -> None:
    missed = coco_metrics([truth([BOX], [0])], [found([], [], [])], "ab")
    assert (missed.AP, missed.AR100) == (0.0, 0.0)
    assert missed.per_class["b"].AP is None
    empty = coco_metrics([truth([], [])], [found([BOX], [0.9], [0])], "ab")
    assert all(getattr(empty, name) is None for name in NUMBERS)
    assert coco_metrics([], [], ["a"]).to_json()["images"] == 0


def test_a_false_alarm_first_halves_precision() -> None:
    """Ranked: miss, hit. Precision at every recall is 1/2, at every IoU."""
    metrics = coco_metrics([truth([BOX], [0])], [found([FAR, BOX], [0.9, 0.8], [0, 0])], "a")
    assert is_near(metrics.AP, 0.5)


def test_one_of_two_objects_found() -> None:
    """Precision 1 up to recall .5: 51 of the 101 recalls (0, .01, ... .50)."""
    metrics = coco_metrics([truth([BOX, FAR], [0, 0])], [found([BOX], [0.9], [0])], "a")
    assert is_near(metrics.AP50, 51 / 101)
    assert metrics.AR100 == 0.5


def test_iou_decides_at_each_threshold() -> None:
    """A box of 3/4 of the object's width: IoU 0.75, found at .50 to .75, six of ten."""
    shifted = [10.0, 10.0, 47.5, 60.0]
    metrics = coco_metrics([truth([BOX], [0])], [found([shifted], [0.9], [0])], "a")
    assert metrics.AP50 == metrics.AP75 == 1.0
    assert is_near(metrics.AP, 0.6)


def test_detections_in_a_crowd_region_do_not_count() -> None:
    crowd = [0.0, 0.0, 100.0, 100.0]
    inside = [[5.0, 5.0, 20.0, 20.0], [30.0, 30.0, 50.0, 50.0]]
    metrics = coco_metrics(
        [truth([FAR, crowd], [0, 0], crowd=1)],
        [found([*inside, FAR], [0.9, 0.8, 0.7], [0] * 3)],
        "a",
    )
    assert metrics.AP == 1.0
    assert metrics.boxes == 2


def test_a_duplicate_is_a_false_alarm() -> None:
    """Ranked: hit, duplicate, hit. Precision 1 up to recall .5, then 2/3."""
    metrics = coco_metrics(
        [truth([BOX, FAR], [0, 0])], [found([BOX, BOX, FAR], [0.9, 0.8, 0.7], [0, 0, 0])], "a"
    )
    assert is_near(metrics.AP50, (51 + 50 * 2 / 3) / 101)


def test_wrong_lengths_and_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="1 images with truth, 0 with detections"):
        coco_metrics([truth([], [])], [], "a")
    with pytest.raises(ValueError, match=r"label ids 0\.\.1, with 1 classes"):
        coco_metrics([truth([BOX, FAR], [0, 1])], [found([], [], [])], "a")
    with pytest.raises(ValueError, match="detections: label ids -1"):
        coco_metrics([truth([], [])], [found([BOX], [0.5], [-1])], "a")


def test_json_has_the_documented_shape() -> None:
    value = coco_metrics([truth([BOX], [0])], [found([BOX], [0.9], [0])], ["raccoon"]).to_json()
    assert list(value) == [*NUMBERS, "images", "boxes", "per_class"]
    assert value["per_class"] == {"raccoon": {"AP": 1.0, "AP50": 1.0}}
    assert value["APs"] is None
    assert json.loads(json.dumps(value)) == value


def reference_numbers(truth_json: dict[str, Any], results: list[dict[str, Any]]) -> Any:
    """COCOeval after summarize(), of annotations and results in COCO's JSON form."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO()
        reference.dataset = truth_json
        reference.createIndex()
        judged = COCOeval(reference, reference.loadRes(results), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return judged


def corners(entries: list[dict[str, Any]]) -> NDArray[np.float64]:
    """(N, 4) xyxy of COCO's boxes, which are top left corner and extents."""
    boxes_xywh = np.array([one["bbox"] for one in entries], float).reshape(-1, 4)
    return np.c_[boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]]


def arrays_of(
    truth_json: dict[str, Any], results: list[dict[str, Any]]
) -> tuple[list[ImageTruth], list[ImageDetections], list[str]]:
    """The same as our arrays, images in the order of their ids."""
    categories = sorted(truth_json["categories"], key=lambda one: one["id"])
    index = {one["id"]: position for position, one in enumerate(categories)}
    truths, detections = [], []
    for image_id in sorted(one["id"] for one in truth_json["images"]):
        mine = [one for one in truth_json["annotations"] if one["image_id"] == image_id]
        truths.append(
            ImageTruth(
                corners(mine),
                np.array([index[one["category_id"]] for one in mine], int),
                np.array([bool(one.get("iscrowd")) for one in mine], bool),
                np.array([one["area"] for one in mine], float),
            )
        )
        mine = [one for one in results if one["image_id"] == image_id]
        detections.append(
            ImageDetections(
                corners(mine),
                np.array([one["score"] for one in mine], float),
                np.array([index[one["category_id"]] for one in mine], int),
            )
        )
    return truths, detections, [str(one["name"]) for one in categories]


def assert_equals_reference(truth_json: dict[str, Any], results: list[dict[str, Any]]) -> None:
    """1e-9: the same counts divided alike; only the order of summing a mean may differ."""
    judged = reference_numbers(truth_json, results)
    metrics = coco_metrics(*arrays_of(truth_json, results))
    for name, expected in zip(NUMBERS, judged.stats, strict=True):
        ours = getattr(metrics, name)
        assert (-1 if ours is None else ours) == pytest.approx(expected, abs=1e-9), name
    curves = judged.eval["precision"][..., 0, -1]
    ours = np.where(np.isnan(metrics.precision), -1, metrics.precision)
    np.testing.assert_allclose(ours, curves, atol=1e-9)


@pytest.mark.parametrize(
    ("truth_file", "results_file"),
    [
        ("coco_val100/instances_val100.json", "coco_val100/dets_deimv2_femto.json"),
        (
            "formats_same100/cocoeval_reference/gts/sampled_gts_bbox_area.json",
            "formats_same100/cocoeval_reference/cocoapi_results.json",
        ),
    ],
)
def test_equals_pycocotools_on_real_detections(
    shared: Path, truth_file: str, results_file: str
) -> None:
    truth_json = json.loads((shared / "data" / truth_file).read_text())
    assert_equals_reference(truth_json, json.loads((shared / "data" / results_file).read_text()))


# Eighths of a pixel and of a score: exact in binary, so that ties and IoUs on a threshold are
# the same numbers in both; few values, so that they do occur.
edges = st.integers(0, 8 * 130).map(lambda eighths: eighths / 8)
extents = st.sampled_from([0.125, 4.0, 31.5, 32.0, 32.5, 64.0, 96.0, 96.5, 120.0])


@st.composite
def small_cases(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    images = [{"id": number} for number in range(1, draw(st.integers(1, 3)) + 1)]
    categories = [{"id": number, "name": str(number)} for number in (3, 7)]
    annotations = [
        {
            "id": number,
            "image_id": draw(st.sampled_from(images))["id"],
            "category_id": draw(st.sampled_from([3, 7])),
            "bbox": (box := [draw(edges), draw(edges), draw(extents), draw(extents)]),
            "area": box[2] * box[3] * draw(st.sampled_from([1.0, 0.5])),
            "iscrowd": draw(st.sampled_from([0, 0, 0, 1])),
        }
        for number in range(1, draw(st.integers(0, 8)) + 1)
    ]
    nudge = st.sampled_from([0.0, 0.0, 2.0, -4.0, 16.0])
    results = []
    for _ in range(draw(st.integers(1, 24))):
        if annotations and draw(st.booleans()):  # near an object, else anywhere
            base = draw(st.sampled_from(annotations))
            box = [edge + draw(nudge) for edge in base["bbox"][:2]] + base["bbox"][2:]
            where = {"image_id": base["image_id"], "category_id": base["category_id"]}
        else:
            box = [draw(edges), draw(edges), draw(extents), draw(extents)]
            where = {
                "image_id": draw(st.sampled_from(images))["id"],
                "category_id": draw(st.sampled_from([3, 7])),
            }
        results.append({**where, "bbox": box, "score": draw(st.integers(0, 8)) / 8})
    return {
        "info": {},
        "images": images,
        "categories": categories,
        "annotations": annotations,
    }, results


@given(small_cases())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_equals_pycocotools_on_small_cases(
    case: tuple[dict[str, Any], list[dict[str, Any]]],
) -> None:
    assert_equals_reference(*case)


def test_equals_pycocotools_beyond_a_hundred_detections() -> None:
    """300 candidates an image, as the network gives: the limit of 100 is per class."""
    random = np.random.default_rng(0)
    annotations, results = [], []
    for image_id in (1, 2, 3):
        for number in range(12):
            box = [*random.integers(0, 400, 2).tolist(), *random.integers(8, 160, 2).tolist()]
            annotations.append(
                {"id": 100 * image_id + number, "image_id": image_id, "category_id": 1 + number % 2,
                 "bbox": box, "area": box[2] * box[3], "iscrowd": int(number == 11)}
            )  # fmt: skip
            for _ in range(25):
                moved = (np.array(box) + random.integers(-6, 7, 4)).clip(1).tolist()
                results.append(
                    {"image_id": image_id, "category_id": 1 + number % 2, "bbox": moved,
                     "score": float(random.integers(1, 200)) / 256}
                )  # fmt: skip
    images = [{"id": 1}, {"id": 2}, {"id": 3}]
    categories = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    whole = {"info": {}, "images": images, "categories": categories, "annotations": annotations}
    assert_equals_reference(whole, results)
