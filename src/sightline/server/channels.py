"""The data channels that a page opens: results out, questions and options in."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from sightline.server.errors import RequestRefused, problem
from sightline.server.live import LiveStream, Message
from sightline.server.options import read_options

if TYPE_CHECKING:
    from aiortc import RTCDataChannel

_MAX_CHANNELS = 4
_MAX_CHARS = 16_384  # of a message to the server
_MAX_BUFFERED = 65_536  # bytes of answers that a peer has not read

log = logging.getLogger("sightline.server")


class Channels:
    """Every channel gets every result: newest only, where it is slower than they come.

    values: the offer's options, which a message may change.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values
        self._channels: dict[RTCDataChannel, str | None] = {}  # with the result that waits
        self._stream: LiveStream | None = None

    @property
    def is_wanted(self) -> bool:
        return bool(self._channels)

    def open(self, stream: LiveStream) -> None:
        self._stream = stream

    def add_channel(self, channel: RTCDataChannel) -> None:
        if self._stream is None or len(self._channels) >= _MAX_CHANNELS:
            channel.close()
            return
        self._channels[channel] = None
        channel.on("message", partial(self._receive, channel))
        channel.on("bufferedamountlow", partial(self._send_waiting, channel))
        channel.on("close", partial(self._remove, channel))
        _post(channel, self._stream.ready())

    def send(self, message: Message) -> None:
        text = msgspec.json.encode(message).decode()
        for channel in self._channels:
            if channel.bufferedAmount:
                self._channels[channel] = text
            else:
                _post_text(channel, text)

    def close(self) -> None:
        self._channels.clear()
        self._stream = None

    def _remove(self, channel: RTCDataChannel) -> None:
        """A page without channels has no use for its results."""
        if self._channels.pop(channel, channel) is not channel and not self._channels:
            assert self._stream is not None
            self._stream.close()

    def _send_waiting(self, channel: RTCDataChannel) -> None:
        text = self._channels.get(channel)
        if text is not None:
            self._channels[channel] = None
            _post_text(channel, text)

    def _receive(self, channel: RTCDataChannel, text: str | bytes) -> None:
        """Answer a message. Nothing may be raised here: it would end the connection."""
        if channel not in self._channels or channel.bufferedAmount > _MAX_BUFFERED:
            return
        try:
            answer = self._obey(_read(text))
        except RequestRefused as error:
            answer = {"type": "error", "error": problem(error.code, error.detail)}
        _post(channel, answer)

    def _obey(self, message: Message) -> Message:
        assert self._stream is not None
        if message.get("type") == "ping":
            if not isinstance(message.get("t"), int | float):
                raise RequestRefused("invalid-request", "t: a number is expected")
            return {"type": "pong", "t": message["t"], "time_ms": time.perf_counter() * 1e3}
        if message.get("type") == "options":
            values = self._values | message
            self._stream.change(read_options(values))
            self._values = values
            return self._stream.ready()
        raise RequestRefused(
            "invalid-request",
            'Messages are {"type": "ping", "t": number} or {"type": "options", ...}.',
        )


def _read(text: str | bytes) -> Message:
    if len(text) > _MAX_CHARS:
        raise RequestRefused("body-too-large", f"A message has at most {_MAX_CHARS} characters.")
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        raise RequestRefused("malformed-request", "A message is a JSON object.") from None


def _post(channel: RTCDataChannel, message: Message) -> None:
    _post_text(channel, msgspec.json.encode(message).decode())


def _post_text(channel: RTCDataChannel, text: str) -> None:
    if channel.readyState != "open":
        return
    try:
        channel.send(text)
    except ValueError as error:  # longer than what the peer said it takes
        log.warning("a result was not sent: %s", error)
