"""The one scheduler: every image of every path waits here for a worker.

- A stream keeps one frame at most: a newer one takes the place of an untaken one.
- Requests wait in line, at most `max_waiting` of all callers; more are told 503.
- Streams and callers take turns: each has its next image worked on after everyone else's.
- A stream's frames are worked on one at a time, so that its results come in order.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from sightline.runtime.engine import Outputs
from sightline.runtime.engines.onnx import available_cores
from sightline.server.errors import RequestRefused
from sightline.server.job import Answer, Job
from sightline.server.metrics import Metrics
from sightline.server.plan import Plan

_SMOOTHING = 0.1  # of the running mean that Retry-After is reckoned from


class Session:
    """One caller's or stream's place in the line. Made by the scheduler."""

    def __init__(self, path: str, *, is_stream: bool) -> None:
        self.path = path
        self.is_stream = is_stream
        self.dropped = 0
        self.pending: deque[Job] = deque()
        self.running = 0
        self.is_closed = False

    @property
    def can_run(self) -> bool:
        return bool(self.pending) and not (self.is_stream and self.running)


class Scheduler:
    """Workers, from `start` to `close`, and the line before them.

    Its methods may be called from any thread.
    """

    def __init__(
        self, plan: Plan, metrics: Metrics, *, max_waiting: int, max_sessions: int
    ) -> None:
        self.plan = plan
        self._metrics = metrics
        self._max_waiting = max_waiting
        self._max_sessions = max_sessions
        self._changed = threading.Condition()
        self._ready: deque[Session] = deque()  # each once, whose turn is next first
        self._streams: set[Session] = set()
        self._callers: dict[str, Session] = {}
        self._waiting = 0  # requests; streams hold one frame each
        self._is_closed = False
        self._mean_s = 0.05
        self._threads = [
            threading.Thread(
                target=self._work, args=(i,), name=f"sightline-worker-{i}", daemon=True
            )
            for i in range(plan.workers)
        ]
        # Batches are for GPUs, which are fed by more cores than there are workers.
        self._preparing = (
            ThreadPoolExecutor(available_cores(), thread_name_prefix="sightline-decode")
            if plan.batch > 1
            else None
        )
        metrics.watch_queue(self.depth)

    def start(self) -> None:
        """Let the workers begin."""
        for thread in self._threads:
            thread.start()

    def depth(self) -> int:
        """How many images wait for a worker."""
        with self._changed:
            return sum(
                len(session.pending) for session in (*self._streams, *self._callers.values())
            )

    def open_stream(self, path: str) -> Session:
        """A place for a stream; `close_stream` gives it back. Raises RequestRefused (busy)."""
        with self._changed:
            number = len(self._streams)
            if self._is_closed or number >= self._max_sessions:
                opened = "1 stream is" if number == 1 else f"{number} streams are"
                raise RequestRefused(
                    "busy",
                    f"{opened} open, as many as this server takes.",
                    {"Retry-After": "5"},
                )
            session = Session(path, is_stream=True)
            self._streams.add(session)
        self._metrics.sessions.labels(path).inc()
        return session

    def close_stream(self, session: Session) -> None:
        """Forget a stream and its waiting frame. May be called twice."""
        with self._changed:
            if session.is_closed:
                return
            session.is_closed = True
            session.pending.clear()
            self._streams.discard(session)
            if session in self._ready:
                self._ready.remove(session)
        self._metrics.sessions.labels(session.path).dec()

    def offer(self, session: Session, job: Job) -> None:
        """A stream's newest frame; one that still waits is dropped."""
        with self._changed:
            if session.is_closed or self._is_closed:
                return
            if session.pending:
                session.pending.clear()
                session.dropped += 1
                self._metrics.dropped.labels(session.path).inc()
            session.pending.append(job)
            self._make_ready(session)

    def submit(self, caller: str, job: Job) -> None:
        """A request in line, in turn with those of other callers. Raises RequestRefused (busy)."""
        with self._changed:
            if self._is_closed:
                raise RequestRefused("busy", "The server is stopping.", {"Retry-After": "5"})
            running = sum(session.running for session in self._callers.values())
            if self._waiting + running >= self._max_waiting + self.plan.workers * self.plan.batch:
                wait_s = self._waiting * self._mean_s / self.plan.workers
                raise RequestRefused(
                    "busy",
                    "As many requests are waiting as this server takes; try again soon.",
                    {"Retry-After": str(max(1, math.ceil(wait_s)))},
                )
            session = self._callers.setdefault(caller, Session("http", is_stream=False))
            session.pending.append(job)
            self._waiting += 1
            self._make_ready(session)

    def close(self) -> None:
        """Finish the images that are worked on, refuse those that wait."""
        with self._changed:
            self._is_closed = True
            waiting = [job for session in self._callers.values() for job in session.pending]
            for session in self._streams:
                session.pending.clear()
            self._ready.clear()
            self._callers.clear()
            self._changed.notify_all()
        for job in waiting:
            job.done(RequestRefused("busy", "The server is stopping.", {"Retry-After": "5"}))
        for thread in self._threads:
            thread.join()
        if self._preparing is not None:
            self._preparing.shutdown()

    def _make_ready(self, session: Session) -> None:
        if session.can_run and session not in self._ready:
            self._ready.append(session)
            self._changed.notify()

    def _work(self, worker: int) -> None:
        while taken := self._take():
            start = time.perf_counter()
            for job, answer in self._run([job for _, job in taken], worker):
                path = next(session.path for session, each in taken if each is job)
                self._count(path, answer)
                job.done(answer)
            self._give_back(taken, (time.perf_counter() - start) / len(taken))

    def _run(self, jobs: list[Job], worker: int) -> Iterator[tuple[Job, Answer | Exception]]:
        """Each job with its answer, or the error that it is answered with."""
        prepared: list[tuple[Job, NDArray[np.uint8]]] = []
        for job, pixels in zip(jobs, self._prepare(jobs), strict=True):
            if isinstance(pixels, Exception):
                yield job, pixels
            elif pixels is None:
                yield job, _finish(job, None, 0.0)
            else:
                prepared.append((job, pixels))
        while prepared:
            model = prepared[0][0].model
            now, prepared = prepared[: model.manifest.batch], prepared[model.manifest.batch :]
            start = time.perf_counter()
            try:
                outputs = model.detector(worker).infer_batch([pixels for _, pixels in now])
            except Exception as error:  # each runtime raises its own kinds; the log says which
                yield from ((job, error) for job, _ in now)
                continue
            infer_ms = (time.perf_counter() - start) * 1e3
            self._metrics.batch_size.observe(len(now))
            for (job, _), output in zip(now, outputs, strict=True):
                yield job, _finish(job, output, infer_ms)

    def _prepare(self, jobs: list[Job]) -> Iterable[NDArray[np.uint8] | Exception | None]:
        if len(jobs) == 1 or self._preparing is None:
            return map(_prepare, jobs)
        return self._preparing.map(_prepare, jobs)

    def _count(self, path: str, answer: Answer | Exception) -> None:
        if isinstance(answer, Exception):
            self._metrics.images.labels(path, "failed").inc()
            return
        is_still = answer.detections is None
        self._metrics.images.labels(path, "still" if is_still else "detected").inc()
        timing = answer.timing
        stages = {"queue": timing.queue_ms, "decode": timing.decode_ms, "total": timing.total_ms}
        if not is_still:
            stages["infer"] = timing.infer_ms
        for stage, stage_ms in stages.items():
            self._metrics.stage_seconds.labels(stage, path).observe(stage_ms / 1e3)

    def _take(self) -> list[tuple[Session, Job]]:
        """The next images, of one model, in turn; none when the scheduler is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._is_closed)
            if self._is_closed:
                return []
            taken = [self._take_one(0)]
            model = taken[0][1].model
            end = time.perf_counter() + self.plan.batch_wait_s
            while len(taken) < self.plan.batch:
                index = self._find_ready(model)
                if index is not None:
                    taken.append(self._take_one(index))
                elif not self._changed.wait(end - time.perf_counter()) or self._is_closed:
                    break
            return taken

    def _find_ready(self, model: object) -> int | None:
        for index, session in enumerate(self._ready):
            if session.pending[0].model is model:
                return index
        return None

    def _take_one(self, index: int) -> tuple[Session, Job]:
        session = self._ready[index]
        del self._ready[index]
        job = session.pending.popleft()
        session.running += 1
        if not session.is_stream:
            self._waiting -= 1
        self._make_ready(session)
        return session, job

    def _give_back(self, taken: list[tuple[Session, Job]], elapsed_s: float) -> None:
        with self._changed:
            self._mean_s += _SMOOTHING * (elapsed_s - self._mean_s)
            for session, _ in taken:
                session.running -= 1
                if not session.is_closed:
                    self._make_ready(session)
            for caller, session in tuple(self._callers.items()):
                if not session.pending and not session.running:
                    del self._callers[caller]


def _prepare(job: Job) -> NDArray[np.uint8] | Exception | None:
    try:
        return job.prepare()
    except Exception as error:  # of whatever sort, it is this job's answer and no other's
        return error


def _finish(job: Job, outputs: Outputs | None, infer_ms: float) -> Answer | Exception:
    try:
        return job.finish(outputs, infer_ms)
    except Exception as error:
        return error
