"""TensorFlow on this machine's CPU, for SavedModels: ours and the TF Object Detection API's.

The one place that imports TensorFlow, without its noise. Never reaches torch.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import BundleDamaged, MissingExtra, UsageError
from sightline.manifest import Manifest
from sightline.runtime.engine import Outputs
from sightline.runtime.engines.conversion import to_outputs
from sightline.runtime.engines.onnx import MAX_THREADS, available_cores, first_line
from sightline.runtime.quiet import quiet_stderr

SIGNATURE = "serving_default"
# How many of the detections count, for models that fill up with others.
COUNT_NAME = "num_detections"


class TensorFlowEngine:
    """A SavedModel in TensorFlow. May be called from several threads."""

    runtime = "tensorflow"

    def __init__(self, model: Any, manifest: Manifest) -> None:
        self.model = model  # holds what the signature only points to
        self.signature = model.signatures[SIGNATURE]
        self.manifest = manifest

    @classmethod
    def open(
        cls, bundle: Path, manifest: Manifest, *, threads: int | None = None
    ) -> TensorFlowEngine:
        """The folder's SavedModel; `threads` by default one a core, at most 4.

        The number of threads is the process's: it cannot be changed once TensorFlow has worked.
        Raises MissingExtra without TensorFlow, BundleDamaged for a model that it cannot load or
        whose inputs and outputs are not the manifest's.
        """
        if threads is not None and threads < 1:
            raise UsageError(f"the number of threads is at least 1, not {threads}")
        tf = import_tensorflow("running a SavedModel")
        with contextlib.suppress(RuntimeError):  # TensorFlow has worked already
            tf.config.threading.set_intra_op_parallelism_threads(
                threads or min(MAX_THREADS, available_cores())
            )
            tf.config.threading.set_inter_op_parallelism_threads(1)
        try:
            with quiet_stderr():
                model = tf.saved_model.load(str(bundle))
        except Exception as error:  # OSError, protobuf's and a dozen of TensorFlow's own
            raise BundleDamaged(
                f"{bundle} cannot be loaded by TensorFlow: {first_line(error)}; "
                "make the artefact again or copy it whole"
            ) from error
        _check_signature(model, manifest, bundle)
        return cls(model, manifest)

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        """The outputs for one image (H, W, 3) RGB, of any size where the graph resizes itself."""
        import tensorflow as tf

        found = self.signature(**{self.manifest.input_name: tf.constant(image[None])})
        boxes, scores, labels = (found[name].numpy()[0] for name in self.manifest.output_names)
        count = len(scores)
        if COUNT_NAME in found:
            count = min(count, int(found[COUNT_NAME].numpy().flat[0]))
        return to_outputs(boxes[:count], scores[:count], labels[:count], self.manifest)

    def close(self) -> None:
        """Nothing: the model goes with the engine."""


def import_tensorflow(purpose: str) -> Any:
    """The module, imported without a word on the terminal; `purpose` as in "running a SavedModel".

    TF_CPP_MIN_LOG_LEVEL stays set: TensorFlow reads it again when the first operation runs. A
    value set by the user is kept. Raises MissingExtra.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with contextlib.suppress(ImportError):  # WebRTC's encryption: loaded after TensorFlow, whose
        import pylibsrtp  # noqa: F401 - cryptographic functions it then calls, it crashes
    try:
        with quiet_stderr():
            import tensorflow
    except ImportError as error:
        raise MissingExtra(purpose, "tensorflow") from error
    return tensorflow


def _check_signature(model: Any, manifest: Manifest, bundle: Path) -> None:
    """Raise BundleDamaged unless the model can be called as the manifest says."""
    if SIGNATURE not in model.signatures:
        raise BundleDamaged(f"{bundle} has no signature {SIGNATURE}; export it with one")
    signature = model.signatures[SIGNATURE]
    _, inputs = signature.structured_input_signature
    found = {name: spec.dtype.name for name, spec in inputs.items()}
    if found != {manifest.input_name: "uint8"}:
        raise BundleDamaged(
            f"{bundle} takes {found}, the manifest wants {manifest.input_name} as uint8; "
            "make the artefact again"
        )
    for name in manifest.output_names:
        if name not in signature.structured_outputs:
            raise BundleDamaged(
                f"{bundle} gives {', '.join(sorted(signature.structured_outputs))}, the manifest "
                f"wants {name}; make the artefact again"
            )
