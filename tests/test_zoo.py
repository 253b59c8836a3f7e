"""Where weights lie and where they are said to be from."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.zoo import weights_path, weights_source


def test_a_local_file_is_not_said_to_come_from_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SIGHTLINE_MODELS", str(tmp_path))
    assert weights_source("deimv2-atto").startswith("https://huggingface.co/")
    (tmp_path / "deimv2-atto-coco.safetensors").touch()
    assert weights_path("deimv2-atto").parent == tmp_path
    assert weights_source("deimv2-atto") == "local file deimv2-atto-coco.safetensors"
    assert weights_source("starter-atto") == "shipped with Sightline"
