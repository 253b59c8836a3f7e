"""Which graph of a model a published page runs, and its certificate."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from sightline.errors import ExportError, MissingExtra, PublishError, UsageError
from sightline.manifest import (
    GRAPH_NAME,
    IN_GRAPH,
    MANIFEST_NAME,
    WEIGHTS_NAME,
    Manifest,
    read_manifest,
    verify_files,
    write_manifest,
)
from sightline.runtime.locate import locate_bundle
from sightline.workflow.resolve import ensure_bundle


@dataclass(frozen=True)
class PublishedModel:
    """A model's folder in the site, relative to it, and why it is of that precision."""

    folder: str
    manifest: Manifest
    choice: str


def place_model(
    reference: str | Path, site: Path, *, as_is: bool, say: Callable[[str], None]
) -> PublishedModel:
    """Write manifest.json and model.onnx into the site, under a name with their hash.

    By default the graph with its weights in 16 bits, where it can be made and proven here.
    Raises ModelError, UsageError for a model that no page runs, PublishError for its name.
    """
    bundle = locate_bundle(ensure_bundle(reference, say))
    manifest = read_manifest(bundle)
    _check_runnable(bundle, manifest)
    verify_files(bundle, manifest, (GRAPH_NAME,))
    with tempfile.TemporaryDirectory(prefix="sightline-") as scratch:
        made = Path(scratch, "half")
        choice = _why_not_half(bundle, manifest, as_is)
        if not choice:
            choice = _make_half(bundle, made, say)
        chosen = made if made.exists() else bundle
        return _copy(chosen, site, choice)


def _check_runnable(bundle: Path, manifest: Manifest) -> None:
    if not manifest.target.startswith("onnx") or manifest.resize == IN_GRAPH:
        raise UsageError(
            f"{bundle} is a {manifest.target} artefact, which the published page does not run; "
            "give the bundle or run that it was made of"
        )
    if manifest.batch > 1:
        raise UsageError(
            f"{bundle} takes {manifest.batch} images at once, a page has one; give the bundle or "
            "run that it was made of"
        )


def _why_not_half(bundle: Path, manifest: Manifest, as_is: bool) -> str:
    if manifest.target != "onnx":
        return f"as given: {manifest.target}"
    if as_is:
        return "as given"
    if not (bundle / WEIGHTS_NAME).is_file():
        return f"as given: there is no {WEIGHTS_NAME} to make 16-bit weights from"
    if any(find_spec(module) is None for module in ("torch", "onnx")):
        return "as given: 16-bit weights are made with pip install 'sightline[train]'"
    return ""


def _make_half(bundle: Path, out: Path, say: Callable[[str], None]) -> str:
    from sightline.export.run import export

    try:
        artefact = export(bundle, to="onnx-fp16", out=out, progress=say)
    except (ExportError, MissingExtra) as error:
        say(f"16-bit weights are not used: {error}")
        return f"as given: {error}"
    proven = ", ".join(certificate.runtime for certificate in artefact.parity)
    return f"16-bit weights, proven in {proven}"


def _copy(bundle: Path, site: Path, choice: str) -> PublishedModel:
    """Copy what a page fetches; the folder's name changes with either file."""
    manifest = read_manifest(bundle)
    manifest = replace(manifest, files={GRAPH_NAME: manifest.files[GRAPH_NAME]})
    text = json.dumps(manifest.to_json(), sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    name = re.sub(r"[^a-z0-9]+", "-", manifest.name.lower()).strip("-") or "model"
    folder = f"models/{name}-{digest}"
    if (site / folder).exists():
        raise PublishError(f"{manifest.name} is given twice; name each model once")
    (site / folder).mkdir(parents=True)
    shutil.copyfile(bundle / GRAPH_NAME, site / folder / GRAPH_NAME)
    write_manifest(site / folder, manifest)
    assert (site / folder / MANIFEST_NAME).is_file()
    return PublishedModel(folder, manifest, choice)
