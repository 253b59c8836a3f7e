"""Fine-tuning from a named model, or a bundle, to a run folder with a new bundle."""

from __future__ import annotations

import json
import os
import shutil
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sightline.config import make_config
from sightline.data.augment import STRONG, WEAK
from sightline.data.dataset import Dataset
from sightline.data.leaks import leak_message
from sightline.errors import SightlineError, TrainingError, UsageError
from sightline.manifest import MANIFEST_NAME
from sightline.models.deimv2.network import DeimV2
from sightline.train.batches import BatchMaker
from sightline.train.checkpoint import Progress, load_state, save_state
from sightline.train.config import TrainConfig, plan_steps
from sightline.train.criterion import Criterion
from sightline.train.ema import Ema
from sightline.train.finish import write_best
from sightline.train.log import RunLog
from sightline.train.optimiser import Schedule, make_optimiser, set_learning_rate
from sightline.train.recipe import Recipe, recipe_for
from sightline.train.report import write_report
from sightline.train.run import Run, new_run_folder
from sightline.train.start import Start, begin_network, find_start
from sightline.train.validation import Validation, Validator

VALIDATE_AT = (0.15, 0.3, 0.45, 0.6, 0.7, 0.8, 0.9, 1.0)
VALIDATION_SHARE = 0.08  # most of a run bounded by time that one validation may take
MOST_SKIPPED = 50  # steps in a row
EXPORT_SECONDS = 15.0  # kept free at the end of a run bounded by time, on a slow machine


def train(
    dataset: Dataset | str | Path,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Fine-tune on the data set's train split; a Run whose `best` is the best model's bundle.

    settings: TrainConfig's fields. Interrupting (Ctrl-C) ends the training early and keeps the
    best model so far. Warns where validation images are copies or near-copies of those trained on.
    Raises DatasetEmpty, ModelNotFound, WeightsUnavailable, ConfigError or TrainingError.
    """
    started = time.monotonic()
    config = make_config(TrainConfig, settings)
    if resume and out is None:
        raise UsageError("resuming needs the run's folder: add --out DIR")
    start, device = find_start(config.model), choose_device(config.device)
    if not isinstance(dataset, Dataset):
        dataset = Dataset.load(dataset)
    dataset = dataset.with_splits()
    for split in ("train", "val"):
        dataset.require_boxes(split)
    if leaks := dataset.find_leaks():
        images = len(dataset.splits["val"])
        warnings.warn(leak_message(len(leaks), images, "val", dataset.path), stacklevel=2)
    run = Run(Path(out) if out is not None else new_run_folder(dataset.name))
    prepare_folder(run, resume)
    with RunLog(run.folder, quiet=quiet) as log:
        log.say(
            f"training {config.model} on {len(dataset.splits['train'])} images into {run.folder}"
        )
        trainer = Trainer(dataset, config, start, device, run.folder, log)
        trainer.started = started
        if resume:
            trainer.resume()
        trainer.write_settings()
        trainer.fit()
        trainer.finish()
        try:
            write_report(run, dataset)
        except (SightlineError, OSError) as error:
            log.say(f"the run is complete, but its report could not be written: {error}")
    return run


def prepare_folder(run: Run, resume: bool) -> None:
    """Make sure that the folder can be trained into.

    What a run left that was stopped before its first validation is cleared. Raises TrainingError
    where there is a run and `resume` is not asked for, or the other way round.
    """
    holds_run = run.state.is_file() or (run.best / MANIFEST_NAME).is_file()
    if holds_run and not resume:
        raise TrainingError(f"{run.folder} already holds a run; add --resume, or use another --out")
    if resume and not run.state.is_file():
        raise TrainingError(f"nothing to resume: {run.state} does not exist")
    if not holds_run:
        (run.folder / "metrics.jsonl").unlink(missing_ok=True)
        shutil.rmtree(run.folder / "events", ignore_errors=True)


class Trainer:
    """One run: the network, its average, its optimiser, and where they stand."""

    def __init__(
        self,
        dataset: Dataset,
        config: TrainConfig,
        start: Start,
        device: torch.device,
        folder: Path,
        log: RunLog,
    ) -> None:
        self.dataset, self.config, self.folder, self.log = dataset, config, folder, log
        self.start, self.device = start, device
        self.use_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(
            including_emulation=False
        )
        self.started = time.monotonic()
        records = dataset.subset("train").records
        self.recipe: Recipe = recipe_for(self.start, config)
        torch.manual_seed(config.seed)
        network = begin_network(self.start, dataset.classes, config, records)
        self.model: DeimV2 = network.to(self.device)
        self.ema = Ema(self.model, self.recipe.ema_decay)
        self.optimiser = make_optimiser(
            self.model,
            self.recipe.learning_rate,
            self.recipe.backbone_factor,
            self.recipe.weight_decay,
        )
        self.criterion = Criterion(distributions=self.model.size.hybrid, copies=self.recipe.copies)
        self.schedule = Schedule()
        self.steps = plan_steps(config, len(records))
        self.batches = BatchMaker(
            records, batch=config.batch, side=self.model.input_px, seed=config.seed
        )
        val = dataset.subset("val").records
        self.validator = Validator(
            val,
            dataset.classes,
            self.model.input_px,
            self.device,
            None if config.minutes is None else config.minutes * 60 * VALIDATION_SHARE,
        )
        self.progress = Progress()
        self.best: dict[str, Tensor] = {}
        self.best_validation: Validation | None = None
        self.validation_seconds = 0.0
        self.validated_step = -1
        self.skipped = 0

    @property
    def identity(self) -> dict[str, Any]:
        """What a resumed run must share with the one that was stopped."""
        return {
            "model": self.config.model,
            "input size": self.model.input_px,
            "batch": self.config.batch,
            "seed": self.config.seed,
            "learning rate": self.recipe.learning_rate,
            "data set": self.dataset.fingerprint(),
            "split": self._split_names(),
        }

    def resume(self) -> None:
        """Go on where last/ stands."""
        self.progress, self.best = load_state(
            self.folder / "last", self.model, self.ema, self.optimiser, self.identity
        )
        self.started = time.monotonic() - self.progress.seconds

    @property
    def done(self) -> float:
        """The share of the run that is over: of its steps, or of its time."""
        if self.config.minutes is None:
            return min(1.0, self.progress.step / self.steps)
        reserve = EXPORT_SECONDS + 2 * self.validation_seconds
        budget = max(1.0, self.config.minutes * 60 - reserve)
        return min(1.0, (time.monotonic() - self.started) / budget)

    def fit(self) -> None:
        """Steps until the run is done or interrupted; validates at even distances."""
        marks = [mark for mark in VALIDATE_AT if mark > self.done + 1e-9]
        try:
            while marks:
                done = self.done
                if done < 1.0:
                    self._step(done)
                if self.done >= marks[0]:
                    while marks and self.done >= marks[0]:
                        marks.pop(0)
                    if self.progress.step > self.validated_step:
                        self._validate()
        except KeyboardInterrupt:
            self.log.say("stopped; keeping the best model so far, a few seconds more")
        finally:
            self.batches.close()

    def finish(self) -> None:
        """Make best/ from the best weights."""
        if not self.best:
            self._validate()
        network = self.ema.model
        network.load_state_dict(self.best)
        if self.best_validation is None:  # resumed after the best was found
            self.best_validation = self.validator(network)
        # The proof compares in float32, which a GPU's convolutions do not keep to (TF32).
        network = network.cpu()
        write_best(
            network,
            self.folder / "best",
            self.best_validation,
            self.validator,
            name=self.dataset.name,
            base={
                "name": self.start.name,
                "license": self.start.license,
                "source": self.start.source,
                "from_drawings": self.start.from_drawings,
            },
            training={
                **{k: v for k, v in asdict(self.config).items() if v is not None},
                "model": self.start.name,
                "steps": self.progress.step,
                "best_step": self.progress.best_step,
            },
            data_set=self.dataset.fingerprint(),
        )

    def _step(self, done: float) -> None:
        step = self.progress.step
        strong = done < self.recipe.strong_until
        following = done + (1 / self.steps if self.config.minutes is None else 0.0)
        batch = self.batches.get(
            step,
            STRONG if strong else WEAK,
            STRONG if following < self.recipe.strong_until else WEAK,
        )
        images, targets = batch.to(self.device)
        factor = self.schedule.factor(done)
        set_learning_rate(self.optimiser, factor)
        # The noise of a step depends on seed and step alone, so a resumed run repeats it.
        torch.manual_seed(self.config.seed * 1_000_003 + step)
        self.model.train()
        self.recipe.prepare(self.model)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.use_bf16):
            outputs = self.model(images, targets, self.recipe.denoising)
        terms = self.criterion(outputs, targets, self.recipe.denoising)
        loss = torch.stack(list(terms.values())).sum()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        if torch.isfinite(norm):
            self.skipped = 0
            self.optimiser.step()
            self.ema.update(self.model)
        else:
            self.skipped += 1
            if self.skipped == 1:
                self.log.say(f"step {step + 1}: a gradient is not finite; the step is skipped")
            if self.skipped == MOST_SKIPPED:
                raise TrainingError(
                    f"{MOST_SKIPPED} steps in a row had no finite gradient: training diverged; "
                    "lower --learning-rate"
                )
        self.progress.step += 1
        self._clock()
        self.log.step(
            self.progress.step,
            self.done,
            self._epoch,
            terms,
            self.recipe.learning_rate * factor,
            self.progress.seconds,
        )

    def _validate(self) -> None:
        begun = time.monotonic()
        result = self.validator(self.ema.model)
        ap = result.metrics.AP or 0.0
        is_best = ap > self.progress.best_ap
        if is_best:
            self.best = {k: v.detach().clone() for k, v in self.ema.model.state_dict().items()}
            self.best_validation = result
            self.progress.best_ap, self.progress.best_step = ap, self.progress.step
        self.validated_step = self.progress.step
        self._clock()
        step = self.progress.step
        self.log.validation(step, self._epoch, self.progress.seconds, result, is_best)
        self.log.pictures(step, self.validator.records, result.found, self.dataset.classes, 0.3)
        self.progress.ema_updates = self.ema.updates
        save_state(
            self.folder / "last",
            self.progress,
            self.model,
            self.ema,
            self.optimiser,
            self.best,
            self.identity,
        )
        self.validation_seconds = time.monotonic() - begun

    def _clock(self) -> None:
        self.progress.seconds = time.monotonic() - self.started

    @property
    def _epoch(self) -> float:
        return self.progress.step * self.config.batch / len(self.batches.records)

    def _split_names(self) -> dict[str, list[str]]:
        names = self.dataset.names
        return {k: [names[i] for i in rows] for k, rows in self.dataset.splits.items()}

    def write_settings(self) -> None:
        """Write config.toml and split.json."""
        import tomli_w

        values = {k: v for k, v in asdict(self.config).items() if v is not None}
        derived = {
            "steps": self.steps,
            "input_px": self.model.input_px,
            "device": str(self.device),
            **self.recipe.to_toml(),
        }
        data = {
            "path": str(self.dataset.path),
            "format": self.dataset.format,
            "fingerprint": self.dataset.fingerprint(),
            "classes": list(self.dataset.classes),
        }
        _write(
            self.folder / "config.toml",
            tomli_w.dumps({"train": values, "derived": derived, "data": data}),
        )
        splits = json.dumps(self._split_names(), indent=1, ensure_ascii=False)
        _write(self.folder / "split.json", splits)


def choose_device(wanted: str) -> torch.device:
    """The device of that name; "auto" is CUDA where there is one, else the CPU.

    Raises TrainingError when the one asked for is not there.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise TrainingError(
            "no CUDA device here (torch.cuda.is_available() is false); --device cpu"
        )
    return torch.device(wanted)


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
