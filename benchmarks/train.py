"""Fine-tuning on real data sets with all defaults: AP, seconds, peak memory.

    python benchmarks/train.py [kangaroo raccoon bccd] [--model deimv2-femto] [--minutes M]

Each run is a process of its own. Needs SIGHTLINE_SHARED (../shared) and SIGHTLINE_MODELS.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHARED = Path(os.environ.get("SIGHTLINE_SHARED", "../shared"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="*", default=["kangaroo", "raccoon", "bccd"])
    parser.add_argument("--model", default="deimv2-femto")
    parser.add_argument("--minutes", type=float)
    args = parser.parse_args()
    print("| data | model | AP | AP50 | AR100 | best step / steps | seconds | peak memory |")
    print("|---|---|---|---|---|---|---|---|")
    for name in args.data:
        print(row(name, args.model, args.minutes), flush=True)


def row(name: str, model: str, minutes: float | None) -> str:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / name
        command = [
            sys.executable, "-m", "sightline.cli.main", "train", str(SHARED / "data" / name),
            "--model", model, "--out", str(out), "--json",
        ]  # fmt: skip
        if minutes is not None:
            command += ["--minutes", str(minutes)]
        begun = time.monotonic()
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        seconds = time.monotonic() - begun
        metrics = json.loads(done.stdout)
        manifest = json.loads((out / "best" / "manifest.json").read_text())
    # the largest of all children so far, so the first row's is exact and others at most this
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    steps = manifest["training"]
    return (
        f"| {name} | {model} | {metrics['AP']:.3f} | {metrics['AP50']:.3f} | "
        f"{metrics['AR100']:.3f} | {steps['best_step']} / {steps['steps']} | {seconds:.0f} | "
        f"{peak:.0f} MiB |"
    )


if __name__ == "__main__":
    main()
