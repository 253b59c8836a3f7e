"""What `sightline data` prints: a data set's contents, its problems, what was mended or split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from sightline.data.dataset import Dataset
from sightline.data.formats import FORMATS
from sightline.data.hints import HINTS
from sightline.data.mend import Mended, changed_on_reading
from sightline.data.records import Problem, Severity

if TYPE_CHECKING:
    from rich.console import Console

_COLORS: dict[Severity, str] = {"error": "bold red", "warning": "yellow", "info": "cyan"}
# Of one kind of problem this many are shown; --json has them all.
_SHOWN_EACH = 5


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


def print_contents(dataset: Dataset, name: str) -> None:
    """Format, counts, splits, and a table of the classes. name: the path that the user gave."""
    from rich.text import Text

    console = _console()
    console.print(Text(_printable(name), "bold"))
    console.print(_described(dataset, dataset.format))
    splits = ", ".join(f"{name} {len(indices)}" for name, indices in dataset.splits.items())
    console.print(
        Text(f"splits: {_printable(splits) or 'none of its own (training takes 80/20, seed 0)'}")
    )
    console.print()
    if dataset.classes:
        present = _images_per_class(dataset)
        columns = {"boxes": list(dataset.box_counts.values()), "images": present}
        _print_table(console, dataset.classes, columns)
        console.print()


def print_problems(problems: Sequence[Problem]) -> None:
    """Everything that was found, by severity and kind, with what to do about it."""
    console = _console()
    if not problems:
        console.print("no problem found", style="green")
    _print_groups(console, problems, has_hints=True)


def print_mended(mended: Mended, destination: str) -> None:
    """What was put right in the copy, and what is left to the user."""
    from rich.text import Text

    console = _console()
    console.print(Text(f"done in {_printable(destination)}: {_total(mended.done)}", "bold"))
    _print_groups(console, mended.done, has_hints=False)
    console.print()
    console.print(Text(f"left to you: {_total(mended.left)}", "bold"))
    _print_groups(console, mended.left, has_hints=True)


def print_converted(
    dataset: Dataset, lost: Sequence[Problem], source: str, destination: str, format: str
) -> None:
    """What the format could not hold, what reading left out or changed, and what was written."""
    from rich.text import Text

    console = _console()
    _print_changes(console, dataset, lost, source, format)
    console.print(Text(f"wrote {_printable(destination)}: {_described(dataset, format)}"))


def print_split(
    dataset: Dataset, lost: Sequence[Problem], source: str, destination: str, format: str
) -> None:
    """A table of images and boxes by split, what became of images alike, the rest as converted."""
    from rich.text import Text

    console = _console()
    columns = {}
    for split, indices in dataset.splits.items():
        counts = dataset.subset(split).box_counts
        columns[split] = [len(indices), *(counts[name] for name in dataset.classes)]
    _print_table(console, ["images", *dataset.classes], columns)
    console.print()
    home = {index: split for split, indices in dataset.splits.items() for index in indices}
    groups = dataset.likeness.groups
    kept = [group for group in groups if len({home[index] for index in group}) == 1]
    if kept:
        console.print(
            f"{sum(map(len, kept))} images that show nearly the same as another, in "
            f"{_count(len(kept), 'group')}, are on the same side as it"
        )
    if len(kept) < len(groups):
        console.print(
            f"{_count(len(groups) - len(kept), 'group')} of them, too large for one side, divided "
            "by name",
            style="yellow",
        )
    _print_changes(console, dataset, lost, source, format)
    console.print(Text(f"wrote {_printable(destination)}: {_described(dataset, format)}"))


def _print_changes(
    console: Console, dataset: Dataset, lost: Sequence[Problem], source: str, format: str
) -> None:
    """What reading left out or changed, and what the format could not hold."""
    from rich.text import Text

    changed = changed_on_reading(dataset.problems)
    if changed:
        console.print(Text("left out or changed on reading:", "bold"))
        _print_groups(console, changed, has_hints=False, most=1)
        tip = f"  `sightline data inspect {_printable(source)}` tells all of it"
        console.print(Text(tip, "dim"))
    if lost:
        console.print(Text(f"what {FORMATS[format]} cannot hold:", "bold"))
        _print_groups(console, lost, has_hints=True, most=1)


def _described(dataset: Dataset, format: str) -> str:
    boxes = sum(dataset.box_counts.values())
    return (
        f"{FORMATS[format]}: {_count(len(dataset), 'image')}, {_count(boxes, 'box', 'boxes')}, "
        f"{_count(len(dataset.classes), 'class', 'classes')}"
    )


def _print_table(
    console: Console, names: Iterable[str], columns: Mapping[str, Sequence[int]]
) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("class", box=None, pad_edge=False, header_style="bold")
    for title in columns:
        table.add_column(Text(_printable(title)), justify="right")
    for name, *numbers in zip(names, *columns.values(), strict=True):
        table.add_row(Text(_printable(name)), *map(str, numbers))
    console.print(table)


def _print_groups(
    console: Console, problems: Sequence[Problem], *, has_hints: bool, most: int = _SHOWN_EACH
) -> None:
    from rich.text import Text

    for severity, color in _COLORS.items():
        by_code: dict[str, list[Problem]] = {}
        for problem in problems:
            if problem.severity == severity:
                by_code.setdefault(problem.code, []).append(problem)
        for code, alike in by_code.items():
            head = Text(f"{severity} {code} ({len(alike)})", color)
            console.print(head.append(f": {HINTS[code]}" if has_hints else "", "default not bold"))
            for problem in alike[:most]:
                line = "" if problem.line is None else f":{problem.line}"
                where = "" if problem.file == "." else f"{problem.file}{line}  "
                console.print(Text(f"  {_printable(where + problem.message)}"))
            if len(alike) > most:
                tip = "; --json lists them all" if has_hints else ""
                console.print(f"  and {len(alike) - most} more{tip}")


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def _images_per_class(dataset: Dataset) -> list[int]:
    """Number of images that each class occurs in."""
    counts = [0] * len(dataset.classes)
    for record in dataset.records:
        for label in set(record.label_ids.tolist()):
            counts[label] += 1
    return counts


def _total(problems: Sequence[Problem]) -> str:
    return _count(len(problems), "problem") if problems else "nothing"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _printable(text: str) -> str:
    """Without control characters: a file's name must not steer the terminal."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
