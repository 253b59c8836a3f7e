"""A trained network written as a model bundle: manifest, graph, weights."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sightline.export.onnx import write_onnx
from sightline.export.parity import Parity
from sightline.manifest import (
    GRAPH_NAME,
    WEIGHTS_NAME,
    Manifest,
    file_entry,
    write_manifest,
)
from sightline.models.deimv2.network import DeimV2
from sightline.models.weights import write_weights


def write_bundle(
    model: DeimV2,
    destination: Path,
    *,
    name: str,
    labels: Sequence[str],
    score_threshold: float,
    nms_iou: float | None = None,
    batch: int = 1,
    base: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    prove: Callable[[Path], Sequence[Parity]] | None = None,
) -> Manifest:
    """Write the bundle folder; an older one at `destination` is replaced when the new is whole.

    `prove` is given the folder before it is put in place; the certificates it returns go into the
    manifest, an error it raises leaves nothing behind.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))
    building.chmod(0o755)
    try:
        manifest = Manifest(
            name=name,
            labels=tuple(labels),
            width=model.input_px,
            height=model.input_px,
            batch=batch,
            score_threshold=score_threshold,
            nms_iou=nms_iou,
            max_detections=write_onnx(model, building / GRAPH_NAME, batch),
            architecture=f"deimv2-{model.size.name}",
            base=base or {},
            metrics=metrics or {},
            training=training or {},
        )
        write_weights(
            building / WEIGHTS_NAME,
            model.state_dict(),
            {"model": manifest.architecture, "license": "Apache-2.0"},
        )
        files = {n: file_entry(building / n) for n in (GRAPH_NAME, WEIGHTS_NAME)}
        manifest = replace(manifest, files=files)
        write_manifest(building, manifest)
        if prove is not None:
            certificates = tuple(parity.to_json() for parity in prove(building))
            manifest = replace(manifest, parity=certificates)
            write_manifest(building, manifest)
        replace_folder(building, destination)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return manifest


def replace_folder(new: Path, destination: Path) -> None:
    """Put `new` in the place of `destination`; what was there goes only after the new stands."""
    if not destination.exists():
        new.rename(destination)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{destination.name}.old.", dir=destination.parent))
    destination.rename(old / "was")
    try:
        new.rename(destination)
    except BaseException:
        (old / "was").rename(destination)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
