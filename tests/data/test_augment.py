"""Random views: boxes move with the pixels, and the generator alone decides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sightline.data.augment import FILL, STRONG, WEAK, Augmentation, augment

seeds = st.integers(0, 10_000)
NO_LABELS = np.zeros(0, np.int64)


def paint(width: int, height: int, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """A black image with one white box."""
    image = np.zeros((height, width, 3), np.uint8)
    x1, y1, x2, y2 = box
    image[y1:y2, x1:x2] = 255
    return image


@st.composite
def painted(draw: st.DrawFn) -> tuple[NDArray[np.uint8], tuple[int, int, int, int]]:
    width, height = draw(st.integers(60, 400)), draw(st.integers(60, 400))
    x1, y1 = draw(st.integers(0, width - 30)), draw(st.integers(0, height - 30))
    x2, y2 = draw(st.integers(x1 + 30, width)), draw(st.integers(y1 + 30, height))
    return paint(width, height, (x1, y1, x2, y2)), (x1, y1, x2, y2)


@given(painted(), seeds)
@settings(deadline=None)
def test_the_box_stays_on_its_pixels(
    scene: tuple[NDArray[np.uint8], tuple[int, int, int, int]], seed: int
) -> None:
    """White pixels of the view, which no fill and no interpolation makes, end at the box."""
    image, box = scene
    side = 128
    plain = Augmentation(crop=0.5, zoom_out=1.6, aspect=1.25, color=0.0)
    view, boxes, labels = augment(
        np.random.default_rng(seed), image, np.array([box], np.float64), np.array([7]), side, plain
    )
    assert view.shape == (side, side, 3)
    assert view.dtype == np.uint8
    if not len(boxes):
        return
    assert labels.tolist() == [7]
    rows, columns = np.nonzero(view[..., 0] > (255 + FILL) / 2)
    seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    # The border of a stretched image is a ramp about a source pixel wide; up to 2.2 here.
    np.testing.assert_allclose(boxes[0] * side, seen, atol=2.5)


@given(painted(), seeds, st.sampled_from([STRONG, WEAK]))
@settings(deadline=None)
def test_boxes_lie_in_the_view_and_are_no_slivers(
    scene: tuple[NDArray[np.uint8], tuple[int, int, int, int]], seed: int, how: Augmentation
) -> None:
    image, box = scene
    many = np.array([box, (0, 0, image.shape[1], image.shape[0]), (0, 0, 1, 1)], np.float64)
    _, boxes, labels = augment(
        np.random.default_rng(seed), image, many, np.array([0, 1, 2]), 96, how
    )
    assert len(boxes) == len(labels)
    assert ((boxes >= 0) & (boxes <= 1)).all()
    assert (boxes[:, 2:] - boxes[:, :2] >= 2 / 96 - 1e-9).all()


@given(painted(), seeds)
@settings(deadline=None, max_examples=20)
def test_the_same_generator_draws_the_same_view(
    scene: tuple[NDArray[np.uint8], tuple[int, int, int, int]], seed: int
) -> None:
    image, box = scene
    before = image.copy()
    views = [
        augment(np.random.default_rng(seed), image, np.array([box], np.float64), np.array([0]), 64)
        for _ in range(2)
    ]
    for first, second in zip(*views, strict=True):
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(image, before)


@given(st.integers(1, 3), st.integers(2, 6000), st.booleans(), seeds)
@settings(deadline=None)
def test_strips_of_any_length_are_stretched_like_any_image(
    thin: int, long: int, is_upright: bool, seed: int
) -> None:
    """The right half is white: the view's middle line changes where the box begins."""
    side = 224
    image = paint(long, thin, (long // 2, 0, long, thin))
    box = np.array([[long // 2, 0, long, thin]], np.float64)
    if is_upright:
        image, box = image.transpose(1, 0, 2).copy(), box[:, [1, 0, 3, 2]]
    plain = Augmentation(crop=1.0, zoom_out=1.0, aspect=1.0, color=0.0, flip=False)
    view, boxes, _ = augment(np.random.default_rng(seed), image, box, np.array([0]), side, plain)
    assert view.shape == (side, side, 3)
    if is_upright:
        view, boxes = view.transpose(1, 0, 2), boxes[:, [1, 0, 3, 2]]
    np.testing.assert_allclose(boxes, [[long // 2 / long, 0, 1, 1]])
    line = view[side // 2, :, 0]
    # Three pixels: the averaged strip's own, of which the edge may fall within one.
    begin = int(np.argmax(line > 127))
    assert abs(begin - boxes[0, 0] * side) <= 3
    assert (line[side // 4] < 127) == (side // 4 < begin)


@given(st.integers(1, 4), st.integers(1, 3000), seeds)
@settings(deadline=None, max_examples=30)
def test_strips_survive_strong_views(thin: int, long: int, seed: int) -> None:
    image = np.full((long, thin, 3), 200, np.uint8)
    for turned in (image, image.transpose(1, 0, 2).copy()):
        height, width = turned.shape[:2]
        box = np.array([[0, 0, width, height]], np.float64)
        view, boxes, _ = augment(np.random.default_rng(seed), turned, box, np.array([0]), 224)
        assert view.shape == (224, 224, 3)
        assert ((boxes >= 0) & (boxes <= 1)).all()


def test_weak_views_are_the_image_or_its_mirror() -> None:
    """And both occur; the mirror of a mirror is the image."""
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    box = np.array([[0.0, 16.0, 16.0, 48.0]])
    kinds = set()
    for seed in range(20):
        view, boxes, _ = augment(np.random.default_rng(seed), image, box, np.array([0]), 64, WEAK)
        if (view == image).all():
            kinds.add("same")
            np.testing.assert_allclose(boxes, [[0, 0.25, 0.25, 0.75]])
        else:
            kinds.add("mirrored")
            np.testing.assert_array_equal(view[:, ::-1], image)
            np.testing.assert_allclose(boxes, [[0.75, 0.25, 1, 0.75]])
    assert kinds == {"same", "mirrored"}


def test_what_is_hardly_visible_is_dropped() -> None:
    """Windows of half the image cut the box; under a third of it is no example of the object."""
    image = paint(200, 100, (90, 20, 190, 80))
    half = Augmentation(crop=0.5, zoom_out=0.5, aspect=1.0, color=0.0, flip=False)
    kept = []
    for seed in range(200):
        view, boxes, _ = augment(
            np.random.default_rng(seed), image, np.array([[90.0, 20.0, 190.0, 80.0]]),
            np.array([0]), 100, half,
        )  # fmt: skip
        visible = float((view[..., 0] > 127).mean()) * 100 * 50 / (100 * 60)
        if abs(visible - 0.35) > 0.03:  # pixels at the border blur the share by 3 %
            assert bool(len(boxes)) == (visible > 0.35)
            kept.append(bool(len(boxes)))
    assert 20 < sum(kept) < len(kept) - 20


def test_an_image_without_boxes() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    view, boxes, labels = augment(np.random.default_rng(0), image, np.zeros((0, 4)), NO_LABELS, 32)
    assert view.shape == (32, 32, 3)
    assert boxes.shape == (0, 4)
    assert labels.shape == (0,)


def test_a_large_image_is_averaged_not_sampled() -> None:
    """A fine checkerboard becomes grey; sampling alone would make a new pattern of it."""
    board = np.indices((1024, 1024)).sum(axis=0) % 2 * 255
    image = np.repeat(board[..., None], 3, axis=2).astype(np.uint8)
    whole = Augmentation(crop=0.99, zoom_out=1.0, aspect=1.0, color=0.0)
    view, _, _ = augment(np.random.default_rng(0), image, np.zeros((0, 4)), NO_LABELS, 128, whole)
    assert np.abs(view[4:-4, 4:-4].astype(float) - 127.5).max() < 20


def test_colors_change_within_their_bounds() -> None:
    grey = np.full((32, 32, 3), 128, np.uint8)
    only_color = Augmentation(crop=1.0, zoom_out=1.0, aspect=1.0, color=0.35)
    means = np.array(
        [
            augment(np.random.default_rng(seed), grey, np.zeros((0, 4)), NO_LABELS, 32, only_color)[
                0
            ].mean(axis=(0, 1))
            for seed in range(200)
        ]
    )
    assert means.std(axis=0).min() > 10
    assert means.min() > 128 * 0.5
    assert np.ptp(means, axis=1).mean() > 2  # the tint differs between the channels
    assert means.mean() == pytest.approx(128, abs=8)  # neither darker nor lighter on average
