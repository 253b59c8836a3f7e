"""Networks in which nothing is zero, one or positive by chance: every wrong term would show."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from sightline.models.deimv2.attention import DeformableAttention
from sightline.models.deimv2.backbone import Affine
from sightline.models.deimv2.network import DeimV2


@pytest.fixture(scope="session")
def made_up_network(one_thread: None) -> Callable[[str, int, int], DeimV2]:
    """The network of a size with random weights for a number of classes and an input size."""
    return make_up


def make_up(size: str, classes: int, side: int) -> DeimV2:
    torch.manual_seed(0)
    network = DeimV2(size, classes, side).eval()
    for parameter in network.parameters():
        if parameter.requires_grad and (parameter == parameter.flatten()[0]).all():
            nn.init.uniform_(parameter, 0.1, 0.3)  # biases and heads that start as zeros
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low, high in (
                (module.weight, 0.5, 1.5), (module.bias, -0.3, 0.3),
                (module.running_mean, -0.3, 0.3), (module.running_var, 0.5, 2.0),
            ):  # fmt: skip
                nn.init.uniform_(values, low, high)
        if isinstance(module, Affine):
            nn.init.uniform_(module.scale, -0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
        if isinstance(module, DeformableAttention):  # far beyond the map's borders as well
            nn.init.uniform_(module.sampling_offsets.bias, -20, 20)
            nn.init.normal_(module.attention_weights.weight)
    decoder = network.decoder
    for head in (decoder.enc_score_head, *decoder.dec_score_head):
        nn.init.normal_(head.weight)
    for mlp in (decoder.enc_bbox_head, decoder.pre_bbox_head, *decoder.dec_bbox_head):
        nn.init.normal_(mlp.layers[-1].weight, std=0.3)
    return network
