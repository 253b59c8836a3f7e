"""An exponential moving average of a model's weights."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


class Ema(Generic[Network]):
    """A second model whose weights follow the first's slowly.

    After n updates the decay is min(decay, (1 + n) / (10 + n)), so the start is soon forgotten.
    """

    def __init__(self, model: Network, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.model: Network = copy.deepcopy(model).eval()
        self.model.requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move every floating entry, batch-norm statistics included; copy the others."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        floats: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
        seen: set[int] = set()
        source = model.state_dict()
        for key, own in self.model.state_dict().items():
            if own.data_ptr() in seen:  # the shared box head stands under three names
                continue
            seen.add(own.data_ptr())
            if own.is_floating_point() and not key.endswith(("anchors", "num_points_scale")):
                floats[0].append(own)
                floats[1].append(source[key].detach())
            else:
                own.copy_(source[key])
        torch._foreach_lerp_(floats[0], floats[1], 1 - decay)
