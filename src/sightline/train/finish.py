"""The best weights of a run made into a bundle, compared with PyTorch on validation images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightline.evaluate.coco import coco_metrics
from sightline.evaluate.threshold import apply_nms, best_threshold, choose_nms
from sightline.export.bundle import write_bundle
from sightline.export.proof import proof_pictures
from sightline.manifest import Manifest
from sightline.models.deimv2.network import DeimV2
from sightline.train.validation import Validation, Validator


def write_best(
    model: DeimV2,
    destination: Path,
    validation: Validation,
    validator: Validator,
    *,
    name: str,
    base: Mapping[str, Any],
    training: Mapping[str, Any],
    data_set: str,
) -> Manifest:
    """Write the bundle; the display threshold and NMS are those that suit the validation images.

    Raises ExportError when ONNX Runtime does not find what PyTorch finds.
    """
    found, numbers = validation.found, validation.metrics
    nms_iou = choose_nms(validation.truths, found)
    if nms_iou is not None:  # the numbers are those of the model as it is deployed
        found = [apply_nms(one, nms_iou) for one in found]
        numbers = coco_metrics(validation.truths, found, validator.labels)
    metrics = {**numbers.to_json(), "data_set": data_set}
    return write_bundle(
        model,
        destination,
        name=name,
        labels=validator.labels,
        score_threshold=best_threshold(validation.truths, found),
        nms_iou=nms_iou,
        base=base,
        metrics={"val": metrics},
        training=training,
        pictures=proof_pictures([record.image for record in validator.records], model.input_px),
    )
