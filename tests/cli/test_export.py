"""`sightline export`: what is printed where, the JSON, the exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightline.cli.main import main


@pytest.fixture(autouse=True)
def no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_BROWSER", "/nowhere/chromium")


def test_the_table_says_what_was_proven_and_what_was_not(
    atto_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = str(tmp_path / "out")
    assert main(["export", str(atto_bundle), "--to", "onnx-fp16", "--out", out]) == 0
    said, told = capsys.readouterr()
    header, _, columns, row = said.splitlines()
    assert header.startswith(f"{out}: onnx-fp16, 3 files, 1.")
    assert columns.split()[:3] == ["runtime", "images", "matched"]
    assert row.split()[:2] == ["onnxruntime", "16"]
    assert told.splitlines()[:3] == [
        "running PyTorch: 16 pictures",
        "writing onnx-fp16",
        "running onnxruntime: 16 pictures",
    ]
    assert "Not proven in onnxruntime-web/wasm: SIGHTLINE_BROWSER is '/nowhere/chromium'" in told


def test_json_is_the_certificates(
    atto_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    assert main(["export", str(atto_bundle), "--to", "onnx", "--out", str(out), "--json"]) == 0
    (certificate,) = json.loads(capsys.readouterr().out)
    assert [certificate] == json.loads((out / "parity.json").read_text())
    assert (certificate["runtime"], certificate["images"]) == ("onnxruntime", 16)
    assert certificate["max_score_drift"] <= certificate["score_bound"] == 1e-3


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--to", "coreml"], 2, "invalid choice: 'coreml'"),
        (["--to", "onnx", "--quantize", "float16"], 2, "--quantize is for tfjs and litert"),
        (["--to", "onnx-int8"], 2, "give it with --data"),
        (["--to", "tfjs", "--shard-size", "0"], 2, "a shard has between 1 KiB and 2 GiB"),
        (["--to", "tfjs", "--shard-size", "nan"], 2, "a shard has between 1 KiB and 2 GiB"),
        (["--to", "onnx", "--shard-size", "4"], 2, "--shard-size is for tfjs, not onnx"),
        (
            ["--to", "savedmodel", "--also-in", "bla"],
            2,
            "does not run savedmodel: tensorflow",
        ),
        (["--to", "savedmodel", "--batch", "4"], 2, "--batch is for onnx and onnx-fp16"),
        (["--to", "onnx", "--data", "absent"], 1, "no such folder"),
        (["--to", "tfjs"], 1, "SIGHTLINE_BROWSER is '/nowhere/chromium'"),
        (["--to", "onnx", "--also-in", "onnxruntime-web/webgpu"], 1, "'/nowhere/chromium'"),
    ],
)
def test_what_cannot_be_exported_is_told_and_leaves_nothing(
    atto_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    options: list[str],
    code: int,
    message: str,
) -> None:
    arguments = ["export", str(atto_bundle), "--out", str(tmp_path / "out"), *options]
    try:
        found = main(arguments)
    except SystemExit as stop:  # argparse's own
        found = stop.code  # type: ignore[assignment]
    assert found == code
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
