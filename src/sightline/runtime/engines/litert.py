"""LiteRT, the TensorFlow Lite runtime, on this machine's CPU. Never reaches TensorFlow."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import BundleDamaged, MissingExtra, UsageError
from sightline.manifest import Manifest
from sightline.runtime.engine import Outputs
from sightline.runtime.engines.conversion import to_outputs
from sightline.runtime.engines.onnx import MAX_THREADS, available_cores, first_line
from sightline.runtime.quiet import quiet_stderr

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter


class LiteRtEngine:
    """A .tflite file in LiteRT. Calls from several threads are served one after the other."""

    runtime = "litert"

    def __init__(
        self, interpreter: Interpreter, manifest: Manifest, tensors: Mapping[str, int]
    ) -> None:
        """tensors: the numbers of the graph's input and outputs, by the manifest's names."""
        self.interpreter = interpreter
        self.manifest = manifest
        self.input = tensors[manifest.input_name]
        self.outputs = [tensors[name] for name in manifest.output_names]
        self.lock = threading.Lock()

    @classmethod
    def open(cls, bundle: Path, manifest: Manifest, *, threads: int | None = None) -> LiteRtEngine:
        """The artefact's graph; `threads` by default one a core, at most 4.

        Raises MissingExtra without the runtime, BundleDamaged for a file that it cannot read or
        whose inputs and outputs are not the manifest's.
        """
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise MissingExtra("running a .tflite model", "tensorflow") from error
        if threads is not None and threads < 1:
            raise UsageError(f"the number of threads is at least 1, not {threads}")
        graph = bundle / manifest.main_file
        try:
            with quiet_stderr():
                interpreter = Interpreter(
                    model_path=str(graph),
                    num_threads=threads or min(MAX_THREADS, available_cores()),
                )
                interpreter.allocate_tensors()
                signature = interpreter.get_signature_runner()
        except (ValueError, RuntimeError) as error:
            raise BundleDamaged(
                f"{graph} cannot be loaded by LiteRT: {first_line(error)}; "
                "make the artefact again or copy it whole"
            ) from error
        ends = {**signature.get_input_details(), **signature.get_output_details()}
        _check_ends(ends, manifest, graph)
        return cls(interpreter, manifest, {name: end["index"] for name, end in ends.items()})

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        """The outputs for one image (H, W, 3) RGB of the graph's size."""
        with self.lock:
            self.interpreter.set_tensor(self.input, image[None])
            self.interpreter.invoke()
            boxes, scores, labels = (self.interpreter.get_tensor(index) for index in self.outputs)
        return to_outputs(boxes, scores, labels, self.manifest)

    def close(self) -> None:
        """Nothing: the interpreter goes with the engine."""


def _check_ends(ends: Mapping[str, dict[str, Any]], manifest: Manifest, graph: Path) -> None:
    """Raise BundleDamaged unless the signature's input and outputs are the manifest's."""
    batch, count = manifest.batch, manifest.max_detections
    boxes, scores, labels = manifest.output_names
    expected: dict[str, tuple[Any, list[int]]] = {
        manifest.input_name: (np.uint8, [batch, manifest.height, manifest.width, 3]),
        boxes: (np.float32, [batch, count, 4]),
        scores: (np.float32, [batch, count]),
        labels: (np.float32, [batch, count]),
    }
    found = {name: (end["dtype"], end["shape"].tolist()) for name, end in ends.items()}
    for name, wanted in expected.items():
        if found.get(name) != wanted:
            raise BundleDamaged(
                f"{graph}: {name} is {_described(found.get(name))}, the manifest wants "
                f"{_described(wanted)}; make the artefact again"
            )


def _described(tensor: tuple[Any, list[int]] | None) -> str:
    return "absent" if tensor is None else f"{tensor[0].__name__} {tensor[1]}"
