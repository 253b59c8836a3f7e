"""report.html: one page that shows how a run went. Self-contained: no script, nothing fetched."""

from __future__ import annotations

import json
import shlex
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from typing import Any

from sightline.chart import Line, line_chart, smooth
from sightline.data.dataset import Dataset
from sightline.errors import DatasetError
from sightline.evaluate.coco import NUMBERS
from sightline.manifest import Manifest, read_manifest
from sightline.page import whole_page, write_page
from sightline.runtime.detector import Detector
from sightline.train.examples import check_examples, choose_examples, example_figure
from sightline.train.run import Run

FEW_BOXES = 200  # below, a few points of AP are chance (33 images could not separate .51 from .55)

_MEANINGS = {
    "AP": "precision over all recalls, averaged over overlaps of .50 to .95: the strict number",
    "AP50": "the same, where half an overlap is enough to count as found",
    "AR100": "share of the objects found when 100 guesses an image are allowed",
}


@dataclass(frozen=True)
class Facts:
    """Everything the page tells that is not a picture.

    steps, validations: the lines of metrics.jsonl, one a step. splits: image names.
    dataset: None where it is gone from the place that config.toml names.
    """

    run: Run
    manifest: Manifest
    metrics: Mapping[str, Any]
    config: Mapping[str, Any]
    steps: Sequence[Mapping[str, Any]]
    validations: Sequence[Mapping[str, Any]]
    splits: Mapping[str, Sequence[str]]
    dataset: Dataset | None


def write_report(run: Run, dataset: Dataset | None = None) -> None:
    """Write report.html into the run folder, whole or not at all.

    dataset: the run's, read anew from the path in config.toml where not given; where that is
    gone the page has no pictures. Raises ModelError for a run without a whole best/.
    """
    write_page(run.report, _page(_read_facts(run, dataset)))


def _read_facts(run: Run, dataset: Dataset | None) -> Facts:
    config = tomllib.loads((run.folder / "config.toml").read_text(encoding="utf-8"))
    if dataset is None:
        try:
            dataset = Dataset.load(config["data"]["path"], check_images=False)
        except DatasetError:
            dataset = None
    # A resumed run repeats the steps after its last saved state: the later line counts.
    steps: dict[int, Mapping[str, Any]] = {}
    validations: dict[int, Mapping[str, Any]] = {}
    for line in run.history:
        (validations if "validation" in line else steps)[line["step"]] = line
    return Facts(
        run,
        read_manifest(run.best),
        run.metrics,
        config,
        [steps[step] for step in sorted(steps)],
        [validations[step] for step in sorted(validations)],
        json.loads((run.folder / "split.json").read_text(encoding="utf-8")),
        dataset,
    )


def _page(facts: Facts) -> str:
    body = "".join(
        (_tiles(facts), _charts(facts), _examples(facts), _classes(facts), _settings(facts),
         _next_steps(facts))
    )  # fmt: skip
    return whole_page(
        kind="Training report",
        title=facts.manifest.name,
        lead=_lead(facts),
        body=body,
        style=resources.files("sightline.train").joinpath("report.css").read_text(encoding="utf-8"),
        footer="Written by sightline train.",
    )


def _lead(facts: Facts) -> str:
    done = facts.steps[-1] if facts.steps else {"step": 0, "seconds": 0.0, "epoch": 0.0}
    seconds = max([line["seconds"] for line in (*facts.steps, *facts.validations)], default=0.0)
    best = facts.manifest.training.get("best_step", done["step"])
    return (
        f"{facts.config['train']['model']} at {facts.manifest.width} px, "
        f"{done['step']} steps ({done['epoch']:.1f} epochs) in {_duration(seconds)}; "
        f"best after step {best}"
    )


def _tiles(facts: Facts) -> str:
    manifest, metrics = facts.manifest, facts.metrics
    nms = "off" if manifest.nms_iou is None else f"{manifest.nms_iou:g}"
    nms_text = (
        "removing overlapping boxes would not visibly help"
        if manifest.nms_iou is None
        else "of two boxes of a class that overlap more, the better stays"
    )
    boxes = f"with {metrics['boxes']} labelled boxes; never trained on"
    tiles = [
        _tile(name, metrics[name], _decimal(metrics[name]), meaning, is_main=name == "AP")
        for name, meaning in _MEANINGS.items()
    ]
    shown = "scores from here on are shown; chosen on the validation images"
    threshold = manifest.score_threshold
    trained = len(facts.splits.get("train", ()))
    tiles += [
        _tile("Display threshold", threshold, f"{threshold:.2f}", shown),
        _tile("NMS", manifest.nms_iou, nms, nms_text),
        _tile("Classes", len(manifest.labels), str(len(manifest.labels)), _listed(manifest.labels)),
        _tile("Validation images", metrics["images"], str(metrics["images"]), boxes),
        _tile("Training images", trained, str(trained), "in the split that split.json records"),
    ]
    note = ""
    if metrics["boxes"] < FEW_BOXES:
        note = (
            f'<p class="note">{metrics["boxes"]} boxes are a rough measure: a difference of a few '
            "points between two runs may be chance. More labelled validation images make the "
            "numbers firmer.</p>"
        )
    return f'<section class="tiles">{"".join(tiles)}</section>{note}'


def _tile(label: str, value: float | None, text: str, what: str, is_main: bool = False) -> str:
    exact = "" if value is None else f"{value}"
    return (
        f'<div class="card tile{" main" if is_main else ""}"><span class="label">{label}</span>'
        f'<data class="value" value="{exact}">{text}</data>'
        f'<span class="what">{escape(what)}</span></div>'
    )


def _charts(facts: Facts) -> str:
    precision, recall = (
        [
            Line(name, _series(facts.validations, "validation", name), number, marks=True)
            for number, name in enumerate(names, start=1)
        ]
        for names in (("AP", "AP50"), ("AR100", "AR10", "AR1"))
    )
    losses = []
    for number, name in enumerate(("total", "localisation", "classification"), start=1):
        points = _series(facts.steps, "loss", name)
        losses += [
            Line(name, points, number, is_faint=True), Line(name, smooth(points), number)
        ]  # fmt: skip
    rates = [(float(line["step"]), line["learning_rate"]) for line in facts.steps]
    # The tiles show the model as deployed, these curves what came out of the network.
    raw = (
        "" if facts.manifest.nms_iou is None else "before the NMS, which the numbers above include"
    )
    return "<h2>How training went</h2>" + '<section class="charts">{}{}{}{}</section>'.format(
        _chart("Precision on the validation images", precision, note=raw, y_range=(0.0, 1.0)),
        _chart("Recall on the validation images", recall, note=raw, y_range=(0.0, 1.0)),
        _chart("Losses", losses, note="as computed (thin) and smoothed"),
        _chart("Learning rate", [Line("learning rate", rates, 1)]),
    )


def _series(lines: Iterable[Mapping[str, Any]], part: str, name: str) -> list[tuple[float, float]]:
    """(step, value) of one number; where it is undefined there is no point."""
    return [
        (float(line["step"]), line[part][name]) for line in lines if line[part][name] is not None
    ]


def _chart(
    title: str, lines: Sequence[Line], y_range: tuple[float, float] | None = None, note: str = ""
) -> str:
    legend = "".join(
        f'<span><i class="series-{line.series}"></i>{line.name} '
        f"<b>{_decimal(line.points[-1][1]) if line.points else '–'}</b></span>"
        for line in lines
        if not line.is_faint
    )
    drawn = line_chart(lines, title=title, x_title="step", y_range=y_range)
    tail = f"<span>{note}</span>" if note else ""
    return f'<div class="card"><h3>{title}</h3><p class="legend">{legend}{tail}</p>{drawn}</div>'


def _examples(facts: Facts) -> str:
    if facts.dataset is None:
        where = escape(str(facts.config["data"]["path"]))
        return (
            '<h2>Validation pictures</h2><p class="note">The images are no longer at '
            f"{where}, so none are shown.</p>"
        )
    examples = check_examples(
        Detector.load(facts.run.best), facts.dataset, facts.splits.get("val", ())
    )
    typical, wrong = choose_examples(examples)
    parts = []
    for title, chosen, prefix in (
        ("Validation pictures", typical, "typical"),
        ("Where it still errs", wrong, "wrong"),
    ):
        if not chosen:
            continue
        figures = "".join(
            example_figure(example, facts.dataset.classes, f"{prefix}-{number}")
            for number, example in enumerate(chosen)
        )
        parts.append(f'<h2>{title}</h2><section class="examples">{figures}</section>')
    if not parts:
        return '<h2>Validation pictures</h2><p class="note">None of the images can be read.</p>'
    note = (
        f"Of {len(examples)} validation images looked at. Boxes from the display threshold of "
        f"{facts.manifest.score_threshold:.2f} on; found means an overlap of half or more."
    )
    return "".join(parts) + f'<p class="note">{note}</p>'


def _classes(facts: Facts) -> str:
    counts = _validation_boxes(facts)
    rows = []
    per_class: Mapping[str, Mapping[str, float | None]] = facts.metrics["per_class"]
    ranked = sorted(per_class.items(), key=lambda item: -(item[1]["AP"] or -1.0))
    for name, numbers in ranked:
        ap = numbers["AP"]
        width = 0.0 if ap is None else 100 * ap
        count = "" if counts is None else str(counts.get(name, 0))
        rows.append(
            f'<tr><th scope="row">{escape(name)}</th><td class="number">{count}</td>'
            f'<td class="number">{_datum(ap)}</td><td class="number">{_datum(numbers["AP50"])}</td>'
            f'<td class="bar"><span style="width:{width:.1f}%"></span></td></tr>'
        )
    head = (
        '<thead><tr><th>Class</th><th class="number">Boxes</th><th class="number">AP</th>'
        '<th class="number">AP50</th><th></th></tr></thead>'
    )
    half = len(NUMBERS) // 2
    numbers_rows = "".join(
        "<tr>"
        + "".join(f'<th scope="row">{n}</th><td>{_datum(facts.metrics[n])}</td>' for n in pair)
        + "</tr>"
        for pair in zip(NUMBERS[:half], NUMBERS[half:], strict=True)
    )
    return (
        '<h2>Numbers</h2><section class="columns"><div class="card"><h3>By class</h3>'
        f'<div class="scroll"><table class="classes">{head}<tbody>{"".join(rows)}</tbody></table>'
        '</div></div><div class="card"><h3>The twelve COCO numbers</h3>'
        f'<table class="facts coco"><tbody>{numbers_rows}</tbody></table>'
        '<p class="note">s, m, l: objects under 32² px, up to 96² px, and larger. '
        "A dash: there is no such object.</p></div></section>"
    )


def _validation_boxes(facts: Facts) -> dict[str, int] | None:
    """Class name -> boxes in validation; None where the data set is gone."""
    if facts.dataset is None:
        return None
    wanted = set(facts.splits.get("val", ()))
    counts: dict[str, int] = {}
    for name, record in zip(facts.dataset.names, facts.dataset.records, strict=True):
        if name in wanted:
            for label_id in record.label_ids.tolist():
                label = facts.dataset.classes[label_id]
                counts[label] = counts.get(label, 0) + 1
    return counts


def _settings(facts: Facts) -> str:
    manifest, config = facts.manifest, facts.config
    base = manifest.base
    data = {
        "path": config["data"]["path"],
        "format": config["data"]["format"],
        "classes": _listed(manifest.labels, 12),
        **{f"{name} images": len(names) for name, names in facts.splits.items()},
        "fingerprint": config["data"]["fingerprint"],
    }
    bundle = {
        "architecture": manifest.architecture,
        "input": f"{manifest.width} × {manifest.height} px, RGB",
        "started from": f"{base.get('name', '')} ({base.get('license', '')})",
        **{name: _size(entry.size) for name, entry in manifest.files.items()},
        **{f"proven on {one['runtime']}": _parity(one) for one in manifest.parity},
    }
    return (
        '<h2>Settings and facts</h2><section class="columns">'
        f"{_facts_card('Training', {**config['train'], **config['derived']})}"
        f'<div class="stack">{_facts_card("Data", data)}{_facts_card("Bundle: best/", bundle)}'
        "</div>"
        "</section>"
    )


def _parity(certificate: Mapping[str, Any]) -> str:
    return (
        f"{certificate['images']} images, {certificate['matched']} detections: scores within "
        f"{certificate['max_score_drift']:.1g}, boxes within "
        f"{certificate['max_box_drift_px']:.1g} px of PyTorch's"
    )


def _facts_card(title: str, facts: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(name.replace("_", " "))}</th>'
        f"<td>{escape(_plain(value))}</td></tr>"
        for name, value in facts.items()
    )
    table = f'<table class="facts"><tbody>{rows}</tbody></table>'
    return f'<div class="card"><h3>{title}</h3>{table}</div>'


def _next_steps(facts: Facts) -> str:
    run, data = (shlex.quote(str(x)) for x in (facts.run.folder, facts.config["data"]["path"]))
    steps = {
        "See it live": f"sightline serve {run}",
        "Detect in your own pictures": f"sightline predict {run} photo.jpg --save found",
        "Measure it again": f"sightline evaluate {run} {data}",
        "Watch the curves": f"tensorboard --logdir {run}",
    }
    cards = "".join(
        f'<div class="card"><h3>{title}</h3><pre><code>{escape(command)}</code></pre></div>'
        for title, command in steps.items()
    )
    return f'<h2>Next</h2><section class="steps">{cards}</section>'


def _datum(value: float | None) -> str:
    return "–" if value is None else f'<data value="{value}">{value:.3f}</data>'


def _decimal(value: float | None) -> str:
    """A number as a legend wants it; a dash where it is undefined."""
    if value is None:
        return "–"
    if abs(value) >= 1:
        return f"{value:.2f}"
    return f"{value:.3f}" if abs(value) >= 0.01 else f"{value:.2g}"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _listed(names: Sequence[str], most: int = 4) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
