"""`sightline evaluate`: the 12 COCO numbers of a model on a data set."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from typing import TYPE_CHECKING

from sightline.cli.progress import progress_bar

if TYPE_CHECKING:
    from sightline.evaluate.coco import Metrics

EPILOG = """examples:
  sightline evaluate runs/kangaroo data/kangaroo           on the images it validated on
  sightline evaluate deimv2-femto data/coco --split all    every image, whatever its split
  sightline evaluate runs/kangaroo data/kangaroo --json
"""

LABELS = {
    "AP": "AP     precision over IoU .50:.95",
    "AP50": "AP50   at IoU .50",
    "AP75": "AP75   at IoU .75",
    "APs": "APs    of objects under 32 x 32 px",
    "APm": "APm    up to 96 x 96",
    "APl": "APl    over 96 x 96",
    "AR1": "AR1    recall with 1 detection an image and class",
    "AR10": "AR10   with 10",
    "AR100": "AR100  with 100",
    "ARs": "ARs    of objects under 32 x 32 px",
    "ARm": "ARm    up to 96 x 96",
    "ARl": "ARl    over 96 x 96",
}
MOST_CLASSES = 30  # in the table; --json has all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("model", metavar="MODEL", help="a bundle, a run folder or a zoo name")
    parser.add_argument("data", metavar="DATA", help="a data set: folder or annotation file")
    parser.add_argument(
        "--split", metavar="NAME", help="which images: train, val, test or all (default val)"
    )
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")


def run(args: argparse.Namespace) -> int:
    from sightline.data.dataset import Dataset
    from sightline.evaluate.run import evaluate
    from sightline.workflow.resolve import ensure_bundle

    model = ensure_bundle(args.model, _say)
    with progress_bar("reading") as progress:
        dataset = Dataset.load(args.data, progress=progress)
    if faults := sum(problem.severity == "error" for problem in dataset.problems):
        _say(f"{faults} error(s) in the data set; `sightline data inspect {args.data}` lists them")
    with warnings.catch_warnings(record=True) as caught, progress_bar("evaluating") as progress:
        warnings.simplefilter("always", UserWarning)
        metrics = evaluate(model, dataset, split=args.split, progress=progress)
    for warning in caught:
        _say(f"Warning: {warning.message}")
    print(json.dumps(metrics.to_json(), indent=2) if args.json else _table(metrics))
    return 0


def _table(metrics: Metrics) -> str:
    lines = [f"{metrics.images} images, {metrics.boxes} boxes", ""]
    lines += [f"  {text:<50} {_percent(getattr(metrics, key))}" for key, text in LABELS.items()]
    present = {name: one for name, one in metrics.per_class.items() if one.AP is not None}
    if len(present) > 1:
        width = max(len("class"), *map(len, present))
        lines += ["", f"  {'class':<{width}}     AP   AP50"]
        for name, one in list(present.items())[:MOST_CLASSES]:
            lines.append(f"  {name:<{width}}  {_percent(one.AP)}  {_percent(one.AP50)}")
        if len(present) > MOST_CLASSES:
            lines.append(f"  and {len(present) - MOST_CLASSES} more: --json has them all")
    return "\n".join(lines)


def _percent(value: float | None) -> str:
    return "    -" if value is None else f"{100 * value:5.1f}"


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
