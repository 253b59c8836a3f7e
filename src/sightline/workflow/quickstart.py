"""From nothing to a live detector: drawn sample data, training, evaluation, the live page.

Needs no network, no camera and no photo: it starts from the starter weights in the package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sightline.config import option
from sightline.data.dataset import Dataset
from sightline.data.sample import write_sample, write_sample_clip
from sightline.evaluate.coco import Metrics
from sightline.public_names import load_public
from sightline.train.run import Run

MODEL = "starter-atto"
INPUT_PX = 224
BATCH = 16


@dataclass(frozen=True)
class QuickstartConfig:
    """Settings of `sightline quickstart`."""

    minutes: float = option(4.0, "time for training, validation and export included", low=0.5)
    train: int = option(120, "pictures drawn to train on", low=8)
    val: int = option(100, "pictures drawn to validate on", low=4)
    seed: int = option(0, "another seed draws other pictures", low=0)


@dataclass(frozen=True)
class Quickstart:
    """What a quickstart made: folders, and the metrics of the bundle on ONNX Runtime."""

    photos: Path
    run: Path
    clip: Path
    metrics: Metrics

    @property
    def bundle(self) -> Path:
        return self.run / "best"


def quickstart(
    folder: Path, config: QuickstartConfig | None = None, say: Callable[[str], None] = print
) -> Quickstart:
    """Draw, train, evaluate; parts that a former call finished are kept.

    Raises MissingExtra without [train].
    """
    from sightline.evaluate.run import evaluate

    train = load_public("sightline.train.loop", "train")
    config = config or QuickstartConfig()
    folder.mkdir(parents=True, exist_ok=True)
    photos, run, clip = folder / "photos", folder / "run", folder / "clip.webm"
    if photos.exists():
        say(f"1/4 the pictures in {photos} are there already")
    else:
        say(f"1/4 drawing {config.train + config.val} pictures of four objects into {photos}")
        write_sample(photos, train=config.train, val=config.val, seed=config.seed)
    if not clip.exists():
        write_sample_clip(clip)
    dataset = Dataset.load(photos)
    if not (run / "best" / "manifest.json").is_file():
        say(f"2/4 training for {config.minutes:g} minutes from the starter weights")
        train(
            dataset,
            out=run,
            resume=Run(run).state.is_file(),
            model=MODEL,
            input_px=INPUT_PX,
            batch=BATCH,
            minutes=config.minutes,
            seed=config.seed,
        )
    say(f"3/4 evaluating {run / 'best'} on pictures it was not trained on")
    metrics = evaluate(run, dataset, split="val")
    return Quickstart(photos, run, clip, metrics)
