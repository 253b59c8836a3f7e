"""Our exported graph beside the official ONNX file: ratio of minima, in pairs, in one run.

    python benchmarks/graph.py [--runs 100]

Needs SIGHTLINE_SHARED (../shared) with models/official-*.onnx and *-coco.safetensors.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime

from sightline.runtime.engines.onnx import open_session
from sightline.workflow.resolve import make_zoo_bundle

SHARED = Path(os.environ.get("SIGHTLINE_SHARED", "../shared"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    runs = parser.parse_args().runs
    print("| model | threads | ours ms min / median | official ms min / median | ratio of minima |")
    print("|---|---|---|---|---|")
    for size in ("atto", "femto"):
        name = f"deimv2-{size}"
        with tempfile.TemporaryDirectory() as folder:
            weights = SHARED / "models" / f"{name}-coco.safetensors"
            bundle = make_zoo_bundle(name, weights, Path(folder) / name)
            for threads in (1, 2):
                ours = open_session(bundle / "model.onnx", threads=threads)
                official = open_session(
                    SHARED / "models" / f"official-{size}.onnx", threads=threads
                )
                print(row(name, threads, ours, official, size, runs), flush=True)


def row(
    name: str,
    threads: int,
    ours: onnxruntime.InferenceSession,
    official: onnxruntime.InferenceSession,
    size: str,
    runs: int,
) -> str:
    images = np.load(SHARED / "models" / f"golden-{size}.npz")["images_uint8"][:1]
    side = images.shape[1]
    feeds = (
        {"image": images},
        {
            "images": images.transpose(0, 3, 1, 2).astype(np.float32) / 255,
            "orig_target_sizes": np.array([[side, side]], np.int64),
        },
    )
    times: tuple[list[float], list[float]] = ([], [])
    for index in range(runs + 5):
        for session, feed, kept in zip((ours, official), feeds, times, strict=True):
            begun = time.perf_counter()
            session.run(None, feed)
            if index >= 5:
                kept.append((time.perf_counter() - begun) * 1000)
    a, b = (np.array(kept) for kept in times)
    return (
        f"| {name} | {threads} | {a.min():.1f} / {np.median(a):.1f} | {b.min():.1f} / "
        f"{np.median(b):.1f} | {a.min() / b.min():.3f} |"
    )


if __name__ == "__main__":
    main()
