"""`sightline publish`: what is printed where, the JSON, the exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.cli.main import main

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def built_page() -> None:
    """The page as its sources are now; nothing is done where it is up to date."""
    subprocess.run([sys.executable, REPO / "hatch_build.py"], check=True)


def test_json_tells_where_and_how_much(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "site"
    assert main(["publish", str(tiny_bundle), str(out), "--as-is", "--json"]) == 0
    said, told = capsys.readouterr()
    value = json.loads(said)
    assert value["out"] == str(out)
    assert value["bytes"] == sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    assert set(value["first_detection_bytes"]) == {"brotli", "gzip", "raw"}
    assert value["check"] is None
    assert f"model {tiny_bundle}" in told


def test_the_summary_says_how_to_try_it(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "site"
    assert main(["publish", str(tiny_bundle), str(out), "--as-is"]) == 0
    said = capsys.readouterr().out
    assert "to the first detection:" in said and " MB brotli" in said
    assert f"python -m http.server --directory {out}" in said


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["absent", "site"], 1, "absent"),
        (["{bundle}", "{bundle}"], 1, "which sightline publish did not write"),
        (["{bundle}"], 2, "OUT"),
        (["{bundle}", "site", "--sample-clip", "absent.mp4"], 1, "no such file"),
    ],
)
def test_what_cannot_be_published_is_told_and_leaves_nothing(
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [each.format(bundle=tiny_bundle) for each in arguments]
    try:
        found = main(["publish", *given])
    except SystemExit as stop:  # argparse's own
        found = stop.code  # type: ignore[assignment]
    assert found == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "site").exists()
