"""Parameter groups and the schedule of the learning rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.models.deimv2.network import DeimV2
from sightline.train.optimiser import Schedule, make_optimiser, set_learning_rate

shares = st.floats(0, 1)


@given(shares)
def test_factor_is_in_range_and_reaches_its_peak(done: float) -> None:
    schedule = Schedule()
    assert schedule.floor <= schedule.factor(done) <= 1
    assert schedule.factor(schedule.flat) == pytest.approx(1)
    assert schedule.factor(schedule.warmup) == 1
    assert schedule.factor(1.0) == pytest.approx(schedule.floor)


@given(shares, shares)
def test_factor_rises_then_falls(first: float, second: float) -> None:
    schedule = Schedule(warmup=0.1, flat=0.4, floor=0.05)
    early, late = sorted((first, second))
    if late < schedule.warmup:
        assert schedule.factor(early) <= schedule.factor(late)
    if early >= schedule.warmup:
        assert schedule.factor(early) >= schedule.factor(late)


def test_halfway_down_the_cosine() -> None:
    schedule = Schedule(warmup=0.0, flat=0.5, floor=0.1)
    assert schedule.factor(0.75) == pytest.approx(0.1 + 0.9 / 2)


def test_no_part_may_be_absent() -> None:
    assert Schedule(warmup=0.0, flat=0.0).factor(0.0) == 1
    assert Schedule(warmup=0.5, flat=1.0).factor(1.0) == pytest.approx(1)


def test_every_trained_parameter_is_in_one_group_with_its_rate_and_decay() -> None:
    model = DeimV2("atto", 2, input_px=64)
    optimiser = make_optimiser(model, 1e-3, 0.2, 1e-4)
    group_of = {
        id(parameter): group for group in optimiser.param_groups for parameter in group["params"]
    }
    assert sum(len(group["params"]) for group in optimiser.param_groups) == len(group_of)
    for name, parameter in model.named_parameters():
        if name in ("decoder.up", "decoder.reg_scale"):  # part of the model's form, never trained
            assert id(parameter) not in group_of
            continue
        group = group_of[id(parameter)]
        assert group["lr"] == pytest.approx(2e-4 if name.startswith("backbone.") else 1e-3), name
        assert group["weight_decay"] == (1e-4 if parameter.ndim >= 2 else 0), name


def test_rates_are_set_as_a_share_of_the_peak() -> None:
    optimiser = make_optimiser(DeimV2("atto", 2, input_px=64), 1e-3, 0.2, 1e-4)
    for factor in (0.5, 0.1):
        set_learning_rate(optimiser, factor)
        rates = {group["lr"] for group in optimiser.param_groups}
        assert sorted(rates) == pytest.approx([2e-4 * factor, 1e-3 * factor])
