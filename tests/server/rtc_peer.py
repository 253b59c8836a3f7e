"""The other end of WebRTC, by aiortc: a page that sends pictures and keeps what comes back.

As a program it is a peer in a process, and in a network, of its own:
    python rtc_peer.py URL FRAMES [TOKEN]   drawn pictures until so many results have come
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCSessionDescription,
    VideoStreamTrack,
)
from numpy.typing import NDArray

Message = dict[str, Any]
Draw = Callable[[int], NDArray[np.uint8]]
TICKS = 90_000
WAIT_S = 30.0


def draw_quarter(number: int, height: int = 240, width: int = 320) -> NDArray[np.uint8]:
    """Black, with one quarter white: which one changes every five pictures."""
    picture = np.zeros((height, width, 3), np.uint8)
    row, column = divmod(number // 5 % 4, 2)
    picture[
        row * height // 2 : (row + 1) * height // 2, column * width // 2 : (column + 1) * width // 2
    ] = 255
    return picture


class DrawnTrack(VideoStreamTrack):
    """Pictures as `draw` makes them, in real time."""

    def __init__(self, draw: Draw = draw_quarter, fps: int = 30) -> None:
        super().__init__()
        self.is_paused = False
        self._draw = draw
        self._fps = fps
        self._number = 0
        self._start_s = 0.0

    async def recv(self) -> av.VideoFrame:
        self._start_s = self._start_s or time.perf_counter()
        due_s = self._start_s + self._number / self._fps
        await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
        while self.is_paused:
            await asyncio.sleep(0.01)
        frame = av.VideoFrame.from_ndarray(self._draw(self._number), format="rgb24")
        frame.pts, frame.time_base = self._number * TICKS // self._fps, Fraction(1, TICKS)
        self._number += 1
        return frame

    def number_of(self, pts: int) -> int:
        """Which picture it was. aiortc's sender rounds a tick down now and then."""
        return round(pts * self._fps / TICKS)


class ClipTrack(DrawnTrack):
    """A video file's pictures, over and over."""

    def __init__(self, path: Path, fps: int = 30, size: tuple[int, int] = (640, 480)) -> None:
        with av.open(str(path)) as clip:
            pictures = [
                frame.to_ndarray(format="rgb24", width=size[0], height=size[1])
                for frame in clip.decode(video=0)
            ]
        super().__init__(lambda number: pictures[number % len(pictures)], fps)
        self.pictures = pictures


class Page:
    """A connected page: `messages` are those that came, each with the time it came at."""

    def __init__(self, connection: RTCPeerConnection, channel: RTCDataChannel) -> None:
        self.connection = connection
        self.channel = channel
        self.session = ""
        self.messages: list[Message] = []
        self.times_s: list[float] = []
        self._share: float | None = None
        self._came = asyncio.Event()
        channel.on("message", self._keep)

    async def receive(self, wanted: Callable[[Message], bool]) -> Message:
        """The first message that is wanted, of those that came or will."""
        seen = 0
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    for message in self.messages[seen:]:
                        if wanted(message):
                            return message
                    seen = len(self.messages)
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            last, state = self.messages[-2:], self.connection.connectionState
            raise AssertionError(f"not in {WAIT_S:g} s: {state}, {last}") from None

    async def receive_results(self, count: int) -> list[Message]:
        """So many results, from the first on."""
        await self.receive(lambda _: len(self.results) >= count)
        return self.results

    @property
    def results(self) -> list[Message]:
        return [message for message in self.messages if message["type"] == "detections"]

    def abort(self) -> None:
        """Vanish: no packet leaves any more, and none is read."""
        for transport in _transports(self.connection):
            for protocol in transport._connection._protocols:
                protocol.transport.abort()

    def lose(self, share: float) -> None:
        """From now on lose this share of the media's packets, both ways."""
        self._share, is_new = share, self._share is None
        if is_new:
            self._intercept()

    def _intercept(self) -> None:
        draw = random.Random(7)
        for transport in _transports(self.connection):
            send, received = transport._connection.sendto, transport._connection.data_received

            async def send_some(data: bytes, component: int, send: Any = send) -> None:
                if not (_is_media(data) and draw.random() < (self._share or 0.0)):
                    await send(data, component)

            def receive_some(data: bytes, component: int, received: Any = received) -> None:
                if not (_is_media(data) and draw.random() < (self._share or 0.0)):
                    received(data, component)

            transport._connection.sendto = send_some
            transport._connection.data_received = receive_some

    def shift_clock(self, ticks: int) -> None:
        """From the next picture on have RTP timestamps so many ticks later."""
        (transport,) = {each.sender.transport for each in self.connection.getTransceivers()}
        send, last = transport._send_rtp, -1

        async def send_shifted(data: bytes) -> None:
            nonlocal last
            stamp = int.from_bytes(data[4:8], "big")
            is_rtcp = 192 <= data[1] <= 223  # RFC 5761, 4
            last = stamp if last < 0 and not is_rtcp else last
            if not is_rtcp and 0 < (stamp - last) % 2**32 < 2**31:
                data = data[:4] + ((stamp + ticks) % 2**32).to_bytes(4, "big") + data[8:]
            await send(data)

        transport._send_rtp = send_shifted

    def _keep(self, text: str) -> None:
        self.messages.append(json.loads(text))
        self.times_s.append(time.perf_counter())
        self._came.set()


def _transports(connection: RTCPeerConnection) -> list[Any]:
    return list({each.sender.transport.transport for each in connection.getTransceivers()})


def _is_media(data: bytes) -> bool:
    return 127 < data[0] < 192  # RFC 5764, 5.1.2


@asynccontextmanager
async def offering(
    track: VideoStreamTrack | None, *, data: bool = True
) -> AsyncIterator[tuple[RTCPeerConnection, RTCDataChannel | None]]:
    """A connection whose local description is an offer."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        channel = None
        if data:
            channel = connection.createDataChannel("results", ordered=False, maxRetransmits=0)
        if track is not None:
            connection.addTrack(track)
        await connection.setLocalDescription(await connection.createOffer())
        yield connection, channel
    finally:
        await connection.close()


@asynccontextmanager
async def connected(
    url: str, track: VideoStreamTrack, *, token: str = "", **options: Any
) -> AsyncIterator[Page]:
    """A page on the server at `url`, until the block ends."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with offering(track) as (connection, channel):
        assert channel is not None
        page = Page(connection, channel)
        offer = {"sdp": connection.localDescription.sdp, "type": "offer", **options}
        async with httpx.AsyncClient(trust_env=False, headers=headers, timeout=30) as client:
            response = await client.post(f"{url}/v1/webrtc/offer", json=offer)
        assert response.status_code == 200, response.text
        answer = response.json()
        page.session = answer["session"]
        await connection.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
        yield page


async def _main(url: str, count: int, token: str) -> None:
    track = DrawnTrack()
    async with connected(url, track, token=token) as page:
        results = await page.receive_results(count)
    print(json.dumps([[track.number_of(each["pts"]), each["detections"]] for each in results]))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else ""))
