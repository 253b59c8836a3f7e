"""`sightline data`: inspect a data set and mend it, convert it, split it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.cli.progress import progress_bar
from sightline.data.dataset import Dataset
from sightline.data.formats import WRITERS
from sightline.data.staging import require_free
from sightline.errors import DatasetEmpty, DatasetError, UsageError

if TYPE_CHECKING:
    from sightline.data.mend import Mended

_SOURCE_HELP = "folder, annotation file or zip file, in any format that is known"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommands of `sightline data`."""
    parser.epilog = (
        "examples:\n"
        "  sightline data inspect photos/\n"
        "  sightline data convert photos/ photos-yolo --to yolo\n"
        "  sightline data split photos/ photos-split --val 0.2"
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    inspect = _add_action(
        actions,
        "inspect",
        "format, classes, splits, and every problem with file and line; mended, or in pictures",
        "Read a data set and say what it holds and what is wrong with it.",
        "  sightline data inspect photos/\n"
        "  sightline data inspect annotations/instances_train.json --json\n"
        "  sightline data inspect photos/ --html photos.html   (look at it in a browser)\n"
        "  sightline data inspect photos/ --fix photos-mended  (a copy without its problems)\n"
        "  sightline data inspect photos/ --strict             (exit code 1 if there is an error)",
    )
    inspect.add_argument("path", metavar="PATH", help=_SOURCE_HELP)
    inspect.add_argument("--json", action="store_true", help="one JSON object on stdout")
    inspect.add_argument("--strict", action="store_true", help="exit 1 if a problem is an error")
    inspect.add_argument(
        "--images",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="decode every image, or none (default: up to 20,000 of them)",
    )
    inspect.add_argument("--fix", metavar="DST", help="write a mended copy to a new folder")
    inspect.add_argument("--html", metavar="OUT", help="write a page with pictures, as OUT.html")
    convert = _add_action(
        actions,
        "convert",
        "write a data set in another format; the source is not touched",
        "Write a data set to a new folder in another format. Image bytes are copied as they are.",
        "  sightline data convert photos/ photos-yolo --to yolo\n"
        "  sightline data convert export.zip photos-voc --to voc",
    )
    _add_ends(convert)
    convert.add_argument("--to", required=True, choices=tuple(WRITERS), help="the new format")
    split = _add_action(
        actions,
        "split",
        "divide a data set into train, val and test; the source is not touched",
        "Write a data set to a new folder with splits: the same every time, classes spread alike, "
        "images that are alike on one side.",
        "  sightline data split photos/ photos-split --val 0.2\n"
        "  sightline data split photos/ photos-split --val 0.1 --test 0.1 --seed 1",
    )
    _add_ends(split)
    split.add_argument("--val", type=float, default=0.2, help="share of images (default 0.2)")
    split.add_argument("--test", type=float, default=0.0, help="share of images (default none)")
    split.add_argument("--seed", type=int, default=0, help="another number, another split")


def _add_action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    line: str,
    description: str,
    examples: str,
) -> argparse.ArgumentParser:
    parser = actions.add_parser(
        name,
        help=line,
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )
    return parser


def _add_ends(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SRC", help=_SOURCE_HELP)
    parser.add_argument("destination", metavar="DST", help="a new folder")


def run(args: argparse.Namespace) -> int:
    """Do what was asked; 1 with --strict where an error was found, else 0."""
    if args.action == "inspect":
        return _inspect(args)
    return _convert(args) if args.action == "convert" else _split(args)


def _inspect(args: argparse.Namespace) -> int:
    from sightline.cli.data_report import print_contents, print_mended, print_problems, summarise
    from sightline.data.mend import mend
    from sightline.data.page import write_dataset_page

    if args.fix is not None:
        _require_apart(args.path, args.fix)
    if args.html is not None and Path(args.html).suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--html {args.html}: name a file that ends in .html")
    dataset = _load(args.path, args.images)
    mended: Mended | None = None
    if args.fix is not None:
        with progress_bar("looking at the copy") as progress:
            mended = mend(dataset, Path(args.fix), check_images=args.images, progress=progress)
    if args.html is not None:
        with progress_bar("drawing pictures") as progress:
            write_dataset_page(dataset, Path(args.html), progress=progress)
    if args.json:
        value = summarise(dataset)
        if mended is not None:
            value["fixed"] = [problem.to_json() for problem in mended.done]
            value["left"] = [problem.to_json() for problem in mended.left]
            value["written"] = args.fix
        print(json.dumps(value, indent=2))
    else:
        print_contents(dataset, args.path)
        if mended is None:
            print_problems(dataset.problems)
        else:
            print_mended(mended, args.fix)
        if args.html is not None:
            print(f"wrote {args.html}")
    errors = sum(problem.severity == "error" for problem in dataset.problems)
    if args.strict and errors:
        print(f"sightline data inspect: {errors} error(s) in {args.path}", file=sys.stderr)
        return 1
    return 0


def _convert(args: argparse.Namespace) -> int:
    from sightline.cli.data_report import print_converted

    _require_apart(args.source, args.destination)
    dataset = _load(args.source)
    _require_images(dataset)
    with progress_bar("writing") as progress:
        lost = dataset.save(args.destination, args.to, progress)
    print_converted(dataset, lost, args.source, args.destination, args.to)
    return 0


def _split(args: argparse.Namespace) -> int:
    from sightline.cli.data_report import print_split

    _require_apart(args.source, args.destination)
    dataset = _load(args.source, True).split(args.val, args.test, args.seed)
    format = dataset.format if dataset.format in WRITERS else "voc"
    with progress_bar("writing") as progress:
        lost = dataset.save(args.destination, format, progress)
    print_split(dataset, lost, args.source, args.destination, format)
    return 0


def _load(path: str, check_images: bool | None = None) -> Dataset:
    with progress_bar("looking at images") as progress:
        return Dataset.load(path, check_images=check_images, progress=progress)


def _require_apart(source: str, destination: str) -> None:
    """Raises DatasetError where the new folder is the source or lies in it, before long work.

    A folder beside a single annotation file is no part of the source.
    """
    old, new = Path(source).resolve(), Path(destination).resolve()
    if new.is_relative_to(old):
        raise DatasetError(f"{destination} is {source} or lies in it; name a folder outside")
    require_free(Path(destination))


def _require_images(dataset: Dataset) -> None:
    if not dataset.records:
        raise DatasetEmpty(
            f"{dataset.path} has no usable image: nothing to write "
            f"(`sightline data inspect {dataset.path}` says why)"
        )
