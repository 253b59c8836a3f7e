"""A finished or stopped training run, as its folder holds it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Run:
    """config.toml, split.json, metrics.jsonl, events/, last/, best/ and report.html."""

    folder: Path

    @property
    def best(self) -> Path:
        """The best model so far, a bundle."""
        return self.folder / "best"

    @property
    def state(self) -> Path:
        """What the run goes on from."""
        return self.folder / "last" / "state.safetensors"

    @property
    def report(self) -> Path:
        """A page about the run."""
        return self.folder / "report.html"

    @property
    def history(self) -> list[dict[str, Any]]:
        """Every line of metrics.jsonl: steps have "loss", validations "validation"."""
        with (self.folder / "metrics.jsonl").open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    @property
    def metrics(self) -> dict[str, Any]:
        """The best model's numbers on the validation images, as in `sightline evaluate --json`."""
        manifest = json.loads((self.best / "manifest.json").read_text(encoding="utf-8"))
        numbers: dict[str, Any] = manifest["metrics"]["val"]
        return numbers


def new_run_folder(name: str, parent: Path = Path("runs")) -> Path:
    """parent/name, or with the first number that is free."""
    number = 1
    folder = parent / name
    while folder.exists():
        number += 1
        folder = parent / f"{name}-{number}"
    return folder
