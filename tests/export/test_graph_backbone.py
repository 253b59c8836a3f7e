"""The backbone's and encoder's nodes give the folded network's maps, borders included."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from sightline.export.deploy import Shift, fold
from sightline.export.graph_backbone import add_backbone, add_stem
from sightline.export.graph_encoder import add_encoder
from sightline.export.graph_nodes import Graph
from sightline.models.deimv2.network import DeimV2
from sightline.models.deimv2.sizes import SIZES


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("size", SIZES)
def test_maps_are_the_network_s(
    size: str, batch: int, made_up_network: Callable[[str, int, int], DeimV2]
) -> None:
    network = fold(made_up_network(size, 3, 64))
    graph = Graph()
    with torch.no_grad():
        maps = add_backbone(graph, network.backbone, "image", batch, 64)
        names = [*maps, *add_encoder(graph, network.encoder, maps, batch, 64)]
        right = network.backbone(pixels(batch))
        check(graph, names, [*right, *network.encoder(right)])


@pytest.mark.parametrize("sign", [1, -1])
def test_the_stem_s_borders_are_the_network_s(
    sign: int, made_up_network: Callable[[str, int, int], DeimV2]
) -> None:
    """Its own test: little of them reaches the maps of a network with random weights."""
    stem = fold(made_up_network("atto", 3, 64)).backbone.stem
    for layer in (stem.stem1, stem.stem2a, stem.stem2b):
        layer.lab = Shift(torch.tensor(sign * 0.5))  # type: ignore[assignment]
    graph = Graph()
    with torch.no_grad():
        check(graph, [add_stem(graph, stem, "image", 1, 64)], [stem(pixels(1))])


def pixels(batch: int) -> torch.Tensor:
    """(batch, 3, 64, 64) noise in 0..255, the network's input."""
    numbers = np.random.default_rng(0).integers(0, 256, (batch, 64, 64, 3), np.uint8)
    return torch.from_numpy(numbers).permute(0, 3, 1, 2).float()


def check(graph: Graph, names: list[str], expected: list[torch.Tensor]) -> None:
    images = pixels(len(expected[0])).permute(0, 2, 3, 1).numpy().astype(np.uint8)
    describe = helper.make_tensor_value_info
    program = graph.model(
        [describe("image", TensorProto.UINT8, list(images.shape))],
        [
            describe(name, TensorProto.FLOAT, list(x.shape))
            for name, x in zip(names, expected, strict=True)
        ],
    )
    session = onnxruntime.InferenceSession(program.SerializeToString())
    for found, x in zip(session.run(names, {"image": images}), expected, strict=True):
        # float32 in another order
        np.testing.assert_allclose(found, x, rtol=0, atol=1e-5 * float(x.abs().max()))
