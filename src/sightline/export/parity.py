"""Whether an artefact finds what the PyTorch network finds, on real images.

Detections are matched by label and IoU, not by row: near-ties may swap two queries between
runtimes without changing what is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.boxes import iou_matrix
from sightline.detections import Detections

SCORE_FLOOR = 0.2  # weaker detections are not compared,
LEAST_COMPARED = 20  # unless there are not that many: a weak model is proven by its best guesses
MIN_IOU = 0.5


@dataclass(frozen=True)
class Parity:
    """How far two runtimes' detections are apart, over `images` images.

    score_floor: the least score that was compared. `unmatched` counts detections that one of them
    misses by more than the score drift explains. label_agreement: the share of the network's
    detections whose nearest in place and score has the same label. Pixels are those of the
    network's input. beyond: how many matched detections differ by more than one of the bounds;
    None where there are none. ap, ap_pytorch: the artefact's and the network's AP on ap_images
    images, where it was measured.
    """

    runtime: str
    images: int
    score_floor: float
    matched: int
    unmatched: int
    label_agreement: float
    max_score_drift: float
    max_box_drift_px: float
    mean_box_drift_px: float
    score_bound: float | None
    box_bound_px: float | None
    beyond: int | None
    ap_images: int | None = None
    ap: float | None = None
    ap_pytorch: float | None = None

    def holds(self) -> bool:
        """Whether nothing is lost or gained, and every detection is within the bounds."""
        return not self.fault()

    def fault(self, share: float = 0.0) -> str:
        """In words what is beyond the bounds in more than `share` of the detections, or nothing.

        Where nothing was matched nothing is shown, so that is a fault.
        """
        if not self.matched:
            return f"none of its detections on {self.images} images is matched"
        faults = []
        if self.unmatched:
            faults.append(f"{self.unmatched} detections lost or gained, {self.matched} matched")
        if self.beyond is not None and self.beyond > share * self.matched:
            faults.append(
                f"{self.beyond} of {self.matched} detections moved: scores by up to "
                f"{self.max_score_drift:.2g} (bound {self.score_bound:g}), boxes by up to "
                f"{self.max_box_drift_px:.2g} px (bound {self.box_bound_px:g})"
            )
        return "; ".join(faults)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def compare(
    runtime: str,
    pairs: Sequence[tuple[Detections, Detections]],
    floor: float = SCORE_FLOOR,
    score_bound: float = 1e-3,
    box_bound_px: float = 0.5,
) -> Parity:
    """Parity of (expected, found) detections, image by image; both with all their detections.

    floor: the least score compared; lower where fewer than 20 of the expected reach it.
    """
    best = sorted((s for expected, _ in pairs for s in expected.scores.tolist()), reverse=True)
    floor = min([floor, *best[:LEAST_COMPARED]])
    scores: list[float] = []
    boxes: list[float] = []
    unmatched, agreed, placed = 0, 0, 0
    for expected, found in pairs:
        for one, other in ((expected, found), (found, expected)):
            strong, candidates = one.above(floor), other.above(max(0.0, floor - score_bound))
            match = _match(strong, candidates)
            # one that barely passes the floor may fall under it on the other side
            missing = strong.scores[match < 0]
            unmatched += int((missing >= floor + score_bound).sum())
            if one is found:
                continue
            anywhere = _match(strong, candidates, any_label=True)
            nearest = candidates.label_ids[anywhere[anywhere >= 0]]
            agreed += int((nearest == strong.label_ids[anywhere >= 0]).sum())
            placed += len(nearest)
            kept = match >= 0
            scores += np.abs(strong.scores[kept] - candidates.scores[match[kept]]).tolist()
            drift = np.abs(strong.boxes_xyxy[kept] - candidates.boxes_xyxy[match[kept]])
            boxes += drift.max(axis=1, initial=0).tolist()
    # so written that NaN is beyond
    beyond = ~((np.array(scores) <= score_bound) & (np.array(boxes) <= box_bound_px))
    return Parity(
        runtime=runtime,
        images=len(pairs),
        score_floor=floor,
        matched=len(scores),
        unmatched=unmatched,
        label_agreement=agreed / placed if placed else 0.0,
        max_score_drift=float(max(scores, default=0.0)),
        max_box_drift_px=float(max(boxes, default=0.0)),
        mean_box_drift_px=float(np.mean(boxes)) if boxes else 0.0,
        score_bound=score_bound,
        box_bound_px=box_bound_px,
        beyond=int(beyond.sum()),
    )


def _match(
    strong: Detections, candidates: Detections, any_label: bool = False
) -> NDArray[np.int64]:
    """(N,) for each strong detection the candidate of its label nearest in box and score, or -1.

    any_label: the candidates of other labels too. Best score first; a candidate answers once.
    """
    result = np.full(len(strong), -1, np.int64)
    if not len(candidates):
        return result
    likeness = iou_matrix(strong.boxes_xyxy, candidates.boxes_xyxy)
    if not any_label:
        likeness[strong.label_ids[:, None] != candidates.label_ids[None, :]] = 0
    near = likeness >= MIN_IOU
    likeness = likeness - np.abs(strong.scores[:, None] - candidates.scores[None, :])
    likeness[~near] = -np.inf
    for row in range(len(strong)):
        best = int(likeness[row].argmax())
        if np.isfinite(likeness[row, best]):
            result[row] = best
            likeness[:, best] = -np.inf
    return result
