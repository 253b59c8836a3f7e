"""A peer's video from encoded frames to pictures: bounded, and of decoded frames the newest only.

aiortc's own queues before and behind its decoder grow without bound when decoding, or what comes
after it, is slower than the stream; its decoder takes pictures of any size; and closing decodes
all that waits while the event loop stands still. So this stands in for the queue of encoded
frames of one receiver: `put` is called in the event loop, `get` in the receiver's decoder thread,
and frames are decoded inside of `get`, which only returns for the end. What is put there comes
from a FrameBuffer, which stands in for the jitter buffer.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from sightline.data.images import MAX_PIXELS
from sightline.runtime.capture import to_picture
from sightline.server.frame_buffer import EncodedFrame, FrameBuffer

if TYPE_CHECKING:
    from aiortc import RTCRtpReceiver
    from aiortc.rtcrtpparameters import RTCRtpCodecParameters
    from av import VideoCodecContext, VideoFrame

    Encoded = tuple[RTCRtpCodecParameters, EncodedFrame]

MAX_WAITING = 30  # encoded frames, a second of most streams; decoding VGA takes 1 ms a frame
_REQUEST_S = 0.5  # between requests for a key frame: it takes a round trip, and is large
_LOW_DELAY = 0x80000  # AV_CODEC_FLAG_LOW_DELAY: a picture is not held back for others
_QUEUE, _BUFFER = "_RTCRtpReceiver__decoder_queue", "_RTCRtpReceiver__jitter_buffer"

log = logging.getLogger("sightline.server")


@dataclass(frozen=True, eq=False)
class ReceivedFrame:
    """number: counts decoded frames from 0. pts: ticks of 90 kHz since the first RTP timestamp.

    time_s: when its last packet came, by time.perf_counter.
    """

    number: int
    pts: int
    time_s: float
    video: VideoFrame

    def open_picture(self) -> Image.Image:
        """The upright picture in RGB. May be called in any thread."""
        return to_picture(self.video)


class VideoFeed:
    """Stands in for `receiver`'s queue. Made in the event loop, before media comes.

    on_frame: called in the event loop with the newest frame; frames that come before it has been
    called are dropped for newer ones. on_end: called when the stream has ended.
    """

    def __init__(
        self,
        receiver: RTCRtpReceiver,
        on_frame: Callable[[ReceivedFrame], None],
        on_end: Callable[[], None],
    ) -> None:
        for name, part in ((_QUEUE, self), (_BUFFER, FrameBuffer())):
            if not hasattr(receiver, name):
                raise RuntimeError(f"this version of aiortc has no {name}")
            setattr(receiver, name, part)
        self._receiver = receiver
        self._on_frame = on_frame
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Encoded, float]] = deque()
        self._newest: ReceivedFrame | None = None
        self._is_ended = False
        self._is_broken = False  # frames were left out: what follows refers to them
        self._codec = ""
        self._decoder: VideoCodecContext | None = None
        self._count = 0
        self._requested_s = 0.0

    def put(self, item: Encoded | None) -> None:
        """An encoded frame, or None for the end. In the event loop."""
        with self._changed:
            if item is None:
                self._waiting.clear()
                self._is_ended = True
                self._loop.call_soon(self._on_end)
            else:
                if len(self._waiting) >= MAX_WAITING:
                    self._waiting.clear()
                    self._is_broken = True
                self._waiting.append((item, time.perf_counter()))
            self._changed.notify()

    def get(self) -> None:
        """Decode what comes until the end. In the receiver's decoder thread."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_ended)
                if self._is_ended:
                    self._decoder = None
                    return
                (codec, frame), arrived_s = self._waiting.popleft()
                is_broken, self._is_broken = self._is_broken, False
            for each in (*frame.earlier, frame):
                if is_broken or each.is_broken or codec.name.lower() != self._codec:
                    self._codec, is_broken = codec.name.lower(), False
                    self._decoder = _open_decoder(self._codec)
                # Of several, only the last one's time has been made ticks since the first.
                ago = 0 if each is frame else (frame.rtp - each.rtp) % 2**32
                self._decode(each.data, frame.timestamp - ago, arrived_s)

    def _decode(self, data: bytes, pts: int, arrived_s: float) -> None:
        import av

        if not data:  # to FFmpeg an empty packet is the end of the stream
            return
        packet: Any = av.Packet(data)
        packet.pts = pts
        assert self._decoder is not None
        try:
            videos = self._decoder.decode(packet)
        except av.FFmpegError as error:
            log.debug("a frame of %s could not be decoded: %s", self._codec, error)
            self._request_key_frame()
            return
        for video in videos:
            if video.is_corrupt:
                self._request_key_frame()
                continue
            own_pts = pts if video.pts is None else video.pts
            self._give(ReceivedFrame(self._count, own_pts, arrived_s, video))
            self._count += 1

    def _give(self, frame: ReceivedFrame) -> None:
        with self._changed:
            is_due = self._newest is None
            self._newest = frame
        if is_due:
            self._loop.call_soon_threadsafe(self._hand_over)

    def _hand_over(self) -> None:
        with self._changed:
            frame, self._newest = self._newest, None
        if frame is not None and not self._is_ended:
            self._on_frame(frame)

    def _request_key_frame(self) -> None:
        """Ask the sender for a whole picture (PLI, RFC 4585, 6.3.1)."""
        now_s = time.perf_counter()
        if now_s >= self._requested_s + _REQUEST_S:
            self._requested_s = now_s
            asyncio.run_coroutine_threadsafe(self._send_request(), self._loop)

    async def _send_request(self) -> None:
        for source in self._receiver.getSynchronizationSources():
            await self._receiver._send_rtcp_pli(source.source)


def _open_decoder(codec: str) -> VideoCodecContext:
    """FFmpeg's own decoders: they look at a picture's size before they make room for it."""
    import av

    decoder: Any = av.CodecContext.create(codec, "r")
    decoder.thread_count = 1  # one of several peers; and threads of whole frames hold some back
    decoder.options = {"max_pixels": str(MAX_PIXELS)}
    decoder.flags |= _LOW_DELAY
    context: VideoCodecContext = decoder
    return context
