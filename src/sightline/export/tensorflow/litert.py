"""The network as a .tflite file: TFLite's own operators, static shapes, metadata and labels.

Input and outputs are those of TFLite's detection models, so that MediaPipe's object detector and
the TFLite Task Library take the file as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sightline.errors import ExportError, MissingExtra
from sightline.models.deimv2.network import DeimV2
from sightline.runtime.quiet import quiet_stderr

MODEL_NAME = "model.tflite"
INPUT_NAME = "image"
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


def write_litert(
    model: DeimV2,
    labels: Sequence[str],
    folder: Path,
    *,
    half: bool = False,
    score_threshold: float = 0.0,
) -> None:
    """Write model.tflite and labels.txt into the folder.

    Input: uint8 (1, S, S, 3) RGB, stretched by the caller. Outputs: boxes float32 (1, K, 4) as
    ymin, xmin, ymax, xmax in 0..1; classes float32 (1, K) from 0; scores float32 (1, K), sorted;
    K float32 (1). half: weights are stored as float16. score_threshold: what MediaPipe reports
    from, unless its caller asks for another. Raises ExportError, or MissingExtra.
    """
    with quiet_stderr():
        try:
            import tensorflow  # noqa: F401

            from sightline.export.tensorflow import litert_metadata
        except ImportError as error:
            raise MissingExtra("writing LiteRT", "tensorflow") from error
        from sightline.export.tensorflow.network import build_twin

        graph = convert(build_twin(model), model.input_px, half=half)
    metadata = litert_metadata.write_metadata(
        f"deimv2-{model.size.name}", model.input_px, score_threshold
    )
    graph = litert_metadata.describe(graph, INPUT_NAME, OUTPUT_NAMES, metadata)
    text = litert_metadata.labels_text(labels)
    (folder / MODEL_NAME).write_bytes(litert_metadata.append_labels(graph, text))
    (folder / litert_metadata.LABELS_NAME).write_text(text, encoding="utf-8")


def convert(twin: Twin, input_px: int, *, half: bool) -> bytes:
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
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [owner.detect.get_concrete_function()], owner
    )
    if half:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    try:
        graph: bytes = converter.convert()
    except Exception as error:  # the converter raises whatever it meets
        lines = str(error).splitlines() or [type(error).__name__]
        raise ExportError(
            f"TensorFlow cannot write the network as .tflite: {lines[0]}; upgrade tensorflow-cpu"
        ) from error
    return graph
