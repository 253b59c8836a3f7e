"""A model in its runtime: an image in, detections out. Never reaches torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightline.data.images import decode_image, flatten_image, resize_letterbox, resize_stretch
from sightline.detections import Detections
from sightline.errors import BundleDamaged, UsageError
from sightline.manifest import (
    IN_GRAPH,
    LETTERBOX,
    WEIGHTS_NAME,
    Manifest,
    read_manifest,
    verify_files,
)
from sightline.runtime.engine import Engine, Outputs, open_engine
from sightline.runtime.engines.onnx import OnnxEngine, first_line
from sightline.runtime.locate import locate_bundle
from sightline.runtime.postprocess import letterbox_span, postprocess

if TYPE_CHECKING:
    from sightline.runtime.sources import Frame, Source

ImageLike = Image.Image | NDArray[np.uint8] | Path | str | bytes


class Detector:
    """Finds objects in images: `Detector.load("runs/x")("photo.jpg")`.

    `manifest` says everything about the model, `bundle` is its folder. May be called from
    several threads.
    """

    def __init__(self, manifest: Manifest, engine: Engine, bundle: Path) -> None:
        self.manifest = manifest
        self.engine = engine
        self.bundle = bundle

    @classmethod
    def load(
        cls,
        reference: str | Path,
        *,
        threads: int | None = None,
        runtime: str | None = None,
        device: str = "cpu",
    ) -> Detector:
        """The detector of a bundle or artefact folder, run folder or zoo name, warmed up.

        threads: for one inference; by default one a core, at most 4. runtime: one of
        `runtime.engine.RUNTIMES`, by default the first that runs such an artefact. device: one of
        `runtime.engine.DEVICES`. Its files are compared with the manifest. Raises ModelNotFound,
        BundleDamaged, BundleTooNew, UsageError or MissingExtra.
        """
        bundle = locate_bundle(reference)
        manifest = read_manifest(bundle)
        verify_files(bundle, manifest, tuple(n for n in manifest.files if n != WEIGHTS_NAME))
        engine = open_engine(bundle, manifest, threads=threads, runtime=runtime, device=device)
        detector = cls(manifest, engine, bundle)
        try:
            detector.infer(np.zeros((manifest.height, manifest.width, 3), np.uint8))
        except BundleDamaged:
            engine.close()
            raise
        except Exception as error:  # each runtime raises its own dozen kinds
            engine.close()
            raise BundleDamaged(
                f"{bundle / manifest.main_file} does not run: {first_line(error)}"
            ) from error
        return detector

    def close(self) -> None:
        """End what the runtime holds outside this process: a browser, where it is one."""
        self.engine.close()

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names, in the order of label ids."""
        return self.manifest.labels

    def __call__(self, image: ImageLike, *, threshold: float | None = None) -> Detections:
        """What is seen in one image, in pixels of the upright image.

        image: a file's path or bytes (turned upright by EXIF), or pixels as they are: a Pillow
        image or an (H, W, 3) uint8 RGB array. threshold: the least score, by default the
        manifest's; 0 gives all candidates. Raises ImageError for a file that cannot be used.
        """
        picture = as_picture(image)
        return self.postprocess(
            self.infer(self.preprocess(picture)), picture.width, picture.height, threshold
        )

    def stream(
        self, source: Source, *, threshold: float | None = None
    ) -> Iterator[tuple[Frame, Detections]]:
        """Each frame of a video file, camera number, image or folder, with what is seen in it.

        A camera's frames that come while one is worked on are dropped, all but the newest.
        Raises SourceError when the source cannot be opened, ImageError for a bad image.
        """
        from sightline.runtime.sources import read_frames

        for frame in read_frames(source):
            yield frame, self(frame.image, threshold=threshold)

    def preprocess(self, picture: Image.Image) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB: the picture as the graph takes it."""
        if self.manifest.resize == IN_GRAPH:
            return np.asarray(picture)
        if self.manifest.resize == LETTERBOX:
            return resize_letterbox(picture, self.manifest.width, self.manifest.height)
        return resize_stretch(picture, self.manifest.width, self.manifest.height)

    def infer(self, pixels: NDArray[np.uint8]) -> Outputs:
        """What the graph says of one input image. Raises BundleDamaged for unknown labels."""
        return self._checked(self.engine.run(pixels))

    def infer_batch(self, pixels: Sequence[NDArray[np.uint8]]) -> list[Outputs]:
        """`infer` for 1 to `manifest.batch` input images, in one run where the graph takes them."""
        if not isinstance(self.engine, OnnxEngine):
            return [self.infer(image) for image in pixels]
        return [self._checked(outputs) for outputs in self.engine.run_batch(pixels)]

    def _checked(self, outputs: Outputs) -> Outputs:
        label_ids, count = outputs.label_ids, len(self.labels)
        if label_ids.size and not (label_ids.min() >= 0 and label_ids.max() < count):
            raise BundleDamaged(
                f"{self.bundle / self.manifest.main_file} gave labels {label_ids.min()}.."
                f"{label_ids.max()}, the manifest names {count}; make the bundle again"
            )
        return outputs

    def postprocess(
        self,
        outputs: Outputs,
        width: int,
        height: int,
        threshold: float | None = None,
    ) -> Detections:
        """The graph's outputs as detections on width x height pixels.

        Raises UsageError for a threshold outside 0..1.
        """
        if threshold is None:
            threshold = self.manifest.score_threshold
        if not 0 <= threshold <= 1:
            raise UsageError(f"the threshold is a score in 0..1, not {threshold}")
        manifest = self.manifest
        span: tuple[float, float] = (width, height)
        if manifest.resize == LETTERBOX:
            span = letterbox_span(width, height, manifest.width, manifest.height)
        kept = postprocess(
            *outputs,
            threshold=threshold,
            nms_iou=manifest.nms_iou,
            width=span[0],
            height=span[1],
        )
        return Detections(*kept, class_names=self.labels, width=width, height=height)


def as_picture(image: ImageLike) -> Image.Image:
    """RGB pixels of whatever a detector takes. Raises ImageError, or UsageError for an array."""
    if isinstance(image, Image.Image):
        return flatten_image(image)
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise UsageError(
                f"an image array is (height, width, 3) uint8 RGB, not {image.shape} {image.dtype}"
            )
        return Image.fromarray(image)
    return decode_image(image if isinstance(image, bytes) else Path(image))
