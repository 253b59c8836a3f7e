"""Real, short trainings on a few real photos."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sightline.data.dataset import Dataset
from sightline.errors import ConfigError, DatasetEmpty, TrainingError, UsageError
from sightline.manifest import read_manifest, verify_files
from sightline.runtime.detector import Detector
from sightline.train.config import TrainConfig, plan_steps
from sightline.train.loop import choose_device, train
from sightline.train.run import Run

# Sums in another order, as with another number of threads, round differently.
pytestmark = pytest.mark.usefixtures("one_thread")
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
SMALL: dict[str, Any] = {"model": "deimv2-atto", "input_px": 128, "batch": 4}


@pytest.fixture(scope="module")
def photos(shared: Path) -> Dataset:
    """Twelve kangaroo photos to train on, four to validate on."""
    whole = Dataset.load(shared / "data" / "kangaroo", check_images=False)
    splits = {"train": whole.splits["train"][:12], "val": whole.splits["val"][:4]}
    rows = [*splits["train"], *splits["val"]]
    return replace(
        whole,
        records=tuple(whole.records[row] for row in rows),
        splits={"train": tuple(range(12)), "val": tuple(range(12, 16))},
    )


@pytest.fixture(autouse=True)
def local_weights(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_MODELS", str(shared / "models"))


@pytest.fixture(scope="module")
def finished(photos: Dataset, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of eight steps."""
    os.environ["SIGHTLINE_MODELS"] = str(shared / "models")
    out = tmp_path_factory.mktemp("runs") / "a"
    return train(photos, out=out, quiet=True, epochs=8 * 4 / 12, **SMALL)


def losses(run: Run) -> dict[int, Any]:
    return {line["step"]: line["terms"] for line in run.history if "terms" in line}


def test_a_run_folder_holds_what_was_promised(finished: Run) -> None:
    for name in ("config.toml", "split.json", "metrics.jsonl", "last", "best", "report.html"):
        assert (finished.folder / name).exists(), name
    assert list((finished.folder / "events").glob("events.out.tfevents.*"))
    assert finished.metrics["images"] == 4
    manifest = read_manifest(finished.best)
    verify_files(finished.best, manifest)
    assert manifest.labels == ("kangaroo",)
    assert manifest.width == 128
    assert manifest.parity[0]["runtime"] == "onnxruntime"
    assert manifest.parity[0]["unmatched"] == 0


def test_the_bundle_detects_at_the_size_it_was_trained_for(finished: Run, photos: Dataset) -> None:
    found = Detector.load(finished.folder)(photos.records[0].image, threshold=0.0)
    assert len(found) == 20 or len(found) <= 300  # 64 + 16 tokens hold fewer than 100 queries
    assert found.boxes_xyxy.max() <= max(found.width, found.height)


def test_the_same_seed_gives_the_same_losses(
    finished: Run, photos: Dataset, tmp_path: Path
) -> None:
    again = train(photos, out=tmp_path / "b", quiet=True, epochs=8 * 4 / 12, **SMALL)
    assert losses(again) == losses(finished)
    other = train(photos, out=tmp_path / "c", quiet=True, epochs=1, seed=1, **SMALL)
    assert losses(other)[1] != losses(finished)[1]


def test_events_hold_losses_rates_precision_and_pictures(finished: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(finished.folder / "events"))
    events.Reload()
    tags = events.Tags()
    wanted = {"loss/localisation", "loss/classification", "loss/total", "learning_rate",
              "precision/AP", "precision/AP50", "recall/AR100"}  # fmt: skip
    assert wanted <= set(tags["scalars"])
    assert any("prediction | truth" in name for name in tags["images"])
    total = {event.step: event.value for event in events.Scalars("loss/total")}
    for line in finished.history:
        if "loss" in line:
            assert total[line["step"]] == pytest.approx(line["loss"]["total"], rel=1e-6)


def test_no_data_is_trained_on_twice_into_one_folder(finished: Run, photos: Dataset) -> None:
    with pytest.raises(TrainingError, match="--resume"):
        train(photos, out=finished.folder, quiet=True, **SMALL)


def test_leaks_into_validation_are_counted_before_training(
    finished: Run, photos: Dataset, shared: Path
) -> None:
    whole = Dataset.load(shared / "data" / "kangaroo")
    with (
        pytest.warns(UserWarning, match="^1 of 32 validation images is a copy"),
        pytest.raises(TrainingError, match="--resume"),
    ):
        train(whole, out=finished.folder, quiet=True, **SMALL)
    # No word of a warning, which would be an error here, where none leaks.
    clean = replace(photos, thumbnails=whole.thumbnails)
    assert clean.known_likeness is clean.likeness
    with pytest.raises(TrainingError, match="--resume"):
        train(clean, out=finished.folder, quiet=True, **SMALL)


def test_resume_refuses_other_data(finished: Run, photos: Dataset) -> None:
    less = replace(photos, records=photos.records[:-1], splits={**photos.splits, "val": (12, 13)})
    files = [finished.folder / name for name in ("config.toml", "split.json")]
    before = [file.read_bytes() for file in files]
    with pytest.raises(TrainingError, match="another data set"):
        train(less, out=finished.folder, resume=True, quiet=True, **SMALL)
    assert [file.read_bytes() for file in files] == before


def test_a_folder_left_before_the_first_validation_can_be_used(
    photos: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "events").mkdir()
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(TrainingError, match="nothing to resume"):
        train(photos, out=tmp_path, resume=True, quiet=True, **SMALL)
    run = train(photos, out=tmp_path, quiet=True, epochs=0.4, **SMALL)
    assert run.history[0]["step"] == 1
    assert "terms" in run.history[0]
    with pytest.raises(UsageError, match="--out"):
        train(photos, resume=True, quiet=True, **SMALL)


def test_a_diverged_training_says_so(photos: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="diverged"):
        train(
            photos, out=tmp_path / "d", quiet=True, epochs=30, **(SMALL | {"learning_rate": 1e30})
        )


def command(folder: Path, data: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "sightline.cli.main", "train", str(data), "--out", str(folder),
        "--model", "deimv2-atto", "--input-px", "128", "--batch", "4", *more,
    ]  # fmt: skip


def wait_for(condition: Any, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def saved(photos: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "photos"
    photos.save(folder, "voc")
    return folder


def test_a_killed_run_resumes_with_the_same_losses(saved: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    process = subprocess.Popen(
        command(out, saved, "--epochs", "6"), stderr=subprocess.PIPE, env=ONE_THREAD
    )
    state = out / "last" / "state.safetensors"
    wait_for(lambda: state.exists() or process.poll() is not None)
    process.kill()
    process.communicate()
    assert not (out / "best").exists()
    resumed = train(saved, out=out, resume=True, quiet=True, epochs=6, **SMALL)
    whole = train(saved, out=tmp_path / "whole", quiet=True, epochs=6, **SMALL)
    after = [line["step"] for line in resumed.history if "terms" in line]
    assert after[-1] == 18
    assert losses(resumed) == losses(whole)
    assert resumed.metrics["AP"] == whole.metrics["AP"]


def test_interrupting_keeps_the_best_model(saved: Path, tmp_path: Path) -> None:
    out = tmp_path / "stopped"
    process = subprocess.Popen(
        command(out, saved, "--epochs", "600", "--json"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    lines = out / "metrics.jsonl"
    wait_for(lambda: (lines.exists() and lines.read_text().count("\n") >= 3) or process.poll())
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert "keeping the best" in stderr
    assert json.loads(stdout)["images"] == 4
    assert Detector.load(out).labels == ("kangaroo",)


@pytest.mark.slow
def test_minutes_bound_the_whole_run(saved: Path, tmp_path: Path) -> None:
    begun = time.monotonic()
    run = train(saved, out=tmp_path / "timed", quiet=True, minutes=0.75, **SMALL)
    # 45 s asked for; the bound is on the run, the allowance for one step on a busy machine
    assert time.monotonic() - begun < 60
    rates = [line["learning_rate"] for line in run.history if "terms" in line]
    assert rates[-1] < 0.05 * max(rates)  # the schedule ended inside the time


def test_bad_settings_and_data_are_one_clear_error(photos: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="multiple of 32"):
        train(photos, out=tmp_path / "x", quiet=True, input_px=100)
    with pytest.raises(ConfigError, match="not both"):
        train(photos, out=tmp_path / "x", quiet=True, epochs=1, minutes=1)
    with pytest.raises(ConfigError, match="epochs"):
        train(photos, out=tmp_path / "x", quiet=True, epoch=1)
    none = replace(
        photos,
        records=tuple(
            replace(
                r,
                boxes_xyxy=r.boxes_xyxy[:0],
                label_ids=r.label_ids[:0],
                is_crowd=r.is_crowd[:0],
                area=r.area[:0],
            )
            for r in photos.records
        ),
    )
    with pytest.raises(DatasetEmpty, match="no box"):
        train(none, out=tmp_path / "x", quiet=True, **SMALL)
    assert not (tmp_path / "x").exists()


def test_the_default_plan_suits_small_and_large_sets() -> None:
    assert plan_steps(TrainConfig(), 50) == 200
    assert plan_steps(TrainConfig(), 800) == 1200
    assert plan_steps(TrainConfig(), 100_000) == 4000
    assert plan_steps(TrainConfig(epochs=0.01), 50) == 1


def test_a_device_that_is_not_there_is_named() -> None:
    if torch.cuda.is_available():
        assert choose_device("auto").type == "cuda"
        return
    assert choose_device("auto").type == "cpu"
    with pytest.raises(TrainingError, match="CUDA"):
        choose_device("cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_training_on_cuda_in_bf16(photos: Dataset, tmp_path: Path) -> None:
    run = train(photos, out=tmp_path / "cuda", quiet=True, epochs=4, device="cuda", **SMALL)
    assert all(torch.isfinite(torch.tensor(list(t.values()))).all() for t in losses(run).values())
