"""Named streams: results of one camera or WHIP publisher for any number of listeners.

Knows neither where the frames come from nor how listeners are reached.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial

from sightline.server.errors import RequestRefused
from sightline.server.live import Message


class Broadcast:
    """One stream's results. Each listener holds one message at most: the newest.

    kind: whip or source. Its methods are called in the event loop.
    """

    def __init__(self, name: str, kind: str, closed: Callable[[], object]) -> None:
        self.name = name
        self.kind = kind
        self._closed = closed
        self._slots: set[_Slot] = set()
        self._is_closed = False

    @property
    def listeners(self) -> int:
        """How many listen now; with none, nothing needs to be detected."""
        return len(self._slots)

    def send(self, message: Message) -> None:
        """Give every listener this message in place of one not taken yet."""
        for slot in self._slots:
            slot.put(message)

    async def listen(self) -> AsyncIterator[Message]:
        """The messages from now on, until the stream closes."""
        slot = _Slot()
        self._slots.add(slot)
        if self._is_closed:
            slot.put(None)
        try:
            while (message := await slot.take()) is not None:
                yield message
        finally:
            self._slots.discard(slot)

    def close(self) -> None:
        """End the stream: listeners get what they have not taken, then the end."""
        if self._is_closed:
            return
        self._is_closed = True
        self._closed()
        for slot in self._slots:
            slot.put(None)


class StreamBoard:
    """The named streams of a server."""

    def __init__(self) -> None:
        self._streams: dict[str, Broadcast] = {}

    def __iter__(self) -> Iterator[Broadcast]:
        return iter(tuple(self._streams.values()))

    def open(self, name: str, kind: str) -> Broadcast:
        """A new stream under this name. Raises RequestRefused (conflict) where there is one."""
        if name in self._streams:
            raise RequestRefused("conflict", "A stream of this name is running already.")
        stream = Broadcast(name, kind, partial(self._streams.pop, name, None))
        self._streams[name] = stream
        return stream

    def get(self, name: str) -> Broadcast:
        """The stream of this name. Raises RequestRefused (not-found)."""
        stream = self._streams.get(name)
        if stream is None:
            raise RequestRefused("not-found", "No stream of this name is running; see /v1/streams.")
        return stream

    def close(self) -> None:
        """End all of them."""
        for stream in tuple(self._streams.values()):
            stream.close()


class _Slot:
    """Room for the newest message; None in it is the end."""

    def __init__(self) -> None:
        self._message: Message | None = None
        self._is_ended = False
        self._changed = asyncio.Event()

    def put(self, message: Message | None) -> None:
        if message is None:
            self._is_ended = True
        else:
            self._message = message
        self._changed.set()

    async def take(self) -> Message | None:
        while self._message is None and not self._is_ended:
            self._changed.clear()
            await self._changed.wait()
        message, self._message = self._message, None
        return message
