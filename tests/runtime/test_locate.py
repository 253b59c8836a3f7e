"""What a user may call a model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sightline.errors import ModelNotFound
from sightline.runtime.locate import locate_bundle


def test_bundle_run_and_file_name_the_same_bundle(tiny_bundle: Path, tmp_path: Path) -> None:
    assert locate_bundle(tiny_bundle) == tiny_bundle
    assert locate_bundle(str(tiny_bundle)) == tiny_bundle
    assert locate_bundle(tiny_bundle / "manifest.json") == tiny_bundle
    assert locate_bundle(tiny_bundle / "model.onnx") == tiny_bundle
    shutil.copytree(tiny_bundle, tmp_path / "run" / "best")
    assert locate_bundle(tmp_path / "run") == tmp_path / "run" / "best"


def test_a_zoo_name_is_looked_up(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SIGHTLINE_MODELS", raising=False)
    with pytest.raises(ModelNotFound, match="sightline models pull deimv2-atto"):
        locate_bundle("deimv2-atto")
    shutil.copytree(tiny_bundle, tmp_path / "cache" / "bundles" / "deimv2-atto")
    assert locate_bundle("deimv2-atto") == tmp_path / "cache" / "bundles" / "deimv2-atto"
    shutil.copytree(tiny_bundle, tmp_path / "models" / "deimv2-atto")
    monkeypatch.setenv("SIGHTLINE_MODELS", str(tmp_path / "models"))
    assert locate_bundle("deimv2-atto") == tmp_path / "models" / "deimv2-atto"


def test_a_folder_here_comes_before_the_zoo(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_bundle, tmp_path / "deimv2-femto")
    monkeypatch.chdir(tmp_path)
    assert locate_bundle("deimv2-femto") == Path("deimv2-femto")


def test_what_is_no_model_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "run" / "best").mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("x")
    for reference, message in (
        ("deimv2-fento", "did you mean deimv2-femto"),
        ("yolo", "known names: deimv2-atto"),
        ("runs/absent", "no such folder"),
        (tmp_path / "absent", "no such folder"),
        (tmp_path / "empty", "no model bundle"),
        (tmp_path / "run", "has not saved a model yet"),
        (tmp_path / "notes.txt", "but a file"),
        ("", "no model bundle"),
    ):
        with pytest.raises(ModelNotFound, match=message):
            locate_bundle(reference)
