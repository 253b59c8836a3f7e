"""A video track that sends the drawn picture, and remembers when."""

from __future__ import annotations

import asyncio
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from sightline.server.sample_picture import draw_sample_picture

if TYPE_CHECKING:
    from aiortc import MediaStreamTrack

FRAMES_PER_S = 20
_CLOCK_HZ = 90_000  # of RTP's timestamps of video
_TICKS = _CLOCK_HZ // FRAMES_PER_S


class SentPictures:
    """When each picture was sent, by its timestamp in ticks since the first one's."""

    def __init__(self) -> None:
        self._sent_s: dict[int, float] = {}

    @property
    def count(self) -> int:
        return len(self._sent_s)

    def add(self, pts: int) -> None:
        self._sent_s[pts] = time.perf_counter()

    def age_ms(self, pts: object) -> float | None:
        """How long ago the picture with this timestamp was sent; None if none was."""
        sent_s = self._sent_s.get(pts) if isinstance(pts, int) else None
        return None if sent_s is None else 1000 * (time.perf_counter() - sent_s)


def make_track(sent: SentPictures) -> MediaStreamTrack:
    """A track of the drawn picture; aiortc asks for its frames once the connection stands."""
    import av
    import numpy as np
    from aiortc import MediaStreamTrack

    pixels = np.asarray(draw_sample_picture())

    class PictureTrack(MediaStreamTrack):
        kind = "video"

        async def recv(self) -> Any:
            if sent.count:
                await asyncio.sleep(1 / FRAMES_PER_S)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = sent.count * _TICKS
            frame.time_base = Fraction(1, _CLOCK_HZ)
            sent.add(frame.pts)
            return frame

    return PictureTrack()
