"""One network in a browser's runtimes, in turns in one run: ms, and ratios of the least.

    python benchmarks/browser_runtimes.py MODEL [--rounds 5] [--runs 10]

ONNX Runtime Web, TensorFlow.js and LiteRT.js on wasm, with one thread and two, beside ONNX Runtime
and LiteRT on the machine itself. Needs web/node_modules (make web) for LiteRT.js.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from exports import time_ms  # beside this file
from sightline.data.drawn import KINDS, draw_scene
from sightline.export.run import export
from sightline.manifest import read_manifest
from sightline.runtime.engine import Engine, open_engine
from sightline.runtime.engines.browser import BrowserEngine
from sightline.workflow.resolve import ensure_bundle

LITERT_WASM = Path(__file__).parents[1] / "web" / "node_modules" / "@litertjs" / "core" / "wasm"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=10)
    arguments = parser.parse_args()
    bundle = ensure_bundle(arguments.model)
    with tempfile.TemporaryDirectory() as folder:
        artefacts = {to: Path(folder) / to for to in ("onnx", "tfjs", "litert")}
        for to, out in artefacts.items():
            export(bundle, to=to, out=out, unproven=True)
        side = read_manifest(artefacts["onnx"]).width
        pixels = draw_scene(np.random.default_rng(0), list(KINDS), width=side, height=side).image
        engines = open_all(artefacts)
        times: dict[str, list[float]] = {name: [] for name in engines}
        for _ in range(arguments.rounds):
            for name, engine in engines.items():
                times[name] += time_ms(engine, pixels, arguments.runs)
        for engine in engines.values():
            engine.close()
    base = min(next(iter(times.values())))
    print("| runtime | ms min / median | to native ONNX Runtime |")
    print("|---|---|---|")
    for name, mine in times.items():
        print(f"| {name} | {min(mine):.1f} / {np.median(mine):.1f} | {min(mine) / base:.2f} |")


def open_all(artefacts: dict[str, Path]) -> dict[str, Engine]:
    manifests = {to: read_manifest(folder) for to, folder in artefacts.items()}
    open_it: Callable[..., Engine] = lambda to, **how: open_engine(  # noqa: E731
        artefacts[to], manifests[to], **how
    )
    wasm = {f"prove/litert/{path.name}": path for path in LITERT_WASM.iterdir()}
    litert_files = {"artefact/model.tflite": artefacts["litert"] / "model.tflite", **wasm}
    engines = {
        "ONNX Runtime, 1 thread": open_it("onnx", threads=1),
        "LiteRT, 1 thread": open_it("litert", threads=1),
        "TensorFlow.js wasm, 1 thread": open_it("tfjs", runtime="tfjs/wasm"),
    }
    for count in (1, 2):
        engines[f"ONNX Runtime Web wasm, {count} thread(s)"] = open_it(
            "onnx", runtime="onnxruntime-web/wasm", threads=count
        )
        engines[f"LiteRT.js wasm, {count} thread(s)"] = BrowserEngine(
            "litert-web", manifests["litert"], litert_files, threads=count
        )
    return engines


if __name__ == "__main__":
    main()
