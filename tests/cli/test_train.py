"""`sightline train`: what it says on stderr before it trains."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.cli.main import main


def test_leaks_are_told_in_one_line(
    shared: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIGHTLINE_MODELS", str(shared / "models"))
    (tmp_path / "best").mkdir()
    (tmp_path / "best/manifest.json").touch()  # so that it ends before training
    data = str(shared / "data/kangaroo")
    assert main(["train", data, "--model", "deimv2-atto", "--out", str(tmp_path)]) == 1
    problems, warning, error = capsys.readouterr().err.splitlines()
    assert problems.startswith("163 images, 4 problems: ")
    assert warning.startswith("Warning: 1 of 32 validation images is a copy or near-copy of a ")
    assert error.startswith("sightline train: ")
    assert "already holds a run" in error
