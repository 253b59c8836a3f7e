"""What each target is made of: its files, and how its graph is called."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.data.images import decode_image, resize_stretch
from sightline.errors import UsageError
from sightline.manifest import GRAPH_NAME, IN_GRAPH, MAIN_FILES, WEIGHTS_NAME, Manifest

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset
    from sightline.export.proof import Proof
    from sightline.models.deimv2.network import DeimV2

CALIBRATION_IMAGES = 64
BATCHED = ("onnx", "onnx-fp16")  # targets whose runtime takes several images at once
MOST_BATCH = 64
SHARD_MIB = 4.0  # what browsers cache best, by TensorFlow.js's own default

# Names as in the TF Object Detection API, whose clients then work unchanged.
_TF_DETECTION: dict[str, Any] = {
    "resize": IN_GRAPH,
    "input_name": "input_tensor",
    "output_names": ("detection_boxes", "detection_scores", "detection_classes"),
    "box_format": "yxyx_norm",
    "first_label": 1,
}
INTERFACES: dict[str, dict[str, Any]] = {
    "savedmodel": _TF_DETECTION,
    "tfjs": _TF_DETECTION,
    # TFLite's detection models number classes from 0 and leave resizing to their callers.
    "litert": {**_TF_DETECTION, "resize": "stretch", "first_label": 0},
}


@dataclass(frozen=True)
class Options:
    """What may be chosen of an artefact. Raises UsageError for what does not go together."""

    target: str
    quantize: str | None
    shard_mib: float | None
    batch: int = 1

    def __post_init__(self) -> None:
        if self.target not in MAIN_FILES:
            raise UsageError(f"cannot export to {self.target!r}; there is: {', '.join(MAIN_FILES)}")
        if self.quantize not in (None, "float16"):
            raise UsageError(f"weights can be stored as float16, not as {self.quantize!r}")
        if self.quantize and self.target not in ("tfjs", "litert"):
            raise UsageError(
                f"--quantize is for tfjs and litert, not {self.target}; for ONNX there are the "
                "targets onnx-fp16 and onnx-int8"
            )
        if self.shard_mib is not None and self.target != "tfjs":
            raise UsageError(f"--shard-size is for tfjs, not {self.target}")
        if not 1 <= self.batch <= MOST_BATCH:
            raise UsageError(f"--batch is between 1 and {MOST_BATCH} images, not {self.batch}")
        if self.batch > 1 and self.target not in BATCHED:
            raise UsageError(f"--batch is for {' and '.join(BATCHED)}, not {self.target}")
        if not 1 / 1024 <= self.shard_bytes / 2**20 <= 2048:
            raise UsageError("a shard has between 1 KiB and 2 GiB")

    @property
    def shard_bytes(self) -> int:
        """The largest weight file of tfjs."""
        mib = SHARD_MIB if self.shard_mib is None else self.shard_mib
        return int(mib * 2**20) if math.isfinite(mib) else 0


def write_files(
    network: DeimV2,
    manifest: Manifest,
    folder: Path,
    options: Options,
    training: Dataset | None,
    proof: Proof,
) -> None:
    """Write the target's files into `folder`; manifest.json and parity.json are the caller's.

    training: what onnx-int8 is calibrated on, images that `proof` does not measure. Raises
    ExportError, MissingExtra.
    """
    half = options.quantize == "float16"
    if options.target.startswith("onnx"):
        _write_onnx(network, manifest, folder, options, training, proof)
    elif options.target == "savedmodel":
        from sightline.export.tensorflow.savedmodel import write_savedmodel

        write_savedmodel(network, manifest.labels, folder)
    elif options.target == "tfjs":
        from sightline.export.tensorflow.tfjs import write_tfjs

        write_tfjs(
            network,
            manifest.labels,
            folder,
            shard_bytes=options.shard_bytes,
            quantize=options.quantize,
        )
    else:
        from sightline.export.tensorflow.litert import write_litert

        write_litert(network, manifest.labels, folder, half=half)


def _write_onnx(
    network: DeimV2,
    manifest: Manifest,
    folder: Path,
    options: Options,
    training: Dataset | None,
    proof: Proof,
) -> None:
    from sightline.export.onnx import write_onnx
    from sightline.models.weights import write_weights

    graph = folder / GRAPH_NAME
    write_onnx(network, graph, options.batch)
    if options.target == "onnx":
        metadata = {"model": manifest.architecture, "license": "Apache-2.0"}
        write_weights(folder / WEIGHTS_NAME, network.state_dict(), metadata)
    elif options.target == "onnx-fp16":
        from sightline.export.half import write_half

        write_half(graph, graph)
    else:
        from sightline.export.quantize import quantize

        assert training is not None
        pictures = [
            resize_stretch(decode_image(record.image), manifest.width, manifest.height)
            for record in training.records[:CALIBRATION_IMAGES]
        ]
        quantize(graph, graph, pictures, proof.measure_graph)
