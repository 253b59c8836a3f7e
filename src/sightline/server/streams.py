"""Named streams: results of one camera or WHIP publisher for any number of listeners.

Knows neither where the frames come from nor how listeners are reached.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from PIL import Image

from sightline.server.errors import RequestRefused
from sightline.server.live import Message


class Slot:
    """Room for the newest message on its way out; None put in it is the end."""

    def __init__(self) -> None:
        self._message: Message | None = None
        self._is_ended = False
        self._changed = asyncio.Event()

    def put(self, message: Message | None) -> None:
        """A message in place of one not taken yet."""
        if message is None:
            self._is_ended = True
        else:
            self._message = message
        self._changed.set()

    async def take(self) -> Message | None:
        """The newest message as soon as there is one; None once ended and empty."""
        while self._message is None and not self._is_ended:
            self._changed.clear()
            await self._changed.wait()
        message, self._message = self._message, None
        return message


@dataclass(frozen=True)
class StreamInfo:
    """state: live, connecting, or waiting to try again. error: why, without the address."""

    name: str
    kind: str
    listeners: int
    model: str | None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    state: str = "live"
    error: str | None = None


class Broadcast:
    """One stream's results. Each listener holds one message at most: the newest.

    kind: whip or source. describe: gives fields of StreamInfo that whoever sends knows. watch:
    told True when the first listener comes, False when the last has gone. find_picture: the
    picture that a message's "frame" is of, None where it is not held any more; itself None for a
    stream without pictures to be shown. Its methods are called in the event loop.
    """

    def __init__(self, name: str, kind: str, closed: Callable[[], object]) -> None:
        self.name = name
        self.kind = kind
        self.describe: Callable[[], dict[str, Any]] = dict
        self.watch: Callable[[bool], object] = bool
        self.find_picture: Callable[[int], Image.Image | None] | None = None
        self._closed = closed
        self._slots: set[Slot] = set()
        self._ready: Message | None = None
        self._size: dict[str, Any] = {}
        self._fault: Message | None = None
        self._is_closed = False

    @property
    def listeners(self) -> int:
        """How many listen now; with none, nothing needs to be detected."""
        return len(self._slots)

    def send(self, message: Message) -> None:
        """Give every listener this message in place of one not taken yet.

        A "ready" message is kept: each later listener gets it first. Results of the last frames
        are late once the stream is down; they would take the place of what says so.
        """
        if self._fault is not None and "frame" in message:
            return
        if message["type"] == "ready":
            self._ready = message
        elif "width" in message:
            self._size = {key: message[key] for key in ("width", "height")}
        for slot in self._slots:
            slot.put(message)

    def go_down(self, error: dict[str, Any]) -> None:
        """Tell every listener why nothing comes, and those who come before `come_up`."""
        self._fault = {"type": "error", "error": error}
        self.send(self._fault)

    def come_up(self) -> None:
        """Results may follow."""
        self._fault = None

    @property
    def ready(self) -> Message | None:
        """The newest "ready" message, if there has been one."""
        return self._ready

    @contextmanager
    def listen(self) -> Iterator[Slot]:
        """A slot that gets the messages from now on, and the end when the stream closes."""
        slot = Slot()
        if self._fault is not None:
            slot.put(self._fault)
        if self._is_closed:
            slot.put(None)
        self._slots.add(slot)
        if len(self._slots) == 1:
            self.watch(True)
        try:
            yield slot
        finally:
            self._slots.discard(slot)
            if not self._slots:
                self.watch(False)

    def info(self) -> StreamInfo:
        """The stream as a list of streams shows it."""
        model = self._ready["model"] if self._ready else None
        about = self._size | self.describe()
        return StreamInfo(self.name, self.kind, self.listeners, model, **about)

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
