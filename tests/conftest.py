"""Fixtures over the real data sets and weights that lie beside the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data sets, videos, broken files and weights."""
    path = Path(os.environ.get("SIGHTLINE_SHARED", REPO.parent / "shared")).resolve()
    if not (path / "data").is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"SIGHTLINE_SHARED: {path} is not there, and CI may not skip")
        pytest.skip(f"real data sets are absent: {path} (set SIGHTLINE_SHARED)")
    return path


@pytest.fixture(scope="session")
def contracts() -> Path:
    """The schemas and golden vectors that Python and TypeScript share."""
    return REPO / "contracts"


@pytest.fixture(scope="session")
def coco_bundle(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of deimv2-femto with COCO weights, as `sightline models pull` makes it."""
    return _bundle("deimv2-femto", shared, tmp_path_factory)


@pytest.fixture(scope="session")
def atto_bundle(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of deimv2-atto with COCO weights."""
    return _bundle("deimv2-atto", shared, tmp_path_factory)


def _bundle(name: str, shared: Path, folders: pytest.TempPathFactory) -> Path:
    from sightline.workflow.resolve import make_zoo_bundle

    weights = shared / "models" / f"{name}-coco.safetensors"
    return make_zoo_bundle(name, weights, folders.mktemp("bundles") / name)
