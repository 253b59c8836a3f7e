"""The models a server offers: loaded, named for addresses, their files held in memory."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sightline.manifest import MANIFEST_NAME, WEIGHTS_NAME, Manifest
from sightline.runtime.detector import Detector
from sightline.runtime.locate import locate_bundle


@dataclass(frozen=True)
class ServedFile:
    """A file of a bundle as it was when the model was loaded."""

    content: bytes
    media_type: str
    etag: str


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model under its name in addresses (a-z, A-Z, 0-9, dot, underscore, hyphen)."""

    name: str
    detector: Detector
    files: Mapping[str, ServedFile]

    @property
    def manifest(self) -> Manifest:
        return self.detector.manifest


def load_models(references: Sequence[str | Path]) -> tuple[ServedModel, ...]:
    """The models at these references, each under a name of its own; the first is the default.

    Raises what locate_bundle and Detector.load raise.
    """
    models: dict[str, ServedModel] = {}
    for reference in references:
        bundle = locate_bundle(reference)
        detector = Detector.load(bundle)
        name = _free_name(detector.manifest.name, models)
        # In memory, so that what is handed out is what was checked and is running, even after
        # the folder has changed or gone.
        files = {MANIFEST_NAME: _read(bundle / MANIFEST_NAME)}
        if detector.manifest.target.startswith(("onnx", "tfjs")):  # what browsers run
            names = [name for name in detector.manifest.files if name != WEIGHTS_NAME]
            files |= {name: _read(bundle / name) for name in names}
        models[name] = ServedModel(name, detector, files)
    return tuple(models.values())


def _free_name(wanted: str, taken: Mapping[str, ServedModel]) -> str:
    base = re.sub(r"[^A-Za-z0-9._-]+", "-", wanted).strip("-.") or "model"
    name, number = base, 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    return name


def _read(path: Path) -> ServedFile:
    content = path.read_bytes()
    media_type = "application/json" if path.suffix == ".json" else "application/octet-stream"
    return ServedFile(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
