"""Tracking and the motion gate through a real server: a film over WebSocket."""

from __future__ import annotations

import io
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from tests.server.test_websocket import opened, receive

from sightline.runtime.sources import read_frames


@pytest.fixture(scope="module")
def frames(shared: Path) -> list[bytes]:
    """Twelve frames of three bottles in two seconds."""
    found = []
    for frame in read_frames(shared / "data" / "video" / "bottle-detection.mp4"):
        if frame.index % 5 == 0:
            written = io.BytesIO()
            Image.fromarray(np.asarray(frame.image)).save(written, "JPEG", quality=90)
            found.append(written.getvalue())
        if len(found) == 12:
            break
    return found


def test_bottles_keep_their_numbers(client: httpx.Client, frames: list[bytes]) -> None:
    places: dict[int, set[int]] = {}
    with opened(client, "track=1&labels=bottle&threshold=0.4") as stream:
        receive(stream)
        for frame in frames:
            stream.send(frame)
            for found in receive(stream)["detections"]:
                places.setdefault(found["id"], set()).add(round(found["box"][0] / 60))
    assert sorted(places) == [1, 2, 3]
    assert all(max(columns) - min(columns) <= 1 for columns in places.values())  # they stand still


def test_without_tracking_nothing_has_a_number(client: httpx.Client, frames: list[bytes]) -> None:
    with opened(client, "threshold=0.4") as stream:
        receive(stream)
        stream.send(frames[0])
        assert all("id" not in found for found in receive(stream)["detections"])


def test_only_what_has_moved_is_looked_at(client: httpx.Client, frames: list[bytes]) -> None:
    room = Image.open(io.BytesIO(frames[0]))
    room.paste((200, 40, 40), (200, 100, 300, 250))
    written = io.BytesIO()
    room.save(written, "JPEG", quality=90)
    with opened(client, "motion=1&track=1") as stream:
        receive(stream)
        kinds = []
        for _ in range(3):
            stream.send(frames[0])
            kinds.append(receive(stream)["type"])
        assert kinds == ["detections", "still", "still"]
        end = time.monotonic() + 20  # the gate follows by the clock, not by frames
        while kinds[-1] == "still" and time.monotonic() < end:
            stream.send(written.getvalue())
            message = receive(stream)
            kinds.append(message["type"])
    assert message["type"] == "detections"
