"""`sightline train`: a data set in, a run folder with a model bundle out."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from typing import Any

from sightline.cli.options import add_config_flags, config_values
from sightline.cli.progress import progress_bar
from sightline.cli.threads import let_threads_sleep
from sightline.public_names import load_public

EXAMPLES = """examples:
  sightline train photos/                       your labelled photos, in any known format
  sightline train photos/ --minutes 10          done in ten minutes, whatever the machine
  sightline train photos/ --model deimv2-atto   a smaller, faster model
  sightline train photos/ --out runs/mine --resume
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from sightline.train.config import TrainConfig

    parser.epilog = EXAMPLES
    parser.add_argument("data", metavar="DATA", help="the data set: a folder or annotation file")
    parser.add_argument("--out", metavar="DIR", help="the run folder (default runs/NAME)")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument("--json", action="store_true", help="print the best model's metrics")
    add_config_flags(parser, TrainConfig)


def run(args: argparse.Namespace) -> int:
    from sightline.data.dataset import Dataset
    from sightline.train.config import TrainConfig

    let_threads_sleep()
    train = load_public("sightline.train.loop", "train")
    values = config_values(args, TrainConfig)
    with progress_bar("reading images") as progress:
        dataset = Dataset.load(args.data, progress=progress)
    if not {"train", "val"} <= dataset.splits.keys():
        with progress_bar("comparing images, to split them") as progress:
            dataset.decode(progress)
    if dataset.problems:
        print(
            f"{len(dataset)} images, {len(dataset.problems)} problems: "
            f"`sightline data inspect {args.data}` lists them",
            file=sys.stderr,
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=UserWarning, module=r"sightline\.")
        warnings.showwarning = _show_warning
        result = train(dataset, out=args.out, resume=args.resume, **values)
    metrics = result.metrics
    if args.json:
        print(json.dumps(metrics))
        return 0
    print(f"AP {metrics['AP'] or 0:.3f}  AP50 {metrics['AP50'] or 0:.3f}  {result.best}")
    print(f"try: sightline serve {result.folder}", file=sys.stderr)
    return 0


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """As `sightline evaluate` shows them: without the place in the code."""
    print(f"Warning: {message}", file=sys.stderr, flush=True)
