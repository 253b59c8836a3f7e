"""Frames from whatever a user points at: images, folders of them, video files, cameras.

Everything is opened from the local machine; network addresses are not fetched. Knows no model.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sightline.data.images import FOREIGN_SUFFIXES, IMAGE_SUFFIXES, decode_image
from sightline.errors import SourceError

Source = str | Path | int

# Pictures that are refused, and are looked at in folders so that they are refused aloud.
_REFUSED_SUFFIXES = FOREIGN_SUFFIXES | {".svg"}
VIDEO_SUFFIXES = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mjpeg", ".mjpg"),
        *(".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp", ".ogv"),
    )
)


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a source.

    image: (H, W, 3) uint8 RGB, upright. index: counts the source's frames from 0, dropped ones
    included. time_s: seconds since the source began, None for still images. name: the file's
    path or "camera N". rate: frames a second, None where unknown.
    """

    image: NDArray[np.uint8]
    index: int
    time_s: float | None
    name: str
    rate: float | None = None


class Capture(Protocol):
    """The part of cv2.VideoCapture that is used: frames come as (H, W, 3) uint8 BGR."""

    def read(self) -> tuple[bool, Any]: ...

    def release(self) -> None: ...


def read_frames(source: Source) -> Generator[Frame]:
    """Every frame of a video file, the newest of a camera, or each image of a file or folder.

    Raises SourceError when the source cannot be opened or is cut off, ImageError for an image.
    """
    number = camera_number(source)
    if number is not None:
        yield from newest_frames(_open_camera(number), f"camera {number}")
        return
    path = existing_path(source)
    if is_video(path):
        yield from _read_video(path)
        return
    for index, image_path in enumerate(find_images(path) if path.is_dir() else [path]):
        picture = decode_image(image_path)
        yield Frame(np.asarray(picture), index, None, str(image_path))


def camera_number(source: Source) -> int | None:
    """The number of a camera, given as 0 or "0"; None for everything else."""
    if isinstance(source, int):
        return source
    text = str(source)
    return int(text) if text.isascii() and text.isdigit() and not Path(text).exists() else None


def existing_path(source: Source) -> Path:
    """The path of a file or folder. Raises SourceError where there is none."""
    path = Path(str(source))
    if path.exists():
        return path
    if "://" in str(source):
        raise SourceError(f"{source}: network addresses are not fetched; save it as a file first")
    raise SourceError(f"{source}: no such file or folder")


def is_video(path: Path) -> bool:
    """Whether the name is a video file's."""
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.is_dir()


def find_images(folder: Path) -> list[Path]:
    """The image files in a folder and the folders in it, by path; hidden ones are left out.

    Raises SourceError for a folder without any.
    """
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES | _REFUSED_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    ]
    if not found:
        raise SourceError(f"{folder}: no image files in it (looked for JPEG, PNG, WebP, ...)")
    return found


def newest_frames(capture: Capture, name: str) -> Generator[Frame]:
    """The frames of a live capture, each the newest there is when it is asked for.

    A thread drains the capture, so that no queue, the driver's included, grows old. Ends when
    the capture does; closing the iterator releases it.
    """
    slot = _NewestSlot()
    is_wanted = threading.Event()
    is_wanted.set()

    def drain() -> None:
        index = 0
        start_s = time.monotonic()
        try:
            while is_wanted.is_set():
                is_read, image_bgr = capture.read()
                if not is_read:
                    return
                slot.put((index, time.monotonic() - start_s, image_bgr))
                index += 1
        finally:
            slot.close()

    reader = threading.Thread(target=drain, name=f"sightline {name}", daemon=True)
    reader.start()
    try:
        while (taken := slot.take()) is not None:
            index, time_s, image_bgr = taken
            yield Frame(_rgb(image_bgr), index, time_s, name)
    finally:
        is_wanted.clear()
        reader.join(timeout=5)
        if not reader.is_alive():  # a driver that hangs in read() may not be released under it
            capture.release()


class _NewestSlot:
    """Room for one item between two threads: a newer one takes the place of an untaken one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: tuple[int, float, Any] | None = None
        self._is_closed = False

    def put(self, item: tuple[int, float, Any]) -> None:
        with self._changed:
            self._item = item
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def take(self) -> tuple[int, float, Any] | None:
        """The newest item as soon as there is one; None once closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._is_closed)
            item, self._item = self._item, None
            return item


def _read_video(path: Path) -> Generator[Frame]:
    cv2 = _quiet_opencv()
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise SourceError(
                f"{path} cannot be opened as a video: it is empty, cut off, no video, or of a kind "
                "that is not known here; MP4 (H.264) and WebM are"
            )
        rate, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        index, time_s = 0, 0.0
        while True:
            is_read, image_bgr = capture.read()
            if not is_read:
                break
            time_s = _frame_time_s(capture.get(cv2.CAP_PROP_POS_MSEC), index, rate, time_s)
            yield Frame(_rgb(image_bgr), index, time_s, str(path), rate if rate > 0 else None)
            index += 1
        # Frame counts of some containers are guesses from rate and length: the length is not.
        length_s = count / rate if rate > 0 and count > 0 else 0.0
        if index == 0 or time_s < 0.9 * length_s - 1:
            raise SourceError(
                f"{path} ends after {index} frames, {time_s:.1f} s; its header says "
                f"{length_s:.1f} s: it is cut off or damaged there"
            )
    finally:
        capture.release()


def _frame_time_s(position_ms: float, index: int, rate: float, before_s: float) -> float:
    """The container's time stamp, or the rate's where it has none (raw streams)."""
    time_s = position_ms / 1000
    if index > 0 and not (math.isfinite(time_s) and time_s > before_s):
        time_s = index / rate if rate > 0 else before_s
    return max(time_s, 0.0)


def _open_camera(number: int) -> Capture:
    cv2 = _quiet_opencv()
    capture: Any = cv2.VideoCapture(number)
    if not capture.isOpened():
        capture.release()
        raise SourceError(
            f"camera {number} cannot be opened: there is none, another program has it, or this "
            "program may not use cameras"
        )
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture  # type: ignore[no-any-return]


def _quiet_opencv() -> Any:
    """cv2, told to keep its and FFmpeg's own lines off stderr: errors here are raised."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET; read at first use
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2


def _rgb(image_bgr: Any) -> NDArray[np.uint8]:
    import cv2

    return np.asarray(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB), np.uint8)
