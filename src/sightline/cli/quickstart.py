"""`sightline quickstart`: the whole way once, on drawn objects."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sightline.cli.options import add_config_flags, config_values
from sightline.cli.threads import let_threads_sleep

EXAMPLES = """examples:
  sightline quickstart               draw, train, evaluate, open the live page
  sightline quickstart demo/ --no-serve
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from sightline.workflow.quickstart import QuickstartConfig

    parser.epilog = EXAMPLES
    parser.add_argument(
        "folder",
        nargs="?",
        default="quickstart",
        metavar="DIR",
        help="where everything is kept (default quickstart/); finished parts are reused",
    )
    parser.add_argument("--no-serve", action="store_true", help="stop after the evaluation")
    parser.add_argument(
        "--port", type=int, default=0, help="of the live page (default: a free one)"
    )
    add_config_flags(parser, QuickstartConfig)


def run(args: argparse.Namespace) -> int:
    from sightline.config import make_config
    from sightline.workflow.quickstart import QuickstartConfig, quickstart

    let_threads_sleep()
    config = make_config(QuickstartConfig, config_values(args, QuickstartConfig))
    made = quickstart(Path(args.folder), config, lambda line: print(line, file=sys.stderr))
    metrics = made.metrics
    print(f"AP {metrics.AP or 0:.3f}  AP50 {metrics.AP50 or 0:.3f}  {made.bundle}")
    if args.no_serve:
        print(f"see it live: sightline serve {made.run} --sample-clip {made.clip}")
        return 0
    print("4/4 the live page, with the sample clip", file=sys.stderr)
    from sightline.cli.serve import announce
    from sightline.server.config import ServeConfig
    from sightline.server.run import serve

    settings = ServeConfig(port=args.port, sample_clip=str(made.clip), open_browser=True)
    serve([str(made.run)], settings, ready=lambda endpoint: announce(endpoint, settings))
    return 0
