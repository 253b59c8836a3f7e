"""From a folder of photos to a detector for your own objects that runs live.

    from sightline import Dataset, Detector, evaluate, train

    run = train(Dataset.load("photos/"))
    for found in Detector.load(run.best)("photo.jpg"):
        print(found.label, found.score, found.box_xyxy)

Names are imported when they are first used: `import sightline` itself loads no torch, OpenCV or
ONNX Runtime.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sightline.public_names import load_public

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset
    from sightline.detections import Detection, Detections
    from sightline.errors import SightlineError
    from sightline.evaluate.coco import Metrics
    from sightline.evaluate.run import evaluate
    from sightline.export.run import export
    from sightline.runtime.detector import Detector
    from sightline.train.loop import train
    from sightline.train.run import Run

# Name -> where it is defined.
_ORIGINS = {
    "Dataset": "sightline.data.dataset",
    "Detection": "sightline.detections",
    "Detections": "sightline.detections",
    "Detector": "sightline.runtime.detector",
    "Metrics": "sightline.evaluate.coco",
    "Run": "sightline.train.run",
    "SightlineError": "sightline.errors",
    "evaluate": "sightline.evaluate.run",
    "export": "sightline.export.run",
    "train": "sightline.train.loop",
}

__all__ = [
    "Dataset",
    "Detection",
    "Detections",
    "Detector",
    "Metrics",
    "Run",
    "SightlineError",
    "__version__",
    "errors",
    "evaluate",
    "export",
    "train",
]


def __getattr__(name: str) -> Any:
    """A public name, imported now (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        return version("sightline")
    if name == "errors":
        return importlib.import_module("sightline.errors")
    if name not in _ORIGINS:
        raise AttributeError(f"module 'sightline' has no attribute {name!r}")
    return load_public(_ORIGINS[name], name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
