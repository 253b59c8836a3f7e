"""The server's own sources: each camera or file as a named stream, looked at while one listens."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from PIL import Image

from sightline.errors import ConfigError
from sightline.runtime.addresses import SourceSpec, read_sources
from sightline.runtime.capture import CaptureState, LiveCapture, LivePicture
from sightline.server.config import ServeConfig
from sightline.server.errors import problem
from sightline.server.options import Options
from sightline.server.service import Service

_JOIN_S = 2.0


def read_cameras(config: ServeConfig) -> tuple[SourceSpec, ...]:
    """What --source says. Raises ConfigError, MissingExtra."""
    specs = read_sources(config.source)
    if len(specs) >= config.max_sessions:
        raise ConfigError(
            f"{len(specs)} sources leave no room for listeners: raise --max-sessions above that"
        )
    return specs


class Cameras:
    """The running sources of a server. Made and stopped in its event loop."""

    def __init__(self, service: Service, specs: Sequence[SourceSpec]) -> None:
        self._captures = [_Camera(service, spec).capture for spec in specs]
        for capture in self._captures:
            capture.start()

    async def stop(self) -> None:
        """End them. A thread that waits for a camera's answer is left to its time limit."""
        for capture in self._captures:
            capture.stop()
        end_s = time.monotonic() + _JOIN_S
        for capture in self._captures:
            await asyncio.to_thread(capture.join, max(0.0, end_s - time.monotonic()))


class _Camera:
    """From one capture's thread to the event loop: the newest picture only."""

    def __init__(self, service: Service, spec: SourceSpec) -> None:
        self.capture = LiveCapture(spec, self._take, self._take_state)
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._newest: LivePicture | None = None
        self._looked_at: deque[tuple[int, Image.Image]] = deque(maxlen=2)  # told of, and at work
        self._broadcast = broadcast = service.board.open(spec.name, "source")
        broadcast.describe = self._describe
        broadcast.find_picture = lambda frame: dict(self._looked_at).get(frame)
        broadcast.watch = self._watch
        self._stream = service.open_stream("source", Options(track=True), broadcast.send)
        broadcast.send(self._stream.ready())

    def _describe(self) -> dict[str, Any]:
        known = asdict(self.capture.state)
        return {key: value for key, value in known.items() if value is not None}

    def _watch(self, is_watched: bool) -> None:
        self.capture.want(is_watched)
        if not is_watched:
            self._looked_at.clear()

    def _take_state(self, state: CaptureState) -> None:
        with suppress(RuntimeError):  # the loop has closed before this thread noticed
            self._loop.call_soon_threadsafe(self._tell_state, state)

    def _tell_state(self, state: CaptureState) -> None:
        if state.error is None:
            self._broadcast.come_up()
            return
        detail = f"No pictures come from this source: {state.error}. The server goes on trying."
        self._broadcast.go_down(problem("source-unavailable", detail))

    def _take(self, picture: LivePicture) -> None:
        with self._lock:
            is_waiting = self._newest is not None
            self._newest = picture
        if not is_waiting:
            with suppress(RuntimeError):  # the loop has closed before this thread noticed
                self._loop.call_soon_threadsafe(self._offer)

    def _offer(self) -> None:
        with self._lock:
            picture, self._newest = self._newest, None
        assert picture is not None
        tags = {"frame": picture.index, "time_s": round(picture.time_s, 3)}
        if picture.pts is not None:
            tags["pts"] = picture.pts

        def open_picture() -> Image.Image:  # in a worker
            opened = picture.open()
            self._looked_at.append((picture.index, opened))
            return opened

        self._stream.offer(open_picture, picture.time_s, **tags)
