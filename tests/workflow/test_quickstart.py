"""The quickstart, shortened: every stage for real, from nothing, without network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.runtime.detector import Detector
from sightline.workflow.quickstart import QuickstartConfig, quickstart

SHORT = QuickstartConfig(minutes=0.5, train=24, val=8)


@pytest.fixture(autouse=True)
def no_models_at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on a fresh machine: nothing cached, no folder of weights, a proxy that leads nowhere."""
    monkeypatch.delenv("SIGHTLINE_MODELS", raising=False)
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


@pytest.mark.slow
def test_every_stage_is_made_once(tmp_path: Path) -> None:
    said: list[str] = []
    made = quickstart(tmp_path / "q", SHORT, said.append)
    assert len(said) == 3
    assert made.metrics.images == 8
    assert made.metrics.AP is not None
    assert made.clip.stat().st_size > 100_000
    detector = Detector.load(made.bundle)
    assert len(detector.labels) == 4
    again = quickstart(tmp_path / "q", SHORT, said.append)
    assert len(said) == 5  # nothing was drawn or trained again
    assert again.metrics.to_json() == made.metrics.to_json()
    # the data it drew is an ordinary data set
    inspect = [sys.executable, "-m", "sightline.cli.main", "data", "inspect", "--json"]
    out = subprocess.run([*inspect, str(made.photos)], check=True, capture_output=True, text=True)
    facts = json.loads(out.stdout)
    assert facts["format"] == "voc"
    assert facts["splits"] == {"train": 24, "val": 8}
    assert not [problem for problem in facts["problems"] if problem["severity"] == "error"]
