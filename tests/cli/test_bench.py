"""`sightline bench`: its shape and its errors. No time is asserted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightline.cli.main import main
from sightline.data.images import read_header
from sightline.runtime.bench import draw_jpeg

STAGES = ["decode", "preprocess", "inference", "postprocess", "end to end", "bare session.run"]


def test_json_names_every_stage_for_each_number_of_threads(
    tiny_bundle: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["bench", str(tiny_bundle), "--runs", "3", "--threads", "2", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["model"], value["width"], value["height"]) == ("tiny", 1280, 720)
    assert [result["threads"] for result in value["results"]] == [1, 2]
    for result in value["results"]:
        assert list(result["stages"]) == STAGES
        assert all(0 < one["min_ms"] <= one["median_ms"] for one in result["stages"].values())
        parts = [result["stages"][name]["min_ms"] for name in STAGES[:2]]
        assert result["stages"]["end to end"]["min_ms"] > max(parts)  # it holds them
        assert result["against"] is None


def test_table_and_a_graph_beside_it(
    tiny_bundle: Path, shared: Path, capsys: pytest.CaptureFixture
) -> None:
    """The official file takes float images, channels first, and the size as a second input."""
    official = shared / "models" / "official-atto.onnx"
    arguments = ["--runs", "2", "--threads", "1", "--against", str(official)]
    assert main(["bench", str(tiny_bundle), *arguments]) == 0
    out = capsys.readouterr().out
    assert "1 thread\n" in out and "threads" not in out
    assert "official-atto.onnx: " in out and "ratio of minima" in out


def test_wrong_use_is_one_line(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "text.jpg").write_text("text")
    for option, message in (
        (["--image", str(tmp_path / "text.jpg")], "is text"),
        (["--image", str(tmp_path / "absent.jpg")], "no such file"),
        (["--against", str(tmp_path / "absent.onnx")], "no such ONNX file"),
        (["--against", str(tmp_path / "text.jpg"), "--runs", "1"], "cannot be loaded"),
    ):
        assert main(["bench", str(tiny_bundle), *option]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
    for number in ("0", "-3", "many"):
        with pytest.raises(SystemExit) as caught:
            main(["bench", str(tiny_bundle), "--runs", number])
        assert caught.value.code == 2
        assert f"at least 1, is expected, not '{number}'" in capsys.readouterr().err


def test_the_drawn_image_is_a_photo_sized_jpeg() -> None:
    content = draw_jpeg()
    header = read_header(content)
    assert (header.width, header.height, header.format) == (1280, 720, "JPEG")
    assert 50_000 < len(content) < 500_000  # photos of that size at that quality
    assert content == draw_jpeg()
