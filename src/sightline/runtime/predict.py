"""Detections for a list of images, folders, videos and cameras; what fails is named, not fatal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.data.images import decode_image
from sightline.detections import Detections
from sightline.errors import ImageError, SourceError
from sightline.runtime.detector import Detector
from sightline.runtime.saving import Saver
from sightline.runtime.sources import (
    Source,
    camera_number,
    existing_path,
    find_images,
    is_video,
    read_frames,
)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What was found in one image or frame. `name` is the file as given, or "camera N".

    frame and time_s (seconds) are None for still images. saved: the annotated copy, if asked for.
    """

    name: str
    detections: Detections
    frame: int | None = None
    time_s: float | None = None
    saved: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """{"image", "width", "height", "detections"}, with "frame" and "time_s" for videos."""
        value: dict[str, Any] = {"image": self.name}
        if self.frame is not None:
            value |= {"frame": self.frame, "time_s": round(self.time_s or 0.0, 3)}
        found = self.detections
        return value | {
            "width": found.width,
            "height": found.height,
            "detections": found.to_json(),
        }


@dataclass(frozen=True)
class Failure:
    """A source that could not be used, or not to its end, and why."""

    name: str
    error: ImageError | SourceError


@dataclass(frozen=True)
class _Still:
    path: Path
    name: Path  # what its annotated copy is called, relative to the folder it is saved in


def predict(
    detector: Detector,
    sources: Sequence[Source],
    *,
    threshold: float | None = None,
    save: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Generator[Prediction | Failure]:
    """Each image of `sources` and each frame of their videos and cameras, in order.

    threshold: the least score, by default the model's. save: a folder for annotated copies; a
    folder among the sources keeps its inner order there. progress: called with sources done and
    to do, the images of folders one by one. A camera goes on until the iterator is closed.
    Raises UsageError for a threshold outside 0..1 and for `save` where the originals lie.
    """
    failures: list[Failure] = []
    items = list(_list_items(sources, failures))
    yield from failures
    with contextlib.ExitStack() as stack:
        saver = None if save is None else stack.enter_context(Saver(save))
        for done, item in enumerate(items, start=1):
            if isinstance(item, _Still):
                yield _predict_still(detector, item, threshold, saver)
            else:
                yield from _predict_frames(detector, item, threshold, saver)
            if progress is not None:
                progress(done, len(items))


def has_frames(sources: Sequence[Source]) -> bool:
    """Whether a video or camera is among the sources."""
    return any(
        camera_number(source) is not None or is_video(Path(str(source))) for source in sources
    )


def _list_items(sources: Sequence[Source], failures: list[Failure]) -> Iterator[_Still | Source]:
    """The still images, folders taken apart, and the videos and cameras as they were given."""
    for source in sources:
        if camera_number(source) is not None:
            yield source
            continue
        try:
            path = existing_path(source)
            images = find_images(path) if path.is_dir() else []
        except SourceError as error:
            failures.append(Failure(str(source), error))
            continue
        if path.is_dir():
            yield from (_Still(image, image.relative_to(path)) for image in images)
        elif is_video(path):
            yield source
        else:
            yield _Still(path, Path(path.name))


def _predict_still(
    detector: Detector, item: _Still, threshold: float | None, saver: Saver | None
) -> Prediction | Failure:
    try:
        picture = decode_image(item.path)
    except ImageError as error:
        return Failure(str(item.path), error)
    found = detector(picture, threshold=threshold)
    saved = None if saver is None else saver.save_image(picture, found, item.path, item.name)
    return Prediction(str(item.path), found, saved=saved)


def _predict_frames(
    detector: Detector, source: Source, threshold: float | None, saver: Saver | None
) -> Iterator[Prediction | Failure]:
    try:
        with contextlib.closing(read_frames(source)) as frames:
            for frame in frames:
                found = detector(frame.image, threshold=threshold)
                saved = None if saver is None else saver.save_frame(frame, found)
                yield Prediction(frame.name, found, frame.index, frame.time_s, saved)
    except SourceError as error:
        yield Failure(str(source), error)
