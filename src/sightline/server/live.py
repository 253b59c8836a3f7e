"""A stream of frames through the scheduler, the same for WebSocket, WebRTC and cameras.

Knows frames and messages, not how either travels.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from PIL import Image

from sightline.server.errors import problem_of
from sightline.server.job import Answer, Job, Memory
from sightline.server.options import Options
from sightline.server.scheduler import Scheduler
from sightline.server.served import ModelStore

Message = dict[str, Any]


class LiveStream:
    """Newest frame only: offer frames as they come, get a message for each one worked on.

    Its methods are called in the event loop in which it was made.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        store: ModelStore,
        path: str,
        options: Options,
        send: Callable[[Message], None],
    ) -> None:
        """Raises RequestRefused for options that do not fit or when all places are taken."""
        self.options = options
        self._store = store
        self._model = options.check(store)
        self._memory = Memory(options, self._model)
        self._scheduler = scheduler
        self._session = scheduler.open_stream(path)
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._closers: list[Callable[[], None]] = []
        self._is_closed = False

    @property
    def dropped(self) -> int:
        """How many frames a newer one has taken the place of."""
        return self._session.dropped

    def ready(self) -> Message:
        """The first message: which model answers, its labels, from which score on."""
        return {
            "type": "ready",
            "model": self._model.name,
            "labels": list(self._model.manifest.labels),
            "threshold": round(self.options.threshold_for(self._model), 5),
        }

    def change(self, options: Options) -> None:
        """Go on with other options; numbers of objects start anew. Raises RequestRefused."""
        self._model = options.check(self._store)
        self._memory = Memory(options, self._model)
        self.options = options

    def offer(
        self, open_picture: Callable[[], Image.Image], time_s: float | None = None, /, **tags: Any
    ) -> None:
        """The stream's newest frame. tags: what its message says ("frame", "pts", "time_s")."""
        if self._is_closed:
            return
        model = self._store.get_runnable(self._model.name)
        if model is not self._model:  # exchanged meanwhile; numbers of objects start anew
            self._model, self._memory = model, Memory(self.options, model)

        def done(answer: Answer | Exception) -> None:
            self._loop.call_soon_threadsafe(self._answer, tags, answer)

        when_s = time.perf_counter() if time_s is None else time_s
        self._scheduler.offer(
            self._session, Job(model, self.options, open_picture, done, self._memory, when_s)
        )

    def when_closed(self, closer: Callable[[], None]) -> None:
        """Have `closer` called once when the stream is closed, from whichever side."""
        self._closers.append(closer)

    def close(self) -> None:
        """End the stream. May be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        self._scheduler.close_stream(self._session)
        for closer in self._closers:
            closer()

    def _answer(self, tags: dict[str, Any], answer: Answer | Exception) -> None:
        if self._is_closed:
            return
        if isinstance(answer, Exception):
            self._send({"type": "error", **tags, "error": problem_of(answer, self._session.path)})
            return
        kind = "still" if answer.detections is None else "detections"
        self._send({"type": kind, **tags, "dropped": self.dropped, **answer.to_json()})
