"""The one resize of training and inference inside a TensorFlow graph, for images of any size.

Pillow's antialiased bilinear as in data/images.py: width first, then height, each rounded to whole
numbers. Plain operators only, which TensorFlow.js has. Knows nothing of models.

The sums are float32 where Pillow's are integers, so exact halves may round the other way: on photos
0.1 % of the values are one level off, and of ten million one is off by two.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def resize(image: tf.Tensor, size: int) -> tf.Tensor:
    """(1, size, size, 3) float32 whole numbers 0..255 from (1, H, W, 3), H and W known when run.

    An image of that size comes out unchanged.
    """
    shape = tf.shape(image)
    height, width = shape[1], shape[2]
    columns = tf.transpose(tf.cast(image, tf.float32), [0, 2, 1, 3])
    narrow = _resize_rows(tf.reshape(columns, [width, height * 3]), width, size)
    rows = tf.transpose(tf.reshape(narrow, [size, -1, 3]), [1, 0, 2])
    square = _resize_rows(tf.reshape(rows, [-1, size * 3]), height, size)
    return tf.reshape(square, [1, size, size, 3])


def _resize_rows(rows: tf.Tensor, count: tf.Tensor, size: int) -> tf.Tensor:
    """(size, 1, M) whole numbers from (count, M): each the weighted mean of a few rows around it.

    Positions are counted in parts of a row, 2 size to each, which makes the middles of rows and of
    outputs whole numbers: float32 holds them exactly, up to 13,000 rows for a size of 640.
    """
    given = tf.cast(count, tf.float32)
    middle = np.arange(1, 2 * size, 2, dtype=np.float32)[:, None] * given
    reach = 2 * tf.maximum(given, float(size))  # of the triangle, stretched where it shrinks
    # One row too many at the end does no harm: its weight is 0.
    first = tf.floor((middle - reach) * (0.5 / size) + 0.5)
    row = first + tf.range(tf.floor(reach / size) + 2)
    inside = tf.clip_by_value(row, 0, given - 1)
    is_inside = tf.nn.relu(1 - tf.abs(row - inside))
    triangle = tf.nn.relu(reach - tf.abs((2 * row + 1) * size - middle)) * is_inside
    weights = triangle / tf.reduce_sum(triangle, axis=1, keepdims=True)
    window = tf.gather(rows, tf.cast(inside, tf.int32))
    return tf.floor(tf.matmul(tf.expand_dims(weights, 1), window) + 0.5)
