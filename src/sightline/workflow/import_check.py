"""What a photo shows of a wrong guess about a foreign model, in plain words. Arrays only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.runtime.engine import Outputs

SEEN = 0.3  # a score from which on something counts as found
_REACH = 1.5  # corners beyond this many times the image are in another unit
_INSIDE = (-0.1, 1.1)
_ALIKE = 0.05  # of the best score: runtimes that compute the same differ by under 0.01


def find_faults(outputs: Outputs, labels: Sequence[str]) -> list[str]:
    """What cannot be right, whatever the photo shows; a sentence each."""
    boxes, scores, label_ids = outputs
    if not scores.size:
        return []
    faults = []
    if not np.isfinite(boxes).all() or not np.isfinite(scores).all():
        return ["boxes or scores are not numbers"]
    if scores.max() > 1 + 1e-3 or scores.min() < -1e-3:
        faults.append(
            f"scores are {scores.min():.3g}..{scores.max():.3g}, not in 0..1: the network gives "
            "logits, or another output was taken for the scores"
        )
    if label_ids.max() >= len(labels) or label_ids.min() < 0:
        faults.append(
            f"labels are {label_ids.min()}..{label_ids.max()}, but there are {len(labels)} names"
        )
    strong = boxes[scores >= min(SEEN, float(scores.max()))]
    if np.abs(strong).max() > _REACH:
        faults.append(
            f"boxes reach {np.abs(strong).max():.3g}, where 1 is the image's edge: they are in "
            "another unit"
        )
    elif (strong[:, 2:] < strong[:, :2]).any(axis=1).mean() > 0.5:
        faults.append("boxes have their corners the wrong way round: they are in another format")
    return faults


def find_doubts(outputs: Outputs) -> list[str]:
    """What is likely wrong, unless the photo is to blame; a sentence each."""
    boxes, scores, _ = outputs
    if not scores.size or scores.max() < SEEN:
        best = float(scores.max()) if scores.size else 0.0
        return [
            f"nothing is found with a score of {SEEN} or more (best {best:.2f}): is there "
            "something in the photo that the network knows?"
        ]
    doubts = []
    strong = boxes[scores >= SEEN]
    low, high = _INSIDE
    outside = ((strong < low) | (strong > high)).any(axis=1)
    if outside.mean() > 0.3:
        doubts.append(f"{outside.sum()} of {len(strong)} boxes lie partly outside the photo")
    whole = (strong[:, 2:] - strong[:, :2] > 0.98).all(axis=1)
    if len(strong) > 2 and whole.mean() > 0.5:
        doubts.append(f"{whole.sum()} of {len(strong)} boxes cover the whole photo")
    return doubts


def compare_pixels(strength: dict[str, tuple[int, float, float]], taken: str) -> str | None:
    """That another way of feeding pixels fits better, if one does clearly.

    strength: by way, how many are found, their scores' sum, the best score.
    """
    best = max(strength, key=lambda way: strength[way][1])
    if strength[best][1] <= 1.25 * strength[taken][1] + 0.3:
        return None
    count, _, top = strength[best]
    less, _, weak = strength[taken]
    return (
        f"--pixels {best} fits this photo better: {count} found over {SEEN} (best {top:.2f}), with "
        f"{taken} {less} (best {weak:.2f})"
    )


def compare_runtimes(scores: dict[str, NDArray[np.float32]]) -> str | None:
    """That runtimes disagree on what is in the photo, if they do. scores: (N,), by runtime."""
    bests = [float(one.max(initial=0)) for one in scores.values()]
    if max(bests) - min(bests) < _ALIKE:
        return None
    told = " and ".join(
        f"{runtime} finds {int((one >= SEEN).sum())} (best {best:.2f})"
        for (runtime, one), best in zip(scores.items(), bests, strict=True)
    )
    return f"{told} with scores over {SEEN}: one of them computes this model wrongly"
