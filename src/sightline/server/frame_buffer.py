"""RTP packets to encoded frames, in place of aiortc's jitter buffer for one receiver's video.

aiortc's waits for the first packet of the next frame, which costs a frame's time; it gives one
frame a packet, so that a lag once there stays; and it waits for a lost packet until 512 others
have come, whatever time that takes. This one goes by the marker bit, gives all that is complete,
and gives a packet up after a second: what follows is said to be broken, and a whole picture is
asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiortc.rtp import RtpPacket

MAX_PACKETS = 512
MAX_GAP_S = 1.0  # some tens of times that a packet can be asked for again
_MAX_LATE = 1024  # packets; what is older was not late: the sender has begun anew


@dataclass
class EncodedFrame:
    """rtp: its RTP timestamp. timestamp: the same, until the receiver makes it ticks since the
    first. is_broken: frames before it, which it refers to, are lost. earlier: frames that became
    complete with this one.
    """

    data: bytes
    rtp: int
    timestamp: int
    is_broken: bool = False
    earlier: tuple[EncodedFrame, ...] = ()


class FrameBuffer:
    """Gives frames in their order. Its `add` is what aiortc's receiver calls."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._packets: dict[int, RtpPacket] = {}  # by number: counted on past RTP's 16 bits
        self._next: int | None = None  # the number of the packet that is due
        self._is_broken = False
        self._skips = False  # until a frame begins
        self._gap_since_s: float | None = None

    def add(self, packet: RtpPacket) -> tuple[bool, EncodedFrame | None]:
        """Whether a whole picture is to be asked for, and the newest frame that is complete."""
        if self._next is None:
            self._next = packet.sequence_number
        late = (self._next - packet.sequence_number + 0x8000) % 0x10000 - 0x8000
        number = self._next - late
        if 0 < late <= _MAX_LATE:
            return False, None
        # Of what is as far ahead, not all that comes before could be held.
        is_lost = late > 0 or -late >= MAX_PACKETS or self._has_waited()
        if is_lost:
            self._give_up(number)
        self._packets[number] = packet
        frames = self._take()
        self._note_gap()
        if not frames:
            return is_lost, None
        *earlier, newest = frames
        newest.earlier = tuple(earlier)
        return is_lost, newest

    def _take(self) -> list[EncodedFrame]:
        """All frames from the packet that is due on, up to the first gap."""
        assert self._next is not None
        frames: list[EncodedFrame] = []
        begin = end = self._next
        while (packet := self._packets.get(end)) is not None:
            if end > begin and packet.timestamp != self._packets[begin].timestamp:
                frames += self._cut(begin, end)  # its last packet had no marker
                begin = end
            end += 1
            if packet.marker:
                frames += self._cut(begin, end)
                begin = end
        self._next = begin
        return frames

    def _cut(self, begin: int, end: int) -> list[EncodedFrame]:
        packets = [self._packets.pop(number) for number in range(begin, end)]
        if self._skips:
            self._skips = False
            return []
        stamp = packets[0].timestamp
        data = b"".join(packet._data for packet in packets)  # type: ignore[attr-defined]
        frame = EncodedFrame(data, stamp, stamp, self._is_broken)
        self._is_broken = False
        return [frame]

    def _note_gap(self) -> None:
        """A gap is there where later packets wait for one that is missing."""
        assert self._next is not None
        has_gap = bool(self._packets) and max(self._packets) - self._next >= len(self._packets)
        if not has_gap:
            self._gap_since_s = None
        elif self._gap_since_s is None:
            self._gap_since_s = self._clock()

    def _has_waited(self) -> bool:
        return self._gap_since_s is not None and self._clock() > self._gap_since_s + MAX_GAP_S

    def _give_up(self, number: int) -> None:
        """Go on with this packet, in the midst of a frame as it may be."""
        self._packets.clear()
        self._next = number
        self._gap_since_s = None
        self._is_broken = self._skips = True
