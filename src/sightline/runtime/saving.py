"""Annotated copies of images and videos, written to a folder. Never over an original."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightline.detections import Detections
from sightline.errors import SightlineError, UsageError
from sightline.runtime.sources import Frame

VIDEO_RATE = 25.0  # frames a second where the source's rate is unknown, as a camera's
# One frame stands for at most this long: a laptop that slept for a night would fill the disk.
MAX_STILL_S = 2.0


class Saver:
    """Writes into `folder`; names that were taken before in this run get a number.

    Use it as a context manager: leaving it finishes the videos.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._taken: set[Path] = set()
        self._videos: dict[str, _VideoFile] = {}

    def __enter__(self) -> Saver:
        return self

    def __exit__(self, *_: object) -> None:
        for video in self._videos.values():
            video.close()

    def save_image(self, picture: Image.Image, found: Detections, source: Path, name: Path) -> Path:
        """Write the annotated picture as `name` in the folder; returns its path.

        JPEG for JPEG names, PNG for every other. Raises UsageError where that is `source`
        itself, SightlineError where it cannot be written.
        """
        suffix = name.suffix if name.suffix.lower() in (".jpg", ".jpeg") else ".png"
        target = self._free(name.with_suffix(suffix))
        with _writing(target, source):
            found.draw(picture).save(target, quality=92)
        return target

    def save_frame(self, frame: Frame, found: Detections) -> Path:
        """Add the annotated frame to its source's video; returns the video's path.

        Raises as `save_image` does.
        """
        if frame.name not in self._videos:
            target = self._free(Path(Path(frame.name).name.replace(" ", "-")).with_suffix(".mp4"))
            height, width = frame.image.shape[:2]
            with _writing(target, Path(frame.name)):
                self._videos[frame.name] = _VideoFile(target, width, height, frame.rate)
        video = self._videos[frame.name]
        video.write(np.asarray(found.draw(Image.fromarray(frame.image))), frame.time_s or 0.0)
        return video.path

    def _free(self, name: Path) -> Path:
        target, number = self.folder / name, 1
        while target in self._taken:
            number += 1
            target = self.folder / name.with_stem(f"{name.stem}-{number}")
        self._taken.add(target)
        return target


class _VideoFile:
    """An MP4 of frames on their source's clock: repeated or left out to fit the rate.

    Gaps between frames are cut to MAX_STILL_S.
    """

    def __init__(self, path: Path, width: int, height: int, rate: float | None) -> None:
        import cv2

        # Containers with varying rates declare up to 1000 a second.
        self.rate = rate if rate is not None and 1 <= rate <= 120 else VIDEO_RATE
        self.path = path
        # MPEG-4 part 2: the one codec for MP4 that every OpenCV wheel can write.
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer: Any = cv2.VideoWriter(str(path), codec, self.rate, (width, height))
        self._written = 0
        self._cut = 0  # frames' time taken out of gaps
        if not self._writer.isOpened():
            raise SightlineError(f"{path} cannot be written as a video; is the folder writable?")

    def write(self, image_rgb: NDArray[np.uint8], time_s: float) -> None:
        import cv2

        image_bgr = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR)
        due = round(time_s * self.rate) + 1 - self._cut
        excess = max(0, due - self._written - round(MAX_STILL_S * self.rate))
        self._cut += excess
        due -= excess
        while self._written < due:
            self._writer.write(image_bgr)
            self._written += 1

    def close(self) -> None:
        self._writer.release()


@contextlib.contextmanager
def _writing(target: Path, source: Path) -> Iterator[None]:
    """Room for `target`, which is not `source`; a failure to write in our words."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and source.exists() and target.samefile(source):
            raise UsageError(f"{target} would overwrite the original; give --save another folder")
        yield
    except OSError as error:
        raise SightlineError(f"{target} cannot be written: {error}") from error
