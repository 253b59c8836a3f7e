"""AdamW over parameter groups, and the learning-rate schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Schedule:
    """Warm-up, a flat part, then a cosine to the floor; `shape` gives a factor of the peak.

    All in fractions of the run (0..1), so that a run bounded by time can use it too.
    """

    warmup: float = 0.05
    flat: float = 0.3
    floor: float = 0.01

    def factor(self, done: float) -> float:
        """The share of the peak learning rate when `done` (0..1) of the run is over."""
        if done < self.warmup:
            return max(0.02, (done / self.warmup) ** 2)
        if done < self.flat:
            return 1.0
        rest = min(1.0, (done - self.flat) / max(1e-9, 1 - self.flat))
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * rest))


def make_optimiser(
    model: nn.Module, learning_rate: float, backbone_factor: float, weight_decay: float
) -> torch.optim.AdamW:
    """AdamW with the backbone slower and no decay on norms, biases and scalars."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            key = (name.startswith("backbone."), parameter.ndim >= 2)
            groups.setdefault(key, []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": learning_rate * (backbone_factor if in_backbone else 1.0),
                "peak_lr": learning_rate * (backbone_factor if in_backbone else 1.0),
                "weight_decay": weight_decay if is_matrix else 0.0,
            }
            for (in_backbone, is_matrix), parameters in groups.items()
        ]
    )


def set_learning_rate(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Set each group's rate to `factor` of its peak."""
    for group in optimiser.param_groups:
        group["lr"] = group["peak_lr"] * factor
