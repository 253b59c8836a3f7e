"""A model's COCO numbers on a data set: every image through the detector as it is deployed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.data.dataset import Dataset
from sightline.data.images import decode_image
from sightline.data.leaks import leak_message
from sightline.detections import Detections
from sightline.evaluate.coco import Metrics, coco_metrics
from sightline.evaluate.matching import ImageDetections, truth_of
from sightline.evaluate.run_split import read_run_split
from sightline.runtime.detector import Detector

ALL = "all"
DEFAULT_SPLIT = "val"


def evaluate(
    model: Detector | str | Path,
    dataset: Dataset,
    *,
    split: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Metrics:
    """The 12 COCO numbers of a model on a data set's images.

    model: a detector, or what `Detector.load` takes. split: "val" by default; "all" takes every
    image. A run evaluated on the data it was trained on uses the split it recorded; data without
    that split is split 80/20 as everywhere. Classes are matched by name: one that the model does
    not know counts as missed, with a warning; so do images that are copies or near-copies of those
    trained on. progress: called with images done and to do.

    Raises ModelError, or DatasetEmpty where the split has no image or no box.
    """
    detector = model if isinstance(model, Detector) else Detector.load(model)
    try:
        chosen = select_images(dataset, split, detector.bundle)
        warn_of_unknown(detector.labels, chosen)
        return measure(detector, chosen, progress)
    finally:
        if detector is not model:
            detector.close()


def measure(
    detector: Detector, dataset: Dataset, progress: Callable[[int, int], None] | None = None
) -> Metrics:
    """The 12 COCO numbers of a detector on all images of a data set. Raises DatasetEmpty."""
    dataset.require_boxes()
    to_dataset = match_labels(detector.labels, dataset.classes)
    found = []
    for done, record in enumerate(dataset.records, start=1):
        picture = decode_image(record.image)
        found.append(renumber_labels(detector(picture, threshold=0.0), to_dataset))
        if progress is not None:
            progress(done, len(dataset))
    return coco_metrics([truth_of(record) for record in dataset.records], found, dataset.classes)


def select_images(dataset: Dataset, split: str | None, bundle: Path) -> Dataset:
    """The images of the data set that a model in `bundle` is evaluated on.

    Warns where some are like images of the train split. Raises DatasetEmpty for a split that there
    is none of.
    """
    if split == ALL:
        return dataset
    name = split or DEFAULT_SPLIT
    recorded = read_run_split(bundle, dataset)
    if name in recorded:
        whole = replace(dataset, splits=recorded)
    else:
        whole = dataset if name in dataset.splits else dataset.with_splits()
    chosen = whole.subset(name)
    if name != "train" and (leaks := whole.find_leaks(name)):
        warnings.warn(leak_message(len(leaks), len(chosen), name, dataset.path), stacklevel=3)
    return chosen


def match_labels(labels: Sequence[str], classes: Sequence[str]) -> NDArray[np.int64]:
    """(len(labels),) for each label of the model the data set's class of that name, or -1."""
    place = {name: index for index, name in enumerate(classes)}
    return np.array([place.get(label, -1) for label in labels], np.int64)


def renumber_labels(found: Detections, to_dataset: NDArray[np.int64]) -> ImageDetections:
    """The detections under the data set's label ids; those of other classes are dropped."""
    label_ids = to_dataset[found.label_ids]
    is_known = label_ids >= 0
    return ImageDetections(found.boxes_xyxy[is_known], found.scores[is_known], label_ids[is_known])


def warn_of_unknown(labels: Sequence[str], dataset: Dataset) -> None:
    """Warn of classes that have boxes in the data set and are none of the model's labels."""
    used = np.unique(np.concatenate([record.label_ids for record in dataset.records]))
    unknown = [dataset.classes[index] for index in used if dataset.classes[index] not in labels]
    if unknown:
        warnings.warn(
            f"the model does not know {', '.join(map(repr, unknown))}, which counts as missed; "
            f"it knows {_listed(labels)}",
            stacklevel=3,
        )


def _listed(labels: Sequence[str], limit: int = 5) -> str:
    shown = ", ".join(map(repr, labels[:limit]))
    return shown if len(labels) <= limit else f"{shown} and {len(labels) - limit} more"
