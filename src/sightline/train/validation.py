"""The network on validation images while it trains."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.data.images import decode_image, resize_stretch
from sightline.data.records import Record
from sightline.evaluate.coco import Metrics, coco_metrics
from sightline.evaluate.matching import ImageDetections, ImageTruth, truth_of
from sightline.models.deimv2.network import DeimV2

CACHED_IMAGES = 1000
MAX_DETECTIONS = 300


@dataclass
class Validation:
    """The metrics and, image by image, what they were computed from."""

    metrics: Metrics
    truths: list[ImageTruth]
    found: list[ImageDetections]


class Validator:
    """Evaluates networks on the same images again and again.

    max_seconds: where the first time takes longer, the images it got to are the ones used from
    then on, so that a run bounded by time is not spent on validation.
    """

    def __init__(
        self,
        records: Sequence[Record],
        labels: Sequence[str],
        side: int,
        device: torch.device,
        max_seconds: float | None = None,
    ) -> None:
        self.max_seconds = max_seconds
        self.records, self.labels = records, labels
        self.side, self.device = side, device
        self.truths = [truth_of(record) for record in records]
        self._pixels: dict[int, NDArray[np.uint8]] = {}

    def __call__(self, model: DeimV2, batch: int = 8) -> Validation:
        """COCO metrics of the network in its present state."""
        was_training = model.training
        model.eval()
        found: list[ImageDetections] = []
        begun = time.monotonic()
        with ThreadPoolExecutor(2) as pool:
            for start in range(0, len(self.records), batch):
                rows = range(start, min(start + batch, len(self.records)))
                pixels = np.stack(list(pool.map(self.pixels, rows)))
                found += self._detect(model, pixels, rows)
                if self.max_seconds is not None and time.monotonic() - begun > self.max_seconds:
                    break
        self.max_seconds = None
        self.records, self.truths = self.records[: len(found)], self.truths[: len(found)]
        model.train(was_training)
        return Validation(coco_metrics(self.truths, found, self.labels), self.truths, found)

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """(S, S, 3) uint8: the image as the deployed model sees it."""
        if index in self._pixels:
            return self._pixels[index]
        pixels = resize_stretch(decode_image(self.records[index].image), self.side, self.side)
        if len(self._pixels) < CACHED_IMAGES:
            self._pixels[index] = pixels
        return pixels

    @torch.no_grad()
    def _detect(
        self, model: DeimV2, pixels: NDArray[np.uint8], rows: range
    ) -> list[ImageDetections]:
        images = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).float() / 255
        final = model(images).final
        logits = final.logits.float().flatten(1)
        scores, picks = logits.sigmoid().topk(min(MAX_DETECTIONS, logits.shape[1]), dim=1)
        result = []
        for index, row in enumerate(rows):
            record = self.records[row]
            boxes = final.boxes[index].float()[picks[index] // model.classes].clamp(-1, 2)
            centre, extent = boxes.split(2, dim=-1)
            corners = torch.cat([centre - extent / 2, centre + extent / 2], -1).clamp(0, 1)
            scale = np.array([record.width, record.height] * 2, np.float64)
            result.append(
                ImageDetections(
                    corners.cpu().double().numpy() * scale,
                    scores[index].cpu().double().numpy(),
                    (picks[index] % model.classes).cpu().numpy(),
                )
            )
        return result
