"""`import_model`: a foreign model becomes a bundle that predict, evaluate and serve take.

Which family it is of, the adapters say; here it is tried on a photo, shown, and put in place.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.data.images import decode_image
from sightline.detections import Detections
from sightline.errors import (
    BundleDamaged,
    ExportError,
    ForeignModelError,
    MissingExtra,
    UsageError,
)
from sightline.export.bundle import staged_artefact
from sightline.manifest import (
    MANIFEST_NAME,
    Manifest,
    file_entry,
    sha256_of,
    write_manifest,
)
from sightline.runtime.detector import Detector
from sightline.runtime.engine import RUNTIMES
from sightline.workflow.adapters.adapted import Adapted
from sightline.workflow.adapters.config import PIXELS, ImportConfig
from sightline.workflow.import_check import (
    SEEN,
    compare_pixels,
    compare_runtimes,
    find_doubts,
    find_faults,
)

UNPROVEN = "imported: there is no original here to compare it with"
_NOT_TAKEN = {
    ".pt": "PyTorch weights without their network",
    ".pth": "PyTorch weights without their network",
    ".ckpt": "weights without their network",
    ".safetensors": "weights without their network",
    ".h5": "a Keras file",
    ".keras": "a Keras file",
    ".tflite": "a LiteRT file",
    ".engine": "a TensorRT engine",
    ".mlmodel": "a Core ML file",
}


@dataclass(frozen=True)
class Sample:
    """A photo with what the bundle finds on it; `picture` shows it; `doubts`, a sentence each."""

    image: Path
    picture: Path
    detections: Detections
    doubts: tuple[str, ...]


@dataclass(frozen=True)
class Imported:
    """The bundle's folder, what it is, what was guessed, and the photo it was tried on."""

    path: Path
    kind: str
    manifest: Manifest
    notes: tuple[str, ...]
    sample: Sample | None

    def to_json(self) -> dict[str, Any]:
        """As `sightline import --json` prints it."""
        sample = self.sample
        return {
            "bundle": str(self.path),
            "kind": self.kind,
            "name": self.manifest.name,
            "target": self.manifest.target,
            "labels": len(self.manifest.labels),
            "notes": list(self.notes),
            "sample": None
            if sample is None
            else {
                "image": str(sample.image),
                "picture": str(sample.picture),
                "detections": sample.detections.to_json(),
                "doubts": list(sample.doubts),
            },
        }


def import_model(
    file: str | Path,
    *,
    out: str | Path,
    sample: str | Path | None = None,
    picture: str | Path | None = None,
    config: ImportConfig | None = None,
    confirm: Callable[[Sample], bool] | None = None,
) -> Imported:
    """Write the foreign model in `file` as a bundle into the new folder `out`.

    sample: a photo to try it on; what is found is drawn into `picture`, by default OUT-sample.jpg.
    confirm: asked whether the boxes fit, before the bundle is put in place. Raises
    ForeignModelError, or MissingExtra; then there is no bundle.
    """
    file, out = Path(file), Path(out)
    if out.exists():
        raise ExportError(f"{out} exists; name a folder that does not")
    config = config or ImportConfig()
    if config.threshold is not None and config.threshold > 1:
        raise UsageError(f"the threshold is a score in 0..1, not {config.threshold}")
    photo = None if sample is None else (Path(sample), decode_image(Path(sample)))
    adapted = adapt(file, config)
    with staged_artefact(out) as building:
        manifest = _write(adapted, building, file, config)
        notes, tried = adapted.notes, None
        if photo is None:
            notes += _try_loading(building, adapted)
        else:
            shown = out.with_name(f"{out.name}-sample.jpg") if picture is None else Path(picture)
            tried = _look(building, file, config, adapted, *photo, shown)
            if confirm is not None and not confirm(tried):
                raise ForeignModelError(
                    f"{file} was not imported, since its boxes do not fit; --pixels, --labels, "
                    f"--size and --outputs say what was guessed wrong"
                )
    return Imported(out, adapted.kind, manifest, notes, tried)


def adapt(file: Path, config: ImportConfig) -> Adapted:
    """The file as its family's adapter makes it. Raises ForeignModelError where none takes it."""
    if not file.exists():
        raise ForeignModelError(f"{file}: no such file or folder")
    if file.is_dir():
        for name in (MANIFEST_NAME, "saved_model.pb", "model.json"):
            if (file / name).is_file():
                file = file / name
                break
        else:
            inner = file / "saved_model" / "saved_model.pb"
            if not inner.is_file():
                raise ForeignModelError(
                    f"{file} holds no model: an ONNX file, the folder of a SavedModel "
                    "(saved_model.pb) or a TensorFlow.js model.json is taken"
                )
            file = inner
    if file.name == MANIFEST_NAME:
        raise ForeignModelError(f"{file.parent} is a bundle already; use it as it is")
    if file.name == "saved_model.pb":
        from sightline.workflow.adapters.tf_detection import adapt_tf, read_saved_model

        return adapt_tf(read_saved_model(file.parent), config)
    if file.suffix == ".json":
        from sightline.workflow.adapters.tf_detection import adapt_tf, read_tfjs

        return adapt_tf(read_tfjs(file), config)
    if (kind := _NOT_TAKEN.get(file.suffix.lower())) is not None:
        raise ForeignModelError(
            f"{file} is {kind}; export the model to ONNX with the program it comes from"
        )
    return _adapt_onnx(file, config)


def _adapt_onnx(file: Path, config: ImportConfig) -> Adapted:
    from sightline.workflow.adapters.detr import adapt_detr, is_detr
    from sightline.workflow.adapters.labels import COCO, read_names
    from sightline.workflow.adapters.onnx_file import read_foreign
    from sightline.workflow.adapters.yolox import adapt_yolox, is_yolox

    foreign = read_foreign(file)
    names = read_names(Path(config.labels)) if config.labels else COCO
    if is_detr(foreign):
        return adapt_detr(foreign, config, names)
    if is_yolox(foreign):
        return adapt_yolox(foreign, config, names)
    raise ForeignModelError(
        f"{file} is no detector of a known family. It has {foreign.describe()}. Known are DETRs "
        "(images and orig_target_sizes in; labels, boxes, scores out) and YOLOX (images in; one "
        "table (1, A, 5 + classes) out)"
    )


def _write(adapted: Adapted, building: Path, file: Path, config: ImportConfig) -> Manifest:
    """Write files and manifest into the folder."""
    for name, content in adapted.files.items():
        path = building / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, path)
        else:
            path.write_bytes(content)
    base = {"name": adapted.manifest.name, "source": file.name, "kind": adapted.kind}
    if file.is_file():
        base["sha256"] = sha256_of(file)
    if config.license is not None:
        base["license"] = config.license
    if adapted.pixels is not None:
        base["pixels"] = adapted.pixels
    files = {name: file_entry(building / name) for name in adapted.files}
    manifest = replace(adapted.manifest, base=base, files=files, unproven=UNPROVEN)
    write_manifest(building, manifest)
    return manifest


def _try_loading(building: Path, adapted: Adapted) -> tuple[str, ...]:
    """Load the bundle, which shows at least that it runs; a note where its runtime is missing."""
    try:
        _load(building, adapted).close()
    except MissingExtra as error:
        return (f"it was not tried: {error}",)
    return ()


def _load(building: Path, adapted: Adapted) -> Detector:
    try:
        return Detector.load(building)
    except BundleDamaged as error:
        reason = str(error).replace(f"{building}/", "")
        raise ForeignModelError(f"the model was read as {adapted.kind}, but {reason}") from error


def _look(
    building: Path,
    file: Path,
    config: ImportConfig,
    adapted: Adapted,
    image: Path,
    photo: Any,
    picture: Path,
) -> Sample:
    """Run the bundle on the photo and draw what it finds. Raises ForeignModelError for faults."""
    detector = _load(building, adapted)
    try:
        outputs = detector.engine.run(detector.preprocess(photo))
        if faults := find_faults(outputs, detector.labels):
            raise ForeignModelError(
                f"{file} was read as {adapted.kind}, which does not fit: {'; '.join(faults)}"
            )
        found = detector.postprocess(outputs, photo.width, photo.height)
        doubts = find_doubts(outputs)
    finally:
        detector.close()
    if adapted.pixels is not None:
        better = _try_pixels(building, file, config, adapted.pixels, photo)
        doubts += [] if better is None else [better]
    if len(runtimes := RUNTIMES[adapted.manifest.target]) > 1 and adapted.pixels is None:
        others = {name: _scores_in(name, building, photo) for name in runtimes[1:]}
        apart = compare_runtimes({runtimes[0]: outputs.scores, **others})
        doubts += [] if apart is None else [apart]
    picture.parent.mkdir(parents=True, exist_ok=True)
    found.draw(photo).save(picture, "JPEG", quality=90)
    return Sample(image, picture, found, tuple(doubts))


def _scores_in(runtime: str, building: Path, photo: Any) -> NDArray[np.float32]:
    detector = Detector.load(building, runtime=runtime)
    try:
        return detector(photo, threshold=0).scores
    finally:
        detector.close()


def _try_pixels(
    building: Path, file: Path, config: ImportConfig, taken: str, photo: Any
) -> str | None:
    """Feed the photo in every way there is; says which fits better than the one taken."""
    strength = {}
    for way in PIXELS:
        adapted = adapt(file, replace(config, pixels=way))
        folder = building / f".{way}"
        folder.mkdir()
        try:
            _write(adapted, folder, file, config)
            scores = _load(folder, adapted)(photo, threshold=0).scores
        finally:
            shutil.rmtree(folder)
        seen = scores[scores >= SEEN]
        strength[way] = (len(seen), float(seen.sum()), float(scores.max(initial=0)))
    return compare_pixels(strength, taken)
