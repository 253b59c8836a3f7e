"""A trained network written as a model bundle, and any artefact as a folder that is whole."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from sightline.errors import ExportError
from sightline.export.deploy import count_detections
from sightline.export.onnx import write_onnx
from sightline.export.parity import Parity
from sightline.export.proof import FLOAT32, Proof
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
    base: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    pictures: Sequence[Image.Image],
) -> Manifest:
    """Write the bundle folder; an older one at `destination` is replaced when the new is whole.

    It is compared with the network on `pictures`. Raises ExportError where ONNX Runtime does not
    find the same, and leaves nothing behind.
    """
    manifest = Manifest(
        name=name,
        labels=tuple(labels),
        width=model.input_px,
        height=model.input_px,
        score_threshold=score_threshold,
        nms_iou=nms_iou,
        max_detections=count_detections(model),
        architecture=f"deimv2-{model.size.name}",
        base=base or {},
        metrics=metrics or {},
        training=training or {},
    )

    def write(folder: Path) -> None:
        write_onnx(model, folder / GRAPH_NAME)
        metadata = {"model": manifest.architecture, "license": "Apache-2.0"}
        write_weights(folder / WEIGHTS_NAME, model.state_dict(), metadata)

    def prove(folder: Path) -> tuple[list[Parity], None]:
        return [Proof(model, manifest, pictures).hold(folder, "onnxruntime", FLOAT32)], None

    return write_artefact(destination, manifest, write, prove)


def write_artefact(
    destination: Path,
    manifest: Manifest,
    write: Callable[[Path], None],
    prove: Callable[[Path], tuple[Sequence[Parity], str | None]],
) -> Manifest:
    """Write a folder by `write`, with its manifest; an older one is replaced when it is whole.

    `prove` is given the folder before it is put in place; the certificates it returns, or the
    reason why there are none, go into the manifest. An error of either leaves nothing behind.
    """
    with staged_artefact(destination) as building:
        write(building)
        written = sorted(path for path in building.rglob("*") if path.is_file())
        files = {path.relative_to(building).as_posix(): file_entry(path) for path in written}
        manifest = replace(manifest, files=files)
        write_manifest(building, manifest)
        certificates, unproven = prove(building)
        parity = tuple(certificate.to_json() for certificate in certificates)
        manifest = replace(manifest, parity=parity, unproven=unproven)
        write_manifest(building, manifest)
    return manifest


@contextmanager
def staged_artefact(destination: Path) -> Iterator[Path]:
    """A hidden folder to write into, put in the place of `destination` when the block ends well.

    An error leaves what was there. Raises ExportError where the disk does not take it.
    """
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))
    except OSError as error:
        raise ExportError(f"{destination} cannot be made: {error.strerror}") from error
    building.chmod(0o755)
    try:
        yield building
        replace_folder(building, destination)
    except OSError as error:
        raise ExportError(
            f"{destination} cannot be written: {error.strerror or error}; nothing half is left"
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


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
