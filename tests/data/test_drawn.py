"""Drawn scenes: what a box promises, and that every kind can be drawn in every pose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sightline.data.drawn import KINDS, QUICKSTART_KINDS, STARTER_KINDS, draw_scene
from sightline.data.drawn.object import Light, Patch, compose, draw_light, draw_object, draw_pose
from sightline.data.drawn.pen import Pen, arc, box, curve, draw_palette, overlap_views
from sightline.data.drawn.scene import Stage
from sightline.data.drawn.starter import TURNING_KINDS

ALL = tuple(KINDS)
FLAT = Light(x=0.0, y=-1.0, relief=0.0, shadow=0.0, reach=0.0, softness=0.0)
WHITE = (255, 255, 255)


def make_pen(side: int, unit_px: float) -> Pen:
    """A pen whose unit square lies in the middle of a clear canvas."""
    matrix = np.array([(unit_px, 0, side / 2), (0, unit_px, side / 2), (0, 0, 1)])
    palette = draw_palette(np.random.default_rng(0))
    return Pen(np.zeros((side, side, 4), np.uint8), matrix, palette)


def extents(mask: NDArray[np.bool_]) -> list[int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def test_starter_weights_know_nothing_of_quickstart() -> None:
    assert not set(STARTER_KINDS) & set(QUICKSTART_KINDS)
    assert not set(STARTER_KINDS.values()) & set(QUICKSTART_KINDS.values())
    assert set(STARTER_KINDS) >= TURNING_KINDS
    assert len(STARTER_KINDS) >= 28
    assert len(QUICKSTART_KINDS) == 4


@pytest.mark.parametrize("kind", ALL)
def test_every_kind_fills_its_square_and_stays_within(kind: str) -> None:
    for seed in range(12):
        pen = make_pen(400, 100.0)
        KINDS[kind](pen, np.random.default_rng(seed))
        x1, y1, x2, y2 = extents(pen.canvas[:, :, 3] > 0)
        # draw_object's canvas ends at 1.1 units: what lies beyond would be cut off.
        assert min(x1, y1) >= 200 - 110
        assert max(x2, y2) <= 200 + 110
        # A kind much smaller than asked for would make every "12 pixel" object a smudge.
        assert max(x2 - x1, y2 - y1) >= 120


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("size_px", [12, 13, 30, 97, 300])
def test_every_kind_can_be_drawn_at_every_size(kind: str, size_px: int) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        pose = draw_pose(rng, size_px, 180)
        rgba = draw_object(rng, KINDS[kind], pose, draw_light(rng)).rgba
        alpha = rgba[:, :, 3]
        assert np.count_nonzero(alpha >= 128) >= 8
        assert np.all(rgba[:, :, :3] <= alpha[:, :, None]), "a colour above its alpha glows"
        assert alpha[0].any() and alpha[-1].any() and alpha[:, 0].any() and alpha[:, -1].any()


def test_the_same_seed_draws_the_same_scene() -> None:
    one, same, other = (
        draw_scene(np.random.default_rng(seed), ALL, width=160, height=120) for seed in (7, 7, 8)
    )
    assert np.array_equal(one.image, same.image)
    assert np.array_equal(one.boxes_xyxy, same.boxes_xyxy)
    assert np.array_equal(one.label_ids, same.label_ids)
    assert not np.array_equal(one.image, other.image)


@settings(max_examples=60, deadline=None)  # no deadline: the machine may be busy
@given(st.integers(0, 2**32), st.integers(16, 260), st.integers(16, 260), st.integers(1, 9))
def test_boxes_lie_in_the_picture(seed: int, width: int, height: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    scene = draw_scene(rng, ALL, width=width, height=height, objects=(1, most))
    assert scene.image.shape == (height, width, 3)
    assert scene.image.dtype == np.uint8
    assert scene.boxes_xyxy.dtype == np.float64
    assert scene.label_ids.dtype == np.int64
    assert 1 <= len(scene.boxes_xyxy) == len(scene.label_ids) <= most
    assert np.all(scene.boxes_xyxy[:, :2] >= 0)
    assert np.all(scene.boxes_xyxy[:, 2:] <= (width, height))
    assert np.all(scene.boxes_xyxy[:, 2:] > scene.boxes_xyxy[:, :2])
    assert np.all((scene.label_ids >= 0) & (scene.label_ids < len(ALL)))


def test_only_the_kinds_asked_for_appear_and_all_of_them() -> None:
    seen = [
        draw_scene(np.random.default_rng(seed), ("duck", "key"), width=64, height=64).label_ids
        for seed in range(20)
    ]
    assert set(np.concatenate(seen)) == {0, 1}


def test_sizes_bound_the_objects() -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        scene = draw_scene(
            rng, tuple(QUICKSTART_KINDS), width=300, height=200, objects=(1, 1), sizes=(0.3, 0.4)
        )
        ((x1, y1, x2, y2),) = scene.boxes_xyxy
        # 200 * 0.4 = 80 px of square; turned by 30° and stretched by 1.2 it spans up to twice that.
        assert max(x2 - x1, y2 - y1) < 160


@pytest.mark.parametrize("seed", range(20))
def test_boxes_are_tight_around_what_is_visible(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stage = Stage(np.zeros((150, 200, 3), np.uint8), FLAT)
    placed: list[Patch] = []
    for _ in range(6):
        kind = ALL[int(rng.integers(len(ALL)))]
        patch = draw_object(rng, KINDS[kind], draw_pose(rng, 70.0, 180), FLAT)
        spot = stage.find_spot(rng, patch, 0.35)
        if spot is not None:
            stage.place(spot)
            placed.append(spot)
    front = np.full((150, 200), -1)  # who is in front, laid again from the patches alone
    solid_px = []
    for index, patch in enumerate(placed):
        region, rgba = overlap_views(front, patch.rgba, patch.x, patch.y)  # type: ignore[arg-type]
        region[rgba[:, :, 3] >= 128] = index
        solid_px.append(np.count_nonzero(patch.rgba[:, :, 3] >= 128))
    expected = [extents(front == index) for index in range(len(placed))]
    assert np.array_equal(stage.boxes_xyxy(), expected)
    for index, solid in enumerate(solid_px):
        assert np.count_nonzero(front == index) >= 0.35 * solid


def test_an_object_changes_no_pixel_outside_its_box() -> None:
    stage = Stage(np.zeros((90, 90, 3), np.uint8), FLAT)
    rng = np.random.default_rng(3)
    patch = draw_object(rng, KINDS["star"], draw_pose(rng, 40.0, 30), FLAT)
    stage.place(Patch(patch.rgba, 20, 25))
    changed = extents(stage.image.any(2))
    (box_xyxy,) = stage.boxes_xyxy()
    # Edge pixels covered by less than half are drawn but not counted: one pixel a side.
    assert np.abs(np.array(changed) - box_xyxy).max() <= 1


def test_shadow_and_patch_may_leave_the_picture() -> None:
    rng = np.random.default_rng(1)
    light = Light(x=-0.6, y=-0.8, relief=0.5, shadow=0.5, reach=0.1, softness=0.05)
    patch = draw_object(rng, KINDS["teapot"], draw_pose(rng, 60.0, 0), light)
    for x, y in ((-30, -30), (70, 70), (-500, 0), (0, 500)):
        image = np.full((80, 80, 3), 200, np.uint8)
        compose(image, Patch(patch.rgba, x, y), light)
        assert (image != 200).any() == (max(abs(x), abs(y)) < 100)


def test_a_fill_covers_what_it_should_and_a_clear_fill_cuts() -> None:
    pen = make_pen(100, 40.0)
    pen.fill(box(-1, -0.5, 1, 0.5), WHITE)
    # Unit square 80 px wide around 50; OpenCV's smoothed edge reaches one pixel beyond.
    assert np.abs(np.array(extents(pen.canvas[:, :, 3] >= 128)) - [10, 30, 90, 70]).max() <= 1
    pen.disc(0, 0, 0.3, None)
    assert pen.canvas[50, 50].tolist() == [0, 0, 0, 0]
    assert pen.canvas[50, 20].tolist() == [255, 255, 255, 255]


def test_modelling_lights_the_upper_left_and_keeps_the_outline() -> None:
    pen = make_pen(100, 40.0)
    disc = arc(0, 0, 0.9, 0.9)
    pen.fill(disc, (128, 128, 128))
    before = pen.canvas.copy()
    pen.model(disc, (0, 0, 0), WHITE, 0.4)
    assert np.array_equal(pen.canvas[:, :, 3], before[:, :, 3])
    assert pen.canvas[28, 34, 0] > 140 > 116 > pen.canvas[72, 66, 0]
    assert np.all(pen.canvas[:, :, :3] <= pen.canvas[:, :, 3:])


def test_a_curve_passes_through_its_points() -> None:
    corners = np.array([(0.0, 0.0), (1.0, 0.2), (0.8, 1.0), (-0.3, 0.7)])
    for closed in (True, False):
        smooth = curve(corners, closed=closed)
        nearest = np.linalg.norm(smooth[:, None] - corners[None], axis=-1).min(0)
        assert nearest.max() < 1e-12  # spline knots, up to float rounding
