"""A bounded pool of threads, so that decoding and inference never block the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from sightline.server.errors import RequestRefused

P = ParamSpec("P")
T = TypeVar("T")


class WorkerPool:
    """Runs at most `workers` calls at a time and lets `max_waiting` more wait.

    `pending` counts both.
    """

    def __init__(self, workers: int, max_waiting: int) -> None:
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="sightline-worker")
        self._limit = workers + max_waiting
        self.pending = 0
        self._lock = threading.Lock()

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `work`, run in a thread. Raises RequestRefused (busy) when full."""
        with self._lock:
            if self.pending >= self._limit:
                raise RequestRefused(
                    "busy",
                    f"{self.pending} requests are being worked on already; try again soon.",
                    {"Retry-After": "1"},
                )
            self.pending += 1
        future = self._executor.submit(work, *args, **kwargs)
        # Counted until the thread is done, also when the caller has gone away meanwhile.
        future.add_done_callback(self._finish)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Finish the calls that run, drop those that wait."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _finish(self, future: Future[Any]) -> None:
        with self._lock:
            self.pending -= 1
