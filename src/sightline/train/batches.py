"""Training images as batches of tensors, each a function of the seed and the step alone."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sightline.data.augment import STRONG, Augmentation, augment
from sightline.data.images import decode_image
from sightline.data.records import Record
from sightline.models.deimv2.denoising import Target
from sightline.runtime.engines.onnx import available_cores

CACHE_BYTES = 2 * 1024**3
MOST_THREADS = 8
CACHE_MARGIN = 1.5  # cached images keep this many times the input's pixels a side


@dataclass
class Batch:
    """images: (B, S, S, 3) uint8 RGB. targets: ground truth of each."""

    images: Tensor
    targets: list[Target]

    def to(self, device: torch.device) -> tuple[Tensor, list[Target]]:
        """Images as (B, 3, S, S) float in 0..1 and the targets, on the device."""
        images = self.images.to(device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
        targets = [Target(t.labels.to(device), t.boxes.to(device)) for t in self.targets]
        return images.contiguous(), targets


class BatchMaker:
    """Draws batches ahead of the training loop in threads.

    Crowd regions are not learnt from. Images are decoded once and kept, smaller, while they fit.
    """

    def __init__(self, records: Sequence[Record], *, batch: int, side: int, seed: int) -> None:
        self.records = records
        self.batch, self.side, self.seed = batch, side, seed
        self._pool = ThreadPoolExecutor(
            min(MOST_THREADS, available_cores()), thread_name_prefix="batches"
        )
        self._cache: dict[int, tuple[NDArray[np.uint8], NDArray[np.float64]]] = {}
        self._cached_bytes = 0
        self._ahead: dict[int, list[Future[tuple[NDArray[np.uint8], Target]]]] = {}

    def get(
        self, step: int, how: Augmentation = STRONG, following: Augmentation | None = None
    ) -> Batch:
        """The batch of that step; the next one, with `following` (else `how`), is begun."""
        futures = self._ahead.pop(step, None) or self._submit(step, how)
        self._ahead[step + 1] = self._submit(step + 1, following or how)
        views, targets = zip(*(future.result() for future in futures), strict=True)
        return Batch(torch.from_numpy(np.stack(views)), list(targets))

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _submit(
        self, step: int, how: Augmentation
    ) -> list[Future[tuple[NDArray[np.uint8], Target]]]:
        return [
            self._pool.submit(self._draw, step * self.batch + i, how) for i in range(self.batch)
        ]

    def _draw(self, number: int, how: Augmentation) -> tuple[NDArray[np.uint8], Target]:
        """The number-th view of the run: each epoch passes over all images in a new order."""
        epoch, place = divmod(number, len(self.records))
        order = np.random.default_rng((self.seed, 1, epoch)).permutation(len(self.records))
        index = int(order[place])
        record = self.records[index]
        image, scale = self._image(index)
        wanted = ~record.is_crowd
        view, boxes, labels = augment(
            np.random.default_rng((self.seed, 2, number)),
            image,
            record.boxes_xyxy[wanted] * scale,
            record.label_ids[wanted],
            self.side,
            how,
        )
        low, high = boxes[:, :2], boxes[:, 2:]
        cxcywh = np.concatenate([(low + high) / 2, high - low], axis=1).astype(np.float32)
        return view, Target(torch.from_numpy(labels), torch.from_numpy(cxcywh))

    def _image(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """The image, made smaller where it is much larger than needed, and its (4,) scale."""
        if index in self._cache:
            return self._cache[index]
        picture = decode_image(self.records[index].image)
        width, height = picture.size
        factor = min(1.0, self.side * CACHE_MARGIN / min(width, height))
        if factor < 1:
            size = (max(1, round(width * factor)), max(1, round(height * factor)))
            picture = picture.resize(size, Image.Resampling.BILINEAR)
        image = np.asarray(picture)
        scale = np.array([picture.width / width, picture.height / height] * 2)
        if self._cached_bytes + image.nbytes <= CACHE_BYTES:
            self._cached_bytes += image.nbytes
            self._cache[index] = (image, scale)
        return image, scale
