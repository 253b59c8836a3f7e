"""Packets to frames: order, losses, late ones, and never more than is bounded."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.server.frame_buffer import MAX_GAP_S, MAX_PACKETS, EncodedFrame, FrameBuffer


@dataclass
class Packet:
    sequence_number: int
    timestamp: int
    marker: int
    _data: bytes


@dataclass
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


def packets(count: int, parts: int = 3, first: int = 65_530) -> list[Packet]:
    """So many frames of so many packets; their numbers come round past 65535."""
    return [
        Packet(
            (first + frame * parts + part) % 65_536,
            frame * 3000,
            int(part == parts - 1),
            b"%d.%d;" % (frame, part),
        )
        for frame in range(count)
        for part in range(parts)
    ]


def whole(frame: int, parts: int = 3) -> bytes:
    return b"".join(b"%d.%d;" % (frame, part) for part in range(parts))


def given_by(buffer: FrameBuffer, some: list[Packet]) -> list[EncodedFrame]:
    frames = []
    for packet in some:
        _, newest = buffer.add(packet)  # type: ignore[arg-type]
        if newest is not None:
            frames += [*newest.earlier, newest]
    return frames


def test_a_frame_is_given_with_its_last_packet() -> None:
    buffer = FrameBuffer()
    for index, packet in enumerate(packets(20)):
        is_lost, newest = buffer.add(packet)  # type: ignore[arg-type]
        assert not is_lost
        assert (newest is not None) == (index % 3 == 2)


def test_without_markers_the_next_frame_tells() -> None:
    some = packets(4)
    for packet in some:
        packet.marker = 0
    assert [frame.data for frame in given_by(FrameBuffer(), some)] == [whole(i) for i in range(3)]


@given(st.randoms(use_true_random=False), st.integers(1, 4))
def test_packets_in_disorder(draw: object, parts: int) -> None:
    """Moved by a few places, and doubled, they give the same frames in the same order."""
    first, *rest = packets(12, parts)
    order = sorted(range(len(rest)), key=lambda i: i + draw.randint(0, 9))  # type: ignore[attr-defined]
    mixed = [first]
    for i in order:
        mixed += [rest[i]] * draw.randint(1, 2)  # type: ignore[attr-defined]
    frames = given_by(FrameBuffer(), mixed)
    assert [frame.data for frame in frames] == [whole(i, parts) for i in range(12)]
    assert [frame.rtp for frame in frames] == [i * 3000 for i in range(12)]
    assert not any(frame.is_broken for frame in frames)


def test_all_that_waited_is_given_at_once() -> None:
    some = packets(5)
    late = some.pop(4)
    buffer = FrameBuffer()
    assert [frame.data for frame in given_by(buffer, some)] == [whole(0)]
    _, newest = buffer.add(late)  # type: ignore[arg-type]
    assert newest is not None
    assert [frame.data for frame in newest.earlier] == [whole(1), whole(2), whole(3)]
    assert newest.data == whole(4)


def test_a_lost_packet_is_given_up() -> None:
    """After its time: a whole picture is asked for, once, and the next frame said to be broken."""
    clock = Clock()
    buffer = FrameBuffer(clock)
    some = packets(12)
    del some[4]
    assert [frame.data for frame in given_by(buffer, some[:20])] == [whole(0)]
    clock.now_s = MAX_GAP_S + 0.01
    asked, frames = [], []
    for packet in some[20:]:
        is_lost, newest = buffer.add(packet)  # type: ignore[arg-type]
        asked.append(is_lost)
        frames += [] if newest is None else [*newest.earlier, newest]
    assert asked[0] and not any(asked[1:])
    # The frame in the midst of which it goes on is left out.
    assert [frame.data for frame in frames] == [whole(i) for i in range(8, 12)]
    assert [frame.is_broken for frame in frames] == [True, False, False, False]


def test_what_waits_is_bounded() -> None:
    some = packets(1000)
    del some[1]
    buffer = FrameBuffer(Clock())
    for packet in some:
        buffer.add(packet)  # type: ignore[arg-type]
        assert len(buffer._packets) <= MAX_PACKETS


@pytest.mark.parametrize("first", [30_000, 64_000, 2_000])
def test_a_sender_that_begins_anew(first: int) -> None:
    buffer = FrameBuffer(Clock())
    given_by(buffer, packets(4))
    frames = given_by(buffer, packets(4, first=first))
    assert [frame.data for frame in frames] == [whole(i) for i in range(1, 4)]
    assert frames[0].is_broken
