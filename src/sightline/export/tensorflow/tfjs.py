"""A TensorFlow.js graph model: model.json, weight shards and a label map, as its reader takes them.

Written without the tensorflowjs package, which needs one exact TensorFlow and 2.9 GB. Clients call
tf.loadGraphModel(url), then model.executeAsync(pixels).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tensorflow as tf

from sightline.data.formats.labelmap import write_label_map
from sightline.export.tensorflow.frozen import freeze_graph
from sightline.export.tensorflow.graph_halves import halve_kernels
from sightline.export.tensorflow.graph_json import (
    check_ops,
    graph_signature,
    graph_topology,
    graph_weights,
)
from sightline.export.tensorflow.rewrites import rewrite_graph
from sightline.export.tensorflow.savedmodel import LABEL_MAP_NAME, detector
from sightline.export.tensorflow.shards import write_shards
from sightline.models.deimv2.network import DeimV2

MODEL_NAME = "model.json"
# In the order in which executeAsync gives them.
OUTPUT_NAMES = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")


def write_tfjs(
    model: DeimV2,
    labels: Sequence[str],
    folder: Path,
    *,
    shard_bytes: int = 4 * 2**20,
    quantize: str | None = None,
) -> None:
    """Write model.json, group1-shardNofM.bin of at most `shard_bytes` and labelmap.pbtxt.

    Input and outputs are those of `detector`, the TF Object Detection API's; TensorFlow.js has the
    pixels as int32. quantize "float16": kernels are stored in 16 bits. Raises ExportError.
    """
    function = detector(model).get_concrete_function()
    write_graph_model(function, OUTPUT_NAMES, folder, shard_bytes=shard_bytes, quantize=quantize)
    (folder / LABEL_MAP_NAME).write_text(write_label_map(labels), encoding="utf-8")


def write_graph_model(
    function: Any,
    outputs: Sequence[str],
    folder: Path,
    *,
    shard_bytes: int,
    quantize: str | None = None,
) -> None:
    """Write model.json and its shards of a concrete function whose result is a dictionary.

    `outputs` are the dictionary's keys in the order in which TensorFlow.js shall give them.
    """
    graph = freeze_graph(function, outputs)
    rewrite_graph(graph)
    check_ops(graph)
    weights = graph_weights(graph, halve_kernels(graph) if quantize else {})
    model = {
        "format": "graph-model",
        "generatedBy": f"TensorFlow {tf.__version__}",
        "convertedBy": f"Sightline {version('sightline')}",
        "signature": graph_signature(
            {spec.name: spec for spec in function.structured_input_signature[0]},
            {name: function.structured_outputs[name] for name in outputs},
        ),
        "modelTopology": graph_topology(graph),
        "weightsManifest": write_shards(weights, folder, shard_bytes),
    }
    text = json.dumps(model, separators=(",", ":"), ensure_ascii=False)
    (folder / MODEL_NAME).write_text(text, encoding="utf-8")
