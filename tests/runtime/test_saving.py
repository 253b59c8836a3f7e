"""Annotated videos keep their source's time, but for gaps that nobody wants to watch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.runtime.detector import Detector
from sightline.runtime.saving import MAX_STILL_S, VIDEO_RATE, Saver
from sightline.runtime.sources import Frame, read_frames


@pytest.fixture
def save_at(tiny_bundle: Path, tmp_path: Path):
    """Save a grey frame a time stamp, brighter each; gives the frames of the video."""
    detector = Detector.load(tiny_bundle)

    def save(times_s: list[float], rate: float | None) -> list[Frame]:
        with Saver(tmp_path) as saver:
            for index, time_s in enumerate(times_s):
                image = np.full((48, 64, 3), 20 + 40 * index, np.uint8)
                found = detector(Image.fromarray(image), threshold=1.0)
                path = saver.save_frame(Frame(image, index, time_s, "camera 0", rate), found)
        return list(read_frames(path))

    return save


def levels(frames: list[Frame]) -> list[int]:
    """Which of the saved frames each is: the codec moves grey by a few levels."""
    return [round((float(frame.image.mean()) - 20) / 40) for frame in frames]


def test_a_frame_stands_until_the_next(save_at) -> None:
    assert levels(save_at([0.0, 0.1, 0.5, 0.54, 0.8], rate=10)) == [0, 1, *[2] * 4, *[4] * 3]


def test_a_night_asleep_is_cut_and_time_goes_on_after_it(save_at) -> None:
    night_s = 8 * 3600.0
    shown = levels(save_at([0.0, 0.1, night_s, night_s + 0.1, night_s + 0.3], rate=10))
    assert shown == [0, 1, *[2] * round(10 * MAX_STILL_S), 3, 4, 4]


def test_a_camera_that_starts_late(save_at) -> None:
    shown = levels(save_at([60.0, 60.04], rate=None))
    assert shown == [*[0] * round(VIDEO_RATE * MAX_STILL_S), 1]
