"""How the machine is shared out: images worked on at a time, threads of each inference.

On a CPU one image at a time is best (batches are slower per image), so the question is whether
several images side by side on one thread each beat one image on several threads. It depends on
the model and the machine, so it is measured.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sightline.manifest import Manifest, read_manifest
from sightline.runtime.detector import Detector
from sightline.runtime.engines.onnx import MAX_THREADS, available_cores, find_provider
from sightline.server.config import ServeConfig

_MEASURE_S = 0.4
_GPU_WORKERS = 2  # one prepares its batch while the other's is on the device
# An inference on several threads takes less time by itself, so it wins unless it costs this much.
_LEAST_GAIN = 1.1


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
    best: Plan | None = None
    for workers, threads in candidates:  # the fewest workers first
        plan = Plan(workers, threads, config.device, manifest.batch)
        rate = _measure(folder, manifest, plan)
        if best is None or rate > best.images_per_s * _LEAST_GAIN:
            best = Plan(workers, threads, config.device, manifest.batch, images_per_s=rate)
    assert best is not None
    return best


def _candidates(cores: int, config: ServeConfig) -> list[tuple[int, int]]:
    """(workers, threads), the fewest workers first."""
    if config.workers and config.threads:
        return [(config.workers, config.threads)]
    if config.workers:
        return [(config.workers, max(1, min(MAX_THREADS, cores // config.workers)))]
    if config.threads:
        return [(max(1, cores // config.threads), config.threads)]
    widths = [width for width in (MAX_THREADS, 2, 1) if width <= cores]
    return [(max(1, cores // width), width) for width in widths]


def _measure(folder: Path, manifest: Manifest, plan: Plan) -> float:
    """Images a second with all workers busy."""
    count = 1 if plan.threads == 1 else plan.workers
    detectors = [
        Detector.load(folder, threads=plan.threads, device=plan.device) for _ in range(count)
    ]
    image = np.zeros((manifest.height, manifest.width, 3), np.uint8)

    def work(worker: int) -> tuple[int, float]:
        detector, done, start = detectors[worker % count], 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < _MEASURE_S or done < 2:
            detector.infer_batch([image] * manifest.batch)
            done += manifest.batch
        return done, elapsed

    with ThreadPoolExecutor(plan.workers) as pool:
        results = list(pool.map(work, range(plan.workers)))
    return sum(done / elapsed for done, elapsed in results)
