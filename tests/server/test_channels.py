"""Results on data channels that are slower than they come."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sightline.server.channels import Channels
from sightline.server.live import Message


class Channel:
    """A data channel as aiortc has them: `bufferedAmount` grows while the peer does not read."""

    def __init__(self) -> None:
        self.readyState = "open"
        self.bufferedAmount = 0
        self.is_stuck = False
        self.sent: list[Message] = []
        self._handlers: dict[str, Callable[..., None]] = {}

    def on(self, event: str, handler: Callable[..., None]) -> None:
        self._handlers[event] = handler

    def emit(self, event: str, *values: Any) -> None:
        self._handlers[event](*values)

    def send(self, text: str) -> None:
        self.sent.append(json.loads(text))
        self.bufferedAmount += len(text) if self.is_stuck else 0

    def flow(self) -> None:
        """All that was sent has left."""
        self.is_stuck, self.bufferedAmount = False, 0
        self.emit("bufferedamountlow")

    def close(self) -> None:
        self.readyState = "closed"
        if "close" in self._handlers:
            self.emit("close")


class Stream:
    """What channels need of a LiveStream."""

    def __init__(self) -> None:
        self.is_closed = False

    def ready(self) -> Message:
        return {"type": "ready"}

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def channels(stream: Stream) -> Channels:
    opened = Channels({})
    opened.open(stream)  # type: ignore[arg-type]
    return opened


def add(channels: Channels) -> Channel:
    channel = Channel()
    channels.add_channel(channel)  # type: ignore[arg-type]
    return channel


def test_a_slow_channel_gets_the_newest_result(channels: Channels) -> None:
    slow, quick = add(channels), add(channels)
    slow.is_stuck = True
    for number in range(50):
        channels.send({"type": "detections", "frame": number})
    assert [each.get("frame") for each in slow.sent] == [None, 0]
    slow.flow()
    assert [each.get("frame") for each in slow.sent] == [None, 0, 49]
    assert [each.get("frame") for each in quick.sent] == [None, *range(50)]
    slow.flow()
    assert len(slow.sent) == 3  # nothing waits any more


def test_a_channel_that_asks_and_does_not_read(channels: Channels) -> None:
    channel = add(channels)
    channel.is_stuck = True
    for number in range(10_000):
        channel.emit("message", json.dumps({"type": "ping", "t": number}))
    assert channel.bufferedAmount < 100_000


def test_only_some_channels_are_taken(channels: Channels, stream: Stream) -> None:
    opened = [add(channels) for _ in range(10)]
    assert [each.readyState for each in opened] == ["open"] * 4 + ["closed"] * 6
    assert channels.is_wanted
    for each in opened[:4]:
        assert not stream.is_closed
        each.close()
    assert stream.is_closed and not channels.is_wanted


def test_after_the_end(channels: Channels) -> None:
    channel = add(channels)
    channels.close()
    channels.send({"type": "detections", "frame": 1})
    channel.emit("message", '{"type": "ping", "t": 1}')
    channel.flow()
    channel.close()
    assert channel.sent == [{"type": "ready"}]
    assert add(channels).readyState == "closed"
