"""Whether an artefact finds what the PyTorch network finds, on real images.

Detections are matched by label and IoU, not by row: near-ties may swap two queries between
runtimes without changing what is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.boxes import iou_matrix
from sightline.detections import Detections
from sightline.models.deimv2.network import DeimV2

SCORE_FLOOR = 0.2  # weaker detections are not compared,
LEAST_COMPARED = 20  # unless there are not that many: a weak model is proven by its best guesses
MIN_IOU = 0.5


@dataclass(frozen=True)
class Parity:
    """How far two runtimes' detections are apart, over `images` images.

    score_floor: the least score that was compared. `unmatched` counts detections that one of them
    misses by more than the score drift explains.
    """

    runtime: str
    images: int
    score_floor: float
    matched: int
    unmatched: int
    max_score_drift: float
    max_box_drift_px: float
    mean_box_drift_px: float

    def holds(self, score: float = 1e-3, box_px: float = 0.5) -> bool:
        """Whether the drifts stay within the bounds and nothing is lost or gained.

        Where nothing was matched nothing is shown, so it does not hold.
        """
        return (
            self.matched > 0
            and self.unmatched == 0
            and self.max_score_drift <= score
            and self.max_box_drift_px <= box_px
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def compare(
    runtime: str,
    pairs: Sequence[tuple[Detections, Detections]],
    floor: float = SCORE_FLOOR,
    score_bound: float = 1e-3,
) -> Parity:
    """Parity of (expected, found) detections, image by image; both with all their detections.

    floor: the least score compared; lower where fewer than 20 of the expected reach it.
    """
    best = sorted((s for expected, _ in pairs for s in expected.scores.tolist()), reverse=True)
    floor = min([floor, *best[:LEAST_COMPARED]])
    scores: list[float] = []
    boxes: list[float] = []
    unmatched = 0
    for expected, found in pairs:
        for one, other in ((expected, found), (found, expected)):
            strong, candidates = one.above(floor), other.above(max(0.0, floor - score_bound))
            match = _match(strong, candidates)
            # one that barely passes the floor may fall under it on the other side
            missing = strong.scores[match < 0]
            unmatched += int((missing >= floor + score_bound).sum())
            if one is found:
                continue
            kept = match >= 0
            scores += np.abs(strong.scores[kept] - candidates.scores[match[kept]]).tolist()
            drift = np.abs(strong.boxes_xyxy[kept] - candidates.boxes_xyxy[match[kept]])
            boxes += drift.max(axis=1, initial=0).tolist()
    return Parity(
        runtime=runtime,
        images=len(pairs),
        score_floor=floor,
        matched=len(scores),
        unmatched=unmatched,
        max_score_drift=float(max(scores, default=0.0)),
        max_box_drift_px=float(max(boxes, default=0.0)),
        mean_box_drift_px=float(np.mean(boxes)) if boxes else 0.0,
    )


def _match(strong: Detections, candidates: Detections) -> NDArray[np.int64]:
    """(N,) for each strong detection the candidate of its label nearest in box and score, or -1.

    Best score first; a candidate answers once.
    """
    result = np.full(len(strong), -1, np.int64)
    if not len(candidates):
        return result
    likeness = iou_matrix(strong.boxes_xyxy, candidates.boxes_xyxy)
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


def detect_with_network(
    model: DeimV2, image: NDArray[np.uint8], labels: Sequence[str], width: int, height: int
) -> Detections:
    """All detections of the network in PyTorch for one resized image (S, S, 3) uint8 RGB."""
    device = next(model.parameters()).device
    pixels = torch.from_numpy(image)[None].to(device).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        final = model.eval()(pixels).final
    classes = model.classes
    count = min(300, final.logits[0].numel())
    scores, picks = final.logits[0].float().sigmoid().flatten().topk(count)
    centre, extent = final.boxes[0][picks // classes].float().split(2, dim=-1)
    corners = torch.cat([centre - extent / 2, centre + extent / 2], dim=-1).clamp(0, 1)
    scale = torch.tensor([width, height, width, height], device=device)
    return Detections(
        (corners * scale).cpu().numpy().astype(np.float32),
        scores.cpu().numpy().astype(np.float32),
        (picks % classes).cpu().numpy().astype(np.int32),
        tuple(labels),
        width,
        height,
    )
