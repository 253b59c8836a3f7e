"""Frames of images, folders, videos; a live capture drained for its newest frame."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.errors import ImageUnreadable, SourceError
from sightline.runtime.sources import (
    camera_number,
    find_images,
    is_video,
    newest_frames,
    read_frames,
)


def write_video(path: Path, count: int, *, rate: float = 10.0) -> None:
    """Frames of one colour each: red, then green, then blue, ..."""
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), rate, (64, 48))
    for index in range(count):
        image_bgr = np.zeros((48, 64, 3), np.uint8)
        image_bgr[..., 2 - index % 3] = 255
        writer.write(image_bgr)
    writer.release()


def test_video_frames_are_rgb_in_order_and_timed(tmp_path: Path) -> None:
    write_video(tmp_path / "colours.mp4", 7)
    frames = list(read_frames(tmp_path / "colours.mp4"))
    assert [frame.index for frame in frames] == list(range(7))
    times = [frame.time_s for frame in frames]
    assert times == pytest.approx([index / 10 for index in range(7)], abs=1e-3)  # ms time stamps
    assert [int(frame.image.mean((0, 1)).argmax()) for frame in frames] == [0, 1, 2, 0, 1, 2, 0]
    assert frames[0].image.shape == (48, 64, 3) and frames[0].image.dtype == np.uint8
    assert frames[0].name == str(tmp_path / "colours.mp4")


@pytest.mark.parametrize(
    ("name", "count", "end_s"),
    [("bottle_8s_640x360.webm", 122, 8.07), ("bottle_4s_640x360.mjpeg", 42, 1.64)],
)
def test_real_videos(shared: Path, name: str, count: int, end_s: float) -> None:
    """The raw MJPEG has no time stamps of its own: 25 frames a second are assumed."""
    frames = list(read_frames(shared / "data" / "video" / name))
    assert len(frames) == count
    assert frames[-1].time_s == pytest.approx(end_s, abs=0.01)  # one ms a frame of rounding
    assert all(a.time_s < b.time_s for a, b in itertools.pairwise(frames))


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 4096])
def test_what_is_no_video_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match="cannot be opened as a video"):
        list(read_frames(path))


def test_a_video_cut_off_says_so_after_its_frames(shared: Path, tmp_path: Path) -> None:
    whole = (shared / "data" / "video" / "bottle_8s_640x360.webm").read_bytes()
    (tmp_path / "cut.webm").write_bytes(whole[:100_000])
    frames = read_frames(tmp_path / "cut.webm")
    seen = []
    with pytest.raises(SourceError, match=r"ends after 27 frames, 1\.7 s; its header says 8\.1 s"):
        for frame in frames:
            seen.append(frame)
    assert len(seen) == 27


def test_images_of_a_folder_and_of_one_file(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name in ("b/1.png", "a.JPG", ".hidden/2.png", ".3.png"):
        Image.new("RGB", (4, 3), "red").save(tmp_path / name, "PNG")
    (tmp_path / "notes.txt").write_text("x")
    assert find_images(tmp_path) == [tmp_path / "a.JPG", tmp_path / "b" / "1.png"]
    frames = list(read_frames(tmp_path))
    assert [(frame.index, frame.time_s, frame.name) for frame in frames] == [
        (0, None, str(tmp_path / "a.JPG")),
        (1, None, str(tmp_path / "b" / "1.png")),
    ]
    assert frames[0].image.tolist() == [[[255, 0, 0]] * 4] * 3
    (only,) = read_frames(str(tmp_path / "a.JPG"))
    assert only.name == str(tmp_path / "a.JPG")


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.jpg").write_text("text")
    for source, error, message in (
        (tmp_path / "absent", SourceError, "no such file or folder"),
        ("https://example.com/cat.jpg", SourceError, "network addresses are not fetched"),
        (tmp_path / "empty", SourceError, "no image files"),
        (tmp_path / "text.jpg", ImageUnreadable, "is text"),
        (63, SourceError, "camera 63 cannot be opened"),
    ):
        with pytest.raises(error, match=message):
            list(read_frames(source))


def test_names_tell_cameras_and_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (camera_number(1), camera_number("1"), camera_number("a.jpg")) == (1, 1, None)
    Path("1").mkdir()
    assert camera_number("1") is None  # a folder of that name is what is meant
    assert is_video(Path("a.MP4")) and not is_video(Path("a.jpg"))


class ScriptedCapture:
    """A camera that gives its frames one by one when the test says so."""

    def __init__(self) -> None:
        self.may_read = threading.Semaphore(0)
        self.is_drained = threading.Semaphore(0)
        self.script: list[int] = []
        self.is_released = False

    def read(self) -> tuple[bool, Any]:
        self.is_drained.release()  # asked for the next: all before it are in the slot
        self.may_read.acquire()
        if not self.script:
            return False, None
        return True, np.full((2, 2, 3), self.script.pop(0), np.uint8)

    def release(self) -> None:
        self.is_released = True

    def play(self, *values: int) -> None:
        self.script.extend(values)
        for _ in values:
            self.is_drained.acquire()
            self.may_read.release()
        self.is_drained.acquire()
        self.is_drained.release()

    def end(self) -> None:
        self.may_read.release(1000)


def test_only_the_newest_frame_of_a_camera_is_given() -> None:
    camera = ScriptedCapture()
    frames = newest_frames(camera, "camera 0")
    taken = []
    thread = threading.Thread(target=lambda: taken.append(next(frames)))
    thread.start()
    camera.play(10)
    thread.join(timeout=10)
    assert (taken[0].index, taken[0].image[0, 0, 0], taken[0].name) == (0, 10, "camera 0")
    camera.play(20, 30, 40)  # while the first is worked on
    newest = next(frames)
    assert (newest.index, newest.image[0, 0, 0]) == (3, 40)
    assert newest.time_s >= taken[0].time_s
    camera.end()
    assert list(frames) == []
    assert camera.is_released


def test_closing_the_iterator_releases_the_camera() -> None:
    camera = ScriptedCapture()
    camera.script = [1] * 100
    camera.may_read.release(100)
    frames = newest_frames(camera, "camera 0")
    next(frames)
    camera.end()
    frames.close()
    assert camera.is_released
    assert not any(thread.name == "sightline camera 0" for thread in threading.enumerate())
