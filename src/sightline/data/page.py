"""The page of a data set: what it holds, how it is distributed, what is wrong with it, in pictures.

One HTML file without a script that fetches nothing; at most about 3 MB.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.chart import bar_chart, heat_map
from sightline.data import figures
from sightline.data.check import TINY_SHARE
from sightline.data.dataset import Dataset
from sightline.data.examine import Progress
from sightline.data.figures import Bars
from sightline.data.formats import FORMATS
from sightline.data.hints import HINTS
from sightline.data.page_pictures import Album, choose_pictured, choose_samples
from sightline.data.records import Problem, Record, Severity
from sightline.drawing import class_color
from sightline.errors import DatasetError
from sightline.page import whole_page, write_page

_SEVERITIES: Mapping[Severity, str] = {"error": "errors", "warning": "warnings", "info": "notes"}
_MOST_LINES = 50  # of one kind of problem; `inspect --json` has them all
_MOST_CLASSES = 500  # rows of the table
_MOST_LABELS = 12  # below an axis
_OPEN_LINES = 3  # shown without a click
_NARROW = 3  # pictures that fit a narrow card
_UNSHOWABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def write_dataset_page(dataset: Dataset, path: Path, *, progress: Progress | None = None) -> None:
    """Write the page, whole or not at all.

    `progress` is called with photos done and to do. Raises DatasetError where the file cannot be
    written.
    """
    samples = choose_samples(dataset)
    pictured = choose_pictured(dataset)
    album = Album(dataset)
    wanted = [index for members in samples.values() for index in members]
    wanted += [
        i for alike in pictured.values() for problem in alike for i in album.find(problem)[:2]
    ]
    album.load(list(dict.fromkeys(wanted)), progress)
    style = resources.files("sightline.data").joinpath("page.css").read_text(encoding="utf-8")
    body = "".join(
        (
            album.to_svg(), _tiles(dataset), _samples(dataset, album, samples), _charts(dataset),
            _classes(dataset), _problems(dataset, album, pictured),
        )
    )  # fmt: skip
    page = whole_page(
        kind="Data set",
        title=_plain(dataset.name),
        lead=_lead(dataset),
        body=_plain(body),
        style=style,
        footer="Written by sightline data inspect.",
    )
    try:
        write_page(path, page)
    except OSError as error:
        raise DatasetError(f"{path} cannot be written: {error}") from error


def _lead(dataset: Dataset) -> str:
    splits = ", ".join(f"{name} {len(members)}" for name, members in dataset.splits.items())
    return f"{FORMATS[dataset.format]}, {f'splits: {splits}' if splits else 'no splits of its own'}"


def _tiles(dataset: Dataset) -> str:
    numbers = [len(record.label_ids) for record in dataset.records]
    empty = numbers.count(0)
    without = f"; {empty} without a box" if empty else ""
    mean = sum(numbers) / max(1, len(numbers))
    most = max(dataset.box_counts.items(), key=lambda item: item[1], default=("", 0))
    found = Counter(problem.severity for problem in dataset.problems)
    said = ", ".join(
        f"{found[severity]} {many if found[severity] != 1 else many[:-1]}"
        for severity, many in _SEVERITIES.items()
        if found[severity]
    )
    state = "bad" if found["error"] else "warn" if found["warning"] else "good"
    return (
        '<section class="tiles">'
        + _tile("Images", f"{len(dataset):,}", _sizes(dataset) + without)
        + _tile(
            "Boxes", f"{sum(numbers):,}", f"{mean:.1f} an image, at most {max(numbers, default=0)}"
        )
        + _tile("Classes", f"{len(dataset.classes):,}", f"most often {most[0]}" if most[1] else "")
        + f'<a class="card tile" href="#problems"><span class="label">Problems</span>'
        f'<span class="value {state}">{len(dataset.problems):,}</span>'
        f'<span class="what">{said or "none found"}</span></a></section>'
    )


def _tile(label: str, value: str, what: str) -> str:
    return (
        f'<div class="card tile"><span class="label">{label}</span>'
        f'<span class="value">{value}</span><span class="what">{escape(what)}</span></div>'
    )


def _sizes(dataset: Dataset) -> str:
    if not dataset.records:
        return "none usable"
    sizes = sorted({(r.width * r.height, r.width, r.height) for r in dataset.records})
    (_, *small), (_, *large) = sizes[0], sizes[-1]
    least, most = ("{}×{}".format(*size) for size in (small, large))
    return f"{least} px" if least == most else f"{least} to {most} px"


def _samples(dataset: Dataset, album: Album, samples: Mapping[int, Sequence[int]]) -> str:
    """Pictures by class: a row each where there are three and more, the others together."""
    counts = list(dataset.box_counts.values())
    rows, others = [], []
    for label, members in samples.items():
        name = dataset.classes[label]
        title = f"{_swatch(label)}<bdi>{escape(name)}</bdi> <small>{counts[label]:,}</small>"
        if len(members) > 2:
            shown = "".join(album.sample_figure(index, label, "") for index in members)
            rows.append(f'<h3>{title}</h3><div class="photos">{shown}</div>')
        else:
            others += [album.sample_figure(index, label, title) for index in members]
    if others:
        rows.append(f'<div class="photos">{"".join(others)}</div>')
    more = sum(map(bool, counts)) - len(samples)
    note = f'<p class="note">{more:,} rarer classes are not shown here.</p>' if more else ""
    return f"<h2>Pictures by class</h2>{''.join(rows)}{note}" if rows else ""


def _charts(dataset: Dataset) -> str:
    if not any(dataset.box_counts.values()):
        return ""
    records = dataset.records
    shares = figures.coverage(records)
    strong = shares / max(float(shares.max()), 1e-12)
    heat = heat_map(strong.tolist(), title="How often each part of the image lies in a box")
    cards = (
        ("Boxes an image", "how many images have so many", _number_chart(records)),
        (
            "Size of boxes",
            "side of a square of the same area, as a share of its image; left of the line a model "
            "that sees 416 px finds next to nothing",
            _size_chart(records),
        ),
        ("Shape of boxes", "width to height, in pixels", _shape_chart(records)),
        ("Where boxes lie", "the stronger, the more boxes cover the place", heat),
    )
    return '<h2>Boxes</h2><section class="charts">{}</section>'.format(
        "".join(
            f'<div class="card"><h3>{title}</h3><p class="legend">{note}</p>{svg}</div>'
            for title, note, svg in cards
        )
    )


def _number_chart(records: Sequence[Record]) -> str:
    bars = figures.boxes_per_image(records)
    starts = [int(start) for start in bars.starts]
    every = -(-len(bars.counts) // _MOST_LABELS)
    names = [
        f"{_range(start, after - 1)} boxes: {count:,} images"
        for (start, after), count in zip(pairwise(starts), bars.counts, strict=True)
    ]
    labels = [
        (place + 0.5, _range(start, after - 1))
        for place, (start, after) in enumerate(pairwise(starts))
        if place % every == 0
    ]
    return bar_chart(bars.counts, names, title="Boxes an image", x_title="boxes", labels=labels)


def _size_chart(records: Sequence[Record]) -> str:
    bars = figures.relative_sizes(records)
    names = [
        f"{start:.1%} to {end:.1%}: {count:,} boxes"
        for (start, end), count in zip(pairwise(bars.starts), bars.counts, strict=True)
    ]
    labels = [
        (_place(bars, share), f"{share:.0%}") for share in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
    ]
    return bar_chart(
        bars.counts, names, title="Size of boxes", x_title="share of the image's side",
        labels=labels, mark=(_place(bars, TINY_SHARE), "6 of 416 px"),
    )  # fmt: skip


def _shape_chart(records: Sequence[Record]) -> str:
    bars = figures.aspects(records)
    names = [
        f"{start:.2f} to {end:.2f}: {count:,} boxes"
        for (start, end), count in zip(pairwise(bars.starts), bars.counts, strict=True)
    ]
    labels = [
        (_place(bars, ratio), f"1:{1 / ratio:g}" if ratio < 1 else f"{ratio:g}:1")
        for ratio in (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)
    ]
    return bar_chart(
        bars.counts, names, title="Shape of boxes", x_title="width : height", labels=labels
    )


def _place(bars: Bars, value: float) -> float:
    """Where on the axis a value stands, in bars from the left; edges grow by a constant factor."""
    first, last = math.log(bars.starts[0]), math.log(bars.starts[-1])
    return (math.log(value) - first) / (last - first) * len(bars.counts)


def _range(start: int, end: int) -> str:
    return f"{start}" if start == end else f"{start}-{end}"


def _classes(dataset: Dataset) -> str:
    """A table of boxes and images of each class, and of boxes in each split."""
    counts = np.array(list(dataset.box_counts.values()), np.int64)
    images = _images_per_class(dataset)
    by_split = {
        name: _boxes_per_class(dataset, members) for name, members in dataset.splits.items()
    }
    order = sorted(range(len(counts)), key=lambda label: -counts[label])[:_MOST_CLASSES]
    rows = []
    for label in order:
        width = 100 * counts[label] / max(1, counts.max())
        cells = "".join(f'<td class="number">{part[label]:,}</td>' for part in by_split.values())
        rows.append(
            f'<tr><th scope="row">{_swatch(label)}<bdi>{escape(dataset.classes[label])}</bdi></th>'
            f'<td class="number">{counts[label]:,}</td><td class="number">{images[label]:,}</td>'
            f'<td class="bar"><span style="width:{width:.1f}%"></span></td>{cells}</tr>'
        )
    head = "".join(f'<th class="number"><bdi>{escape(name)}</bdi></th>' for name in by_split)
    more = len(counts) - len(order)
    note = f'<p class="note">and {more:,} rarer classes</p>' if more else ""
    return (
        '<h2>Classes</h2><div class="card"><div class="scroll tall"><table class="classes"><thead>'
        '<tr><th>Class</th><th class="number">Boxes</th><th class="number">Images</th>'
        '<th class="bar"></th>'
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>{note}</div>"
    )


def _problems(dataset: Dataset, album: Album, pictured: Mapping[str, Sequence[Problem]]) -> str:
    """Everything that was found, the gravest first, with what to do and pictures."""
    if not dataset.problems:
        return '<h2 id="problems">Problems</h2><p class="note">None was found.</p>'
    groups: dict[tuple[str, str], list[Problem]] = {}
    for severity in _SEVERITIES:
        for problem in dataset.problems:
            if problem.severity == severity:
                groups.setdefault((severity, problem.code), []).append(problem)
    cards = [
        _problem_card(severity, code, alike, album, pictured.get(code, ()))
        for (severity, code), alike in groups.items()
    ]
    return f'<h2 id="problems">Problems</h2><section class="found">{"".join(cards)}</section>'


def _problem_card(
    severity: str, code: str, alike: Sequence[Problem], album: Album, pictured: Sequence[Problem]
) -> str:
    """What one kind of problem is, and each: in pictures, and in words where some have none."""
    shown = [album.problem_figure(one, _line(one)) for one in pictured if one.severity == severity]
    shown = [figure for figure in shown if figure]
    single = " single" if len(shown) == 1 else ""
    photos = f'<div class="photos{single}">{"".join(shown)}</div>' if shown else ""
    words = ""
    if len(shown) < len(alike):
        lines = "".join(f"<li>{_line(problem)}</li>" for problem in alike[:_MOST_LINES])
        if len(alike) > _MOST_LINES:
            more = len(alike) - _MOST_LINES
            lines += f"<li>and {more:,} more; sightline data inspect --json lists them all</li>"
        words = f"<ul>{lines}</ul>"
        if len(alike) > _OPEN_LINES:
            words = f"<details><summary>All {len(alike):,}</summary>{words}</details>"
    return (
        f'<div class="card{" wide" if len(shown) > _NARROW else ""}">'
        f'<h3><span class="badge {severity}">{severity}</span> {code} '
        f"<small>{len(alike):,}</small></h3>"
        f'<p class="legend">{escape(HINTS[code])}</p>{photos}{words}</div>'
    )


def _line(problem: Problem) -> str:
    line = "" if problem.line is None else f":{problem.line}"
    where = "" if problem.file == "." else f"<b><bdi>{escape(problem.file)}</bdi>{line}</b> "
    return f"{where}<bdi>{escape(problem.message)}</bdi>"


def _boxes_per_class(dataset: Dataset, members: Iterable[int]) -> NDArray[np.int64]:
    labels = [np.empty(0, np.int64), *(dataset.records[index].label_ids for index in members)]
    return np.bincount(np.concatenate(labels), minlength=len(dataset.classes))


def _images_per_class(dataset: Dataset) -> NDArray[np.int64]:
    labels = [np.empty(0, np.int64), *(np.unique(record.label_ids) for record in dataset.records)]
    return np.bincount(np.concatenate(labels), minlength=len(dataset.classes))


def _swatch(label: int) -> str:
    return '<i class="swatch" style="background:rgb({} {} {})"></i>'.format(*class_color(label))


def _plain(text: str) -> str:
    """Without control characters and halves of surrogate pairs, which HTML has no place for."""
    return _UNSHOWABLE.sub("\ufffd", text)
