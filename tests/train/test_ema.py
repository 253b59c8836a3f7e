"""The average: its formula, and what it leaves alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sightline.models.deimv2.network import DeimV2
from sightline.train.ema import Ema


class Counter(nn.Module):
    """A weight, a tied weight, a buffer that moves and an integer that is copied."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.tied = self.weight
        self.register_buffer("mean", torch.zeros(1))
        self.register_buffer("seen", torch.tensor(0))


def test_average_by_hand() -> None:
    model = Counter()
    ema = Ema(model, decay=0.25)
    expected = 0.0
    for step in range(1, 5):
        with torch.no_grad():
            model.weight.fill_(step)
            model.mean.fill_(10 * step)
            model.seen.fill_(step)
        ema.update(model)
        decay = min(0.25, (1 + step) / (10 + step))  # 2/11, 3/12, then 0.25
        expected = decay * expected + (1 - decay) * step
        assert ema.model.weight.tolist() == pytest.approx([expected] * 2)
        assert ema.model.mean.item() == pytest.approx(10 * expected)
        assert ema.model.seen.item() == step
    assert ema.updates == 4
    assert ema.model.tied is ema.model.weight


def test_the_average_neither_trains_nor_moves_with_the_model() -> None:
    model = Counter().train()
    ema = Ema(model, 0.9)
    assert not ema.model.training
    assert not any(parameter.requires_grad for parameter in ema.model.parameters())
    with torch.no_grad():
        model.weight.fill_(5)
    assert ema.model.weight.tolist() == [0, 0]
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_network_s_average_keeps_its_shared_head_and_its_anchors() -> None:
    torch.manual_seed(0)
    model = DeimV2("atto", 2, input_px=64)
    ema = Ema(model, 0.5)
    was = ema.model.decoder.dec_bbox_head[0].layers[0].weight.clone()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    ema.update(model)
    heads = ema.model.decoder.dec_bbox_head
    assert heads[0] is heads[1] is heads[2]
    # moved once by 9/11 of the way, not three times for its three names
    torch.testing.assert_close(heads[0].layers[0].weight, was + 9 / 11)
    assert torch.equal(ema.model.decoder.anchors, model.decoder.anchors)  # inf stays inf
