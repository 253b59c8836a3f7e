"""The losses against the official ones, by hand, and where there is nothing to find."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sightline.models.deimv2.box_ops import paired_iou, to_xyxy
from sightline.models.deimv2.decoder import Outputs, Predictions
from sightline.models.deimv2.denoising import Target
from sightline.models.deimv2.edges import decode_boxes, distance_bins
from sightline.models.deimv2.network import DeimV2
from sightline.models.deimv2.sizes import REG_SCALE
from sightline.train.criterion import Criterion, edge_targets

pytestmark = pytest.mark.usefixtures("one_thread")

NOTHING = Target(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4))


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, np.ndarray]:
    return dict(np.load(shared / "models" / "golden-train-atto.npz"))


@pytest.fixture(scope="module")
def network(coco_network: Callable[[str], DeimV2]) -> DeimV2:
    network = coco_network("atto").train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    return network


@pytest.fixture(scope="module")
def targets(golden: dict[str, np.ndarray]) -> list[Target]:
    return [
        Target(torch.from_numpy(golden[f"t{i}_labels"]), torch.from_numpy(golden[f"t{i}_boxes"]))
        for i in range(2)
    ]


@pytest.fixture(scope="module")
def images(golden: dict[str, np.ndarray]) -> Tensor:
    return torch.from_numpy(golden["images_uint8"]).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize(
    ("name", "criterion"),
    [
        ("lite_epoch0", Criterion()),
        ("lite_epoch450", Criterion(by_quality=True)),
        ("n_style_epoch0", Criterion(distributions=True)),
    ],
)
def test_every_term_is_the_official_one(
    name: str, criterion: Criterion, network: DeimV2, images: Tensor, targets: list[Target],
    golden: dict[str, np.ndarray],
) -> None:  # fmt: skip
    official = json.loads(str(golden["losses_json"]))[name]
    total = official.pop("total")
    with torch.no_grad():
        terms = criterion(network(images), targets)
    assert {f"loss_{key}" for key in terms} == official.keys()
    for key, value in official.items():
        # 3e-6 was measured: float32 through the whole network
        assert float(terms[key.removeprefix("loss_")]) == pytest.approx(value, rel=1e-3), key
    assert float(sum(terms.values())) == pytest.approx(total, rel=1e-3)


def test_gradient_is_the_official_one(
    network: DeimV2, images: Tensor, targets: list[Target], golden: dict[str, np.ndarray]
) -> None:
    official = json.loads(str(golden["losses_json"]))
    network.zero_grad(set_to_none=True)
    sum(Criterion()(network(images), targets).values()).backward()
    norm = torch.nn.utils.get_total_norm(
        [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    )
    assert float(norm) == pytest.approx(official["grad_norm_lite_epoch0"], rel=1e-3)
    untouched = [
        name
        for name, parameter in network.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    ]
    assert untouched == official["no_grad_params"]


@pytest.mark.parametrize("distributions", [False, True])
@pytest.mark.parametrize("by_quality", [False, True])
@pytest.mark.parametrize("is_empty", [(True, True), (False, True)])
def test_images_without_boxes_have_a_finite_loss(
    distributions: bool, by_quality: bool, is_empty: tuple[bool, bool], network: DeimV2,
    images: Tensor, targets: list[Target],
) -> None:  # fmt: skip
    these = [NOTHING if empty else target for empty, target in zip(is_empty, targets, strict=True)]
    network.zero_grad(set_to_none=True)
    criterion = Criterion(distributions=distributions, by_quality=by_quality)
    outputs = network(images[:, :, :128, :128], these, 10)
    assert (outputs.denoising is None) == all(is_empty)
    terms = criterion(outputs, these, 10)
    total = torch.stack(list(terms.values())).sum()
    assert torch.isfinite(total)
    total.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name


def test_order_of_boxes_and_images_does_not_matter(
    network: DeimV2, images: Tensor, targets: list[Target]
) -> None:
    with torch.no_grad():
        before = Criterion(distributions=True)(network(images), targets)
        turned = [Target(target.labels.flip(0), target.boxes.flip(0)) for target in targets[::-1]]
        after = Criterion(distributions=True)(network(images.flip(0)), turned)
    for name, value in before.items():
        assert float(after[name]) == pytest.approx(float(value), rel=1e-4), name


def single(logits: list[list[float]], boxes: list[list[float]]) -> Outputs:
    return Outputs(Predictions(torch.tensor([logits]), torch.tensor([boxes])), [])


def test_class_loss_by_hand() -> None:
    """Two queries, one class: the first is matched with IoU 0.5, the second is background."""
    truth = Target(torch.tensor([0]), torch.tensor([[0.5, 0.5, 0.4, 0.4]]))
    found = [[0.5, 0.5, 0.4, 0.2], [0.1, 0.1, 0.1, 0.1]]
    terms = Criterion()(single([[1.0], [-2.0]], found), [truth])
    wanted = 0.5**1.5
    matched = wanted * math.log1p(math.exp(-1.0)) + (1 - wanted) * math.log1p(math.exp(1.0))
    p = 1 / (1 + math.exp(2.0))
    background = p**1.5 * math.log1p(math.exp(-2.0))
    assert float(terms["mal"]) == pytest.approx(matched + background, rel=1e-5)
    assert float(terms["bbox"]) == pytest.approx(5 * 0.2, rel=1e-5)
    assert float(terms["giou"]) == pytest.approx(2 * (1 - 0.5), rel=1e-5)


def test_losses_are_shared_among_the_boxes() -> None:
    """Twice the same image costs as much as one: sums are divided by the number of boxes."""
    torch.manual_seed(0)
    truth = Target(torch.tensor([1, 0]), torch.rand(2, 4) * 0.5 + 0.2)
    one = Predictions(torch.randn(1, 5, 2), torch.rand(1, 5, 4))
    two = Predictions(one.logits.repeat(2, 1, 1), one.boxes.repeat(2, 1, 1))
    criterion = Criterion()
    single_terms = criterion(Outputs(one, []), [truth])
    for name, value in criterion(Outputs(two, []), [truth, truth]).items():
        assert float(value) == pytest.approx(float(single_terms[name]), rel=1e-5), name


def test_more_copies_give_early_sets_more_matches(
    network: DeimV2, images: Tensor, targets: list[Target]
) -> None:
    with torch.no_grad():
        outputs = network(images)
        one, four = (Criterion(copies=copies)(outputs, targets) for copies in (1, 4))
    for name in one:
        is_early = name.endswith(("_enc_0", "_pre", "_aux_0"))
        assert (float(four[name]) == float(one[name])) != is_early, name


sides = st.floats(0.05, 0.6)
centres = st.floats(0.2, 0.8)
boxes = st.tuples(centres, centres, sides, sides)


@given(boxes, boxes)
@settings(deadline=None)
def test_edge_targets_decode_to_the_true_box(
    base: tuple[float, ...], truth: tuple[float, ...]
) -> None:
    """The mean distance of the target distribution moves the base box onto the truth."""
    base_box, true_box = torch.tensor([base]).double(), torch.tensor([truth]).double()
    left, share = edge_targets(base_box, true_box)
    bins = distance_bins(torch.tensor([0.5]), torch.tensor([REG_SCALE])).double()
    assert ((share >= 0) & (share <= 1)).all()
    distance = bins[left] * share + bins[left + 1] * (1 - share)
    decoded = to_xyxy(decode_boxes(base_box, distance, torch.tensor(REG_SCALE)))
    # A distance beyond the last bin, ±4 units of a quarter side, stops there.
    reach = base_box[:, 2:].repeat(1, 2)
    start = to_xyxy(base_box)
    expected = torch.clamp(to_xyxy(true_box), start - reach, start + reach)
    torch.testing.assert_close(decoded, expected, rtol=0, atol=1e-5)


@given(boxes, boxes)
@settings(deadline=None)
def test_overlap_is_symmetric_and_in_range(a: tuple[float, ...], b: tuple[float, ...]) -> None:
    first, second = (to_xyxy(torch.tensor([box])) for box in (a, b))
    iou, giou = paired_iou(first, second)
    assert 0 <= float(iou) <= 1 + 1e-6
    assert -1 - 1e-6 <= float(giou) <= float(iou) + 1e-6
    for forward, backward in zip((iou, giou), paired_iou(second, first), strict=True):
        torch.testing.assert_close(forward, backward)
    torch.testing.assert_close(paired_iou(first, first)[1], torch.ones(1))
