"""Live pictures of cameras and video files through PyAV, for as long as a server runs.

Knows pictures and their times, no model. Nothing over 25 megapixels is decoded.
"""

from __future__ import annotations

import errno
import logging
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from PIL import Image

from sightline.data.images import MAX_PIXELS, decode_image
from sightline.errors import SourceError
from sightline.runtime.addresses import SourceSpec

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.error import FFmpegError
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

SILENCE_S = 10.0  # without an answer or a frame: the other end has gone
_KEY_FRAME_S = 10.0  # some cameras refresh bit by bit and never send a whole frame
_NO_PICTURE_S = 30.0  # data comes, and nothing of it can be decoded
_FIRST_DELAY_S, _MAX_DELAY_S = 0.5, 30.0
_MAX_KEPT, _MAX_KEPT_BYTES = 300, 16 * 2**20  # packets of a camera that nobody looks at
_TELL_AGAIN_S = 60.0  # that a source fails, for the same reason
_RTP_TICKS = 90_000
_QUARTER_TURNS = {  # counter-clockwise, as Pillow turns
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}

log = logging.getLogger("sightline.server")


OpenPicture = Callable[[], Image.Image]
Decoded = tuple[int | None, OpenPicture]  # its time in ticks of 90 kHz; decodes it


@dataclass(frozen=True, eq=False)
class LivePicture:
    """A frame as it came. index: counts the source's frames from 0, dropped ones included.

    time_s: since the source began, by this machine's clock. pts: the sender's clock, in ticks of
    90 kHz, None where it has none. open: decodes the upright RGB picture, in any thread; raises
    ImageError.
    """

    index: int
    time_s: float
    pts: int | None
    open: OpenPicture


@dataclass(frozen=True)
class CaptureState:
    """state: connecting, live, or waiting to try again, with the reason in `error`."""

    state: str = "connecting"
    error: str | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None


class LiveCapture:
    """A thread that reads one source from `start` to `stop` and connects again when it ends.

    on_picture is called in that thread, and only while pictures are wanted: otherwise a camera's
    data is read and thrown away undecoded, and a file stands still. on_state is called there too,
    for each new state.
    """

    def __init__(
        self,
        spec: SourceSpec,
        on_picture: Callable[[LivePicture], None],
        on_state: Callable[[CaptureState], None],
    ) -> None:
        self.state = CaptureState()
        self._is_wanted = threading.Event()
        self._spec = spec
        self._on_picture = on_picture
        self._on_state = on_state
        self._is_stopped = threading.Event()
        self._count = 0
        self._start_s = self._heard_s = 0.0
        self._thread = threading.Thread(
            target=self._run, name=f"sightline-source-{spec.name}", daemon=True
        )

    def start(self) -> None:
        self._start_s = time.monotonic()
        self._thread.start()

    def want(self, is_wanted: bool) -> None:
        """Say whether pictures are wanted; at first they are not."""
        if is_wanted:
            self._is_wanted.set()
        elif not self._is_stopped.is_set():  # then nothing may wait any more
            self._is_wanted.clear()

    def stop(self) -> None:
        """Have the thread end: at once, or within SILENCE_S where it waits for a camera."""
        self._is_stopped.set()
        self._is_wanted.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread's end."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        delay_s, told, told_s = _FIRST_DELAY_S, "", 0.0
        while not self._is_stopped.is_set():
            count = self._count
            reason = self._play_once()
            if self._count > count:
                delay_s = _FIRST_DELAY_S
                if self._spec.is_file and reason is None:
                    continue  # from its start again
            if self._is_stopped.is_set():
                return
            reason = reason or "the stream ended"
            if reason != told or time.monotonic() > told_s + _TELL_AGAIN_S:
                log.warning("source %s: %s; trying again", self._spec.name, reason)
                told, told_s = reason, time.monotonic()
            self._enter(replace(self.state, state="waiting", error=reason))
            # Jitter, so that all sources of a camera server do not come back in one moment.
            self._is_stopped.wait(delay_s * random.uniform(0.5, 1.0))
            delay_s = min(2 * delay_s, _MAX_DELAY_S)

    def _enter(self, state: CaptureState) -> None:
        if state != self.state:
            self.state = state
            self._on_state(state)

    def _play_once(self) -> str | None:
        """Plays until the end; gives the reason where that is an error."""
        import av

        try:
            self._play()
        except av.error.FFmpegError as error:
            is_silent = time.monotonic() >= self._heard_s + SILENCE_S
            if is_silent and not self._spec.is_file:  # each protocol has an error of its own
                return f"nothing came for {SILENCE_S:g} s"
            is_open = self.state.state == "live"
            return _describe(error) if is_open else _explain(self._spec, error)
        except SourceError as error:
            return str(error)
        except Exception as error:
            # The thread must go on; the message might show the address.
            return f"{type(error).__name__} in the decoder"
        return None

    def _play(self) -> None:
        with self._open() as container:
            video = _find_video(container)
            size = (video.codec_context.width or None, video.codec_context.height or None)
            rate = video.average_rate or video.guessed_rate
            fps = round(float(rate), 2) if rate and 0 < rate <= 1000 else None
            self._enter(CaptureState("live", None, *size, fps))
            clock = _FileClock(fps) if self._spec.is_file else None
            for pts, opener in self._pictures(container, video):
                if clock is not None:
                    self._is_stopped.wait(clock.due_in_s(pts))
                if self._is_stopped.is_set():
                    return
                time_s = time.monotonic() - self._start_s
                self._on_picture(LivePicture(self._count, time_s, pts, opener))
                self._count += 1

    def _open(self) -> InputContainer:
        import av

        spec = self._spec
        if spec.is_file and Path(spec.address).is_dir():
            raise SourceError("it is a folder: name a video file in it")
        if spec.is_file and not Path(spec.address).is_file():
            raise SourceError("there is no such file")
        if spec.format and spec.format not in _available_formats():
            raise SourceError(f"this installation of PyAV has no {spec.format}")
        self._heard_s = time.monotonic()
        return av.open(
            spec.address, format=spec.format, options=dict(spec.options), timeout=SILENCE_S
        )

    def _pictures(self, container: InputContainer, video: VideoStream) -> Iterator[Decoded]:
        """What is wanted, decoded from a whole frame on."""
        decoder = _Decoder(video)
        since_s = time.monotonic()  # when the last picture came, or was not wanted
        for packet in container.demux(video):
            self._heard_s = time.monotonic()
            is_idle = not self._is_wanted.is_set()
            if is_idle and self._spec.is_file:
                self._is_wanted.wait()
            if self._is_stopped.is_set():
                return
            if is_idle:
                since_s = time.monotonic()
            if is_idle and not self._spec.is_file:
                self._count += bool(packet.size)
                decoder.skip(packet)
                continue
            for decoded in decoder.decode(packet):
                yield decoded
                since_s = time.monotonic()
            if time.monotonic() > since_s + _NO_PICTURE_S:
                raise SourceError(f"no picture could be decoded in {_NO_PICTURE_S:g} s")


class _Decoder:
    """Packets to pictures. After damage it waits for a whole frame."""

    def __init__(self, video: VideoStream) -> None:
        self._codec: VideoCodecContext = video.codec_context
        self._time_base: Fraction | None = video.time_base
        self._codec.thread_type = "SLICE"  # threads of whole frames would hold some back
        self._codec.thread_count = 2
        self._codec.options = {"max_pixels": str(MAX_PIXELS)}
        self._is_jpeg = self._codec.name == "mjpeg"
        self._waits_since_s: float | None = time.monotonic()
        self._kept: list[Packet[VideoStream]] = []
        self._kept_bytes = 0

    def skip(self, packet: Packet[VideoStream]) -> None:
        """Leave a packet undecoded. From a whole frame on they are kept, for a while: who wants
        pictures before the next whole frame need not wait for it."""
        self._start_anew()
        if packet.is_keyframe:
            self._kept.clear()
            self._kept_bytes = 0
        elif not self._kept:
            return
        self._kept.append(packet)
        self._kept_bytes += packet.size
        if len(self._kept) > _MAX_KEPT or self._kept_bytes > _MAX_KEPT_BYTES:
            self._kept.clear()

    def decode(self, packet: Packet[VideoStream]) -> Iterator[Decoded]:
        """The pictures that the packet completes, each with its time and as a function."""
        import av

        if self._is_jpeg:  # each stands for itself: decoded where and if it is looked at
            if packet.size:
                yield self._ticks(packet.pts), partial(decode_image, bytes(packet), name="a frame")
            return
        kept, self._kept = self._kept, []
        if self._waits_since_s is not None:
            is_late = time.monotonic() > self._waits_since_s + _KEY_FRAME_S
            if not (kept or packet.is_keyframe or is_late):
                return
            self._waits_since_s = None
        try:
            for each in kept:
                self._codec.decode(each)
            frames: list[VideoFrame] = self._codec.decode(packet)
        except av.error.InvalidDataError:
            self._start_anew()
            return
        for frame in frames:
            if frame.is_corrupt:
                self._start_anew()
                return
            yield self._ticks(frame.pts), partial(to_picture, frame)

    def _start_anew(self) -> None:
        if self._waits_since_s is None and self._codec.is_open:
            self._codec.flush_buffers()
        self._waits_since_s = time.monotonic()

    def _ticks(self, pts: int | None) -> int | None:
        if pts is None or self._time_base is None:
            return None
        return round(pts * self._time_base * _RTP_TICKS)


class _FileClock:
    """When a file's frames are due. A file that fell behind, or stood still, goes on from there."""

    def __init__(self, fps: float | None) -> None:
        self._step_s = 1 / (fps or 25.0)
        self._start_s: float | None = None
        self._time_s = 0.0
        self._first_pts: int | None = None

    def due_in_s(self, pts: int | None) -> float:
        """Seconds until the next frame, which has this time, is due; 0 or less: now."""
        now_s = time.monotonic()
        if self._start_s is None:
            self._start_s, self._first_pts = now_s, pts
            return 0.0
        if pts is not None and self._first_pts is not None:
            self._time_s = (pts - self._first_pts) / _RTP_TICKS
        else:
            self._time_s += self._step_s
        due_in_s = self._start_s + self._time_s - now_s
        if not -1.0 < due_in_s < 10.0:
            self._start_s -= due_in_s
            return 0.0
        return due_in_s


def _explain(spec: SourceSpec, error: FFmpegError) -> str:
    """Why a source could not be opened, and what to do where that is known."""
    import av

    # A format that is not in the whitelist counts as an invalid argument.
    is_no_video = isinstance(error, av.error.InvalidDataError) or error.errno == errno.EINVAL
    if is_no_video and spec.is_file:
        return "the file is no video: give one such as MP4, MKV, WebM, AVI or MPEG-TS"
    if is_no_video and spec.format in (None, "rtsp"):
        return "what comes from there is no video: give an RTSP or MJPEG address, or a video file's"
    if error.errno == errno.ENOENT and not spec.is_file:
        return "there is no such device"
    if error.errno == errno.EIO and not spec.is_file and not _is_host_known(spec.address):
        return "its host name is not found: check the address, and this machine's name server"
    return _describe(error)


def _describe(error: FFmpegError) -> str:
    return error.strerror or type(error).__name__  # str() would show the address


def _is_host_known(address: str) -> bool:
    """False where the address has a host name that this machine cannot look up."""
    host = urlsplit(address).hostname
    try:
        return host is None or bool(socket.getaddrinfo(host, None))
    except OSError:
        return False


def _find_video(container: InputContainer) -> VideoStream:
    if not container.streams.video:
        raise SourceError("there is no video in it")
    video = container.streams.video[0]
    codec: Any = video.codec_context  # None where PyAV has no decoder, against its types
    if codec is None:
        raise SourceError("its kind of video cannot be decoded here")
    if codec.width * codec.height > MAX_PIXELS:
        raise SourceError(
            f"its {codec.width} x {codec.height} pixels are more than {MAX_PIXELS // 10**6} million"
        )
    return video


def to_picture(frame: VideoFrame) -> Image.Image:
    """The upright frame in RGB. May be called in any thread."""
    picture = Image.fromarray(frame.to_ndarray(format="rgb24"))
    turn = _QUARTER_TURNS.get(frame.rotation % 360)
    return picture if turn is None else picture.transpose(turn)


def _available_formats() -> set[str]:
    import av

    return {name for names in av.formats_available for name in names.split(",")}
