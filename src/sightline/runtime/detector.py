"""A model bundle on ONNX Runtime: an image in, detections out. Never reaches torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightline.data.images import decode_image, flatten_image, resize_stretch
from sightline.detections import Detections
from sightline.errors import BundleDamaged, UsageError
from sightline.manifest import GRAPH_NAME, Manifest, read_manifest, verify_files
from sightline.runtime.locate import locate_bundle
from sightline.runtime.postprocess import postprocess

if TYPE_CHECKING:
    import onnxruntime

    from sightline.runtime.sources import Frame, Source

# More threads than this gain nothing on graphs of a few ms, and take cores from decoding.
MAX_THREADS = 4

ImageLike = Image.Image | NDArray[np.uint8] | Path | str | bytes


class Detector:
    """Finds objects in images: `Detector.load("runs/x")("photo.jpg")`.

    `manifest` says everything about the model, `bundle` is its folder. May be called from
    several threads.
    """

    def __init__(
        self, manifest: Manifest, session: onnxruntime.InferenceSession, bundle: Path
    ) -> None:
        self.manifest = manifest
        self.session = session
        self.bundle = bundle

    @classmethod
    def load(cls, reference: str | Path, *, threads: int | None = None) -> Detector:
        """The detector of a bundle folder, run folder or zoo name, checked and warmed up.

        threads: for one inference; by default one a core, at most 4. Raises ModelNotFound,
        BundleDamaged or BundleTooNew.
        """
        bundle = locate_bundle(reference)
        manifest = read_manifest(bundle)
        verify_files(bundle, manifest, names=(GRAPH_NAME,))
        session = open_session(bundle / GRAPH_NAME, threads=threads)
        _check_graph(session, manifest, bundle / GRAPH_NAME)
        detector = cls(manifest, session, bundle)
        try:
            detector.infer(np.zeros((manifest.height, manifest.width, 3), np.uint8))
        except BundleDamaged:
            raise
        except Exception as error:  # ONNX Runtime raises a dozen kinds
            raise BundleDamaged(
                f"{bundle / GRAPH_NAME} does not run: {_first_line(error)}"
            ) from error
        return detector

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
        """(H, W, 3) uint8 RGB: the picture stretched to the graph's input size."""
        return resize_stretch(picture, self.manifest.width, self.manifest.height)

    def infer(
        self, pixels: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
        """(K, 4) corners in 0..1, (K,) scores, sorted, and (K,) label ids of one input image."""
        boxes, scores, labels = self.session.run(
            ["boxes", "scores", "labels"], {"image": pixels[None]}
        )
        count = len(self.labels)
        if labels.size and not (labels.min() >= 0 and labels.max() < count):
            raise BundleDamaged(
                f"{self.bundle / GRAPH_NAME} gave labels {labels.min()}..{labels.max()}, the "
                f"manifest names {count}; make the bundle again"
            )
        return boxes[0], scores[0], labels[0]

    def postprocess(
        self,
        outputs: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]],
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
        kept = postprocess(
            *outputs,
            threshold=threshold,
            nms_iou=self.manifest.nms_iou,
            width=width,
            height=height,
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


def open_session(graph: Path, *, threads: int | None = None) -> onnxruntime.InferenceSession:
    """ONNX Runtime's session of a graph file on the CPU.

    Raises BundleDamaged for a file that it cannot read, UsageError for a number of threads.
    """
    import onnxruntime

    if threads is not None and threads < 1:
        raise UsageError(f"the number of threads is at least 1, not {threads}")
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or min(MAX_THREADS, available_cores())
    options.inter_op_num_threads = 1
    # Threads that spin while they wait made inference 2-4 times slower on a busy machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors; they are raised as well
    try:
        return onnxruntime.InferenceSession(
            str(graph), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime raises a dozen kinds, all straight from Exception
        raise BundleDamaged(
            f"{graph} cannot be loaded by ONNX Runtime: {_first_line(error)}"
        ) from error


def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check_graph(session: onnxruntime.InferenceSession, manifest: Manifest, graph: Path) -> None:
    """Raise BundleDamaged unless the graph's inputs and outputs are the manifest's."""
    batch, count = manifest.batch, manifest.max_detections
    if batch != 1:
        raise BundleDamaged(f"{graph} takes {batch} images at once; export it with batch 1")
    expected = {
        "image": ("tensor(uint8)", [batch, manifest.height, manifest.width, 3]),
        "boxes": ("tensor(float)", [batch, count, 4]),
        "scores": ("tensor(float)", [batch, count]),
        "labels": ("tensor(int32)", [batch, count]),
    }
    found: dict[str, Any] = {
        node.name: (node.type, list(node.shape))
        for node in (*session.get_inputs(), *session.get_outputs())
    }
    for name in [*expected, *found]:
        if found.get(name) != expected.get(name):
            raise BundleDamaged(
                f"{graph}: {name} is {_described(found.get(name))}, the manifest wants "
                f"{_described(expected.get(name))}; make the bundle again"
            )


def _described(node: tuple[str, list[Any]] | None) -> str:
    return "absent" if node is None else f"{node[0]} {node[1]}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
