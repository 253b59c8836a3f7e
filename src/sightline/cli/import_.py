"""`sightline import`: a model of another program as a bundle."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.cli.options import add_config_flags, config_values
from sightline.errors import UsageError

if TYPE_CHECKING:
    from sightline.workflow.import_model import Sample

EXAMPLES = """examples:
  sightline import deimv2_s.onnx --out models/deimv2-s --sample street.jpg --pixels imagenet
  sightline import yolox_nano.onnx --out models/yolox --sample street.jpg
  sightline import exported/saved_model --out models/ssd --labels labelmap.pbtxt --sample cat.jpg
  sightline import web_model/model.json --out models/web --sample cat.jpg --yes
  sightline import model.onnx --out models/mine --labels names.txt --yes     without looking

Taken are ONNX files of DEIMv2, D-FINE, RT-DETR and YOLOX from their official exports, and models of
the TF Object Detection API, as SavedModel or TensorFlow.js graph model. What the file does not say
is guessed; the photo given with --sample shows whether the boxes fit, before the bundle is made.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from sightline.workflow.adapters.config import ImportConfig

    parser.epilog = EXAMPLES
    parser.add_argument(
        "file", metavar="FILE", help="an ONNX file, a SavedModel's folder or a model.json"
    )
    parser.add_argument("--out", required=True, metavar="BUNDLE", help="a new folder")
    parser.add_argument("--sample", metavar="PHOTO", help="try it on this photo and show the boxes")
    parser.add_argument(
        "--picture", metavar="FILE", help="where the boxes are drawn (default BUNDLE-sample.jpg)"
    )
    add_config_flags(parser, ImportConfig)
    parser.add_argument("--yes", action="store_true", help="do not ask whether the boxes fit")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    from sightline.config import make_config
    from sightline.workflow.adapters.config import ImportConfig
    from sightline.workflow.import_model import import_model

    if args.sample is None and not args.yes:
        raise UsageError(
            "give a photo with --sample PHOTO, to see whether the boxes fit, or --yes to import "
            "without looking"
        )
    if not args.yes and not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on whether the boxes fit; add --yes")
    imported = import_model(
        args.file,
        out=args.out,
        sample=args.sample,
        picture=args.picture,
        config=make_config(ImportConfig, config_values(args, ImportConfig)),
        confirm=None if args.yes else _ask,
    )
    if args.json:
        print(json.dumps(imported.to_json(), ensure_ascii=False))
        return 0
    if args.yes and imported.sample is not None:
        _show(imported.sample)
    for note in imported.notes:
        _say(note)
    print(f"{imported.path}  {imported.kind}, {len(imported.manifest.labels)} classes")
    return 0


def _ask(sample: Sample) -> bool:
    _show(sample)
    print("do these boxes fit? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _show(sample: Sample) -> None:
    seen = ", ".join(f"{one.label} {one.score:.2f}" for one in sample.detections)
    _say(f"{sample.image}: {seen or 'nothing'} -> {Path(sample.picture)}")
    for doubt in sample.doubts:
        _say(f"doubtful: {doubt}")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
