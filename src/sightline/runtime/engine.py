"""What a detector runs an artefact on: one interface for every runtime, and which there are.

The engines themselves lie in runtime/engines/, a file each, and are loaded when they are needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sightline.errors import UsageError
from sightline.manifest import Manifest

# By target: the first runs it unless another is asked for.
RUNTIMES = {
    "onnx": ("onnxruntime", "onnxruntime-web/wasm", "onnxruntime-web/webgpu"),
    "onnx-fp16": ("onnxruntime", "onnxruntime-web/wasm", "onnxruntime-web/webgpu"),
    "onnx-int8": ("onnxruntime", "onnxruntime-web/wasm"),
    "savedmodel": ("tensorflow",),
    "tfjs": ("tfjs/wasm", "tfjs/webgl"),
    "litert": ("litert",),
}
# ONNX Runtime's execution providers; all but the CPU come with another build of it.
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
DEVICES = ("auto", *PROVIDERS)


class Outputs(NamedTuple):
    """What a graph says of one image, best score first.

    boxes_xyxy_norm: (K, 4) float32 corners in 0..1. scores: (K,) float32. label_ids: (K,) int32.
    """

    boxes_xyxy_norm: NDArray[np.float32]
    scores: NDArray[np.float32]
    label_ids: NDArray[np.int32]


class Engine(Protocol):
    """An artefact opened in a runtime."""

    runtime: str

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        """The outputs for one image (H, W, 3) RGB, of any size where the graph resizes itself."""

    def close(self) -> None:
        """Give back what the engine holds outside this process."""


def open_engine(
    bundle: Path,
    manifest: Manifest,
    *,
    threads: int | None = None,
    runtime: str | None = None,
    device: str = "cpu",
) -> Engine:
    """The artefact in the folder `bundle` opened in `runtime`, by default its target's first.

    device: one of DEVICES, heeded by ONNX Runtime alone. Raises UsageError for a runtime that
    does not run it or a device that is not there, MissingExtra for one that is not installed,
    BundleDamaged for an artefact that it cannot read.
    """
    runtimes = RUNTIMES[manifest.target]
    runtime = runtime or runtimes[0]
    if runtime not in runtimes:
        raise UsageError(
            f"{runtime} does not run a {manifest.target} artefact; {' and '.join(runtimes)} do"
        )
    if runtime == "onnxruntime":
        from sightline.runtime.engines.onnx import OnnxEngine

        return OnnxEngine.open(bundle, manifest, threads=threads, device=device)
    if runtime == "tensorflow":
        from sightline.runtime.engines.tensorflow import TensorFlowEngine

        return TensorFlowEngine.open(bundle, manifest, threads=threads)
    if runtime == "litert":
        from sightline.runtime.engines.litert import LiteRtEngine

        return LiteRtEngine.open(bundle, manifest, threads=threads)
    from sightline.runtime.engines.browser import BrowserEngine

    return BrowserEngine.open(bundle, manifest, runtime=runtime, threads=threads)
