"""`sightline evaluate`: the JSON, the table, the talk on stderr, the exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightline.cli.main import main

KEYS = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]


def test_json_has_the_documented_shape(
    tiny_bundle: Path, shared: Path, capsys: pytest.CaptureFixture
) -> None:
    data = str(shared / "data" / "kangaroo")
    assert main(["evaluate", str(tiny_bundle), data, "--json"]) == 0
    out, err = capsys.readouterr()
    value = json.loads(out)
    assert list(value) == [*KEYS, "images", "boxes", "per_class"]
    # The split has 33 names; 00090 is truncated, which is said.
    assert (value["images"], value["boxes"]) == (32, 44)
    assert value["per_class"] == {"kangaroo": {"AP": 0.0, "AP50": 0.0}}
    assert "1 error(s) in the data set" in err
    assert "the model does not know 'kangaroo'" in err
    assert "Warning: 1 of 32 validation images is a copy or near-copy of a training image" in err


def test_table_shows_percent(
    tiny_bundle: Path, shared: Path, capsys: pytest.CaptureFixture
) -> None:
    data = str(shared / "data" / "kangaroo")
    assert main(["evaluate", str(tiny_bundle), data, "--split", "train"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("131 images, ")
    for key in KEYS:
        assert f"  {key}" in out


@pytest.mark.parametrize(
    ("model", "data", "options", "message"),
    [
        ("absent", "{kangaroo}", [], "no model is called 'absent'"),
        ("{tiny}", "absent", [], "no such folder"),
        ("{tiny}", "{kangaroo}", ["--split", "dawn"], "has no split 'dawn'"),
        ("{tiny}", "{video}", [], "is no data set that is known here"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(
    tiny_bundle: Path,
    shared: Path,
    capsys: pytest.CaptureFixture,
    model: str,
    data: str,
    options: list[str],
    message: str,
) -> None:
    places = {
        "tiny": tiny_bundle,
        "kangaroo": shared / "data" / "kangaroo",
        "video": shared / "data" / "video",
    }
    arguments = ["evaluate", model.format(**places), data.format(**places), *options]
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err.splitlines()[-1]
    assert "Traceback" not in err
