"""Encoded frames to pictures: real codecs, and a sender that is faster than the decoder."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from tests.server.rtc_peer import draw_quarter

from sightline.server.frame_buffer import EncodedFrame
from sightline.server.video_feed import MAX_WAITING, ReceivedFrame, VideoFeed

VP8 = RTCRtpCodecParameters(mimeType="video/VP8", clockRate=90000)
H264 = RTCRtpCodecParameters(mimeType="video/H264", clockRate=90000)
_ENCODERS = {
    "VP8": ("libvpx", {"deadline": "realtime", "lag-in-frames": "0"}),
    "H264": ("libx264", {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"}),
}


def encode(codec: RTCRtpCodecParameters, count: int, first: int = 0) -> list[EncodedFrame]:
    """Pictures number `first` to first + count, the first one whole, the rest by reference."""
    name, options = _ENCODERS[codec.name]
    encoder: Any = av.CodecContext.create(name, "w")
    encoder.width, encoder.height, encoder.pix_fmt = 320, 240, "yuv420p"
    encoder.time_base, encoder.gop_size = Fraction(1, 30), 1000
    encoder.options = options
    packets = []
    for number in range(first, first + count):
        frame = av.VideoFrame.from_ndarray(draw_quarter(number), format="rgb24")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return [
        EncodedFrame(bytes(packet), int(packet.pts) * 3000, int(packet.pts) * 3000)
        for packet in packets
    ]


@dataclass
class Receiver:
    """What a feed needs of aiortc's receiver, and its decoder thread."""

    requests: list[int] = field(default_factory=list)
    _RTCRtpReceiver__decoder_queue: Any = None
    _RTCRtpReceiver__jitter_buffer: Any = None

    def getSynchronizationSources(self) -> list[Any]:
        return [type("Source", (), {"source": 7})]

    async def _send_rtcp_pli(self, source: int) -> None:
        self.requests.append(source)


class Watched:
    """A feed with its thread, in an event loop."""

    def __init__(self) -> None:
        self.receiver = Receiver()
        self.frames: list[ReceivedFrame] = []
        self.ended = asyncio.Event()
        self.feed = VideoFeed(self.receiver, self.frames.append, self.ended.set)  # type: ignore[arg-type]
        self.thread = threading.Thread(target=self.feed.get)

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(30):
            while not holds():
                await asyncio.sleep(0.005)

    async def end(self) -> None:
        self.feed.put(None)
        async with asyncio.timeout(30):
            await self.ended.wait()
            await asyncio.to_thread(self.thread.join)


def brightest(frame: ReceivedFrame) -> int:
    pixels = np.asarray(frame.open_picture().convert("L"), np.float64)
    means = [half.mean() for row in np.split(pixels, 2) for half in np.split(row, 2, axis=1)]
    return int(np.argmax(means))


@pytest.mark.parametrize("codec", [VP8, H264], ids=["VP8", "H264"])
def test_every_frame_comes_out_at_once(codec: RTCRtpCodecParameters) -> None:
    """No picture is held back: each is there before the next one is put in."""

    async def run() -> list[ReceivedFrame]:
        watched = Watched()
        watched.thread.start()
        for number, frame in enumerate(encode(codec, 12)):
            watched.feed.put((codec, frame))
            await watched.until(lambda number=number: len(watched.frames) > number)
        await watched.end()
        return watched.frames

    frames = asyncio.run(run())
    assert [frame.number for frame in frames] == list(range(12))
    assert [frame.pts for frame in frames] == [number * 3000 for number in range(12)]
    assert [brightest(frame) for frame in frames] == [number // 5 % 4 for number in range(12)]


def test_what_waits_is_bounded_and_a_whole_picture_is_asked_for() -> None:
    """The thread stands still while three times as much comes as may wait."""

    async def run() -> Watched:
        watched = Watched()
        for frame in encode(VP8, 3 * MAX_WAITING + 5):
            watched.feed.put((VP8, frame))
            assert len(watched.feed._waiting) <= MAX_WAITING
        watched.thread.start()
        await watched.until(lambda: watched.receiver.requests)
        assert not watched.frames  # what is left refers to pictures that were left out
        for frame in encode(VP8, 3, first=15):
            watched.feed.put((VP8, frame))
        await watched.until(lambda: watched.frames)
        await watched.end()
        return watched

    assert brightest(asyncio.run(run()).frames[0]) == 3


def test_the_end_does_not_wait_for_what_waits() -> None:
    async def run() -> list[ReceivedFrame]:
        watched = Watched()
        for frame in encode(VP8, MAX_WAITING):
            watched.feed.put((VP8, frame))
        watched.feed.put(None)
        watched.thread.start()
        await watched.end()
        return watched.frames

    assert asyncio.run(run()) == []


def damaged(kind: str) -> bytes:
    whole = encode(VP8, 1)[0].data
    return {
        "empty": b"",
        "noise": bytes(range(256)) * 4,
        "cut": whole[:9],
        # RFC 6386, 9.1: 16383 x 16383 would need 400 MB a picture.
        "huge": whole[:6] + b"\xff\x3f\xff\x3f" + whole[10:],
    }[kind]


@pytest.mark.parametrize("kind", ["empty", "noise", "cut", "huge"])
def test_damaged_frames(kind: str) -> None:
    """A whole picture after it is shown."""

    async def run() -> Watched:
        watched = Watched()
        watched.thread.start()
        watched.feed.put((VP8, EncodedFrame(damaged(kind), 0, 0)))
        for frame in encode(VP8, 1, first=10):
            watched.feed.put((VP8, frame))
        await watched.until(lambda: watched.frames)
        await watched.end()
        return watched

    watched = asyncio.run(run())
    assert [brightest(frame) for frame in watched.frames] == [2]
    assert bool(watched.receiver.requests) == (kind != "empty")


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_turned_pictures_are_put_upright(degrees: int) -> None:
    """H.264 says in its stream how a picture is to be turned (display orientation SEI)."""
    upright = np.asarray(draw_quarter(0, 240, 320))

    async def run() -> ReceivedFrame:
        watched = Watched()
        watched.thread.start()
        for frame in encode(H264, 1):
            watched.feed.put((H264, EncodedFrame(turn_by_note(frame.data, degrees), 0, 0)))
        await watched.until(lambda: watched.frames)
        await watched.end()
        return watched.frames[0]

    picture = np.asarray(asyncio.run(run()).open_picture(), np.int16)
    expected = np.rot90(upright, degrees // 90).astype(np.int16)
    assert picture.shape == expected.shape
    assert np.abs(picture - expected).mean() < 10


def turn_by_note(data: bytes, degrees: int) -> bytes:
    """The H.264 frame with a note that it is to be turned counter-clockwise."""
    with av.open("/dev/null", "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height = 320, 240
        note = f"h264_metadata=display_orientation=insert:rotate={degrees}"
        noted = av.BitStreamFilterContext(note, stream).filter(av.Packet(data))
        return b"".join(bytes(each) for each in noted)
