"""One image on its way: what a worker does with it, and the answer that comes out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightline.detections import Detections
from sightline.runtime.engine import Outputs
from sightline.runtime.motion import MotionGate
from sightline.runtime.tracker import LEAST_SCORE, Tracker
from sightline.server.options import Options
from sightline.server.served import ServedModel


@dataclass(frozen=True)
class Timing:
    """Milliseconds: waiting for a worker, decoding and resizing, in the graph, from arrival on."""

    queue_ms: float
    decode_ms: float
    infer_ms: float
    total_ms: float

    def to_json(self) -> dict[str, float]:
        return {
            "queue_ms": round(self.queue_ms, 2),
            "decode_ms": round(self.decode_ms, 2),
            "infer_ms": round(self.infer_ms, 2),
            "total_ms": round(self.total_ms, 2),
        }


@dataclass(frozen=True)
class Answer:
    """What was found. `detections` is None where the motion gate saw no change.

    ids: (N,) int32, from 1, where tracking was asked for.
    """

    model: str
    threshold: float
    width: int
    height: int
    detections: Detections | None
    ids: NDArray[np.int32] | None
    timing: Timing

    def to_json(self) -> dict[str, Any]:
        """The wire shape that all paths but the 2017 one share (contracts/wire.schema.json)."""
        value: dict[str, Any] = {
            "model": self.model,
            "width": self.width,
            "height": self.height,
            "threshold": round(self.threshold, 5),
        }
        if self.detections is not None:
            objects = self.detections.to_json()
            if self.ids is not None:
                for each, number in zip(objects, self.ids.tolist(), strict=True):
                    each["id"] = number
            value["detections"] = objects
        value["timing"] = self.timing.to_json()
        return value


class Memory:
    """What a stream remembers between its frames. Used by one worker at a time."""

    def __init__(self, options: Options, model: ServedModel) -> None:
        self.gate = MotionGate() if options.motion else None
        self.tracker = Tracker(options.threshold_for(model)) if options.track else None


class Job:
    """An image to detect in. `done` is called once, in a worker, with the answer or the error.

    open_picture: decodes the image to RGB; called in a worker, so that only as many images are in
    memory as there are workers. time_s: when the picture was taken, for tracking and motion.
    """

    def __init__(
        self,
        model: ServedModel,
        options: Options,
        open_picture: Callable[[], Image.Image],
        done: Callable[[Answer | Exception], None],
        memory: Memory | None = None,
        time_s: float | None = None,
    ) -> None:
        self.model = model
        self.options = options
        self.done = done
        self._open_picture = open_picture
        self._memory = memory
        self._arrived = time.perf_counter()
        self._time_s = self._arrived if time_s is None else time_s
        self._taken = self._prepared = self._arrived
        self._infer_ms = 0.0
        self._size = (0, 0)

    def prepare(self) -> NDArray[np.uint8] | None:
        """The graph's input; None where nothing has moved. Raises ImageError."""
        self._taken = time.perf_counter()
        picture = self._open_picture()
        self._size = picture.size
        gate = self._memory.gate if self._memory else None
        is_still = gate is not None and not gate.has_moved(picture, self._time_s)
        pixels = None if is_still else self.model.detector().preprocess(picture)
        self._prepared = time.perf_counter()
        return pixels

    def finish(self, outputs: Outputs | None, infer_ms: float) -> Answer:
        """The answer from the graph's outputs, or from None where nothing has moved."""
        self._infer_ms = infer_ms
        threshold = self.options.threshold_for(self.model)
        tracker = self._memory.tracker if self._memory else None
        found = ids = None
        if outputs is not None:
            least = threshold if tracker is None else min(threshold, LEAST_SCORE)
            found = self.options.select(
                self.model.detector().postprocess(outputs, *self._size, least)
            )
            if tracker is not None:
                ids = tracker.update(found.boxes_xyxy, found.scores, found.label_ids, self._time_s)
                found, ids = found[ids > 0], ids[ids > 0]
        return Answer(self.model.name, threshold, *self._size, found, ids, self._timing())

    def _timing(self) -> Timing:
        return Timing(
            (self._taken - self._arrived) * 1e3,
            (self._prepared - self._taken) * 1e3,
            self._infer_ms,
            (time.perf_counter() - self._arrived) * 1e3,
        )
