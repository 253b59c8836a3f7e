"""The documents do not drift from the program."""

from __future__ import annotations

import argparse
import dataclasses
import re
from pathlib import Path

import pytest

from sightline.cli.main import COMMANDS, main
from sightline.data.hints import HINTS
from sightline.server.config import ServeConfig
from sightline.server.errors import STATUS_OF_CODE
from sightline.train.config import TrainConfig

REPO = Path(__file__).resolve().parent.parent
README = (REPO / "README.md").read_text(encoding="utf-8")


def test_every_command_stands_in_the_readme() -> None:
    shown = set(re.findall(r"^\| `sightline (\w+)", README, re.MULTILINE))
    assert shown == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    help_text = capsys.readouterr().out
    assert "example" in help_text.lower()
    assert f"sightline {command}" in help_text


@pytest.mark.parametrize(
    ("page", "config"), [("training.md", TrainConfig), ("serving.md", ServeConfig)]
)
def test_every_setting_stands_in_its_document(page: str, config: type) -> None:
    text = (REPO / "docs" / page).read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `--([\w-]+)` \| ([^|]+?) \|", text, re.MULTILINE))
    fields = {field.name.replace("_", "-"): field for field in dataclasses.fields(config)}
    assert set(rows) == set(fields)
    for name, field in fields.items():
        if field.default not in (None, ()):
            assert rows[name] == ("off" if field.default is False else str(field.default)), name


def test_every_error_of_the_server_stands_in_its_document() -> None:
    text = (REPO / "docs" / "serving.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z][a-z-]+)` \| (\d{3}) \|", text, re.MULTILINE)
    assert {code: int(status) for code, status in rows} == STATUS_OF_CODE
    assert len(rows) == len(STATUS_OF_CODE)


def test_every_problem_of_data_sets_stands_in_its_document() -> None:
    text = (REPO / "docs" / "problems.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", text, re.MULTILINE)) == HINTS


def test_links_between_documents_lead_somewhere() -> None:
    for page in [REPO / "README.md", *(REPO / "docs").rglob("*.md")]:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", text):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_flags_are_the_config_and_nothing_twice() -> None:
    from sightline.cli.options import add_config_flags

    parser = argparse.ArgumentParser()
    add_config_flags(parser, TrainConfig)
    flags = {a.dest for a in parser._actions} - {"help"}
    assert flags == {field.name for field in dataclasses.fields(TrainConfig)}
