"""`sightline data inspect`: what a data set holds and what is wrong with it."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from sightline.cli.progress import progress_bar
from sightline.data.dataset import Dataset
from sightline.data.formats import FORMATS
from sightline.data.hints import HINTS

if TYPE_CHECKING:
    from rich.console import Console

    from sightline.data.records import Problem

_COLORS = {"error": "bold red", "warning": "yellow", "info": "cyan"}
# Of one kind of problem the report shows this many; --json has them all.
_SHOWN_EACH = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommands of `sightline data`."""
    parser.epilog = "Example: sightline data inspect photos/"
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    inspect = actions.add_parser(
        "inspect",
        help="format, classes, splits, and every problem with file and line",
        description="Read a data set and say what it holds and what is wrong with it.",
        epilog="examples:\n"
        "  sightline data inspect photos/\n"
        "  sightline data inspect annotations/instances_train.json --json\n"
        "  sightline data inspect photos/ --strict   (exit code 1 if there is an error)",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inspect.add_argument("path", help="folder or annotation file, Pascal VOC or COCO")
    inspect.add_argument("--json", action="store_true", help="one JSON object on stdout")
    inspect.add_argument("--strict", action="store_true", help="exit 1 if a problem is an error")
    inspect.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )


def run(args: argparse.Namespace) -> int:
    """Inspect; 1 with --strict where an error was found, else 0."""
    with progress_bar("looking at images") as progress:
        dataset = Dataset.load(args.path, progress=progress)
    if args.json:
        print(json.dumps(summarise(dataset), indent=2))
    else:
        _print_report(dataset)
    errors = sum(problem.severity == "error" for problem in dataset.problems)
    if args.strict and errors:
        print(f"sightline data inspect: {errors} error(s) in {args.path}", file=sys.stderr)
        return 1
    return 0


def summarise(dataset: Dataset) -> dict[str, object]:
    """The data set in the shape of contract 2."""
    return {
        "format": dataset.format,
        "images": len(dataset),
        "boxes": sum(dataset.box_counts.values()),
        "classes": dataset.box_counts,
        "splits": {name: len(indices) for name, indices in dataset.splits.items()},
        "problems": [problem.to_json() for problem in dataset.problems],
    }


def _print_report(dataset: Dataset) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    images, boxes = len(dataset), sum(dataset.box_counts.values())
    console.print(Text(_printable(str(dataset.root)), "bold"))
    console.print(
        f"{FORMATS[dataset.format]}: {_count(images, 'image')}, {_count(boxes, 'box', 'boxes')}, "
        f"{_count(len(dataset.classes), 'class', 'classes')}"
    )
    splits = ", ".join(f"{name} {len(indices)}" for name, indices in dataset.splits.items())
    console.print(f"splits: {splits or 'none of its own (training takes 80/20, seed 0)'}\n")
    if dataset.classes:
        present = _images_per_class(dataset)
        table = Table("class", box=None, pad_edge=False, header_style="bold")
        table.add_column("boxes", justify="right")
        table.add_column("images", justify="right")
        for index, (name, count) in enumerate(dataset.box_counts.items()):
            table.add_row(Text(_printable(name)), str(count), str(present[index]))
        console.print(table)
        console.print()
    _print_problems(console, dataset.problems)


def _print_problems(console: Console, problems: tuple[Problem, ...]) -> None:
    from rich.text import Text

    if not problems:
        console.print("no problem found", style="green")
        return
    for severity, color in _COLORS.items():
        by_code: dict[str, list[Problem]] = {}
        for problem in problems:
            if problem.severity == severity:
                by_code.setdefault(problem.code, []).append(problem)
        for code, alike in by_code.items():
            head = Text(f"{severity} {code} ({len(alike)})", color)
            console.print(head.append(f": {HINTS[code]}", "default not bold"))
            for problem in alike[:_SHOWN_EACH]:
                line = "" if problem.line is None else f":{problem.line}"
                where = "" if problem.file == "." else f"{problem.file}{line}  "
                console.print(Text(f"  {_printable(where + problem.message)}"))
            if len(alike) > _SHOWN_EACH:
                console.print(f"  and {len(alike) - _SHOWN_EACH} more; --json lists them all")


def _images_per_class(dataset: Dataset) -> list[int]:
    """Number of images that each class occurs in."""
    counts = [0] * len(dataset.classes)
    for record in dataset.records:
        for label in set(record.label_ids.tolist()):
            counts[label] += 1
    return counts


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _printable(text: str) -> str:
    """Without control characters: a file's name must not steer the terminal."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
