"""A model written as an artefact for a runtime, and proven there before it exists."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.data.images import decode_image, resize_stretch
from sightline.detections import Detections
from sightline.errors import ExportError, ModelNotFound
from sightline.export.bundle import write_bundle
from sightline.export.parity import Parity, compare, detect_with_network
from sightline.manifest import WEIGHTS_NAME, read_manifest, verify_files
from sightline.models.weights import build_model, read_weights
from sightline.runtime.detector import Detector
from sightline.runtime.locate import locate_bundle
from sightline.runtime.postprocess import postprocess

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset
    from sightline.models.deimv2.network import DeimV2

TARGETS = ("onnx",)
PROOF_IMAGES = 16


@dataclass(frozen=True)
class Artefact:
    """What an export wrote: the folder, what it is, and how near PyTorch it was found."""

    path: Path
    target: str
    parity: tuple[Parity, ...]


def export(
    model: str | Path, *, to: str = "onnx", out: str | Path, data: Dataset | None = None
) -> Artefact:
    """Write `model` (a bundle, run folder or zoo name) anew as an artefact in the folder `out`.

    It is compared with PyTorch on validation images of `data`, else on drawn scenes. Raises
    ExportError when `out` exists, the target is unknown, or the artefact does not find what the
    network finds; then nothing is left behind.
    """
    if to not in TARGETS:
        raise ExportError(f"cannot export to {to!r}; there is: {', '.join(TARGETS)}")
    out = Path(out)
    if out.exists():
        raise ExportError(f"{out} exists; name a folder that does not")
    bundle = locate_bundle(model)
    manifest = read_manifest(bundle)
    if not (bundle / WEIGHTS_NAME).is_file():
        raise ModelNotFound(f"{bundle} has no {WEIGHTS_NAME}, which an export is made from")
    verify_files(bundle, manifest, (WEIGHTS_NAME,))
    network = build_model(
        manifest.architecture.removeprefix("deimv2-"),
        len(manifest.labels),
        read_weights(bundle / WEIGHTS_NAME),
        manifest.width,
    )
    images = proof_images(data, network.input_px)
    proofs: list[Parity] = []

    def prove(building: Path) -> Sequence[Parity]:
        proofs.append(prove_onnx(network, building, images, manifest.labels))
        return proofs

    write_bundle(
        network,
        out,
        name=manifest.name,
        labels=manifest.labels,
        score_threshold=manifest.score_threshold,
        nms_iou=manifest.nms_iou,
        base=manifest.base,
        metrics=manifest.metrics,
        training=manifest.training,
        prove=prove,
    )
    certificates = [proof.to_json() for proof in proofs]
    (out / "parity.json").write_text(json.dumps(certificates, indent=2) + "\n", encoding="utf-8")
    return Artefact(out, to, tuple(proofs))


def prove_onnx(
    network: DeimV2, bundle: Path, images: Sequence[NDArray[np.uint8]], labels: Sequence[str]
) -> Parity:
    """Parity of a bundle in ONNX Runtime with the network on resized images (S, S, 3) uint8.

    Raises ExportError when it does not hold.
    """
    detector = Detector.load(bundle)
    side = network.input_px
    pairs = []
    for pixels in images:
        kept = postprocess(
            *detector.infer(pixels), threshold=0.0, nms_iou=None, width=side, height=side
        )
        found = Detections(*kept, detector.labels, side, side)
        pairs.append((detect_with_network(network, pixels, labels, side, side), found))
    parity = compare("onnxruntime", pairs)
    if not parity.holds():
        raise ExportError(
            f"the exported graph does not find what the network finds on {parity.images} images: "
            f"{parity.to_json()}"
        )
    return parity


def proof_images(data: Dataset | None, side: int) -> list[NDArray[np.uint8]]:
    """Images to compare runtimes on, (side, side, 3) uint8: of the data's val split, or drawn."""
    if data is not None:
        records = data.with_splits().subset("val").records[:PROOF_IMAGES]
        return [resize_stretch(decode_image(record.image), side, side) for record in records]
    from sightline.data.drawn import KINDS, draw_scene

    kinds = list(KINDS)
    return [
        draw_scene(np.random.default_rng((0, n)), kinds, width=side, height=side).image
        for n in range(PROOF_IMAGES)
    ]
