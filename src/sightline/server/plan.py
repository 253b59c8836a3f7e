"""How the machine is shared out: images worked on at a time, threads of each inference.

On a CPU one image at a time is best (batches are slower per image), so the question is whether
several images side by side on one thread each beat one image on several threads. It depends on
the model and the machine, so it is measured.
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from sightline.data.images import decode_image
from sightline.manifest import read_manifest
from sightline.runtime.detector import Detector
from sightline.runtime.engines.onnx import MAX_THREADS, available_cores, find_provider
from sightline.server.config import ServeConfig
from sightline.server.sample_picture import draw_sample_picture

_ROUNDS, _MEASURE_S = 3, 0.15
_GPU_WORKERS = 2  # one prepares its batch while the other's is on the device


@dataclass(frozen=True)
class Plan:
    """workers: threads that each take an image, or a batch of up to `batch`, at a time.

    threads: of one inference. batch_wait_s: how long a worker waits for its batch to fill.
    images_per_s: what was measured with all workers busy, 0 where nothing was.
    """

    workers: int
    threads: int
    device: str = "cpu"
    batch: int = 1
    batch_wait_s: float = 0.004
    images_per_s: float = 0.0


def choose_plan(folder: Path, config: ServeConfig) -> Plan:
    """The plan with the highest throughput for the model in `folder`, within what is set.

    Takes about a second. Raises what Detector.load raises.
    """
    manifest = read_manifest(folder)
    if find_provider(config.device) != "CPUExecutionProvider":
        return Plan(
            config.workers or _GPU_WORKERS, config.threads or 1, config.device, manifest.batch
        )
    candidates = _candidates(available_cores(), config)
    if len(candidates) == 1:
        return Plan(*candidates[0], config.device, manifest.batch)
    plans = [Plan(*candidate, config.device, manifest.batch) for candidate in candidates]
    detectors = [load_detectors(folder, plan) for plan in plans]
    # In turns, and the best of each counts: other work on the machine comes and goes.
    rates: list[list[float]] = [[] for _ in plans]
    for _ in range(_ROUNDS):
        for known, plan, each in zip(rates, plans, detectors, strict=True):
            known.append(_measure(plan, each))
    best, rate = max(zip(plans, map(max, rates), strict=True), key=lambda pair: pair[1])
    return replace(best, images_per_s=rate)


def load_detectors(folder: Path, plan: Plan) -> tuple[Detector, ...]:
    """What the workers run, warmed up: one detector each, or one for all.

    Without threads of its own a session runs in the worker that calls it, so one does for all.
    Raises what Detector.load raises.
    """
    count = 1 if plan.threads == 1 else plan.workers
    return tuple(
        Detector.load(folder, threads=plan.threads, device=plan.device) for _ in range(count)
    )


def _candidates(cores: int, config: ServeConfig) -> list[tuple[int, int]]:
    """(workers, threads) that fill the cores."""
    if config.workers and config.threads:
        return [(config.workers, config.threads)]
    if config.workers:
        return [(config.workers, max(1, min(MAX_THREADS, cores // config.workers)))]
    if config.threads:
        return [(max(1, cores // config.threads), config.threads)]
    widths = [width for width in (MAX_THREADS, 2, 1) if width <= cores]
    return [(max(1, cores // width), width) for width in widths]


def _measure(plan: Plan, detectors: Sequence[Detector]) -> float:
    """Images a second with all workers busy, each from a JPEG's bytes to its boxes."""
    jpeg = io.BytesIO()
    draw_sample_picture().save(jpeg, "JPEG")

    def work(worker: int) -> tuple[int, float]:
        detector, done, start = detectors[worker % len(detectors)], 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < _MEASURE_S or done < 2:
            pictures = [decode_image(jpeg.getvalue()) for _ in range(plan.batch)]
            pixels = [detector.preprocess(picture) for picture in pictures]
            for outputs, picture in zip(detector.infer_batch(pixels), pictures, strict=True):
                detector.postprocess(outputs, picture.width, picture.height)
            done += plan.batch
        return done, elapsed

    with ThreadPoolExecutor(plan.workers) as pool:
        results = list(pool.map(work, range(plan.workers)))
    return sum(done / elapsed for done, elapsed in results)
