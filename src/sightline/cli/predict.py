"""`sightline predict`: what a model sees in images, folders, videos and cameras."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.cli.progress import progress_bar

if TYPE_CHECKING:
    from sightline.runtime.predict import Failure, Prediction

EPILOG = """examples:
  sightline predict runs/kangaroo photo.jpg other.png
  sightline predict deimv2-femto photos/ --json --save annotated/
  sightline predict deimv2-femto clip.mp4 --json          one JSON object a frame and line
  sightline predict deimv2-femto 0                        the first camera, until Ctrl-C

An image that cannot be used is named with the reason on stderr; the others are still done and
the exit code is 1.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("model", metavar="MODEL", help="a bundle, a run folder or a zoo name")
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="an image, a folder of images, a video file, or the number of a camera",
    )
    parser.add_argument("--json", action="store_true", help="print the detections as JSON")
    parser.add_argument("--save", type=Path, metavar="DIR", help="write annotated copies there")
    parser.add_argument(
        "--threshold", type=float, metavar="T", help="the least score shown (default: the model's)"
    )


def run(args: argparse.Namespace) -> int:
    from sightline.runtime.detector import Detector
    from sightline.runtime.predict import has_frames, predict
    from sightline.workflow.resolve import ensure_bundle

    detector = Detector.load(ensure_bundle(args.model, _say))
    # Where results scroll by on the terminal themselves, a bar would only be in their way.
    bar = contextlib.nullcontext() if sys.stdout.isatty() else progress_bar("predicting")
    with (
        bar as progress,
        contextlib.closing(
            predict(
                detector,
                args.sources,
                threshold=args.threshold,
                save=args.save,
                progress=progress,
            )
        ) as results,
    ):
        if not args.json:
            return _print_lines(results)
        if has_frames(args.sources):
            return _print_json_lines(results)
        return _print_json_array(results)


def _print_lines(results: Iterable[Prediction | Failure]) -> int:
    exit_code = 0
    for result in results:
        if (prediction := _succeeded(result)) is None:
            exit_code = 1
            continue
        where = prediction.name
        if prediction.frame is not None:
            where += f" frame {prediction.frame} {prediction.time_s:.2f} s"
        seen = ", ".join(f"{one.label} {one.score:.2f}" for one in prediction.detections)
        saved = f" -> {prediction.saved}" if prediction.saved and prediction.frame is None else ""
        print(f"{where}: {seen or 'nothing'}{saved}", flush=prediction.frame is not None)
    return exit_code


def _print_json_lines(results: Iterable[Prediction | Failure]) -> int:
    exit_code = 0
    for result in results:
        if (prediction := _succeeded(result)) is None:
            exit_code = 1
            continue
        print(json.dumps(prediction.to_json(), ensure_ascii=False), flush=True)
    return exit_code


def _print_json_array(results: Iterable[Prediction | Failure]) -> int:
    """One array, an object a line, printed as they come."""
    exit_code, before = 0, "["
    for result in results:
        if (prediction := _succeeded(result)) is None:
            exit_code = 1
            continue
        print(f"{before}\n {json.dumps(prediction.to_json(), ensure_ascii=False)}", end="")
        before = ","
    print("[]" if before == "[" else "\n]")
    return exit_code


def _succeeded(result: Prediction | Failure) -> Prediction | None:
    from sightline.runtime.predict import Failure

    if isinstance(result, Failure):
        _say(f"sightline predict: {result.error}")
        return None
    return result


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
