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
