"""`sightline export`: a model as an artefact for another runtime."""

from __future__ import annotations

import argparse
import json
import sys
from importlib.util import find_spec

from sightline.errors import MissingExtra

EXAMPLES = """examples:
  sightline export runs/photos --to onnx --out exported/
  sightline export runs/photos --to onnx --out exported/ --data photos/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("model", metavar="MODEL", help="a bundle, a run folder or a zoo name")
    parser.add_argument("--to", required=True, choices=("onnx",), help="the artefact")
    parser.add_argument("--out", required=True, metavar="DIR", help="a new folder")
    parser.add_argument("--data", metavar="DATA", help="prove it on this data set's val images")
    parser.add_argument("--json", action="store_true", help="print the parity certificate")


def run(args: argparse.Namespace) -> int:
    if find_spec("torch") is None:
        raise MissingExtra("exporting", "train")
    from sightline.data.dataset import Dataset
    from sightline.export.run import export
    from sightline.workflow.resolve import ensure_bundle

    data = Dataset.load(args.data) if args.data else None
    model = ensure_bundle(args.model, lambda line: print(line, file=sys.stderr))
    artefact = export(model, to=args.to, out=args.out, data=data)
    if args.json:
        print(json.dumps([parity.to_json() for parity in artefact.parity]))
        return 0
    for parity in artefact.parity:
        print(
            f"{artefact.path}  {parity.runtime}: {parity.matched} detections matched on "
            f"{parity.images} images, scores within {parity.max_score_drift:.1e}, boxes within "
            f"{parity.max_box_drift_px:.3f} px"
        )
    return 0
