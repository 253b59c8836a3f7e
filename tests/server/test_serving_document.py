"""The examples of docs/serving.md, run as they stand there; those in JavaScript in a browser."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

REPO = Path(__file__).parents[2]
TEXT = (REPO / "docs" / "serving.md").read_text(encoding="utf-8")
ADDRESS = "127.0.0.1:8000"


def examples(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Path:
    """A user's folder: a photo with something in it."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "photo.jpg").write_bytes((shared / "data" / "broken" / "01_ok.jpg").read_bytes())
    return folder


@pytest.fixture
def server(start: Any, shared: Path) -> Iterator[httpx.Client]:
    clip = shared / "data" / "video" / "bottle-detection.mp4"
    with start(source=(f"door={clip}",)) as client:
        yield client


def addressed(text: str, server: httpx.Client) -> str:
    """The example, for the address at which the server of this test is."""
    return text.replace(ADDRESS, server.base_url.netloc.decode())


@pytest.mark.parametrize("example", examples("sh"))
def test_shell(example: str, server: httpx.Client, folder: Path) -> None:
    ran = subprocess.run(
        ["bash", "-euc", addressed(example, server)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # 28: an endless stream of events, ended by the example's own --max-time
    assert ran.returncode in (0, 28) and ran.stdout, ran.stderr
    assert '"code"' not in ran.stdout, ran.stdout


@pytest.mark.parametrize("example", examples("python"))
def test_python(example: str, server: httpx.Client, folder: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", addressed(example, server)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0 and ran.stdout, ran.stderr


def test_there_are_examples_of_each_kind() -> None:
    assert len(examples("sh")) >= 4 and len(examples("python")) >= 3 and len(examples("js")) >= 3
