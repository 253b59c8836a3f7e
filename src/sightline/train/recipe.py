"""The numbers behind a run that follow from its settings and its start.

Why these: docs/lab-log.md.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from sightline.train.config import TrainConfig
from sightline.train.start import Start, freeze_norms

BATCH = 8  # the batch that the rates are for


@dataclass(frozen=True)
class Recipe:
    """learning_rate: peak of encoder and decoder; the backbone's is `backbone_factor` of it.

    train_norms: batch norms use each batch's statistics. strong_until: share of the run with
    strong augmentation. denoising: about how many noised queries a step gets. copies: queries
    that may answer for one object in the early prediction sets.
    """

    learning_rate: float
    backbone_factor: float
    weight_decay: float = 1e-4
    clip: float = 1.0
    ema_decay: float = 0.98
    denoising: int = 100
    copies: int = 1
    strong_until: float = 0.85
    train_norms: bool = False

    def prepare(self, model: nn.Module) -> None:
        """Put the batch norms of a network in train mode into the mode wanted."""
        if not self.train_norms:
            freeze_norms(model)

    def to_toml(self) -> dict[str, Any]:
        return asdict(self)


def recipe_for(start: Start, config: TrainConfig) -> Recipe:
    """The recipe for photos from a detector trained on photos, or for starter weights.

    Starter weights have seen drawings alone, so everything in them must move further.
    """
    scale = (config.batch / BATCH) ** 0.5
    if start.from_drawings:
        rate = 8e-4 * scale if config.learning_rate is None else config.learning_rate
        return Recipe(rate, 1.0, denoising=0, copies=4, train_norms=True)
    rate = 5e-4 * scale if config.learning_rate is None else config.learning_rate
    return Recipe(rate, 0.2)
