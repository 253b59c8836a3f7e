"""Both samplers of deformable attention are one function, and do what a hand finds."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sightline.models.deimv2.attention import (
    DeformableAttention,
    Sampler,
    sample_grid,
    sample_rows,
)
from sightline.models.deimv2.sizes import SIZES

pytestmark = pytest.mark.usefixtures("one_thread")

SAMPLERS = [sample_grid, sample_rows]
SamplerArguments = tuple[Tensor, list[tuple[int, int]], Tensor, Tensor, tuple[int, ...]]
sides = st.integers(1, 7)


@st.composite
def sampled(draw: st.DrawFn) -> SamplerArguments:
    """Arguments of a sampler: any shapes, points inside, at the border, and far outside."""
    maps = draw(st.lists(st.tuples(sides, sides), min_size=1, max_size=3))
    points = tuple(draw(st.integers(1, 4)) for _ in maps)
    batch, queries, heads, width = (draw(st.integers(1, 3)) for _ in range(4))
    torch.manual_seed(draw(st.integers(0, 2**31)))
    reach = draw(st.sampled_from([1.0, 1.5, 20.0]))
    total = sum(points)
    tokens = sum(rows * columns for rows, columns in maps)
    memory = torch.randn(batch, tokens, heads * width, dtype=torch.float64)
    shape = (batch, queries, heads, total)
    locations = 0.5 + reach * (torch.rand(*shape, 2, dtype=torch.float64) - 0.5)
    weights = torch.randn(shape, dtype=torch.float64).softmax(-1)
    return memory, maps, locations, weights, points


@given(sampled())
@settings(max_examples=60, deadline=None)
def test_samplers_agree_in_value_and_gradient(arguments: SamplerArguments) -> None:
    memory, maps, locations, weights, points = arguments
    results = []
    for sampler in SAMPLERS:
        inputs = [x.clone().requires_grad_() for x in (memory, locations, weights)]
        value = sampler(inputs[0], maps, inputs[1], inputs[2], points)
        value.square().sum().backward()
        results.append([value.detach(), *(x.grad for x in inputs)])
    for grid, rows in zip(*results, strict=True):
        assert torch.isfinite(rows).all()
        # float64: sums of some ten numbers of size 1, in another order
        torch.testing.assert_close(rows, grid, rtol=1e-9, atol=1e-9)
    single = sample_rows(memory.float(), maps, locations.float(), weights.float(), points)
    # float32: a location rounded at 1e-6 of a cell moves the value by as much
    torch.testing.assert_close(single.double(), results[0][0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_point_reads_its_pixel_between_pixels_and_nothing_outside(sampler: Sampler) -> None:
    memory = torch.tensor([[[1.0], [2.0], [3.0], [4.0]]])  # a map of 2 x 2

    def read(x: float, y: float) -> float:
        location = torch.tensor([x, y]).view(1, 1, 1, 1, 2)
        value = sampler(memory, [(2, 2)], location, torch.ones(1, 1, 1, 1), (1,))
        return float(value)

    assert read(0.25, 0.25) == 1
    assert read(0.75, 0.25) == 2
    assert read(0.25, 0.75) == 3
    assert read(0.5, 0.5) == 2.5
    assert read(0.0, 0.25) == 0.5  # half of the pixel, half of the zeros beside the map
    assert read(2.0, 0.5) == 0
    assert read(-3.0, 0.5) == 0


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_levels_and_heads_read_their_own_part(sampler: Sampler) -> None:
    """Two heads of width 1, levels of one pixel each: 1, 2 and 10, 20."""
    memory = torch.tensor([[[1.0, 2.0], [10.0, 20.0]]])
    locations = torch.full((1, 1, 2, 2, 2), 0.5)
    weights = torch.tensor([[[[1.0, 0.0], [0.25, 0.75]]]])
    value = sampler(memory, [(1, 1), (1, 1)], locations, weights, (1, 1))
    assert value.flatten().tolist() == [1.0, 0.25 * 2 + 0.75 * 20]


@pytest.mark.parametrize("name", SIZES)
def test_a_new_attention_looks_around_its_box_evenly(name: str) -> None:
    """Before training the points lie on eight rays, up to half the box's side away."""
    size = SIZES[name]
    attention = DeformableAttention(size)
    seen: list[Tensor] = []

    def record(
        memory: Tensor, maps: object, locations: Tensor, weights: Tensor, points: object
    ) -> Tensor:
        seen.extend((locations, weights))
        return memory

    attention.sampler = record
    box = torch.tensor([[[0.5, 0.4, 0.2, 0.1]]])
    attention(torch.randn(1, 1, size.width), box, torch.zeros(1, 4, size.width), [(2, 2)])
    locations, weights = seen
    reach = (locations - box[..., None, None, :2]) / box[..., None, None, 2:]
    assert reach.shape == (1, 1, 8, sum(size.points), 2)
    torch.testing.assert_close(reach.sum((2, 3)), torch.zeros(1, 1, 2), atol=1e-5, rtol=0)
    outermost = reach.abs().amax(-1)[0, 0]
    for level, count in enumerate(size.points):
        start = sum(size.points[:level])
        steps = outermost[:, start : start + count]
        expected = torch.arange(1, count + 1) / count / 2
        torch.testing.assert_close(steps, expected.expand(8, count))
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / sum(size.points)))
