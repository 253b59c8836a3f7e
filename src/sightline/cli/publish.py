"""`sightline publish`: a model and its page as a static folder."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightline.workflow.publish.site import Published

EXAMPLES = """examples:
  sightline publish runs/photos site/            then copy site/ to any web host
  sightline publish runs/photos site/ --check    and see it detect in a browser first
  sightline publish quickstart/run site/ --sample-clip quickstart/clip.webm

The folder works at any address and path, needs no headers of the host, and goes on without a
network once it was visited.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="a bundle, a run folder, an ONNX artefact or a zoo name; the first is shown first",
    )
    parser.add_argument("out", metavar="OUT", help="the folder; one published before is replaced")
    parser.add_argument("--sample-clip", metavar="FILE", help="a video that visitors can try it on")
    parser.add_argument(
        "--as-is",
        action="store_true",
        help="publish the model's own graph (default: its weights in 16 bits, proven, where "
        "[train] is installed)",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="open it in a browser without a window, from a plain file server below a path, and "
        "compare what it detects; nothing is published if that fails (needs [browser])",
    )
    parser.add_argument("--json", action="store_true", help="print sizes and the check's result")


def run(args: argparse.Namespace) -> int:
    from sightline.workflow.publish.site import publish

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_: _say(f"Warning: {message}")
        made = publish(
            args.models,
            args.out,
            sample_clip=args.sample_clip,
            as_is=args.as_is,
            check=args.check,
            say=_say,
        )
    print(json.dumps(_to_json(made), indent=2) if args.json else _summary(made))
    return 0


def _to_json(made: Published) -> dict[str, Any]:
    return {
        "out": str(made.out),
        "version": made.version,
        "bytes": made.bytes,
        "first_detection_bytes": dataclasses.asdict(made.first_detection),
        "files": len(made.sizes),
        "models": made.choices,
        "check": None if made.check is None else dataclasses.asdict(made.check),
    }


def _summary(made: Published) -> str:
    first = made.first_detection
    lines = [f"{made.out}: {len(made.sizes)} files, {made.bytes / 1e6:.1f} MB with their copies"]
    lines += [f"  {name}: {choice}" for name, choice in made.choices.items()]
    lines.append(
        f"  to the first detection: {first.brotli / 1e6:.2f} MB brotli, "
        f"{first.gzip / 1e6:.2f} MB gzip, {first.raw / 1e6:.2f} MB as files"
    )
    if made.check is not None:
        lines.append(f"  {made.check.told()}")
    lines.append(f"try it here: python -m http.server --directory {made.out}")
    return "\n".join(lines)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
