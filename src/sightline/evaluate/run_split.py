"""Which images a training run validated on, as the run's folder records it.

Evaluating a run on its own data then never counts an image it was trained on, even where the
data set itself has no splits.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path

from sightline.data.dataset import Dataset
from sightline.errors import ModelError


def read_run_split(bundle: Path, dataset: Dataset) -> Mapping[str, tuple[int, ...]]:
    """The splits, as indices into `dataset`, of the run that the bundle is the best/ of.

    Read from the run's config.toml (data.fingerprint) and split.json (split -> image names).
    Empty where the bundle lies in no run, or the run's data was another. Raises ModelError for a
    run folder whose files are damaged.
    """
    config_path, split_path = bundle.parent / "config.toml", bundle.parent / "split.json"
    if not (config_path.is_file() and split_path.is_file()):
        return {}
    try:
        config = tomllib.loads(config_path.read_text(encoding="utf-8"))
        if config["data"]["fingerprint"] != dataset.fingerprint():
            return {}
        names_of = json.loads(split_path.read_text(encoding="utf-8"))
        place = {name: index for index, name in enumerate(dataset.names)}
        return {split: tuple(place[name] for name in names) for split, names in names_of.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{bundle.parent}: config.toml or split.json is damaged ({error!r}), so the images it "
            f"was trained on are not known; copy {bundle} elsewhere to evaluate it all the same"
        ) from error
