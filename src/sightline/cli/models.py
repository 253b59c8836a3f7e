"""`sightline models`: the zoo, what of it is here, and pulling what is not."""

from __future__ import annotations

import argparse
import json
import sys
from importlib.util import find_spec
from typing import Any

from sightline.cli.progress import progress_bar
from sightline.zoo import ZOO, bundle_dir, weights_path, zoo_model

EPILOG = """examples:
  sightline models                       names, sizes, COCO AP, licences, what is here
  sightline models --json
  sightline models pull deimv2-femto     official weights, and the bundle made from them
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    pull = actions.add_parser("pull", help="download a model's weights and make its bundle")
    pull.add_argument("name", metavar="NAME", help=f"one of {', '.join(ZOO)}")


def run(args: argparse.Namespace) -> int:
    if args.action == "pull":
        return _pull(args.name)
    rows = [describe_model(name) for name in ZOO]
    print(json.dumps(rows, indent=2) if args.json else _table(rows))
    return 0


def describe_model(name: str) -> dict[str, Any]:
    """What `sightline models --json` says of one model; paths are null where nothing is here."""
    model = zoo_model(name)
    weights, bundle = weights_path(name), bundle_dir(name)
    return {
        "name": name,
        "parameters": model.parameters or None,
        "input_px": model.input_px,
        "coco_ap": model.coco_ap,
        "license": model.license,
        "url": model.url,
        "weights": str(weights) if weights.is_file() else None,
        "bundle": str(bundle) if (bundle / "manifest.json").is_file() else None,
    }


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [("name", "parameters", "input", "COCO AP", "license", "here")]
    for row in rows:
        parts = [part for part in ("weights", "bundle") if row[part]]
        lines.append(
            (
                row["name"],
                f"{row['parameters'] / 1e6:.2f} M" if row["parameters"] else "-",
                f"{row['input_px']} px",
                f"{100 * row['coco_ap']:.1f}" if row["coco_ap"] else "-",
                row["license"],
                " + ".join(parts) or "-",
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _pull(name: str) -> int:
    from sightline.models.pull import pull_weights

    bundle = bundle_dir(name)
    if (bundle / "manifest.json").is_file():
        print(f"{name} is ready", file=sys.stderr)
        print(bundle)
        return 0
    with progress_bar(name, unit="bytes") as progress:
        weights = pull_weights(name, progress)
    if find_spec("torch") is None:
        print(weights)
        print(
            f"The weights of {name} are here. Making the model that runs from them needs "
            f"pip install 'sightline[train]' once, then again: sightline models pull {name}",
            file=sys.stderr,
        )
        return 0
    from sightline.workflow.resolve import ensure_bundle

    print(f"Making the bundle of {name} ...", file=sys.stderr)
    print(ensure_bundle(name))
    return 0
