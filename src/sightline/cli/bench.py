"""`sightline bench`: how long a model takes on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.cli.progress import progress_bar

if TYPE_CHECKING:
    from sightline.runtime.bench import BenchReport, ThreadResult

EPILOG = """examples:
  sightline bench deimv2-femto
  sightline bench runs/kangaroo --image photo.jpg --runs 200 --json
  sightline bench deimv2-femto --against official-femto.onnx    the ratio of two graphs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("model", metavar="MODEL", help="a bundle, a run folder or a zoo name")
    parser.add_argument(
        "--image", type=Path, metavar="FILE", help="work on this (default: a drawn 1280x720 JPEG)"
    )
    parser.add_argument(
        "--runs", type=_positive, default=50, metavar="N", help="of each stage (default 50)"
    )
    parser.add_argument(
        "--threads",
        type=_positive,
        metavar="N",
        help="measure with N threads, besides one (default: one a core, at most 4)",
    )
    parser.add_argument(
        "--against", type=Path, metavar="ONNX", help="another graph, timed beside the model's"
    )
    parser.add_argument("--json", action="store_true", help="print the timings as JSON")


def run(args: argparse.Namespace) -> int:
    from sightline.runtime.bench import bench
    from sightline.workflow.resolve import ensure_bundle

    model = ensure_bundle(args.model, lambda message: print(message, file=sys.stderr))
    with progress_bar("measuring", unit="runs") as progress:
        report = bench(
            model,
            image=args.image,
            runs=args.runs,
            threads=args.threads,
            against=args.against,
            progress=progress,
        )
    print(json.dumps(report.to_json(), indent=2) if args.json else _table(report))
    return 0


def _table(report: BenchReport) -> str:
    lines = [
        f"{report.model}, image {report.width}x{report.height}, {report.runs} runs; "
        "ms, minimum and median"
    ]
    for result in report.results:
        lines += ["", _threads(result)]
        for name, timing in result.stages.items():
            lines.append(f"  {name:<18}{timing.min_ms:9.2f}{timing.median_ms:9.2f}")
        if result.against is not None:
            compared = result.against
            lines.append(
                f"  {Path(compared.file).name}: {compared.theirs.min_ms:.2f} "
                f"{compared.theirs.median_ms:.2f}; ours beside it {compared.ours.min_ms:.2f} "
                f"{compared.ours.median_ms:.2f}; ratio of minima {compared.ratio:.3f}"
            )
    return "\n".join(lines)


def _threads(result: ThreadResult) -> str:
    return "1 thread" if result.threads == 1 else f"{result.threads} threads"


def _positive(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"a whole number, at least 1, is expected, not {text!r}")
    return number
