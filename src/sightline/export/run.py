"""A model written as an artefact for a runtime, and proven there before it exists."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.errors import (
    ExportError,
    MissingBrowser,
    MissingExtra,
    ModelNotFound,
    UsageError,
)
from sightline.evaluate.run import select_images, warn_of_unknown
from sightline.export.bundle import write_artefact
from sightline.export.deploy import count_detections
from sightline.export.parity import Parity
from sightline.export.proof import FLOAT16, FLOAT32, LITERT_FLOAT16, Bounds, Proof, proof_pictures
from sightline.export.targets import INTERFACES, Options, write_files
from sightline.manifest import (
    WEIGHTS_NAME,
    Manifest,
    read_manifest,
    verify_files,
)
from sightline.models.weights import build_model, read_weights
from sightline.runtime.chromium import find_browser
from sightline.runtime.engine import RUNTIMES
from sightline.runtime.locate import locate_bundle

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset
    from sightline.models.deimv2.network import DeimV2

PARITY_NAME = "parity.json"
# What must prove an artefact; an ONNX file is run in the browser too, where there is one.
_REQUIRED = {
    "savedmodel": ("tensorflow",),
    "tfjs": ("tfjs/wasm", "tfjs/webgl"),
    "litert": ("litert",),
}
_WHERE_POSSIBLE = ("onnxruntime-web/wasm",)
_ONE_AT_A_TIME = "browsers run one image at a time, this graph takes several"


@dataclass(frozen=True)
class Artefact:
    """What an export wrote: the folder, what it is, and how near PyTorch it was found.

    not_tried: why a runtime that may run it did not prove it, by runtime.
    """

    path: Path
    target: str
    parity: tuple[Parity, ...]
    not_tried: dict[str, str]
    unproven: str | None = None


def export(
    model: str | Path,
    *,
    to: str = "onnx",
    out: str | Path,
    data: Dataset | None = None,
    quantize: str | None = None,
    shard_mib: float | None = None,
    batch: int = 1,
    also_in: Sequence[str] = (),
    unproven: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> Artefact:
    """Write `model` (a bundle, run folder or zoo name) as an artefact in the folder `out`.

    to: a key of `manifest.MAIN_FILES`. data: the artefact is compared with PyTorch on its
    validation images, by AP too, else on drawn scenes; onnx-int8 needs it. quantize: "float16"
    stores the weights of a tfjs or litert artefact so. shard_mib: the largest weight file of
    tfjs, by default 4. batch: how many images an onnx or onnx-fp16 graph takes at once, for
    servers with a GPU; browsers run one at a time. also_in: further runtimes that must prove it,
    "onnxruntime-web/webgpu" for one. unproven: go on where a runtime that must prove it is
    missing, and say so in the manifest. progress: called with a line about each step.

    Raises ExportError when `out` exists or the artefact does not find what the network finds,
    MissingExtra or MissingBrowser; then nothing is left behind.
    """
    options = Options(to, quantize, shard_mib, batch)
    if to == "onnx-int8" and data is None:
        raise UsageError("onnx-int8 is calibrated and measured on a data set: give it with --data")
    required = _required_runtimes(to, also_in, batch)
    out = Path(out)
    if out.exists():
        raise ExportError(f"{out} exists; name a folder that does not")
    if not unproven and any("/" in runtime for runtime in required):
        find_browser()  # said before anything takes time
    bundle = locate_bundle(model)
    manifest = read_manifest(bundle)
    network = _read_network(bundle, manifest)
    measured = None if data is None else select_images(data, None, bundle)
    if measured is not None:
        warn_of_unknown(manifest.labels, measured)
    tried = _WHERE_POSSIBLE if to.startswith("onnx") and batch == 1 else ()
    runtimes = dict.fromkeys((*required, *tried))  # each once
    records = [] if measured is None else measured.records
    pictures = proof_pictures([record.image for record in records], network.input_px)
    work = f"{len(pictures)} pictures" + (f", AP on {len(measured)}" if measured else "")
    progress(f"running PyTorch: {work}")
    proof = Proof(network, manifest, pictures, measured)
    if to == "onnx-int8" and not proof.ap:
        raise ExportError(
            "the model finds none of the data set's objects (AP 0), so nothing shows what 8 bits "
            "cost; give the data set that it was trained for"
        )
    not_tried = dict.fromkeys(_WHERE_POSSIBLE, _ONE_AT_A_TIME) if batch > 1 else {}

    def write(folder: Path) -> None:
        progress(f"writing {to}")
        training = select_images(data, "train", bundle) if to == "onnx-int8" and data else None
        write_files(network, manifest, folder, options, training, proof)

    def prove(folder: Path) -> tuple[list[Parity], str | None]:
        certificates = []
        for runtime in runtimes:
            progress(f"running {runtime}: {work}")
            try:
                certificates.append(proof.hold(folder, runtime, _bounds(to, quantize)))
            except (MissingExtra, MissingBrowser) as error:
                if runtime in required and not unproven:
                    raise
                not_tried[runtime] = str(error)
        reason = None if certificates else "; ".join(dict.fromkeys(not_tried.values()))
        values = [certificate.to_json() for certificate in certificates]
        (folder / PARITY_NAME).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        return certificates, reason

    described = replace(
        manifest,
        target=to,
        batch=batch,
        max_detections=count_detections(network),
        files={},
        parity=(),
        **INTERFACES.get(to, {}),
    )
    written = write_artefact(out, described, write, prove)
    proofs = tuple(Parity(**certificate) for certificate in written.parity)
    return Artefact(out, to, proofs, not_tried, written.unproven)


def _required_runtimes(to: str, also_in: Sequence[str], batch: int) -> tuple[str, ...]:
    for runtime in also_in:
        if runtime not in RUNTIMES[to]:
            raise UsageError(f"{runtime!r} does not run {to}: {' or '.join(RUNTIMES[to])}")
        if "/" in runtime and batch > 1:
            raise UsageError(f"{runtime} does not run it: {_ONE_AT_A_TIME}")
    return (*_REQUIRED.get(to, ("onnxruntime",)), *also_in)


def _bounds(to: str, quantize: str | None) -> Bounds | None:
    if to == "onnx-int8":
        return None
    if to == "litert" and quantize == "float16":
        return LITERT_FLOAT16
    return FLOAT16 if to == "onnx-fp16" or quantize == "float16" else FLOAT32


def _read_network(bundle: Path, manifest: Manifest) -> DeimV2:
    if not (bundle / WEIGHTS_NAME).is_file():
        raise ModelNotFound(
            f"{bundle} has no {WEIGHTS_NAME}, which an export is made from; export from the run "
            "or bundle that it was made of"
        )
    verify_files(bundle, manifest, (WEIGHTS_NAME,))
    return build_model(
        manifest.architecture.removeprefix("deimv2-"),
        len(manifest.labels),
        read_weights(bundle / WEIGHTS_NAME),
        manifest.width,
    )
