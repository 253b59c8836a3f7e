"""How long a model takes on this machine, stage by stage, beside the bare ONNX Runtime.

Minima say what the machine can do, medians what a user gets. What is compared runs alternately,
so that other load hits both alike.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightline.errors import ModelNotFound, UsageError
from sightline.runtime.detector import Detector, as_picture
from sightline.runtime.engines.onnx import (
    MAX_THREADS,
    OnnxEngine,
    available_cores,
    open_session,
)

if TYPE_CHECKING:
    import onnxruntime

WARM_UPS = 3
END_TO_END, BARE = "end to end", "bare session.run"


@dataclass(frozen=True)
class Timing:
    """Of some runs of one stage, in milliseconds."""

    min_ms: float
    median_ms: float


@dataclass(frozen=True)
class Comparison:
    """Our graph and another, run alternately; `ratio` is ours to theirs, of the minima."""

    file: str
    ours: Timing
    theirs: Timing
    ratio: float


@dataclass(frozen=True)
class ThreadResult:
    """With that many threads, each stage by name, "end to end" and "bare session.run" too."""

    threads: int
    stages: Mapping[str, Timing]
    against: Comparison | None


@dataclass(frozen=True)
class BenchReport:
    """What was measured; width and height are the test image's, runs how often each stage ran."""

    model: str
    width: int
    height: int
    runs: int
    results: tuple[ThreadResult, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def bench(
    reference: str | Path,
    *,
    image: Path | None = None,
    runs: int = 50,
    threads: int | None = None,
    against: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> BenchReport:
    """Timings with one thread and with `threads` (by default what `Detector.load` takes).

    image: a file to work on, by default a drawn 1280 x 720 JPEG. against: another ONNX file, with
    uint8 or float image input, timed beside ours. Raises ModelError or ImageError.
    """
    if against is not None and not against.is_file():
        raise ModelNotFound(f"{against}: no such ONNX file")
    picture = as_picture(draw_jpeg() if image is None else image)
    content = draw_jpeg() if image is None else image.read_bytes()
    counts = sorted({1, threads or min(MAX_THREADS, available_cores())})
    results = []
    for index, count in enumerate(counts):

        def advance(done: int, before: int = index * runs) -> None:
            if progress is not None:
                progress(before + done, runs * len(counts))

        detector = Detector.load(reference, threads=count)
        if not isinstance(detector.engine, OnnxEngine):
            raise UsageError(
                f"{detector.bundle} is for {detector.engine.runtime}; the bench is ONNX Runtime's"
            )
        session = detector.engine.session
        stages = _time_stages(detector, session, content, picture, runs, advance)
        compared = (
            None if against is None else _compare(detector, session, against, picture, runs, count)
        )
        results.append(ThreadResult(count, stages, compared))
    return BenchReport(detector.manifest.name, picture.width, picture.height, runs, tuple(results))


def draw_jpeg(width: int = 1280, height: int = 720) -> bytes:
    """A JPEG with detail at several scales, as large as a photo of that size; always the same."""
    random = np.random.default_rng(0)
    levels = np.zeros((height, width, 3), np.float32)
    for cells, weight in ((9, 0.5), (60, 0.3), (240, 0.2)):
        coarse = random.integers(0, 256, (cells * height // width + 1, cells, 3), np.uint8)
        levels += weight * np.asarray(
            Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), np.float32
        )
    encoded = io.BytesIO()
    Image.fromarray(levels.clip(0, 255).astype(np.uint8)).save(encoded, "JPEG", quality=90)
    return encoded.getvalue()


def _time_stages(
    detector: Detector,
    session: onnxruntime.InferenceSession,
    content: bytes,
    picture: Image.Image,
    runs: int,
    advance: Callable[[int], None],
) -> dict[str, Timing]:
    pixels = detector.preprocess(picture)
    outputs = detector.infer(pixels)
    feed = {"image": pixels[None]}
    stages: dict[str, Callable[[], object]] = {
        "decode": lambda: as_picture(content),
        "preprocess": lambda: detector.preprocess(picture),
        "inference": lambda: detector.infer(pixels),
        "postprocess": lambda: detector.postprocess(outputs, picture.width, picture.height),
        END_TO_END: lambda: detector(content),
        BARE: lambda: session.run(None, feed),
    }
    return dict(zip(stages, _time_alternately(list(stages.values()), runs, advance), strict=True))


def _compare(
    detector: Detector,
    session: onnxruntime.InferenceSession,
    against: Path,
    picture: Image.Image,
    runs: int,
    threads: int,
) -> Comparison:
    other = open_session(against, threads=threads)
    ours_feed = {"image": detector.preprocess(picture)[None]}
    theirs_feed = {
        node.name: _fill_input(node, picture, detector.manifest.height, detector.manifest.width)
        for node in other.get_inputs()
    }
    ours, theirs = _time_alternately(
        [lambda: session.run(None, ours_feed), lambda: other.run(None, theirs_feed)], runs
    )
    return Comparison(str(against), ours, theirs, ours.min_ms / theirs.min_ms)


def _fill_input(
    node: onnxruntime.NodeArg, picture: Image.Image, height: int, width: int
) -> NDArray[Any]:
    """A plausible value: the picture for a four-dimensional input, the size for any other.

    Dimensions without a number are batch, channels, `height` and `width`.
    """
    kinds = {"tensor(uint8)": np.uint8, "tensor(int64)": np.int64, "tensor(int32)": np.int32}
    kind = kinds.get(node.type, np.float32)
    if len(node.shape) != 4:
        shape = [size if isinstance(size, int) else 1 for size in node.shape]
        return np.resize(np.array([width, height], kind), shape)
    is_nhwc = node.shape[3] == 3
    named = [1, height, width, 3] if is_nhwc else [1, 3, height, width]
    shape = [
        size if isinstance(size, int) else own for size, own in zip(node.shape, named, strict=True)
    ]
    side = (shape[2], shape[1]) if is_nhwc else (shape[3], shape[2])
    pixels = np.asarray(picture.resize(side, Image.Resampling.BILINEAR))[None]
    scaled = pixels if kind is np.uint8 else (pixels / 255).astype(kind)
    return np.ascontiguousarray(scaled if is_nhwc else scaled.transpose(0, 3, 1, 2))


def _time_alternately(
    calls: Sequence[Callable[[], object]],
    runs: int,
    advance: Callable[[int], None] = lambda done: None,
) -> list[Timing]:
    """Of each call the time of `runs` runs, one of each in turn."""
    times_ms: list[list[float]] = [[] for _ in calls]
    for number in range(-WARM_UPS, runs):
        for call, mine in zip(calls, times_ms, strict=True):
            start_ns = time.perf_counter_ns()
            call()
            elapsed_ms = (time.perf_counter_ns() - start_ns) / 1e6
            if number >= 0:
                mine.append(elapsed_ms)
        if number >= 0:
            advance(number + 1)
    return [Timing(round(min(mine), 3), round(median(mine), 3)) for mine in times_ms]
