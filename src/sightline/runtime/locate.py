"""Where the bundle lies that a user means: a folder, a run, or a name of the zoo."""

from __future__ import annotations

from pathlib import Path

from sightline.errors import ModelNotFound
from sightline.manifest import MAIN_FILES, MANIFEST_NAME
from sightline.zoo import ZOO, bundle_dir, zoo_model

BEST = "best"  # a run's bundle lies in this folder of it


def locate_bundle(reference: str | Path) -> Path:
    """The bundle folder of a bundle, a file in it, a run folder, or a zoo name.

    What lies on disk comes before a zoo name. Raises ModelNotFound saying what to do.
    """
    path = Path(reference)
    if path.name in (MANIFEST_NAME, *MAIN_FILES.values()) and path.is_file():
        path = path.parent
    if (path / MANIFEST_NAME).is_file():
        return path
    if (path / BEST / MANIFEST_NAME).is_file():
        return path / BEST
    name = str(reference)
    if name in ZOO:
        return _locate_named(name)
    if path.is_dir():
        if (path / BEST).is_dir() or (path / "metrics.jsonl").is_file():
            raise ModelNotFound(
                f"{path} is a training run that has not saved a model yet; let it finish its "
                "first evaluation, or resume it"
            )
        raise ModelNotFound(
            f"{path} is no model bundle: it has no {MANIFEST_NAME}. A bundle is the best/ folder "
            "of a training run, or what `sightline export` writes"
        )
    if path.exists():
        raise ModelNotFound(
            f"{path} is no model bundle, but a file; give the folder with {MANIFEST_NAME}"
        )
    if path.name != name or path.suffix:  # written as a path, not as a name
        raise ModelNotFound(f"{path}: no such folder; give a model bundle, a run or a zoo name")
    zoo_model(name)  # raises ModelNotFound with the nearest names
    raise AssertionError(name)


def _locate_named(name: str) -> Path:
    folder = bundle_dir(name)
    if (folder / MANIFEST_NAME).is_file():
        return folder
    raise ModelNotFound(
        f"{name} is not on this machine yet; run `sightline models pull {name}` once "
        "(it needs pip install 'sightline[train]')"
    )
