"""`sightline doctor`: its rows, its JSON and its exit code. The legs: tests/workflow."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.cli.main import main
from sightline.workflow.doctor import installation
from sightline.workflow.doctor.leg import Leg

LEGS = [
    "Python", "Sightline", "browser", "ONNX Runtime", "GPU", "machine", "cache", "models",
    "live page", "addresses", "port",
]  # fmt: skip


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SIGHTLINE_MODELS", raising=False)
    return tmp_path / "cache"


def legs_here() -> dict[str, Leg]:
    legs: list[Leg] = []
    installation.examine_installation(legs.append)
    return {leg.name: leg for leg in legs}


def test_this_installation_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    done = capsys.readouterr()
    value = json.loads(done.out)
    assert value["ok"] is True and done.err == ""
    assert all(leg.keys() == {"name", "state", "seen", "do"} for leg in value["legs"])
    assert {leg["state"] for leg in value["legs"]} <= {"ok", "missing", "skipped"}
    assert all(leg["do"] for leg in value["legs"] if leg["state"] == "missing")
    names = [leg["name"] for leg in value["legs"]]
    assert [name for name in names if not name.startswith("[")] == LEGS
    assert "[train]" in names


def test_this_installation_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["Python", "ok"]
    at = next(i for i, line in enumerate(lines) if line.startswith("models"))
    assert lines[at].split()[1] == "missing"
    assert lines[at + 1].split() == ["->", "sightline", "models", "pull", "deimv2-femto"]


def test_it_leaves_nothing_behind(own_cache: Path) -> None:
    legs_here()
    assert not own_cache.exists()


def test_torch_is_not_imported() -> None:
    heavy = ("torch", "tensorflow", "cv2", "av")
    code = (
        "import sys; from sightline.cli.main import main; main(['doctor']); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_a_missing_extra_has_its_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        installation,
        "requires",
        lambda name: ["numpy>=1", "no-such-a>=1", 'no-such-b>=2; extra == "train"'],
    )
    legs = legs_here()
    assert legs["[train]"].state == "missing"
    assert "no-such-b" in legs["[train]"].seen
    assert legs["[train]"].todo.startswith("pip install 'sightline[train]'")
    assert legs["Sightline"].state == "failed" and "pip install no-such-a" in legs["Sightline"].todo


def test_without_opencv_only_video_files_suffer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "_missing", lambda names: ["opencv-python-headless"])
    assert installation._packages().state == "missing"


def test_a_cache_that_cannot_be_written_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()  # a folder without rights would not stop root
    monkeypatch.setenv("SIGHTLINE_CACHE", str(file / "cache"))
    assert main(["doctor"]) == 1
    done = capsys.readouterr()
    assert "cache         failed" in done.out and "SIGHTLINE_CACHE" in done.out
    assert done.err == "sightline doctor: cache failed\n"


def test_a_taken_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        leg = installation._port(port)
        assert leg.state == "missing" and f"--port {port + 1}" in leg.todo
    assert installation._port(port).state == "ok"


def test_a_gpu_that_onnx_runtime_does_not_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("nvidia-smi"):
        pytest.skip("there is a real one")
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA Test, 8192 MiB, 999.1'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    leg = installation._gpu()
    assert leg.state == "missing" and "NVIDIA Test" in leg.seen
    assert "pip install onnxruntime-gpu" in leg.todo
    program.write_text("#!/bin/sh\necho 'no driver is loaded' >&2\nexit 9\n")
    leg = installation._gpu()
    assert leg.state == "failed" and "no driver is loaded" in leg.seen


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("cuda: str | None = '12.8'\n", "12.8"),
        ("cuda = '13.0'\n", "13.0"),
        ("__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\n", None),
    ],
)
def test_torch_tells_its_cuda_unimported(
    text: str, version: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").touch()
    (tmp_path / "torch" / "version.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert installation._torch_cuda() == version


def test_a_server_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/?token=very-secret-token"
        assert main(["doctor", url, "--json"]) == 1
    done = capsys.readouterr()
    value = json.loads(done.out)
    assert value["ok"] is False
    assert [leg["state"] for leg in value["legs"]] == ["failed"] + ["skipped"] * 5
    assert "very-secret-token" not in done.out + done.err


def test_what_is_no_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "localhost:8000"]) == 2
    assert "such as http://127.0.0.1:8000/" in capsys.readouterr().err
