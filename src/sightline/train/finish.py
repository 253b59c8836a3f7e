"""The best weights of a run made into a bundle, compared with PyTorch on validation images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sightline.detections import Detections
from sightline.errors import ExportError
from sightline.evaluate.threshold import apply_nms, best_threshold, choose_nms
from sightline.export.bundle import write_bundle
from sightline.export.parity import Parity, compare, detect_with_network
from sightline.manifest import Manifest
from sightline.models.deimv2.network import DeimV2
from sightline.runtime.detector import Detector
from sightline.runtime.postprocess import postprocess
from sightline.train.validation import Validation, Validator

PARITY_IMAGES = 16


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
    found = validation.found
    nms_iou = choose_nms(validation.truths, found)
    if nms_iou is not None:
        found = [apply_nms(one, nms_iou) for one in found]
    metrics = {**validation.metrics.to_json(), "data_set": data_set}
    manifest = write_bundle(
        model,
        destination,
        name=name,
        labels=validator.labels,
        score_threshold=best_threshold(validation.truths, found),
        nms_iou=nms_iou,
        base=base,
        metrics={"val": metrics},
        training=training,
        prove=lambda building: prove(model, building, validator),
    )
    return manifest


def prove(model: DeimV2, bundle: Path, validator: Validator) -> Sequence[Parity]:
    """Parity of the bundle on ONNX Runtime with the network, on validation images."""
    detector = Detector.load(bundle)
    rows = range(min(PARITY_IMAGES, len(validator.records)))
    pairs = []
    for row in rows:
        record, pixels = validator.records[row], validator.pixels(row)
        size = (record.width, record.height)
        expected = detect_with_network(model, pixels, validator.labels, *size)
        kept = postprocess(
            *detector.infer(pixels), threshold=0.0, nms_iou=None, width=size[0], height=size[1]
        )
        pairs.append((expected, Detections(*kept, detector.labels, *size)))
    parity = compare("onnxruntime", pairs)
    if not parity.holds():
        raise ExportError(
            f"the exported graph does not find what the network finds on {parity.images} "
            f"validation images: {parity.to_json()}"
        )
    return [parity]
