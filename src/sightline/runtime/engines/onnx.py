"""ONNX Runtime on this machine's CPU. Never reaches torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import BundleDamaged, UsageError
from sightline.manifest import Manifest
from sightline.runtime.engine import DEVICES, PROVIDERS, Outputs

if TYPE_CHECKING:
    import onnxruntime

# More threads than this gain nothing on graphs of a few ms, and take cores from decoding.
MAX_THREADS = 4
_CPU = PROVIDERS["cpu"]
_PACKAGES = {
    "cpu": "onnxruntime",
    "cuda": "onnxruntime-gpu",
    "openvino": "onnxruntime-openvino",
    "coreml": "onnxruntime",  # on macOS
    "directml": "onnxruntime-directml",
}


class OnnxEngine:
    """A graph in ONNX Runtime. May be called from several threads."""

    runtime = "onnxruntime"

    def __init__(self, session: onnxruntime.InferenceSession, batch: int = 1) -> None:
        self.session = session
        self.batch = batch

    @classmethod
    def open(
        cls, bundle: Path, manifest: Manifest, *, threads: int | None = None, device: str = "cpu"
    ) -> OnnxEngine:
        """The bundle's graph on a device; `threads` by default one a core, at most 4.

        Raises BundleDamaged, or UsageError for a device that is not there.
        """
        graph = bundle / manifest.main_file
        session = open_session(graph, threads=threads, device=device)
        _check_graph(session, manifest, graph)
        return cls(session, manifest.batch)

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        """The outputs for one image (H, W, 3) RGB of the graph's size."""
        return self.run_batch([image])[0]

    def run_batch(self, images: Sequence[NDArray[np.uint8]]) -> list[Outputs]:
        """The outputs for 1 to `batch` images; places that are left over cost as much as images."""
        if self.batch == 1:
            (image,) = images
            stacked = image[None]
        else:
            stacked = np.zeros((self.batch, *images[0].shape), np.uint8)
            stacked[: len(images)] = images
        boxes, scores, labels = self.session.run(["boxes", "scores", "labels"], {"image": stacked})
        return [Outputs(boxes[i], scores[i], labels[i]) for i in range(len(images))]

    def close(self) -> None:
        """Nothing: the session goes with the engine."""


def open_session(
    graph: Path, *, threads: int | None = None, device: str = "cpu"
) -> onnxruntime.InferenceSession:
    """ONNX Runtime's session of a graph file; what a device cannot compute, the CPU does.

    device: one of DEVICES; auto takes a CUDA GPU where there is one. Raises BundleDamaged for a
    file that it cannot read, UsageError for a number of threads or a device that is not there.
    """
    forbid_telemetry()
    import onnxruntime

    if threads is not None and threads < 1:
        raise UsageError(f"the number of threads is at least 1, not {threads}")
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or min(MAX_THREADS, available_cores())
    options.inter_op_num_threads = 1
    # Threads that spin while they wait made inference 2-4 times slower on a busy machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors; they are raised as well
    provider = find_provider(device)
    try:
        session = onnxruntime.InferenceSession(
            str(graph), sess_options=options, providers=list(dict.fromkeys((provider, _CPU)))
        )
    except Exception as error:  # ONNX Runtime raises a dozen kinds, all straight from Exception
        raise BundleDamaged(
            f"{graph} cannot be loaded by ONNX Runtime: {first_line(error)}"
        ) from error
    if device != "auto" and provider not in session.get_providers():
        raise UsageError(f"{device} is not usable here: ONNX Runtime could not start {provider}")
    return session


def forbid_telemetry() -> None:
    """Have ONNX Runtime send nothing and keep no device number; to be called before its import.

    Since 1.29 importing it starts an uploader: disable_telemetry_events comes too late for that.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def find_provider(device: str) -> str:
    """The provider's name. Raises UsageError where this ONNX Runtime was built without it."""
    forbid_telemetry()
    import onnxruntime

    built_in = onnxruntime.get_available_providers()
    if device == "auto":
        return PROVIDERS["cuda"] if PROVIDERS["cuda"] in built_in else _CPU
    if device not in PROVIDERS:
        raise UsageError(f"the device is one of {', '.join(DEVICES)}, not {device!r}")
    if PROVIDERS[device] not in built_in:
        here = [name for name, provider in PROVIDERS.items() if provider in built_in]
        raise UsageError(
            f"this ONNX Runtime was built for {', '.join(here)}, not for {device}: "
            f"pip uninstall onnxruntime, then pip install {_PACKAGES[device]}"
        )
    return PROVIDERS[device]


def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check_graph(session: onnxruntime.InferenceSession, manifest: Manifest, graph: Path) -> None:
    """Raise BundleDamaged unless the graph's inputs and outputs are the manifest's."""
    batch, count = manifest.batch, manifest.max_detections
    expected = {
        "image": ("tensor(uint8)", [batch, manifest.height, manifest.width, 3]),
        "boxes": ("tensor(float)", [batch, count, 4]),
        "scores": ("tensor(float)", [batch, count]),
        "labels": ("tensor(int32)", [batch, count]),
    }
    found: dict[str, Any] = {
        node.name: (node.type, list(node.shape))
        for node in (*session.get_inputs(), *session.get_outputs())
    }
    for name in [*expected, *found]:
        if found.get(name) != expected.get(name):
            raise BundleDamaged(
                f"{graph}: {name} is {_described(found.get(name))}, the manifest wants "
                f"{_described(expected.get(name))}; make the bundle again"
            )


def _described(node: tuple[str, list[Any]] | None) -> str:
    return "absent" if node is None else f"{node[0]} {node[1]}"


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
