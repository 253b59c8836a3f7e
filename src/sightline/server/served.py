"""The models a server offers: loaded, named for addresses, exchanged while it runs.

What is handed out and what runs is what was checked when it was loaded: files are held in memory,
so that a folder may be replaced or deleted while the server runs.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sightline.errors import BundleDamaged, ConfigError, SightlineError
from sightline.manifest import MANIFEST_NAME, WEIGHTS_NAME, Manifest, read_manifest, verify_files
from sightline.runtime.detector import Detector
from sightline.runtime.locate import locate_bundle
from sightline.server.errors import RequestRefused
from sightline.server.plan import Plan, load_detectors

log = logging.getLogger("sightline.server")

FolderState = frozenset[tuple[str, int, int, int]] | None
_UNSEEN: FolderState = frozenset({("", 0, 0, 0)})  # no folder is in this state


@dataclass(frozen=True)
class ServedFile:
    """A file of a bundle as it was when the model was loaded."""

    content: bytes
    media_type: str
    etag: str


@dataclass(frozen=True, eq=False)
class ServedModel:
    """One version of a model under its name in addresses (a-z, A-Z, 0-9, dot, _, hyphen).

    detectors: one a worker, or one for all; none for an artefact that only browsers run.
    version: changes when any file of the bundle does. folder: where it was loaded from.
    """

    name: str
    manifest: Manifest
    detectors: tuple[Detector, ...]
    files: Mapping[str, ServedFile]
    version: str
    folder: Path

    @property
    def detects(self) -> bool:
        """Whether the server itself can run it."""
        return bool(self.detectors)

    def detector(self, worker: int = 0) -> Detector:
        """What worker number `worker` runs."""
        return self.detectors[worker % len(self.detectors)]


class ModelStore:
    """The models by name, each in its newest version. `default` answers where none is named."""

    def __init__(self, models: Sequence[ServedModel], plan: Plan) -> None:
        """Raises ConfigError for no model, or none that the server can run."""
        if not models:
            raise ConfigError("a server needs at least one model")
        self.plan = plan
        self._models = {model.name: model for model in models}
        self._states: dict[str, FolderState] = {}
        self._examined: dict[str, FolderState] = {}
        self._previous: dict[str, tuple[str, Mapping[str, ServedFile]]] = {}
        runnable = [model.name for model in models if model.detects]
        if not runnable:
            raise ConfigError(
                f"{models[0].folder} is for browsers ({models[0].manifest.target}): give a bundle "
                "that the server can run as well"
            )
        self._default = runnable[0]

    @classmethod
    def load(cls, references: Sequence[str | Path], plan: Plan) -> ModelStore:
        """The models at these references, each under a name of its own.

        Raises what locate_bundle and Detector.load raise, and ConfigError.
        """
        models: dict[str, ServedModel] = {}
        for reference in references:
            folder = locate_bundle(reference)
            manifest = read_manifest(folder)
            name = _free_name(manifest, models)
            models[name] = load_model(folder, name, plan)
        return cls(tuple(models.values()), plan)

    @property
    def default(self) -> ServedModel:
        """The model that answers where none is named."""
        return self._models[self._default]

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(tuple(self._models.values()))

    def get(self, name: str | None) -> ServedModel:
        """The newest version of a model. Raises RequestRefused (not-found)."""
        if name is None:
            return self.default
        model = self._models.get(name)
        if model is None:
            raise RequestRefused(
                "not-found", f"No such model here; there are: {', '.join(self._models)}."
            )
        return model

    def get_files(self, name: str, version: str) -> Mapping[str, ServedFile]:
        """The files of the newest version or of the one before, which a page may be loading.

        Raises RequestRefused (not-found).
        """
        model = self.get(name)
        before, files = self._previous.get(name, ("", {}))
        if version not in (model.version, before):
            raise RequestRefused("not-found", f"This version of {name} is not here any more.")
        return model.files if version == model.version else files

    def get_runnable(self, name: str | None) -> ServedModel:
        """`get`, for detection. Raises RequestRefused (invalid-request) for browsers' models."""
        model = self.get(name)
        if not model.detects:
            raise RequestRefused(
                "invalid-request",
                f"{model.name} is a {model.manifest.target} artefact, which browsers run: fetch "
                f"it from /models/{model.name}/.",
            )
        return model

    def refresh(self) -> list[str]:
        """Load what has changed on disk and put it in place; gives the names. May take seconds.

        Files are looked at once they have rested from one call to the next: they may be half
        written before. What is gone or damaged is told of once, and the version in use stays.
        """
        changed = []
        for model in self:
            state = _folder_state(model.folder)
            rests = self._states.get(model.name, _UNSEEN) == state
            self._states[model.name] = state
            if not rests or self._examined.get(model.name, _UNSEEN) == state:
                continue
            self._examined[model.name] = state
            try:
                if _version(model.folder) == model.version:
                    continue
                loaded = load_model(model.folder, model.name, self.plan)
            except (SightlineError, OSError) as error:
                is_gone = isinstance(error, FileNotFoundError)
                reason = f"{model.folder} has no {MANIFEST_NAME}" if is_gone else error
                log.warning("%s stays as it was loaded: %s", model.name, reason)
                continue
            self._previous[model.name] = model.version, model.files
            self._models[model.name] = loaded
            changed.append(model.name)
        return changed


def load_model(folder: Path, name: str, plan: Plan) -> ServedModel:
    """The bundle or artefact in `folder`, warmed up. Raises what Detector.load raises."""
    version = _version(folder)
    manifest = read_manifest(folder)
    detectors: tuple[Detector, ...] = ()
    if manifest.target == "tfjs":
        verify_files(folder, manifest, tuple(manifest.files))
    else:
        detectors = load_detectors(folder, plan)
    # What was read may have been exchanged while it was loaded.
    if _version(folder) != version:
        raise BundleDamaged(f"{folder} changed while it was read; it is read again")
    files = {MANIFEST_NAME: _read(folder / MANIFEST_NAME)}
    if manifest.target.startswith(("onnx", "tfjs")):  # what browsers run
        names = [each for each in manifest.files if each != WEIGHTS_NAME]
        files |= {each: _read(folder / each) for each in names}
    return ServedModel(name, manifest, detectors, files, version, folder)


def _version(folder: Path) -> str:
    """The manifest holds the sha256 of every file, so its own stands for all of them."""
    return hashlib.sha256((folder / MANIFEST_NAME).read_bytes()).hexdigest()[:16]


def _folder_state(folder: Path) -> FolderState:
    """What tells without reading whether files were written; None for a folder that is gone."""
    try:
        files = [(each.name, each.stat()) for each in folder.iterdir()]
    except OSError:
        return None
    return frozenset((name, at.st_size, at.st_mtime_ns, at.st_ino) for name, at in files)


def _free_name(manifest: Manifest, taken: Mapping[str, ServedModel]) -> str:
    base = re.sub(r"[^A-Za-z0-9._-]+", "-", manifest.name).strip("-.") or "model"
    name, number = base, 2
    if name in taken and manifest.target != taken[name].manifest.target:
        base = name = f"{base}-{manifest.target}"
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    return name


def _read(path: Path) -> ServedFile:
    content = path.read_bytes()
    media_type = "application/json" if path.suffix == ".json" else "application/octet-stream"
    return ServedFile(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
