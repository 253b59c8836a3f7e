"""The examples of docs/publishing.md and docs/examples/pages.yml, run as they stand there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPO = Path(__file__).resolve().parents[2]
TEXT = (REPO / "docs" / "publishing.md").read_text(encoding="utf-8")
WORKFLOW = (REPO / "docs" / "examples" / "pages.yml").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
SHELL = f'sightline() {{ "{sys.executable}" -m sightline.cli.main "$@"; }}\n'

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def folder(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A user's folder, with a run and a repository's model."""
    subprocess.run([sys.executable, REPO / "hatch_build.py"], check=True)
    user = tmp_path / "user"
    shutil.copytree(tiny_bundle, user / "runs" / "photos" / "best")
    shutil.copytree(tiny_bundle, user / "model")
    return user


def run(script: str, folder: Path) -> str:
    ran = subprocess.run(
        ["bash", "-euc", SHELL + script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert (folder / "site" / "index.html").is_file()
    return ran.stdout


@pytest.mark.parametrize("example", EXAMPLES)
def test_shell(example: str, folder: Path) -> None:
    said = run(example, folder)
    if "--json" in example:
        told = set(re.findall(r'"(\w+)"', TEXT.partition('{"out"')[2].partition("```")[0]))
        value = json.loads(said)
        assert told <= {"out", *value, *value["first_detection_bytes"], *value["check"]}
        assert set(value) <= told | {"out"}


def test_the_workflow_publishes_what_it_uploads(folder: Path) -> None:
    (job,) = yaml.safe_load(WORKFLOW)["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    (command,) = [each for each in commands if each.startswith("sightline ")]
    run(command, folder)
    (path,) = [step["with"]["path"] for step in job["steps"] if "upload" in step.get("uses", "")]
    assert (folder / path / "sw.js").is_file()


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 3
