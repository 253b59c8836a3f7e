"""A graph's three outputs, in whatever convention its manifest names, as ours. Arrays only."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sightline.errors import BundleDamaged
from sightline.manifest import Manifest
from sightline.runtime.engine import Outputs

YXYX_TO_XYXY = (1, 0, 3, 2)


def to_outputs(
    boxes: ArrayLike, scores: ArrayLike, labels: ArrayLike, manifest: Manifest
) -> Outputs:
    """The outputs of one image, best score first, with corners xyxy and labels from 0.

    boxes: K boxes in the manifest's box_format. scores: K. labels: K whole numbers, of any type,
    from first_label on. Each may have a batch of 1 in front, or be flat. Raises BundleDamaged for
    other numbers of values and for values that are not numbers.
    """
    flat_scores = np.asarray(scores, np.float32).reshape(-1)
    flat_labels = np.asarray(labels, np.float64).reshape(-1)
    flat_boxes = np.asarray(boxes, np.float32).reshape(-1)
    count = len(flat_scores)
    if len(flat_labels) != count or len(flat_boxes) != 4 * count:
        raise BundleDamaged(
            f"{manifest.name} gives {count} scores, {len(flat_labels)} labels and "
            f"{len(flat_boxes)} values of boxes, which is not four a score; make it again"
        )
    for what, values in (("boxes", flat_boxes), ("scores", flat_scores), ("labels", flat_labels)):
        if not np.isfinite(values).all():
            raise BundleDamaged(f"{manifest.name} gives {what} that are not numbers; make it again")
    corners = flat_boxes.reshape(count, 4)
    if manifest.box_format == "yxyx_norm":
        corners = corners[:, YXYX_TO_XYXY]
    label_ids = np.rint(flat_labels).astype(np.int32) - np.int32(manifest.first_label)
    order = np.argsort(-flat_scores, kind="stable")  # what is sorted stays as it is
    return Outputs(corners[order], flat_scores[order], label_ids[order])
