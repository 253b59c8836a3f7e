"""Our bundle against the official ONNX file on 100 COCO photos, in one run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sightline.data.dataset import Dataset
from sightline.data.images import decode_image, resize_stretch
from sightline.evaluate.coco import Metrics, coco_metrics
from sightline.evaluate.matching import ImageDetections, truth_of
from sightline.evaluate.run import evaluate
from sightline.labels import COCO_LABELS
from sightline.runtime.detector import Detector
from sightline.runtime.engines.onnx import open_session


def official_metrics(graph: Path, side: int, dataset: Dataset) -> Metrics:
    """COCO's numbers of the official export, called as its authors call it."""
    session = open_session(graph, threads=1)
    label_of = {name: index for index, name in enumerate(dataset.classes)}
    to_dataset = np.array([label_of.get(name, -1) for name in COCO_LABELS])
    found = []
    for record in dataset:
        pixels = resize_stretch(decode_image(record.image), side, side)
        feed = {
            "images": pixels.transpose(2, 0, 1)[None].astype(np.float32) / 255,
            "orig_target_sizes": np.array([[record.width, record.height]], np.int64),
        }
        labels, boxes, scores = (
            value[0] for value in session.run(["labels", "boxes", "scores"], feed)
        )
        ids = to_dataset[labels]
        found.append(ImageDetections(boxes[ids >= 0], scores[ids >= 0], ids[ids >= 0]))
    return coco_metrics([truth_of(record) for record in dataset], found, dataset.classes)


def check(size: str, side: int, reference: float, bundle: Path, shared: Path) -> None:
    dataset = Dataset.load(shared / "data" / "coco_val100")
    assert len(dataset) == 100
    official = official_metrics(shared / "models" / f"official-{size}.onnx", side, dataset)
    ours = evaluate(Detector.load(bundle, threads=1), dataset, split="all")
    assert official.AP is not None
    assert ours.AP is not None
    assert abs(official.AP - reference) < 0.001  # SOURCES.md has it by pycocotools, to 3 digits
    assert abs(ours.AP - official.AP) < 0.005


def test_atto_keeps_the_official_ap(atto_bundle: Path, shared: Path) -> None:
    check("atto", 320, 0.328, atto_bundle, shared)


@pytest.mark.slow
def test_femto_keeps_the_official_ap(coco_bundle: Path, shared: Path) -> None:
    check("femto", 416, 0.412, coco_bundle, shared)
