"""The one resize of training and inference inside a TensorFlow graph, for images of any size.

Pillow's antialiased bilinear as in data/images.py, bit for bit: width first, then height, with
weights in parts of 2^22. Plain operators only, which TensorFlow.js has. Knows nothing of models.

One value in a thousand that is one level off moves scores by up to .01: the choice of queries is
decided by near ties. A weighted sum has 30 bits and float32 holds 24, so weights are in two halves,
whose sums are exact.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

HALF = 2.0**11
# So many outputs are made of one window of rows by one matrix product. With a window and a product
# for each, a photo of 1280 x 720 took TensorFlow.js's wasm 77 ms in place of 31.
BLOCK = 16


def resize(image: tf.Tensor, size: int) -> tf.Tensor:
    """(1, size, size, 3) float32 whole numbers 0..255 from (1, H, W, 3), H and W known when run.

    An image of that size comes out unchanged. size: a multiple of 16, as every network's is.
    """
    assert size % BLOCK == 0
    shape = tf.shape(image)
    height, width = shape[1], shape[2]
    columns = tf.transpose(tf.cast(image, tf.float32), [0, 2, 1, 3])
    narrow = _resize_rows(tf.reshape(columns, [width, height * 3]), width, size)
    rows = tf.transpose(tf.reshape(narrow, [size, -1, 3]), [1, 0, 2])
    square = _resize_rows(tf.reshape(rows, [-1, size * 3]), height, size)
    return tf.reshape(square, [1, size, size, 3])


def _resize_rows(rows: tf.Tensor, count: tf.Tensor, size: int) -> tf.Tensor:
    """(size, M) whole numbers from (count, M): each the weighted mean of a few rows around it.

    Positions are counted in parts of a row, 2 size to each, which makes the middles of rows and of
    outputs whole numbers: float32 holds them exactly, up to 13,000 rows for a size of 640.
    """
    block = math.gcd(size, BLOCK)
    given = tf.cast(count, tf.float32)
    middle = np.arange(1, 2 * size, 2, dtype=np.float32).reshape(-1, block, 1) * given
    reach = 2 * tf.maximum(given, float(size))  # of the triangle, stretched where it shrinks
    first = tf.floor((middle[:, :1] - reach) * (0.5 / size) + 0.5)
    # Rows too many at the ends do no harm: their weights are 0.
    length = tf.floor(given * ((block - 1) / size)) + tf.floor(reach / size) + 3
    length = tf.minimum(length, given)
    row = tf.clip_by_value(first, 0, given - length) + tf.range(length)
    triangle = tf.nn.relu(reach - tf.abs((2 * row + 1) * size - middle))
    total = tf.reduce_sum(triangle, axis=2, keepdims=True)
    # A long division in two steps: the rest of the first is exact, even where a runtime's division
    # is not and the rest falls below 0 or reaches the total.
    scaled = triangle * HALF
    high = tf.floor(scaled / total)
    low = tf.floor((scaled - high * total) * HALF / total + 0.5)
    weights = tf.unstack(tf.concat([high, low], axis=1) / HALF)
    windows = tf.unstack(tf.cast(row[:, 0], tf.int32))
    products = [
        tf.split(tf.matmul(weight, tf.gather(rows, window)), 2)
        for weight, window in zip(weights, windows, strict=True)
    ]
    sums, parts = (tf.concat(halves, axis=0) for halves in zip(*products, strict=True))
    return tf.floor(sums + (tf.floor(parts) / HALF + 0.5))
