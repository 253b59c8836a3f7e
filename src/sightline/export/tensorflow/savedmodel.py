"""A SavedModel that clients of the TF Object Detection API run as one of their own.

The image is resized in the graph. Knows nothing of manifests.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from sightline.data.formats.labelmap import write_label_map
from sightline.errors import ExportError
from sightline.export.tensorflow.network import build_twin
from sightline.export.tensorflow.resize import resize
from sightline.models.deimv2.network import DeimV2
from sightline.runtime.quiet import quiet_stderr

LABEL_MAP_NAME = "labelmap.pbtxt"


def write_savedmodel(model: DeimV2, labels: Sequence[str], folder: Path) -> None:
    """Write saved_model.pb, fingerprint.pb, variables/ and labelmap.pbtxt into `folder`.

    Called itself, as `detect_fn = tf.saved_model.load(folder)`, or by its signature
    serving_default, the model takes and gives what `detector` says. Raises ExportError.
    """
    module = tf.Module()
    module.__call__ = detector(model)
    try:
        with quiet_stderr():
            tf.saved_model.save(
                module,
                str(folder),
                signatures={"serving_default": module.__call__},
            )
        (folder / LABEL_MAP_NAME).write_text(write_label_map(labels), encoding="utf-8")
    except (OSError, tf.errors.OpError) as error:
        raise ExportError(f"the SavedModel cannot be written to {folder}: {error}") from error
    (folder / "assets").rmdir()  # made for files that the graph reads; it reads none


def detector(model: DeimV2) -> Any:
    """The tf.function from uint8 input_tensor (1, H, W, 3) RGB of any size to a dictionary.

    detection_boxes float32 (1, K, 4) as ymin, xmin, ymax, xmax in 0..1, detection_scores (1, K)
    sorted, detection_classes (1, K) from 1, num_detections (1). The weights are its constants.
    """
    twin = build_twin(model)

    def detect(input_tensor: tf.Tensor) -> dict[str, tf.Tensor]:
        boxes_xyxy, scores, labels = twin(resize(input_tensor, model.input_px))
        left, top, right, bottom = tf.split(boxes_xyxy, 4, axis=-1)
        return {
            "detection_boxes": tf.concat([top, left, bottom, right], axis=-1),
            "detection_scores": scores,
            "detection_classes": tf.cast(labels, tf.float32) + 1,
            "num_detections": tf.constant([scores.shape[1]], tf.float32),
        }

    image = tf.TensorSpec([1, None, None, 3], tf.uint8, name="input_tensor")
    return tf.function(detect, input_signature=[image], autograph=False)
