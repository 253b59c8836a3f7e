"""What an installed wheel holds: built pages and starter weights, and no sources of the pages."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_the_wheel_carries_the_pages_and_the_starter_weights(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(REPO)]
    subprocess.run(build, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        sizes = {item.filename: item.file_size for item in wheel.infolist()}
    assert "sightline/server/static/index.html" in sizes
    assert "sightline/py.typed" in sizes
    assert "sightline/server/static/prove/index.html" in sizes
    wasm = sorted(size for name, size in sizes.items() if name.endswith(".wasm"))
    # TensorFlow.js, ONNX Runtime, and ONNX Runtime with WebGPU; what two pages load is there once
    assert len(wasm) == 3
    assert wasm[1] > 5_000_000
    assert len(set(wasm)) == 3
    assert sizes["sightline/models/starter/starter-atto.safetensors"] <= 1_200_000
    licences = {name.rsplit("/", 1)[-1] for name in sizes if "/licenses/" in name}
    assert {"LICENSE", "NOTICE"} <= licences
    assert not [name for name in sizes if "node_modules" in name or name.endswith(".ts")]
    assert not [name for name in sizes if name.startswith(("tests", "web"))]
