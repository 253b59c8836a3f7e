"""The network as a .tflite file: TFLite's own operators, static shapes, metadata and labels.

Input and outputs are those of TFLite's detection models, so that MediaPipe's object detector and
the TFLite Task Library take the file as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sightline.errors import ExportError, MissingExtra
from sightline.manifest import MAIN_FILES
from sightline.models.deimv2.network import DeimV2
from sightline.runtime.engines.onnx import first_line
from sightline.runtime.engines.tensorflow import import_tensorflow
from sightline.runtime.quiet import quiet_stderr

INPUT_NAME = "input_tensor"
# The signature's names are the TF Object Detection API's, the tensors' those of the operator that
# TFLite's detection models end in, in its order: boxes (1, K, 4), classes and scores (1, K), the
# number of detections (1).
OUTPUT_NAMES = {
    "detection_boxes": "TFLite_Detection_PostProcess",
    "detection_classes": "TFLite_Detection_PostProcess:1",
    "detection_scores": "TFLite_Detection_PostProcess:2",
    "num_detections": "TFLite_Detection_PostProcess:3",
}

# pixels (1, S, S, 3) float32 0..255 to boxes (1, K, 4) xyxy in 0..1, scores and labels (1, K)
Twin = Callable[[Any], tuple[Any, Any, Any]]


def write_litert(model: DeimV2, labels: Sequence[str], folder: Path, *, half: bool = False) -> None:
    """Write model.tflite and labels.txt into the folder.

    Input: uint8 (1, S, S, 3) RGB, stretched by the caller. Outputs: boxes float32 (1, K, 4) as
    ymin, xmin, ymax, xmax in 0..1; classes float32 (1, K) from 0; scores float32 (1, K), sorted;
    K float32 (1). half: weights are stored as float16. Raises ExportError, or MissingExtra.
    """
    import_tensorflow("writing LiteRT")
    try:
        from sightline.export.tensorflow import litert_metadata, litert_tables
    except ImportError as error:
        raise MissingExtra("writing LiteRT", "tensorflow") from error
    from sightline.export.tensorflow.network import build_twin

    tables = litert_tables.read_model(convert(build_twin(model), model.input_px))
    name = f"deimv2-{model.size.name}"
    metadata = litert_metadata.write_metadata(name, model.input_px)
    litert_tables.name_ends(tables, INPUT_NAME, OUTPUT_NAMES)
    litert_tables.add_metadata(tables, metadata)
    if half:
        litert_tables.halve_weights(tables)
    text = litert_metadata.labels_text(labels)
    content = litert_metadata.append_labels(litert_tables.pack_model(tables), text)
    (folder / MAIN_FILES["litert"]).write_bytes(content)
    (folder / litert_metadata.LABELS_NAME).write_text(text, encoding="utf-8")


def convert(twin: Twin, input_px: int) -> bytes:
    """The .tflite of a TensorFlow network, post-processed as TFLite's detection models are."""
    import tensorflow as tf

    def detect(image: Any) -> dict[str, Any]:
        boxes_xyxy, scores, labels = twin(tf.cast(image, tf.float32))
        left, top, right, bottom = tf.split(boxes_xyxy, 4, axis=-1)
        found = (
            tf.concat([top, left, bottom, right], axis=-1),
            tf.cast(labels, tf.float32),
            scores,
            tf.constant([float(scores.shape[1])]),
        )
        return dict(zip(OUTPUT_NAMES, found, strict=True))

    image = tf.TensorSpec((1, input_px, input_px, 3), tf.uint8, INPUT_NAME)
    owner = tf.Module()  # the converter wants one
    owner.detect = tf.function(detect, input_signature=[image], autograph=False)
    try:
        with quiet_stderr():
            converter = tf.lite.TFLiteConverter.from_concrete_functions(
                [owner.detect.get_concrete_function()], owner
            )
            content: bytes = converter.convert()
    except Exception as error:  # the converter raises whatever it meets
        raise ExportError(
            f"TensorFlow cannot write the network as .tflite: {first_line(error)}"
        ) from error
    return content
