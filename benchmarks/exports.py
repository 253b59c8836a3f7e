"""Every artefact of a model in every runtime: size, parity, AP, and ms beside native ONNX Runtime.

    python benchmarks/exports.py MODEL DATA [--split all] [--runs 10]

Needs a browser, and the extras train, tensorflow and browser. One thread everywhere. ms are those
of the runtime's own call on pixels of the network's size (in the browser measured in the page), the
least of 5 x `runs`, in turns with native ONNX Runtime on the fp32 graph: the ratio is of these
minima. WebGL runs in software: its AP is that of the certificate, on the val split.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import brotli
import numpy as np
from numpy.typing import NDArray

from sightline.data.dataset import Dataset
from sightline.data.images import decode_image, resize_stretch
from sightline.errors import ExportError
from sightline.evaluate.run import evaluate
from sightline.export.parity import Parity
from sightline.export.run import Artefact, export
from sightline.manifest import WEIGHTS_NAME, read_manifest
from sightline.runtime.detector import Detector
from sightline.runtime.engine import Engine
from sightline.workflow.resolve import ensure_bundle

ARTEFACTS = (
    ("onnx", None),
    ("onnx-fp16", None),
    ("onnx-int8", None),
    ("savedmodel", None),
    ("tfjs", None),
    ("tfjs", "float16"),
    ("litert", None),
    ("litert", "float16"),
)
ROUNDS = 5  # of `runs` inferences each, in turns with the baseline


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--split", default="val")
    parser.add_argument("--runs", type=int, default=10)
    arguments = parser.parse_args()
    data = Dataset.load(arguments.data)
    bundle = ensure_bundle(arguments.model)
    print("| artefact | runtime | MB | brotli | matched | scores within | boxes within px | AP |"
          " ms | to native |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        baseline = None
        for to, quantize in ARTEFACTS:
            out = Path(folder) / f"{to}-{quantize}"
            try:
                artefact = export(
                    bundle, to=to, out=out, data=data, quantize=quantize, progress=tell
                )
            except ExportError as error:
                print(f"| {to} | | | | {error} | | | | | |", flush=True)
                continue
            if baseline is None:
                baseline = Detector.load(out, threads=1)
                picture = decode_image(data.records[0].image)
                manifest = baseline.manifest
                pixels = resize_stretch(picture, manifest.width, manifest.height)
            for parity in artefact.parity:
                print(row(artefact, parity, quantize, baseline, pixels, data, arguments.split,
                          arguments.runs), flush=True)  # fmt: skip


def tell(line: str) -> None:
    print(line, file=sys.stderr)


def row(
    artefact: Artefact,
    parity: Parity,
    quantize: str | None,
    baseline: Detector,
    pixels: NDArray[np.uint8],
    data: Dataset,
    split: str,
    runs: int,
) -> str:
    files = [
        (artefact.path / name).read_bytes()
        for name in read_manifest(artefact.path).files
        if name != WEIGHTS_NAME and not name.endswith((".txt", ".pbtxt"))
    ]
    raw = sum(map(len, files)) / 1e6
    packed = sum(len(brotli.compress(content, quality=11)) for content in files) / 1e6
    detector = Detector.load(artefact.path, threads=1, runtime=parity.runtime)
    is_slow = parity.runtime == "tfjs/webgl"  # in software
    ap = parity.ap if is_slow else evaluate(detector, data, split=split).AP
    ours, native = [], []
    for _ in range(1 if is_slow else ROUNDS):
        ours += time_ms(detector.engine, pixels, 2 if is_slow else runs)
        native += time_ms(baseline.engine, pixels, runs)
    detector.close()
    return (
        f"| {artefact.target} {quantize or ''} | {parity.runtime} | {raw:.2f} | {packed:.2f} | "
        f"{parity.matched}, {parity.unmatched} not | {parity.max_score_drift:.1e} | "
        f"{parity.max_box_drift_px:.3f} | {ap:.4f} | {min(ours):.1f} | "
        f"{min(ours) / min(native):.2f} |"
    )


def time_ms(engine: Engine, pixels: NDArray[np.uint8], runs: int) -> list[float]:
    """Milliseconds of each of `runs` inferences."""
    from sightline.runtime.engines.browser import BrowserEngine

    if isinstance(engine, BrowserEngine):
        return engine.time(pixels, runs)
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        engine.run(pixels)
        times.append((time.perf_counter() - begun) * 1000)
    return times


if __name__ == "__main__":
    main()
