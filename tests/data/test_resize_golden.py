"""Pillow still resizes as contracts/golden/resize.json says; the browser is held to the same file.

`python tests/data/test_resize_golden.py` writes the file anew, which is right only if the resize
of training and inference is meant to change: every existing model expects the present one.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sightline.data.images import resize_letterbox, resize_stretch

GOLDEN = Path(__file__).resolve().parents[2] / "contracts" / "golden" / "resize.json"

# (what the case is for, input width x height, output width x height, contrast)
CASES = (
    ("enlarged on both axes", (3, 2), (7, 5), "noise"),
    ("one pixel", (1, 1), (4, 3), "noise"),
    ("to one pixel", (9, 6), (1, 1), "noise"),
    ("shrunk by odd ratios", (37, 23), (11, 7), "noise"),
    ("shrunk a lot", (160, 90), (8, 8), "noise"),
    ("narrower and taller", (31, 9), (10, 20), "noise"),
    ("same width", (16, 24), (16, 9), "noise"),
    ("same height", (24, 16), (9, 16), "noise"),
    ("same size", (12, 10), (12, 10), "noise"),
    ("black and white", (41, 33), (16, 16), "extremes"),
    ("video frame to atto", (640, 360), (320, 320), "noise"),
    ("photo to femto", (640, 427), (416, 416), "noise"),
    ("720p to femto", (1280, 720), (416, 416), "noise"),
    ("phone portrait to pico", (1080, 1920), (640, 640), "extremes"),
)
# The same, of images scaled by one factor into the upper left of the output.
LETTERBOX_CASES = (
    ("padded below", (37, 23), (16, 16), "noise"),
    ("padded on the right", (23, 37), (18, 16), "noise"),
    ("enlarged", (5, 7), (16, 12), "noise"),
    ("of the same proportions", (40, 30), (20, 15), "noise"),
    ("photo to 416", (640, 427), (416, 416), "noise"),
)
# Below this many output bytes a case lists them; above, only their sha256.
LISTED_BYTES = 4096


def draw_pixels(width: int, height: int, seed: int, contrast: str) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 that any language can make: an integer hash of the byte's index."""
    index = np.arange(width * height * 3, dtype=np.uint32)
    value = index * np.uint32(2654435761) + np.uint32(seed)
    value ^= value >> np.uint32(15)
    value *= np.uint32(2246822519)
    value ^= value >> np.uint32(13)
    noise = (value >> np.uint32(24)).astype(np.uint8)
    if contrast == "extremes":
        noise = np.where(noise < 128, 0, 255).astype(np.uint8)
    return noise.reshape(height, width, 3)


def resize_with_pillow(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """(height, width, 3) uint8."""
    # One axis a call: Pillow 13 picks the order of the two by the image's shape, 12 and before
    # always took the width first (python-pillow/Pillow#9549).
    across = Image.fromarray(pixels).resize((width, pixels.shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(across.resize((width, height), Image.Resampling.BILINEAR))


def letterbox_with_pillow(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """(height, width, 3) uint8."""
    rows, columns = pixels.shape[:2]
    scale = min(width / columns, height / rows)
    inner_width, inner_height = (int(n * scale + 1e-9) for n in (columns, rows))
    canvas = Image.new("RGB", (width, height), (114, 114, 114))
    canvas.paste(Image.fromarray(resize_with_pillow(pixels, inner_width, inner_height)))
    return np.asarray(canvas)


Resize = Callable[[NDArray[np.uint8], int, int], NDArray[np.uint8]]


def make_golden() -> dict[str, Any]:
    """The contents of resize.json."""
    return {
        "about": "Pillow's antialiased BILINEAR resize of RGB images: width first, rounded to "
        "8 bits, then height. Byte i of the input (rows, columns, channels) is the top 8 bits of "
        "v, 32-bit unsigned: v = i * 2654435761 + seed; v ^= v >> 15; v *= 2246822519; "
        "v ^= v >> 13; 'extremes' makes bytes below 128 0 and the others 255. sha256 and "
        "rgb_base64 are of the output's bytes in the same order.",
        "cases": [make_case(seed, case, resize_with_pillow) for seed, case in enumerate(CASES)],
        "about_letterbox": "The same resize by one factor, the size rounded down, into the upper "
        "left of the output; the rest has the value 114.",
        "letterbox_cases": [
            make_case(seed, case, letterbox_with_pillow)
            for seed, case in enumerate(LETTERBOX_CASES)
        ],
    }


def make_case(
    seed: int, case: tuple[str, tuple[int, int], tuple[int, int], str], resize: Resize
) -> dict[str, Any]:
    name, (width, height), (out_width, out_height), contrast = case
    result = resize(draw_pixels(width, height, seed, contrast), out_width, out_height).tobytes()
    made: dict[str, Any] = {
        "name": name,
        "width": width,
        "height": height,
        "out_width": out_width,
        "out_height": out_height,
        "seed": seed,
        "contrast": contrast,
        "sha256": hashlib.sha256(result).hexdigest(),
    }
    if len(result) <= LISTED_BYTES:
        made["rgb_base64"] = base64.b64encode(result).decode()
    return made


@pytest.mark.parametrize("case", make_golden()["cases"], ids=lambda case: str(case["name"]))
def test_pillow_gives_the_golden_bytes(case: dict[str, Any]) -> None:
    recorded = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert case in recorded["cases"]


@pytest.mark.parametrize("case", make_golden()["cases"], ids=lambda case: str(case["name"]))
def test_the_resize_of_training_and_inference_gives_them_too(case: dict[str, Any]) -> None:
    pixels = draw_pixels(case["width"], case["height"], case["seed"], case["contrast"])
    resized = resize_stretch(Image.fromarray(pixels), case["out_width"], case["out_height"])
    assert hashlib.sha256(resized.tobytes()).hexdigest() == case["sha256"]


@pytest.mark.parametrize(
    "case", make_golden()["letterbox_cases"], ids=lambda case: str(case["name"])
)
def test_letterboxing_gives_the_golden_bytes(case: dict[str, Any]) -> None:
    pixels = draw_pixels(case["width"], case["height"], case["seed"], case["contrast"])
    boxed = resize_letterbox(Image.fromarray(pixels), case["out_width"], case["out_height"])
    assert hashlib.sha256(boxed.tobytes()).hexdigest() == case["sha256"]


def test_no_golden_case_is_left_unchecked() -> None:
    assert json.loads(GOLDEN.read_text(encoding="utf-8")) == make_golden()


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(make_golden(), indent=2) + "\n", encoding="utf-8")
