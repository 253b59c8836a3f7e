"""Nothing of ONNX Runtime's own telemetry: no uploader, and no number kept on the disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DETECT = "import sys, sightline; sightline.Detector.load(sys.argv[1])"


def left_in_home(home: Path, *arguments: str) -> list[str]:
    """The files that a program leaves in an empty home folder; CI's variables would silence it."""
    home.mkdir()
    environment = {"HOME": str(home), "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", *arguments]
    subprocess.run(command, env=environment, check=True, timeout=60)
    return sorted(path.name for path in home.rglob("*") if path.is_file())


def test_a_detector_leaves_no_device_number(tiny_bundle: Path, tmp_path: Path) -> None:
    assert left_in_home(tmp_path / "ours", DETECT, str(tiny_bundle)) == []
