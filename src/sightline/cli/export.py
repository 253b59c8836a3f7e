"""`sightline export`: a model as an artefact for another runtime."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sightline.cli.progress import progress_bar
from sightline.errors import MissingExtra
from sightline.manifest import MAIN_FILES

if TYPE_CHECKING:
    from sightline.export.run import Artefact

EXAMPLES = """examples:
  sightline export runs/photos --to onnx-fp16 --out web/         half the size, for browsers
  sightline export runs/photos --to tfjs --out model/            a TensorFlow.js graph model
  sightline export runs/photos --to savedmodel --out saved/ --data photos/
  sightline export runs/photos --to litert --quantize float16 --out phone/
  sightline export runs/photos --to onnx-int8 --out small/ --data photos/
  sightline export runs/photos --to onnx --batch 8 --out gpu/    for sightline serve on a GPU

Every artefact is run in its own runtime and compared with PyTorch before it is put in place:
on the data set's validation images, by AP too, or on drawn scenes where none is given.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("model", metavar="MODEL", help="a bundle, a run folder or a zoo name")
    parser.add_argument("--to", required=True, choices=tuple(MAIN_FILES), help="the artefact")
    parser.add_argument("--out", required=True, metavar="DIR", help="a new folder")
    parser.add_argument("--data", metavar="DATA", help="prove it on this data set's val images")
    parser.add_argument(
        "--quantize", choices=("float16",), help="tfjs, litert: store weights in half the size"
    )
    parser.add_argument(
        "--shard-size", type=float, metavar="MIB", help="tfjs: the largest file (default 4 MiB)"
    )
    parser.add_argument(
        "--batch",
        type=int,
        default=1,
        metavar="N",
        help="onnx, onnx-fp16: images that one run takes, for servers with a GPU (default 1)",
    )
    parser.add_argument(
        "--also-in",
        action="append",
        default=[],
        metavar="RUNTIME",
        help="prove it there too, as onnxruntime-web/webgpu (slow without a GPU)",
    )
    parser.add_argument(
        "--unproven",
        action="store_true",
        help="go on where the runtime that must prove it is missing; the manifest says so",
    )
    parser.add_argument("--json", action="store_true", help="print the parity certificates")


def run(args: argparse.Namespace) -> int:
    if find_spec("torch") is None:
        raise MissingExtra("exporting", "train")
    from sightline.data.dataset import Dataset
    from sightline.export.run import export
    from sightline.workflow.resolve import ensure_bundle

    data = None
    if args.data:
        with progress_bar("reading") as progress:
            data = Dataset.load(args.data, progress=progress)
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_: _say(f"Warning: {message}")
        artefact = export(
            ensure_bundle(args.model, _say),
            to=args.to,
            out=args.out,
            data=data,
            quantize=args.quantize,
            shard_mib=args.shard_size,
            batch=args.batch,
            also_in=args.also_in,
            unproven=args.unproven,
            progress=_say,
        )
    if args.json:
        print(json.dumps([parity.to_json() for parity in artefact.parity], indent=2))
    else:
        print(_table(artefact))
    if artefact.unproven:
        _say(f"Warning: unproven, as the manifest says: {artefact.unproven}")
        return 0
    for runtime, reason in artefact.not_tried.items():
        _say(f"Not proven in {runtime}: {reason}")
    return 0


def _table(artefact: Artefact) -> str:
    files = [path for path in artefact.path.rglob("*") if path.is_file()]
    size_mb = sum(path.stat().st_size for path in files) / 1e6
    lines = [f"{artefact.path}: {artefact.target}, {len(files)} files, {size_mb:.2f} MB"]
    if artefact.parity:
        lines += ["", f"  {'runtime':<24} images  matched  scores within  boxes within      AP"]
    for one in artefact.parity:
        ap = "-" if one.ap is None else f"{100 * one.ap:.1f}"
        lines.append(
            f"  {one.runtime:<24} {one.images:>6} {one.matched:>8}  {one.max_score_drift:>13.1e}"
            f"  {one.max_box_drift_px:>9.3f} px  {ap:>6}"
        )
    if artefact.parity and (ap_pytorch := artefact.parity[0].ap_pytorch) is not None:
        lines.append(f"  {'pytorch':<69}{100 * ap_pytorch:>6.1f}")
    return "\n".join(lines)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
