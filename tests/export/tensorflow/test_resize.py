"""The resize in the graph gives Pillow's pixels, of images of any size."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from sightline.data.images import resize_stretch
from sightline.export.tensorflow.resize import BLOCK, resize


@cache
def resizer(size: int) -> Any:
    """The graph for images of any size."""
    any_image = tf.TensorSpec([1, None, None, 3], tf.uint8)
    return tf.function(
        lambda image: resize(image, size), input_signature=[any_image], autograph=False
    )


def differences(pixels: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """How many levels each value is off what Pillow makes of the (H, W, 3) image."""
    expected = resize_stretch(Image.fromarray(pixels), size, size)
    found = resizer(size)(pixels[None]).numpy()[0]
    assert found.shape == (size, size, 3)
    assert (found == np.round(found)).all()
    return np.abs(found - expected)


@settings(max_examples=40, deadline=None)
@given(
    width=st.one_of(st.just(1), st.integers(1, 400)),
    height=st.one_of(st.just(1), st.integers(1, 400)),
    size=st.sampled_from([32, 96]),
    seed=st.integers(0, 1000),
    is_sharp=st.booleans(),
)
def test_any_image_is_resized_as_by_pillow(
    width: int, height: int, size: int, seed: int, is_sharp: bool
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    if is_sharp:
        pixels = np.where(pixels < 128, 0, 255).astype(np.uint8)
    assert differences(pixels, size).max() == 0


@pytest.mark.parametrize("size", [32, 96])
def test_an_image_of_the_size_comes_out_unchanged(size: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    assert (resizer(size)(pixels[None]).numpy()[0] == pixels).all()


@pytest.mark.parametrize(("width", "height"), [(480, 400), (1280, 720), (8000, 30), (7, 6000)])
def test_photos_sizes_are_pillow_s_to_the_bit(width: int, height: int) -> None:
    """Exact halves abound where one side is to the other as 2 to 3."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert differences(pixels, 320).max() == 0


def test_the_golden_vectors_of_squares_are_met(contracts: Path) -> None:
    golden = json.loads((contracts / "golden" / "resize.json").read_text())
    compared = 0
    for case in golden["cases"]:
        if case["out_width"] != case["out_height"] or case["out_width"] % BLOCK:
            continue
        pixels = golden_pixels(case)
        size = case["out_width"]
        expected = resize_stretch(Image.fromarray(pixels), size, size)
        assert hashlib.sha256(expected.tobytes()).hexdigest() == case["sha256"], case["name"]
        assert differences(pixels, size).max() == 0, case["name"]
        compared += 1
    assert compared == 5


def golden_pixels(case: dict[str, Any]) -> NDArray[np.uint8]:
    """(H, W, 3): the hash of each byte's index, as the file describes it."""
    shape = (case["height"], case["width"], 3)
    value = np.arange(np.prod(shape), dtype=np.uint32) * np.uint32(2654435761)
    value += np.uint32(case["seed"])
    value ^= value >> np.uint32(15)
    value *= np.uint32(2246822519)
    value ^= value >> np.uint32(13)
    noise = (value >> np.uint32(24)).astype(np.uint8)
    if case["contrast"] == "extremes":
        noise = np.where(noise < 128, 0, 255).astype(np.uint8)
    return noise.reshape(shape)
