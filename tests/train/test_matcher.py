"""The matching costs the least, and gives each box one query."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sightline.boxes import iou_matrix
from sightline.models.deimv2.decoder import Predictions
from sightline.models.deimv2.denoising import Target
from sightline.train.matcher import Matches, match, pool_matches

CLASSES = 3


def make_case(seed: int, queries: int, counts: list[int]) -> tuple[Predictions, list[Target]]:
    torch.manual_seed(seed)

    def random_boxes(*shape: int) -> torch.Tensor:
        return torch.cat([torch.rand(*shape, 2), torch.rand(*shape, 2) * 0.4 + 0.05], dim=-1)

    found = Predictions(
        torch.randn(len(counts), queries, CLASSES), random_boxes(len(counts), queries)
    )
    targets = [Target(torch.randint(0, CLASSES, (n,)), random_boxes(n)) for n in counts]
    return found, targets


def cost_matrix(
    found: Predictions, target: Target, image: int, by_quality: bool
) -> NDArray[np.float64]:
    """(Q, G) cost of DETR's matcher, written plainly."""
    p = 1 / (1 + np.exp(-found.logits[image].double().numpy()[:, target.labels.numpy()]))
    boxes, truth = found.boxes[image].double().numpy(), target.boxes.double().numpy()
    ours, theirs = (np.c_[b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2] for b in (boxes, truth))
    iou = iou_matrix(ours, theirs)
    if by_quality:
        return -p * iou**4
    low = np.minimum(ours[:, None, :2], theirs[None, :, :2])
    high = np.maximum(ours[:, None, 2:], theirs[None, :, 2:])
    hull = (high - low).prod(-1)
    areas = [(b[:, 2:] - b[:, :2]).prod(-1) for b in (ours, theirs)]
    union = (areas[0][:, None] + areas[1]) / (1 + iou)
    giou = iou - (hull - union) / hull
    focal = 0.25 * (1 - p) ** 2 * -np.log(p) - 0.75 * p**2 * -np.log(1 - p)
    l1 = np.abs(boxes[:, None] - truth[None]).sum(-1)
    return 2 * focal + 5 * l1 - 2 * giou


@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 4), st.booleans())
@settings(deadline=None, max_examples=60)
def test_no_other_matching_costs_less(
    seed: int, queries: int, boxes: int, by_quality: bool
) -> None:
    found, targets = make_case(seed, queries, [boxes])
    pairs = match(found, targets, by_quality)
    cost = cost_matrix(found, targets[0], 0, by_quality)
    few, many = sorted((queries, boxes))
    assert len(pairs) == len(set(pairs.query.tolist())) == len(set(pairs.box.tolist())) == few
    if queries > boxes:
        cost = cost.T
    least = min(
        sum(cost[row, column] for row, column in enumerate(order))
        for order in itertools.permutations(range(many), few)
    )
    mine = sum(
        cost_matrix(found, targets[0], 0, by_quality)[q, b]
        for q, b in zip(pairs.query.tolist(), pairs.box.tolist(), strict=True)
    )
    assert mine == pytest.approx(least, abs=1e-5)  # the matcher's costs are float32


@given(
    st.integers(0, 10_000),
    st.lists(st.integers(0, 4), min_size=1, max_size=4),
    st.integers(4, 20),
    st.integers(1, 5),
)
@settings(deadline=None, max_examples=40)
def test_each_box_gets_its_copies_and_each_query_one_box(
    seed: int, counts: list[int], queries: int, copies: int
) -> None:
    found, targets = make_case(seed, queries, counts)
    pairs = match(found, targets, copies=copies)
    for image, count in enumerate(counts):
        here = pairs.image == image
        times = max(1, min(copies, queries // count)) if count else 0
        assert len(set(pairs.query[here].tolist())) == int(here.sum()) == count * times
        answered = pairs.box[here].bincount(minlength=count)
        assert answered.tolist() == [times] * count


def test_a_batch_matches_as_its_images_alone() -> None:
    found, targets = make_case(0, 6, [2, 0, 3])
    together = match(found, targets)
    for image, target in enumerate(targets):
        part = slice(image, image + 1)
        alone = match(Predictions(found.logits[part], found.boxes[part]), [target])
        here = together.image == image
        assert torch.equal(together.query[here], alone.query)
        assert torch.equal(together.box[here], alone.box)


def test_a_query_on_the_box_and_sure_of_it_wins() -> None:
    found, targets = make_case(3, 7, [3])
    found.logits[0, 4:] = -8.0
    for box in range(3):
        found.boxes[0, 4 + box] = targets[0].boxes[box]
        found.logits[0, 4 + box, targets[0].labels[box]] = 8.0
    for by_quality in (False, True):
        pairs = match(found, targets, by_quality)
        assert dict(zip(pairs.box.tolist(), pairs.query.tolist(), strict=True)) == {
            0: 4, 1: 5, 2: 6,
        }  # fmt: skip


def test_predictions_that_are_no_numbers_still_match() -> None:
    found, targets = make_case(0, 4, [2])
    found.logits[0, 1] = math.nan
    found.boxes[0, 2] = math.nan
    assert len(match(found, targets)) == 2


def test_nothing_to_match() -> None:
    found, targets = make_case(0, 4, [0, 0])
    pairs = match(found, targets)
    assert len(pairs) == 0
    assert pairs.query.dtype == torch.int64
    assert len(pool_matches([pairs, pairs], 4, 0)) == 0


def test_pooling_keeps_the_box_a_query_was_given_most_often() -> None:
    def pairs(*triples: tuple[int, int, int]) -> Matches:
        return Matches(*torch.tensor(triples).T)

    pooled = pool_matches(
        [
            pairs((0, 0, 0), (0, 1, 1), (1, 0, 0)),
            pairs((0, 0, 1), (0, 2, 0), (1, 0, 0)),
            pairs((0, 0, 1), (0, 1, 0), (1, 3, 0)),
        ],
        queries=4,
        most_boxes=2,
    )
    kept = set(zip(pooled.image.tolist(), pooled.query.tolist(), pooled.box.tolist(), strict=True))
    assert (0, 0, 1) in kept  # twice, against once for box 0
    assert kept >= {(0, 2, 0), (1, 0, 0), (1, 3, 0)}
    assert {(image, query) for image, query, _ in kept} == {(0, 0), (0, 1), (0, 2), (1, 0), (1, 3)}
    assert len(pooled) == 5
