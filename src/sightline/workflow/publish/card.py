"""model-card.html: what the published model is, how accurate it is, and under which licences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from sightline.manifest import IN_GRAPH, LETTERBOX, STRETCH
from sightline.page import whole_page
from sightline.workflow.publish.model import PublishedModel

_NUMBERS = ("AP", "AP50", "AP75", "AR100")
_RESIZED = {STRETCH: "stretched", LETTERBOX: "letterboxed", IN_GRAPH: "resized by the network"}
_STYLE = (
    ".labels { line-height: 1.7; } h3 { margin-bottom: 8px; } a { color: var(--series-1); } "
    "td:first-child { overflow-wrap: normal; }"
)


def model_card(models: Sequence[PublishedModel], site: Path) -> str:
    """The page, which tells of each model in `site`."""
    names = ", ".join(model.manifest.name for model in models)
    return whole_page(
        kind="model card",
        title=names,
        lead="What finds the objects on this site. It runs on the device of whoever looks.",
        body="".join(_model(model, site, is_only=len(models) == 1) for model in models),
        style=_STYLE,
        footer='<a href="./">To the page</a> · <a href="licenses.txt">Licences</a>.',
    )


def _model(model: PublishedModel, site: Path, *, is_only: bool) -> str:
    manifest = model.manifest
    heading = "" if is_only else f"<h2>{escape(manifest.name)}</h2>"  # the page's own says it
    graph = manifest.files["model.onnx"]
    labels = ", ".join(map(escape, manifest.labels))
    facts = {
        "Network": manifest.architecture or "not recorded",
        "Input": f"{manifest.width} × {manifest.height} pixels, {_RESIZED[manifest.resize]}",
        "Weights": f"{manifest.target} ({model.choice})",
        "Size": f"{graph.size / 1e6:.2f} MB{_packed(site / model.folder / 'model.onnx')}",
        "Shown from": f"a score of {manifest.score_threshold:.2f} on",
        "SHA-256": graph.sha256,
    }
    parts = [
        f"<section>{heading}{_facts(facts)}",
        f'<h2>Finds</h2><p class="card labels">{labels}</p>',
        "<h2>Accuracy</h2>",
        *(_metrics(name, values) for name, values in manifest.metrics.items()),
        "" if manifest.metrics else '<p class="note">No measurement is recorded.</p>',
        f"<h2>The same as the network it was made from</h2>{_parity(model)}",
        "<h2>Where it comes from</h2>",
        _facts(manifest.base) if manifest.base else '<p class="note">It is not recorded.</p>',
        f"<h2>Training</h2>{_facts(manifest.training)}" if manifest.training else "",
        "</section>",
    ]
    return "".join(parts)


def _packed(graph: Path) -> str:
    copy = graph.with_name(f"{graph.name}.br")
    return f", {copy.stat().st_size / 1e6:.2f} MB as it is sent" if copy.is_file() else ""


def _metrics(name: str, values: Any) -> str:
    if not isinstance(values, Mapping):
        return _facts({name: values})
    shown: dict[str, Any] = {
        key: f"{100 * values[key]:.1f} %" for key in _NUMBERS if isinstance(values.get(key), float)
    }
    for key in ("images", "boxes"):
        if key in values:
            shown[key] = values[key]
    if isinstance(values.get("data_set"), str):
        shown["Data set's fingerprint"] = values["data_set"]
    return f"<h3>{escape(str(name))}</h3>{_facts(shown)}"


def _parity(model: PublishedModel) -> str:
    manifest = model.manifest
    if not manifest.parity:
        reason = manifest.unproven or "it carries no certificate"
        return f'<p class="note bad">Unproven: {escape(reason)}.</p>'
    head = "<th>Runtime</th><th>Images</th><th>Matched</th><th>Scores within</th><th>Boxes within"
    rows = [
        (
            escape(str(one.get("runtime"))).replace("/", "/<wbr>"),
            str(one.get("images")),
            _matched(one),
            f"{one.get('max_score_drift', 0):.1e}",
            f"{one.get('max_box_drift_px', 0):.2f} px",
        )
        for one in manifest.parity
    ]
    return (
        '<div class="scroll"><table><thead><tr>'
        f"{head}</th></tr></thead><tbody>{''.join(map(_row, rows))}</tbody></table></div>"
    )


def _matched(one: Mapping[str, Any]) -> str:
    """As "103 of 104" detections."""
    matched, unmatched = int(one.get("matched", 0)), int(one.get("unmatched", 0))
    return f"{matched} of {matched + unmatched}"


def _row(cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _facts(values: Mapping[str, Any]) -> str:
    named = {str(key)[:1].upper() + str(key)[1:]: value for key, value in values.items()}
    rows = "".join(
        f'<tr><th scope="row">{escape(key)}</th><td>{_value(value)}</td></tr>'
        for key, value in named.items()
    )
    return f'<div class="card scroll"><table class="facts"><tbody>{rows}</tbody></table></div>'


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{escape(str(key))} {_value(each)}" for key, each in value.items())
    return escape(f"{value:g}" if isinstance(value, float) else str(value))
