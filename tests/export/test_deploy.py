"""The deployed network computes what the trained one computes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sightline.export.deploy import DeployedDetector, fold
from sightline.models.deimv2.backbone import Affine
from sightline.models.deimv2.encoder import RepBlock
from sightline.models.deimv2.network import DeimV2
from sightline.models.deimv2.sizes import SIZES

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("size", SIZES)
def test_folding_changes_nothing(
    size: str, made_up_network: Callable[[str, int, int], DeimV2]
) -> None:
    network = made_up_network(size, 3, 64)
    scales = [m.scale.item() for m in network.modules() if isinstance(m, Affine)]
    assert min(scales) < 0 < max(scales)
    before = copy.deepcopy(network.state_dict())
    folded = fold(network)
    kinds = {type(module) for module in folded.modules()}
    assert nn.BatchNorm2d not in kinds
    assert all(m.conv2 is None for m in folded.modules() if isinstance(m, RepBlock))
    image = torch.randint(0, 256, (2, 3, 64, 64)).float()
    with torch.no_grad():
        expected, found = network(image / 255).final, folded(image).final
    # The same numbers multiplied in another order, through 60 layers of random weights.
    torch.testing.assert_close(found.boxes, expected.boxes, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.logits, expected.logits, rtol=1e-3, atol=1e-3)
    for key, value in network.state_dict().items():  # the network itself is as it was
        assert torch.equal(value, before[key]), key


@pytest.mark.parametrize("size", ["atto", "femto"])
def test_official_scores_come_out_sorted(
    size: str, shared: Path, coco_network: Callable[[str], DeimV2]
) -> None:
    golden = np.load(shared / "models" / f"golden-{size}.npz")
    deployed = DeployedDetector(coco_network(size)).eval()
    with torch.no_grad():
        boxes, scores, labels = deployed(torch.from_numpy(golden["images_uint8"]))
    assert (boxes.dtype, scores.dtype, labels.dtype) == (torch.float32, torch.float32, torch.int32)
    assert boxes.shape == (4, 300, 4)
    assert scores.shape == labels.shape == (4, 300)
    assert (scores.diff(dim=1) <= 0).all()
    assert ((boxes >= 0) & (boxes <= 1)).all()
    # ranked against ranked: 2e-5 measured
    np.testing.assert_allclose(scores, golden["scores"], atol=1e-3)


@pytest.mark.parametrize(("size", "classes", "side", "count"), [
    ("atto", 1, 320, 100),  # as many as queries
    ("atto", 2, 320, 200),
    ("atto", 80, 320, 300),
    ("atto", 1, 64, 20),  # 4 x 4 and 2 x 2 tokens are fewer than 100 queries
])  # fmt: skip
def test_number_of_detections(size: str, classes: int, side: int, count: int) -> None:
    deployed = DeployedDetector(DeimV2(size, classes, side))
    with torch.no_grad():
        boxes, scores, labels = deployed(torch.zeros(1, side, side, 3, dtype=torch.uint8))
    assert deployed.detections == count
    assert boxes.shape == (1, count, 4)
    assert scores.shape == labels.shape == (1, count)
    assert labels.min() >= 0
    assert labels.max() < classes


def test_a_batch_finds_what_single_images_find(coco_network: Callable[[str], DeimV2]) -> None:
    """Rows are gathered over the whole batch at once: none may read its neighbour's."""
    deployed = DeployedDetector(coco_network("atto")).eval()
    torch.manual_seed(0)
    images = torch.randint(0, 256, (3, 320, 320, 3), dtype=torch.uint8)
    with torch.no_grad():
        together = deployed(images)
        for index in range(3):
            single = deployed(images[index : index + 1])
            torch.testing.assert_close(together[1][index], single[1][0], rtol=0, atol=1e-4)
