"""Our exported graph beside the official ONNX file: operators, sizes, and times in pairs.

    python benchmarks/graph.py [--runs 100]

Times are ratios of minima over interleaved runs in one process, native and in onnxruntime-web's
wasm (in Node), on the clock and in processor time: on a busy machine only the latter finds its
minimum. Needs SIGHTLINE_SHARED (../shared) with models/official-*.onnx and *-coco.safetensors,
and web/node_modules for wasm.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import brotli
import numpy as np
import onnx
from numpy.typing import NDArray

from sightline.export.onnx import write_onnx
from sightline.models.weights import build_model, read_weights
from sightline.runtime.engines.onnx import open_session

SHARED = Path(os.environ.get("SIGHTLINE_SHARED", "../shared"))
WASM = Path(__file__).with_suffix(".mjs")
WARM_UP = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        pairs = {}
        for size in ("atto", "femto"):
            ours = Path(folder) / f"{size}.onnx"
            weights = read_weights(SHARED / "models" / f"deimv2-{size}-coco.safetensors")
            write_onnx(build_model(size, 80, weights).eval(), ours)
            pairs[size] = (ours, SHARED / "models" / f"official-{size}.onnx")
        print("| graph | nodes | bytes | brotli | operators |\n|---|---|---|---|---|")
        for size, pair in pairs.items():
            for whose, graph in zip(("ours", "official"), pair, strict=True):
                print(f"| {size}, {whose} | {described(graph)} |", flush=True)
        print(
            "\n| graph | runtime | threads | ours ms min / median | official ms min / median "
            "| ratio of minima | of processor time |\n|---|---|---|---|---|---|---|"
        )
        for size, pair in pairs.items():
            image = np.load(SHARED / "models" / f"golden-{size}.npz")["images_uint8"][0]
            for threads in (1, 2):
                native = time_native(pair, image, threads, runs)
                print(f"| {size} | native | {threads} | {compared(native)} |", flush=True)
            for threads in (1, 2) if shutil.which("node") else ():
                wasm = time_wasm(pair, image, threads, runs, Path(folder))
                print(f"| {size} | wasm | {threads} | {compared(wasm)} |", flush=True)


def described(graph: Path) -> str:
    """Nodes, bytes, bytes after brotli and the operators of a graph file, as a row's cells."""
    data = graph.read_bytes()
    operators = Counter(node.op_type for node in onnx.load(graph).graph.node)
    names = ", ".join(f"{name} {count}" for name, count in operators.most_common())
    return (
        f"{operators.total()} | {len(data):,} | {len(brotli.compress(data, quality=9)):,} | {names}"
    )


def compared(times: NDArray[np.float64]) -> str:
    """times: (runs, 2 graphs, wall and processor) ms."""
    ours, official = times[:, 0, 0], times[:, 1, 0]
    wall, processor = times[:, 0].min(0) / times[:, 1].min(0)
    return (
        f"{ours.min():.1f} / {np.median(ours):.1f} | {official.min():.1f} / "
        f"{np.median(official):.1f} | {wall:.3f} | {processor:.3f}"
    )


def time_native(
    graphs: tuple[Path, Path], image: NDArray[np.uint8], threads: int, runs: int
) -> NDArray[np.float64]:
    planes = image.transpose(2, 0, 1)[None].astype(np.float32) / 255
    feeds: tuple[dict[str, Any], ...] = (
        {"image": image[None]},
        {"images": planes, "orig_target_sizes": np.array([image.shape[:2]], np.int64)},
    )
    sessions = [open_session(graph, threads=threads) for graph in graphs]
    times = np.zeros((runs + WARM_UP, 2, 2))
    for row in times:
        for session, feed, cell in zip(sessions, feeds, row, strict=True):
            processor, wall = time.process_time(), time.perf_counter()
            session.run(None, feed)
            cell[:] = time.perf_counter() - wall, time.process_time() - processor
    return times[WARM_UP:] * 1000


def time_wasm(
    graphs: tuple[Path, Path], image: NDArray[np.uint8], threads: int, runs: int, folder: Path
) -> NDArray[np.float64]:
    pixels = folder / "pixels"
    pixels.write_bytes(image.tobytes())
    command = ["node", WASM, *(str(n) for n in (threads, runs, image.shape[0])), pixels, *graphs]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return np.array([json.loads(line) for line in lines])


if __name__ == "__main__":
    main()
