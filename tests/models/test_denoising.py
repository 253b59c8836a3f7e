"""Noised ground truth: who sees whom, and how far the noise goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sightline.models.deimv2.box_ops import to_xyxy
from sightline.models.deimv2.decoder import DenoisingQueries
from sightline.models.deimv2.denoising import Target, noise_targets, plan_denoising

CLASSES = 10
counts_of_images = st.lists(st.integers(0, 6), min_size=1, max_size=4)


def revealing_embedding() -> nn.Embedding:
    """One number a class: the class itself."""
    return nn.Embedding.from_pretrained(torch.arange(CLASSES + 1.0)[:, None])


def noise(target: Target, denoising: int, images: int = 1) -> DenoisingQueries:
    queries = noise_targets([target] * images, revealing_embedding(), 5, denoising)
    assert queries is not None
    return queries


def test_mask_and_positives_are_the_official_ones(shared: Path) -> None:
    golden = np.load(shared / "models" / "golden-denoise-mask.npz")
    counts = golden["num_gts"].tolist()
    plan = plan_denoising(counts, int(golden["num_denoising"]))
    assert plan is not None
    assert plan.groups == golden["groups"]
    np.testing.assert_array_equal(
        plan.blocked(int(golden["num_queries"])), golden["attn_mask_true_is_blocked"]
    )
    for image, count in enumerate(counts):
        np.testing.assert_array_equal(plan.positives(count), golden[f"pos{image}"])


@given(counts_of_images, st.integers(1, 30), st.integers(1, 8))
@settings(deadline=None)
def test_no_query_learns_the_answer_from_another(
    counts: list[int], denoising: int, normal: int
) -> None:
    plan = plan_denoising(counts, denoising)
    if plan is None:
        assert max(counts) == 0
        return
    noised = plan.queries
    assert noised == 2 * plan.groups * max(counts)
    blocked = plan.blocked(normal)
    assert blocked.shape == (noised + normal, noised + normal)
    assert blocked[noised:, :noised].all()  # normal queries see no noised one
    assert not blocked[:, noised:].any()  # all see the normal ones
    group = torch.arange(noised) // (2 * max(counts))
    assert torch.equal(blocked[:noised, :noised], group[:, None] != group[None])
    for count in counts:
        positives = plan.positives(count)
        assert len(positives.unique()) == plan.groups * count
        assert (positives % (2 * max(counts)) < count).all()  # the first half of its group


@given(counts_of_images, st.integers(1, 30))
@settings(deadline=None, max_examples=30)
def test_shapes_and_padding(counts: list[int], denoising: int) -> None:
    targets = [
        Target(torch.randint(0, CLASSES, (count,)), torch.rand(count, 4) * 0.5) for count in counts
    ]
    queries = noise_targets(targets, revealing_embedding(), 5, denoising)
    plan = plan_denoising(counts, denoising)
    if queries is None or plan is None:
        assert queries is plan is None
        return
    assert queries.content.shape == (len(counts), plan.queries, 1)
    assert queries.reference_logits.shape == (len(counts), plan.queries, 4)
    assert torch.isfinite(queries.reference_logits).all()
    place = torch.arange(plan.queries) % plan.most
    for image, count in enumerate(counts):
        is_padding = place >= count
        assert (queries.content[image, is_padding] == CLASSES).all()
        assert (queries.reference_logits[image, is_padding].sigmoid() < 1.1e-5).all()
        assert (queries.content[image, ~is_padding] < CLASSES).all()


def test_a_quarter_of_the_labels_is_redrawn() -> None:
    torch.manual_seed(0)
    target = Target(torch.full((10,), 3), torch.full((10, 4), 0.3))
    labels = noise(target, 10_000, images=2).content.flatten()
    share = float((labels != 3).float().mean())
    # 40,000 draws, 9 of 10 new labels differ from the old: five standard deviations are 0.01
    assert share == pytest.approx(0.25 * (CLASSES - 1) / CLASSES, abs=0.01)
    drawn = labels[labels != 3].long().bincount(minlength=CLASSES)
    others = drawn[torch.arange(CLASSES) != 3].float()
    assert drawn[CLASSES:].sum() == drawn[3] == 0
    assert float(others.max() / others.min()) < 1.3  # about 1,000 of each: five deviations


def noised_corners() -> tuple[Tensor, Tensor, Tensor]:
    """True corners (4,), and those of positives and of negatives, far from the image's border."""
    torch.manual_seed(1)
    box = torch.tensor([[0.5, 0.45, 0.2, 0.1]])
    queries = noise(Target(torch.tensor([0]), box), 2_000)
    corners = to_xyxy(queries.reference_logits[0].sigmoid())
    is_negative = torch.arange(len(corners)) % 2 == 1
    return to_xyxy(box)[0], corners[~is_negative], corners[is_negative]


def test_positives_move_each_edge_by_up_to_half_a_side() -> None:
    truth, positives, _ = noised_corners()
    sides = (truth[2:] - truth[:2]).repeat(2)
    moved = (positives - truth) / sides
    assert moved.abs().max() <= 0.5 + 1e-4  # the logit and back cost 1e-7 / (x (1 - x)) a step
    assert moved.abs().amax(0).min() > 0.49
    # uniform in -0.5..0.5: mean 0 ± 5 · 0.289/√2000, mean size 0.25 ± 5 · 0.144/√2000
    assert moved.mean(0).abs().max() < 0.033
    assert (moved.abs().mean(0) - 0.25).abs().max() < 0.017


def test_negatives_move_each_edge_by_half_a_side_to_a_whole_one() -> None:
    """Where both edges pass each other they change names; undone here."""
    truth, _, negatives = noised_corners()
    sides = truth[2:] - truth[:2]
    low, high = negatives[:, :2], negatives[:, 2:]
    straight = torch.stack([low - truth[:2], high - truth[2:]]).abs() / sides
    crossed = torch.stack([high - truth[:2], low - truth[2:]]).abs() / sides

    def fits(moved: Tensor) -> Tensor:
        return ((moved >= 0.5 - 1e-4) & (moved <= 1 + 1e-4)).all(0)

    assert (fits(straight) | fits(crossed)).all()
    # the left edge to the right and the right one to the left: a quarter of the cases
    assert float((~fits(straight)).float().mean()) == pytest.approx(0.25, abs=0.04)


def test_noise_stays_in_the_image() -> None:
    torch.manual_seed(2)
    box = torch.tensor([[0.95, 0.02, 0.1, 0.04]])
    corners = to_xyxy(noise(Target(torch.tensor([0]), box), 500).reference_logits.sigmoid())
    # logits are kept 1e-5 away from 0 and 1, for the centre and for each side
    assert corners.min() >= -2e-5
    assert corners.max() <= 1 + 2e-5
