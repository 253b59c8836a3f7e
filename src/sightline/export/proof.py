"""Artefacts held against the network they were made from, each in its own runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sightline.data.dataset import Dataset
from sightline.data.images import decode_image
from sightline.detections import Detections
from sightline.errors import ExportError
from sightline.evaluate.run import measure
from sightline.export.parity import Parity, compare
from sightline.manifest import Manifest
from sightline.models.deimv2.network import DeimV2
from sightline.runtime.detector import Detector
from sightline.runtime.engine import Outputs
from sightline.runtime.engines.onnx import OnnxEngine, open_session
from sightline.runtime.postprocess import postprocess

LEAST_PICTURES = 16
MOST_AP_LOST = 0.01


@dataclass(frozen=True)
class Bounds:
    """How far an artefact's detections may be from the network's.

    score and box_px (pixels of the network's input) hold for each detection but `share` of them. An
    artefact of 8-bit numbers cannot keep to such bounds; it may lose 1 point of AP instead.
    """

    score: float
    box_px: float
    share: float = 0.0


FLOAT32 = Bounds(1e-3, 0.5)
# A query that swaps with a near equal moves by more than its weights were rounded. It happens to
# some .5 % of detections where kernels are whole numbers of 16 bits, to 2.5 % where they are
# float16, with 11 bits that count, which is all that LiteRT has.
FLOAT16 = Bounds(5e-3, 1.0, share=0.02)
LITERT_FLOAT16 = Bounds(5e-3, 1.0, share=0.05)


class NetworkEngine:
    """The network itself, in PyTorch, as an engine: what the others are compared with."""

    runtime = "pytorch"

    def __init__(self, network: DeimV2) -> None:
        self.network = network.eval()

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        """The outputs for one image (S, S, 3) RGB."""
        network = self.network
        device = next(network.parameters()).device
        pixels = torch.from_numpy(image.copy())[None].to(device).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            final = network(pixels).final
        count = min(300, final.logits[0].numel())
        scores, picks = final.logits[0].float().sigmoid().flatten().topk(count)
        centre, extent = final.boxes[0][picks // network.classes].float().split(2, dim=-1)
        corners = torch.cat([centre - extent / 2, centre + extent / 2], dim=-1).clamp(0, 1)
        return Outputs(
            corners.cpu().numpy(),
            scores.cpu().numpy(),
            (picks % network.classes).cpu().numpy().astype(np.int32),
        )

    def close(self) -> None:
        """Nothing."""


class Proof:
    """What a network finds in some pictures, and its AP where a data set is given.

    pictures: of any size. measured: images with boxes, of a split.
    """

    def __init__(
        self,
        network: DeimV2,
        manifest: Manifest,
        pictures: Sequence[Image.Image],
        measured: Dataset | None = None,
    ) -> None:
        detector = Detector(manifest, NetworkEngine(network), Path())
        self.manifest, self.pictures, self.measured = manifest, pictures, measured
        self.expected = detect_all(detector, pictures)
        self.ap = None if measured is None else measure(detector, measured).AP

    def hold(self, bundle: Path, runtime: str | None, bounds: Bounds | None) -> Parity:
        """The parity of the artefact in `bundle`, run in `runtime`.

        Raises ExportError when it is not within the bounds.
        """
        detector = Detector.load(bundle, runtime=runtime)
        try:
            found = detect_all(detector, self.pictures)
            ap = None if self.measured is None else measure(detector, self.measured).AP
        finally:
            detector.close()
        measured_by = bounds or FLOAT16
        parity = replace(
            compare(
                detector.engine.runtime,
                list(zip(self.expected, found, strict=True)),
                score_bound=measured_by.score,
                box_bound_px=measured_by.box_px,
            ),
            ap_images=None if self.measured is None else len(self.measured),
            ap=ap,
            ap_pytorch=self.ap,
        )
        if bounds is None:
            parity = replace(parity, score_bound=None, box_bound_px=None, beyond=None)
        if fault := self._fault(parity, bounds):
            raise ExportError(
                f"in {parity.runtime} the artefact does not find what the network finds: {fault}. "
                "Nothing was written"
            )
        return parity

    def measure_graph(self, graph: Path) -> float:
        """AP of an ONNX file with the network's inputs and outputs, in ONNX Runtime."""
        assert self.measured is not None
        detector = Detector(self.manifest, OnnxEngine(open_session(graph)), graph.parent)
        return measure(detector, self.measured).AP or 0.0

    def _fault(self, parity: Parity, bounds: Bounds | None) -> str:
        if bounds is None:
            lost = (self.ap or 0) - (parity.ap or 0)
            return "" if lost <= MOST_AP_LOST else f"AP fell by {100 * lost:.1f} points"
        return parity.fault(bounds.share)


def detect_all(detector: Detector, pictures: Sequence[Image.Image]) -> list[Detections]:
    """All detections in each picture, however weak, in pixels of the network's input.

    In runs of as many different pictures as the graph takes, none left over: one's share in
    another's detections is to be seen. Without NMS: what it drops depends on differences that the
    bounds allow.
    """
    manifest, found = detector.manifest, []
    for start in range(0, len(pictures), manifest.batch):
        places = [pictures[(start + i) % len(pictures)] for i in range(manifest.batch)]
        for outputs in detector.infer_batch([detector.preprocess(each) for each in places]):
            kept = postprocess(
                *outputs, threshold=0.0, nms_iou=None, width=manifest.width, height=manifest.height
            )
            found.append(Detections(*kept, detector.labels, manifest.width, manifest.height))
    return found[: len(pictures)]


def proof_pictures(files: Sequence[Path], side: int) -> list[Image.Image]:
    """At least 16 pictures: the files given, and drawn scenes where they are fewer."""
    from sightline.data.drawn import KINDS, draw_scene

    pictures = [decode_image(path) for path in files[:LEAST_PICTURES]]
    kinds = list(KINDS)
    for seed in range(LEAST_PICTURES - len(pictures)):
        # not of the network's size: the artefact's own resizing is to be seen too
        scene = draw_scene(
            np.random.default_rng((0, seed)), kinds, width=side * 3 // 2, height=side * 5 // 4
        )
        pictures.append(Image.fromarray(scene.image))
    return pictures
