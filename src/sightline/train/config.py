"""The settings of one training run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sightline.config import option
from sightline.errors import ConfigError
from sightline.zoo import DEFAULT_MODEL

LEAST_STEPS = 200
MOST_STEPS = 4000
DEFAULT_EPOCHS = 12


@dataclass(frozen=True)
class TrainConfig:
    """What a user may set; everything else is derived and shown in the run's config.toml."""

    model: str = option(DEFAULT_MODEL, "the model to start from, see `sightline models`")
    epochs: float | None = option(
        None, "passes over the training images; by default enough for a small set", low=0.01
    )
    minutes: float | None = option(
        None, "bound on the whole run, evaluation and export included", low=0.5
    )
    batch: int = option(8, "images a step", low=1)
    input_px: int | None = option(
        None, "side of the network's input, a multiple of 32; by default the model's own", low=64
    )
    learning_rate: float | None = option(
        None, "peak rate of AdamW; by default 5e-4, scaled with the batch", low=1e-9
    )
    seed: int = option(
        0, "same seed, data, CPU and threads give the same losses (without --minutes)", low=0
    )
    device: str = option("auto", "where to compute", choices=("auto", "cpu", "cuda"))

    def __post_init__(self) -> None:
        if self.epochs is not None and self.minutes is not None:
            raise ConfigError("give epochs or minutes, not both")
        if self.input_px is not None and self.input_px % 32:
            near = max(64, round(self.input_px / 32) * 32)
            raise ConfigError(f"input_px is a multiple of 32, not {self.input_px}; try {near}")


def plan_steps(config: TrainConfig, images: int) -> int:
    """Steps of a run that is not bounded by time."""
    per_epoch = math.ceil(images / config.batch)
    if config.epochs is not None:
        return max(1, round(config.epochs * per_epoch))
    return min(MOST_STEPS, max(LEAST_STEPS, DEFAULT_EPOCHS * per_epoch))
