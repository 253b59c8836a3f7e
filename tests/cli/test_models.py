"""`sightline models`: the list, and pulling, from local weights and offline."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from sightline.cli.main import main
from sightline.manifest import read_manifest
from sightline.zoo import ZOO


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SIGHTLINE_MODELS", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def local_weights(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "local"
    folder.mkdir()
    shutil.copy(shared / "models" / "deimv2-atto-coco.safetensors", folder)
    monkeypatch.setenv("SIGHTLINE_MODELS", str(folder))
    return folder


def test_list_for_people(capsys: pytest.CaptureFixture[str], local_weights: Path) -> None:
    assert main(["models"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["name", "parameters", "input", "COCO", "AP", "license", "here"]
    rows = {line.split()[0]: line for line in out[1:]}
    assert list(rows) == list(ZOO)
    assert "0.51 M" in rows["deimv2-atto"] and "23.8" in rows["deimv2-atto"]
    assert rows["deimv2-atto"].endswith("weights")
    assert rows["deimv2-n"].endswith("-")


def test_list_for_programs(capsys: pytest.CaptureFixture[str], local_weights: Path) -> None:
    assert main(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == list(ZOO)
    assert rows["deimv2-atto"]["weights"] == str(local_weights / "deimv2-atto-coco.safetensors")
    assert rows["deimv2-atto"]["bundle"] is None
    assert rows["deimv2-femto"]["weights"] is None
    assert rows["deimv2-femto"]["url"].startswith("https://huggingface.co/Intellindust/")
    assert all(row["license"] == "Apache-2.0" for row in rows.values())


def test_pull_makes_the_bundle_once(
    capsys: pytest.CaptureFixture[str], local_weights: Path, empty_cache: Path
) -> None:
    assert main(["models", "pull", "deimv2-atto"]) == 0
    bundle = Path(capsys.readouterr().out.strip())
    assert bundle == empty_cache / "bundles" / "deimv2-atto"
    assert read_manifest(bundle).name == "deimv2-atto"
    made = (bundle / "model.onnx").stat().st_mtime_ns
    assert main(["models", "pull", "deimv2-atto"]) == 0
    assert capsys.readouterr().out.strip() == str(bundle)
    assert (bundle / "model.onnx").stat().st_mtime_ns == made
    main(["models"])
    assert "weights + bundle" in capsys.readouterr().out


def test_pull_without_torch_says_what_to_install(
    capsys: pytest.CaptureFixture[str], local_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # what find_spec takes for not installed
    assert main(["models", "pull", "deimv2-atto"]) == 0
    done = capsys.readouterr()
    assert done.out.strip() == str(local_weights / "deimv2-atto-coco.safetensors")
    assert "pip install 'sightline[train]'" in done.err


def test_pull_of_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "deimv2-fento"]) == 1
    assert "did you mean deimv2-femto?" in capsys.readouterr().err


def test_pull_without_network(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, empty_cache: Path
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # a proxy where nobody listens
    monkeypatch.delenv("no_proxy", raising=False)
    assert main(["models", "pull", "deimv2-pico"]) == 1
    done = capsys.readouterr()
    assert done.out == "" and done.err.count("\n") == 1
    assert "SIGHTLINE_MODELS" in done.err
    assert str(empty_cache / "weights" / "deimv2-pico.safetensors") in done.err
