"""The step after the graph: threshold, NMS if the model wants it, pixels. Plain arrays only.

The browser does the same in TypeScript. contracts/golden/postprocess.json holds vectors for
both, so precision is part of the contract: the threshold is rounded to float32 before it is
compared, IoU is computed in float64 from float32 corners in 0..1, pixels are float32 products
with sizes rounded to float32.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.boxes import nms_per_class
from sightline.data.images import letterbox_size


class Kept(NamedTuple):
    """What remains, best score first.

    boxes_xyxy: (N, 4) float32 pixels. scores: (N,) float32. label_ids: (N,) int32.
    """

    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    label_ids: NDArray[np.int32]


def postprocess(
    boxes_xyxy_norm: NDArray[np.float32],
    scores: NDArray[np.float32],
    label_ids: NDArray[np.int32],
    *,
    threshold: float,
    nms_iou: float | None,
    width: float,
    height: float,
) -> Kept:
    """The graph's outputs for one image as detections on its pixels.

    boxes_xyxy_norm: (K, 4) corners in 0..1; scores: (K,), sorted; label_ids: (K,). width, height:
    how many of the image's pixels 0..1 spans: its size, or what `letterbox_span` says. A score
    counts when >= `threshold`. With `nms_iou`, of two boxes of a class with a greater IoU only
    the better scored stays, the earlier of equals.
    """
    is_kept = scores >= np.float32(threshold)
    boxes_xyxy_norm, scores, label_ids = (
        boxes_xyxy_norm[is_kept],
        scores[is_kept],
        label_ids[is_kept],
    )
    if nms_iou is not None:
        kept = nms_per_class(boxes_xyxy_norm.astype(np.float64), scores, label_ids, nms_iou)
        boxes_xyxy_norm, scores, label_ids = boxes_xyxy_norm[kept], scores[kept], label_ids[kept]
    size = np.array([width, height, width, height], np.float32)
    return Kept(boxes_xyxy_norm * size, scores, label_ids)


def letterbox_span(
    image_width: int, image_height: int, width: int, height: int
) -> tuple[float, float]:
    """How many pixels of a letterboxed image lie along the width x height input's edges.

    More than the image has along the padded edge: 0..1 of the graph's boxes spans the padding too.
    """
    inner_width, inner_height = letterbox_size(image_width, image_height, width, height)
    return image_width * width / inner_width, image_height * height / inner_height
