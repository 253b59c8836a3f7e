"""The models that have a name: sizes, origins, and where their files lie. Without torch.

AP is COCO val2017's, from the DEIMv2 repository. A ready bundle of a zoo model lies in
`bundle_dir(name)`; the official weights it is made from in `weights_path(name)`.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from sightline.errors import ModelNotFound


@dataclass(frozen=True)
class ZooModel:
    """One published model. `repository` is on the Hugging Face hub; None: in the package."""

    name: str
    size: str
    input_px: int
    parameters: int
    coco_ap: float | None
    license: str
    repository: str | None
    file: str

    @property
    def url(self) -> str | None:
        """Where the official weights are downloaded from."""
        if self.repository is None:
            return None
        return f"https://huggingface.co/{self.repository}/resolve/main/{self.file}"


def _official(size: str, input_px: int, parameters: int, coco_ap: float) -> ZooModel:
    return ZooModel(
        name=f"deimv2-{size}",
        size=size,
        input_px=input_px,
        parameters=parameters,
        coco_ap=coco_ap,
        license="Apache-2.0",
        repository=f"Intellindust/DEIMv2_HGNetv2_{size.upper()}_COCO",
        file="model.safetensors",
    )


ZOO: dict[str, ZooModel] = {
    model.name: model
    for model in (
        _official("atto", 320, 508_985, 0.238),
        _official("femto", 416, 983_945, 0.310),
        _official("pico", 640, 1_539_539, 0.385),
        _official("n", 640, 3_600_421, 0.430),
        ZooModel(
            "starter-atto",
            "atto",
            320,
            496_673,
            None,
            "Apache-2.0",
            None,
            "starter-atto.safetensors",
        ),
    )
}
DEFAULT_MODEL = "deimv2-femto"


def zoo_model(name: str) -> ZooModel:
    """The zoo entry of that name. Raises ModelNotFound with the nearest names."""
    if name in ZOO:
        return ZOO[name]
    near = get_close_matches(name, ZOO, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known names: {', '.join(ZOO)}"
    raise ModelNotFound(f"no model is called {name!r}; {hint}")


def cache_dir() -> Path:
    """Where downloads and bundles made from them are kept (SIGHTLINE_CACHE overrides)."""
    if override := os.environ.get("SIGHTLINE_CACHE"):
        return Path(override)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return base / "sightline"


def models_dir() -> Path | None:
    """The folder of local weights and bundles that SIGHTLINE_MODELS names, if set."""
    override = os.environ.get("SIGHTLINE_MODELS")
    return Path(override) if override else None


def bundle_dir(name: str) -> Path:
    """Where the ready bundle of a zoo model lies, or is to be made.

    A bundle in SIGHTLINE_MODELS comes first.
    """
    local = models_dir()
    if local is not None and (local / name / "manifest.json").is_file():
        return local / name
    return cache_dir() / "bundles" / name


def weights_source(name: str) -> str:
    """Where the weights that `weights_path` names are from, for a manifest."""
    model, path = zoo_model(name), weights_path(name)
    if model.url is None:
        return "shipped with Sightline"
    local = models_dir()
    return f"local file {path.name}" if local is not None and path.parent == local else model.url


def weights_path(name: str) -> Path:
    """Where the weights of a zoo model lie, or are to be downloaded to.

    SIGHTLINE_MODELS may hold them as NAME.safetensors or NAME-coco.safetensors.
    """
    model = zoo_model(name)
    if model.repository is None:
        return Path(__file__).parent / "models" / "starter" / model.file
    local = models_dir()
    if local is not None:
        for candidate in (local / f"{name}.safetensors", local / f"{name}-coco.safetensors"):
            if candidate.is_file():
                return candidate
    return cache_dir() / "weights" / f"{name}.safetensors"
