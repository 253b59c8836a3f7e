"""What a run tells while it works: a progress bar, metrics.jsonl, TensorBoard events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from PIL.Image import Image
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from sightline.data.images import decode_image
from sightline.data.records import Record
from sightline.detections import Detections
from sightline.evaluate.matching import ImageDetections
from sightline.train.validation import Validation

PICTURES = 4  # validation images shown in TensorBoard
THUMBNAIL_PX = 480


def group_losses(terms: dict[str, float]) -> dict[str, float]:
    """Localisation, classification and total loss of one step's weighted terms."""
    classification = sum(value for name, value in terms.items() if name.startswith("mal"))
    total = sum(terms.values())
    return {
        "localisation": total - classification,
        "classification": classification,
        "total": total,
    }


class RunLog:
    """Writes one run's numbers to the terminal, to metrics.jsonl and to event files."""

    def __init__(self, folder: Path, *, quiet: bool = False) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder.mkdir(parents=True, exist_ok=True)
        self._lines = (folder / "metrics.jsonl").open("a", encoding="utf-8")
        self._events = SummaryWriter(str(folder / "events"))
        self.console = Console(stderr=True, quiet=quiet)
        self._bar = Progress(
            TextColumn("[bold]train"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f}%"),
            TextColumn("{task.fields[facts]}"),
            TimeRemainingColumn(compact=True),
            console=self.console,
            disable=quiet or not (self.console.is_terminal or self.console.is_jupyter),
        )
        self._task = self._bar.add_task("train", total=1.0, facts="")
        self._ap: float | None = None
        self._thumbnails: dict[int, Image] = {}

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()
        self._events.close()
        self._lines.close()

    def step(
        self,
        step: int,
        done: float,
        epoch: float,
        terms: dict[str, Tensor],
        rate: float,
        seconds: float,
    ) -> None:
        """Record a training step's losses; `done` is the share of the run, 0..1."""
        # one transfer from the device, not one a term
        numbers = torch.stack([term.detach() for term in terms.values()]).tolist()
        values = dict(zip(terms, numbers, strict=True))
        losses = group_losses(values)
        for name, value in losses.items():
            self._scalar(f"loss/{name}", value, step)
        self._scalar("learning_rate", rate, step)
        self._write(
            {
                "step": step,
                "epoch": round(epoch, 3),
                "seconds": round(seconds, 2),
                "learning_rate": rate,
                "loss": losses,
                "terms": values,
            }
        )
        ap = "" if self._ap is None else f"  AP {self._ap:.3f}"
        facts = (
            f"epoch {epoch:.1f}  loss {losses['total']:.2f} (boxes {losses['localisation']:.2f}, "
            f"classes {losses['classification']:.2f}){ap}"
        )
        self._bar.update(self._task, completed=min(done, 1.0), facts=facts)

    def validation(
        self, step: int, epoch: float, seconds: float, result: Validation, is_best: bool
    ) -> None:
        """Record a validation's numbers."""
        numbers = result.metrics.to_json()
        self._ap = numbers["AP"] or 0.0
        for name in ("AP", "AP50", "AP75", "APs", "APm", "APl"):
            self._scalar(f"precision/{name}", numbers[name], step)
        for name in ("AR1", "AR10", "AR100", "ARs", "ARm", "ARl"):
            self._scalar(f"recall/{name}", numbers[name], step)
        self._write(
            {
                "step": step,
                "epoch": round(epoch, 3),
                "seconds": round(seconds, 2),
                "validation": numbers,
                "best": is_best,
            }
        )
        self.say(
            f"{seconds:5.0f} s  step {step}  epoch {epoch:.1f}  AP {numbers['AP'] or 0:.3f}  "
            f"AP50 {numbers['AP50'] or 0:.3f}" + ("  best so far" if is_best else "")
        )

    def pictures(
        self,
        step: int,
        records: Sequence[Record],
        found: list[ImageDetections],
        labels: tuple[str, ...],
        threshold: float,
    ) -> None:
        """Prediction on the left, ground truth on the right, of a few validation images."""
        for index, record in enumerate(records[:PICTURES]):
            detections, image = found[index], self._thumbnail(index, record)
            scale = np.array([image.width / record.width, image.height / record.height] * 2)
            strong = detections.scores >= threshold
            size = (labels, image.width, image.height)
            predicted = Detections(
                (detections.boxes_xyxy[strong] * scale).astype(np.float32),
                detections.scores[strong].astype(np.float32),
                detections.label_ids[strong].astype(np.int32),
                *size,
            )
            truth = Detections(
                (record.boxes_xyxy * scale).astype(np.float32),
                np.ones(len(record.label_ids), np.float32),
                record.label_ids.astype(np.int32),
                *size,
            )
            both = np.hstack([np.asarray(predicted.draw(image)), np.asarray(truth.draw(image))])
            self._events.add_image(
                f"validation/{index} prediction | truth", both, step, dataformats="HWC"
            )

    def _thumbnail(self, index: int, record: Record) -> Image:
        """The picture, small enough for an event file; read once."""
        if index not in self._thumbnails:
            image = decode_image(record.image)
            image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
            self._thumbnails[index] = image
        return self._thumbnails[index]

    def say(self, text: str) -> None:
        """One line on stderr."""
        self.console.print(text, highlight=False)

    def _scalar(self, name: str, value: float | None, step: int) -> None:
        if value is not None:
            self._events.add_scalar(name, value, step)

    def _write(self, line: dict[str, Any]) -> None:
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()
