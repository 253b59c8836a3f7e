"""What a camera does to a scene: uneven light, colour cast, blur, noise, JPEG."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def expose(rng: np.random.Generator, image: Image) -> Image:
    """`image`, (H, W, 3) uint8 RGB, as a random camera in random light would give it."""
    height, width = image.shape[:2]
    image = _light(rng, image, width, height)
    image = _tone(rng, image)
    image = _blur(rng, image)
    image = _add_noise(rng, image)
    return _compress(rng, image)


def _light(rng: np.random.Generator, image: Image, width: int, height: int) -> Image:
    """Multiplied by a smooth field: slope of light, vignette, colour cast."""
    import cv2

    y, x = np.mgrid[-1:1:5j, -1:1:5j]
    slope = 1 + rng.uniform(-0.3, 0.3) * x + rng.uniform(-0.3, 0.3) * y
    vignette = 1 - rng.uniform(0, 0.25) * (x * x + y * y) * (rng.random() < 0.5)
    cast = rng.uniform(0.88, 1.12, 3) * rng.uniform(0.72, 1.15)
    field = (slope * vignette)[:, :, None] * cast * 128
    small = np.clip(np.rint(field), 0, 255).astype(np.uint8)
    gain = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.multiply(image, gain, scale=1 / 128), np.uint8)


def _tone(rng: np.random.Generator, image: Image) -> Image:
    """Contrast, brightness and saturation."""
    import cv2

    contrast, shift = rng.uniform((0.65, -18), (1.15, 28))
    table = np.clip((np.arange(256) - 128.0) * contrast + 128 + shift, 0, 255)
    image = np.asarray(cv2.LUT(image, np.rint(table).astype(np.uint8)), np.uint8)
    if rng.random() < 0.3:
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        keep = float(rng.uniform(0.2, 0.9))
        image = np.asarray(cv2.addWeighted(image, keep, grey, 1 - keep, 0), np.uint8)
    return image


def _blur(rng: np.random.Generator, image: Image) -> Image:
    """Slightly out of focus, or moved along a line; mostly sharp."""
    import cv2

    choice = rng.random()
    if choice < 0.25:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.1))), np.uint8)
    if choice < 0.35:
        kernel = np.zeros((5, 5), np.float32)
        x, y = ((4, 2), (4, 4), (2, 4), (0, 4))[int(rng.integers(4))]
        cv2.line(kernel, (x, y), (4 - x, 4 - y), 1.0)
        return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)
    return image


def _add_noise(rng: np.random.Generator, image: Image) -> Image:
    """Sensor noise of up to ± 16 levels, per channel or of brightness alone."""
    import cv2

    strength = float(rng.choice((0, 0.03, 0.06, 0.12)))
    if strength == 0:
        return image
    noise = np.frombuffer(rng.bytes(image.size), np.uint8).reshape(image.shape)
    return np.asarray(cv2.addWeighted(image, 1, noise, strength, -127.5 * strength), np.uint8)


def _compress(rng: np.random.Generator, image: Image) -> Image:
    """JPEG blocks on one picture in five."""
    import cv2

    if rng.random() >= 0.2:
        return image
    quality = int(rng.integers(25, 80))
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
