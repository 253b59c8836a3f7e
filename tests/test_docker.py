"""The Dockerfile without an engine: its stages fit, and what it leaves out is not missed."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

REPO = Path(__file__).resolve().parent.parent
DOCUMENT = (REPO / "docs" / "docker.md").read_text(encoding="utf-8")


class Stage(NamedTuple):
    base: str
    name: str
    steps: list[tuple[str, str]]  # (instruction, the rest)

    def last(self, instruction: str) -> str:
        return [rest for kind, rest in self.steps if kind == instruction][-1]


def read_stages() -> tuple[list[tuple[str, str]], list[Stage]]:
    """What stands before the first FROM, and the stages."""
    text = (REPO / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "")
    before: list[tuple[str, str]] = []
    stages: list[Stage] = []
    for line in filter(None, text.splitlines()):
        instruction, rest = line.split(maxsplit=1)
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(base, name, []))
        else:
            (stages[-1].steps if stages else before).append((instruction, rest))
    return before, stages


BEFORE, STAGES = read_stages()
FINAL = STAGES[-1]


def test_every_stage_stands_before_it_is_used() -> None:
    known: set[str] = {"scratch"}
    for stage in STAGES:
        for device in ("cpu", "cuda"):
            base = stage.base.replace("${DEVICE}", device)
            # Images from elsewhere have a tag, and one that is not "latest".
            assert base in known or re.fullmatch(r"[a-z/]+:[^:]+", base), stage.base
        for _, rest in stage.steps:
            assert set(re.findall(r"\bfrom=([a-z-]+)", rest)) <= known, rest
        known.add(stage.name)


def test_the_final_image_runs_as_nobody_and_gets_signals() -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", FINAL.last("USER"))
    # JSON is the exec form: no shell stands between Docker's SIGTERM and the server.
    command = json.loads(FINAL.last("ENTRYPOINT")) + json.loads(FINAL.last("CMD"))
    assert command == ["sightline", "serve", "--host", "0.0.0.0", "/model"]
    assert not [rest for kind, rest in FINAL.steps if kind == "RUN"]


@pytest.mark.parametrize("status", [200, 503])
def test_the_health_check_asks_the_server(status: int) -> None:
    asked = []

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Not on the terminal."""

    _, _, command = FINAL.last("HEALTHCHECK").partition(" CMD ")
    python, option, code = json.loads(command)
    assert (python, option) == ("python", "-c") and "8000" in code
    with HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        code = code.replace("8000", str(server.server_port))
        done = subprocess.run([sys.executable, option, code], timeout=30)
        thread.join()
    assert asked == ["/healthz"]
    assert done.returncode == (0 if status == 200 else 1)


def test_the_build_gets_what_it_needs_and_no_more() -> None:
    lines = (REPO / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"  # everything is left out but what follows
    taken = {pattern[1:] for pattern in patterns if pattern.startswith("!")}
    assert all((REPO / name).exists() for name in taken)
    project = tomllib.loads((REPO / "pyproject.toml").read_text())
    hook = project["tool"]["hatch"]["build"]["hooks"]["custom"]["path"]
    needed = {"pyproject.toml", project["project"]["readme"], hook, "src", "web"}
    needed |= set(project["project"]["license-files"])
    for stage in STAGES:
        for kind, rest in stage.steps:
            if kind == "COPY" and "--from" not in rest:
                needed |= set(shlex.split(rest)[:-1]) - {"."}
    assert taken == needed


def test_the_lock_file_names_onnxruntime_as_the_build_for_cuda_reads_it() -> None:
    lock = (REPO / "requirements" / "lock.txt").read_text()
    assert len(re.findall(r"^onnxruntime==([\d.]+)$", lock, re.MULTILINE)) == 1


def test_what_the_document_sets_exists() -> None:
    steps = [*BEFORE, *(step for stage in STAGES for step in stage.steps)]
    known = {rest.partition("=")[0] for kind, rest in steps if kind == "ARG"}
    named = set(re.findall(r"--build-arg ([A-Z_]+)=", DOCUMENT))
    assert named and named <= known
    contexts = set(re.findall(r"--build-context ([a-z]+)=", DOCUMENT))
    assert contexts <= {stage.name for stage in STAGES}


SERVE_WITHOUT = """
import asyncio, re, sys
from importlib.abc import MetaPathFinder

class Without(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        of_onnxruntime = "datasets|quantization|tools|transformers"
        left_out = rf"cv2|numpy[.](.*[.])?(tests|f2py)|onnxruntime[.]({of_onnxruntime})"
        if re.match(rf"({left_out})\\b", name):
            raise ModuleNotFoundError(f"{name} is not in the image", name=name)

sys.meta_path.insert(0, Without())
import httpx
from sightline.server.app import create_app
from sightline.server.config import ServeConfig
from sightline.server.plan import choose_plan
from sightline.server.served import ModelStore
from sightline.workflow.doctor.http_legs import sample_jpeg
import aiortc, aiortc.codecs.vpx, av
from pathlib import Path

async def ask():
    bundle, config = Path(sys.argv[1]), ServeConfig()
    store = ModelStore.load([bundle], choose_plan(bundle, config))
    app = create_app(store, config)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            headers = {"Content-Type": "image/jpeg"}
            answer = await client.post("/v1/detect", content=sample_jpeg(), headers=headers)
            print(answer.status_code)

asyncio.run(ask())
"""


def test_the_server_does_without_what_is_left_out(tiny_bundle: Path) -> None:
    removed = next(rest for _, rest in STAGES[-2].steps if "uninstall" in rest)
    for part in ("opencv", "tests", "f2py", "datasets", "quantization", "tools", "transformers"):
        assert part in removed  # the list above is the Dockerfile's
    command = [sys.executable, "-c", SERVE_WITHOUT, str(tiny_bundle)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "200\n", done.stderr
