"""A split is a partition, the same for the same names and seed, and spreads every class."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.split import split_indices

SHARES = {"train": 0.7, "val": 0.2, "test": 0.1}
NAMES = st.lists(st.text(max_size=5), min_size=3, max_size=60, unique=True)


def dealt_names(names: list[str], classes: list[set[int]], seed: int) -> dict[str, set[str]]:
    dealt = split_indices(names, classes, SHARES, seed=seed)
    return {split: {names[index] for index in indices} for split, indices in dealt.items()}


@given(names=NAMES, seed=st.integers(0, 3), data=st.data())
def test_every_image_is_in_one_split_of_the_right_size(
    names: list[str], seed: int, data: st.DataObject
) -> None:
    classes = data.draw(
        st.lists(st.sets(st.integers(0, 4)), min_size=len(names), max_size=len(names))
    )
    dealt = split_indices(names, classes, SHARES, seed=seed)
    assert sorted(index for indices in dealt.values() for index in indices) == [*range(len(names))]
    for split in ("val", "test"):
        assert len(dealt[split]) == max(1, round(len(names) * SHARES[split]))


@given(names=NAMES, seed=st.integers(0, 3), shuffle=st.randoms())
def test_the_order_of_images_does_not_matter(names: list[str], seed: int, shuffle: object) -> None:
    classes = {name: {len(name)} for name in names}
    turned = names[::-1]
    shuffle.shuffle(turned)  # type: ignore[attr-defined]
    before = dealt_names(names, [classes[name] for name in names], seed)
    assert dealt_names(turned, [classes[name] for name in turned], seed) == before


@given(sizes=st.lists(st.integers(1, 4), min_size=8, max_size=20))
def test_groups_stay_on_one_side(sizes: list[int]) -> None:
    ends = np.cumsum(sizes).tolist()
    groups = [range(end - size, end) for size, end in zip(sizes, ends, strict=True)]
    names = [str(index) for index in range(ends[-1])]
    dealt = split_indices(names, [set()] * len(names), SHARES, together=groups)
    for group in groups:
        assert sum(bool(set(group).intersection(indices)) for indices in dealt.values()) == 1


def test_another_seed_gives_another_split() -> None:
    names = [str(number) for number in range(50)]
    vals = {split_indices(names, [set()] * 50, SHARES, seed=seed)["val"] for seed in range(5)}
    assert len(vals) == 5


def test_classes_are_spread_in_the_shares_of_the_splits() -> None:
    # Class 0 is in every image, 1 in a tenth of 200, 2 in five.
    rng = np.random.default_rng(0)
    for seed in range(10):
        order = rng.permutation(200)
        classes = [{0, *([1] if i < 20 else []), *([2] if 20 <= i < 25 else [])} for i in order]
        names = [str(index) for index in range(200)]
        dealt = split_indices(names, classes, {"train": 0.8, "val": 0.2}, seed=seed)
        counts = {c: sum(c in classes[index] for index in dealt["val"]) for c in (0, 1, 2)}
        assert counts == {0: 40, 1: 4, 2: 1}


def test_a_class_of_one_image_is_trained_on() -> None:
    names = [str(index) for index in range(10)]
    for lonely in range(10):
        classes = [{0, 1} if index == lonely else {0} for index in range(10)]
        assert lonely in split_indices(names, classes, {"train": 0.8, "val": 0.2})["train"]
