"""The line before the workers, with a real detector around an engine that waits when told to."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from sightline.errors import ImageUnreadable
from sightline.manifest import Manifest
from sightline.runtime.detector import Detector
from sightline.runtime.engine import Outputs
from sightline.server.errors import RequestRefused
from sightline.server.job import Answer, Job
from sightline.server.metrics import Metrics
from sightline.server.options import Options
from sightline.server.plan import Plan
from sightline.server.scheduler import Scheduler, Session
from sightline.server.served import ServedModel

MANIFEST = Manifest("made", ("one",), 8, 8, 0.5, None, 1)
DEADLINE_S = 20.0


class GatedEngine:
    """Takes an image only when the gate is open; counts how many are in it at once."""

    runtime = "made"

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self.inside = 0
        self.most_inside = 0
        self.lock = threading.Lock()

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        with self.lock:
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
        self.entered.release()
        assert self.gate.wait(DEADLINE_S)
        with self.lock:
            self.inside -= 1
        # The picture's grey level comes back as the box, so that answers can be told apart.
        box = np.array([[0, 0, image[0, 0, 0] / 255, 1]], np.float32)
        return Outputs(box, np.array([0.9], np.float32), np.array([0], np.int32))

    def close(self) -> None:
        pass


class Bench:
    """A scheduler, an engine to hold it up, and what came out, in order."""

    def __init__(self, scheduler: Scheduler, engine: GatedEngine, model: ServedModel) -> None:
        self.scheduler = scheduler
        self.engine = engine
        self.model = model
        self.answers: Queue[tuple[str, Answer | Exception]] = Queue()

    def job(
        self, name: str, level: int = 0, open_picture: Callable[[], Image.Image] | None = None
    ) -> Job:
        draw = open_picture or (lambda: Image.new("RGB", (255, 1), (level, level, level)))
        return Job(self.model, Options(), draw, lambda answer: self.answers.put((name, answer)))

    def next(self) -> tuple[str, Answer | Exception]:
        return self.answers.get(timeout=DEADLINE_S)

    def block(self, count: int = 1) -> None:
        """Have `count` workers wait inside the engine."""
        for number in range(count):
            self.scheduler.submit(f"blocker {number}", self.job("blocker"))
        for _ in range(count):
            assert self.engine.entered.acquire(timeout=DEADLINE_S)


@contextmanager
def bench(workers: int = 1, max_waiting: int = 4, max_sessions: int = 8) -> Iterator[Bench]:
    engine = GatedEngine()
    detector = Detector(MANIFEST, engine, Path("made"))
    model = ServedModel("made", MANIFEST, (detector,), {}, "1", Path("made"))
    scheduler = Scheduler(
        Plan(workers, 1), Metrics(), max_waiting=max_waiting, max_sessions=max_sessions
    )
    scheduler.start()
    try:
        yield Bench(scheduler, engine, model)
    finally:
        engine.gate.set()
        scheduler.close()


def level_of(answer: Answer | Exception) -> int:
    assert isinstance(answer, Answer) and answer.detections is not None
    return round(float(answer.detections.boxes_xyxy[0, 2]))


def test_a_stream_keeps_only_its_newest_frame() -> None:
    with bench() as made:
        stream = made.scheduler.open_stream("websocket")
        made.block()
        for level in range(1, 11):
            made.scheduler.offer(stream, made.job("stream", level))
        assert made.scheduler.depth() == 1 and stream.dropped == 9
        made.engine.gate.set()
        assert made.next()[0] == "blocker"
        name, answer = made.next()
        assert name == "stream" and level_of(answer) == 10
        assert made.answers.empty()


def test_streams_and_callers_take_turns() -> None:
    with bench(max_waiting=100) as made:
        made.block()
        for number in range(20):  # one caller's flood
            made.scheduler.submit("10.0.0.1", made.job("flood", number))
        streams = [made.scheduler.open_stream("webrtc") for _ in range(2)]
        for number, stream in enumerate(streams):
            made.scheduler.offer(stream, made.job(f"stream {number}"))
        made.scheduler.submit("10.0.0.2", made.job("other caller"))
        made.engine.gate.set()
        order = [made.next()[0] for _ in range(24)]
    assert order[0] == "blocker"
    assert set(order[1:5]) == {"flood", "stream 0", "stream 1", "other caller"}


def test_busy_streams_get_equal_shares() -> None:
    with bench(workers=1, max_sessions=8) as made:
        made.block()
        streams = [made.scheduler.open_stream("webrtc") for _ in range(8)]
        done: Queue[int] = Queue()
        finished = threading.Event()

        def offer(number: int) -> None:
            job = made.job(str(number))
            job.done = lambda _: offer_again(number)
            made.scheduler.offer(streams[number], job)

        def offer_again(number: int) -> None:
            done.put(number)
            if done.qsize() >= 400:
                finished.set()
            else:
                offer(number)

        for number in range(8):
            offer(number)
        made.engine.gate.set()
        assert finished.wait(DEADLINE_S)
        shares = Counter(done.get() for _ in range(400))
    assert set(shares.values()) <= {49, 50, 51}, shares


def test_one_streams_frames_are_never_worked_on_side_by_side() -> None:
    with bench(workers=4) as made:
        stream = made.scheduler.open_stream("webrtc")
        for level in range(1, 4):
            made.scheduler.offer(stream, made.job("stream", level))
        assert made.engine.entered.acquire(timeout=DEADLINE_S)
        made.scheduler.offer(stream, made.job("stream", 9))
        made.engine.gate.set()
        levels = [level_of(made.next()[1])]
        while levels[-1] != 9:
            levels.append(level_of(made.next()[1]))
        assert levels == sorted(levels)
        assert made.engine.most_inside == 1


def test_requests_beyond_the_line_are_refused_and_those_in_it_are_not() -> None:
    with bench(workers=1, max_waiting=2) as made:
        made.block()
        for _ in range(2):
            made.scheduler.submit("caller", made.job("waited"))
        with pytest.raises(RequestRefused) as caught:
            made.scheduler.submit("caller", made.job("refused"))
        assert caught.value.code == "busy"
        assert caught.value.headers and int(caught.value.headers["Retry-After"]) >= 1
        made.engine.gate.set()
        assert [made.next()[0] for _ in range(3)] == ["blocker", "waited", "waited"]
        made.scheduler.submit("caller", made.job("later"))
        assert made.next()[0] == "later"


def test_more_streams_than_places_are_refused() -> None:
    with bench(max_sessions=1) as made:
        first = made.scheduler.open_stream("webrtc")
        with pytest.raises(RequestRefused):
            made.scheduler.open_stream("webrtc")
        made.scheduler.close_stream(first)
        made.scheduler.close_stream(first)  # twice counts once
        second = made.scheduler.open_stream("webrtc")
        with pytest.raises(RequestRefused):
            made.scheduler.open_stream("webrtc")
        made.scheduler.close_stream(second)


def test_a_closed_streams_waiting_frame_is_forgotten() -> None:
    with bench() as made:
        stream = made.scheduler.open_stream("webrtc")
        made.block()
        made.scheduler.offer(stream, made.job("gone"))
        made.scheduler.close_stream(stream)
        made.scheduler.offer(stream, made.job("gone too"))
        assert made.scheduler.depth() == 0
        made.engine.gate.set()
        assert made.next()[0] == "blocker"
        made.scheduler.submit("caller", made.job("later"))
        assert made.next()[0] == "later"


def test_one_bad_image_is_its_callers_trouble_alone() -> None:
    def unreadable() -> Image.Image:
        raise ImageUnreadable("bad.jpg is empty (0 bytes)")

    def faulty() -> Image.Image:
        raise ZeroDivisionError

    with bench() as made:
        made.engine.gate.set()
        for name, opener in (("bad", unreadable), ("fault", faulty), ("good", None)):
            made.scheduler.submit("caller", made.job(name, 7, opener))
        answers = dict(made.next() for _ in range(3))
    assert isinstance(answers["bad"], ImageUnreadable)
    assert isinstance(answers["fault"], ZeroDivisionError)
    assert level_of(answers["good"]) == 7


def test_closing_finishes_what_runs_and_refuses_what_waits() -> None:
    with bench() as made:
        made.block()
        made.scheduler.submit("caller", made.job("waiting"))
        closing = threading.Thread(target=made.scheduler.close)
        closing.start()
        name, answer = made.next()
        assert name == "waiting" and isinstance(answer, RequestRefused) and answer.code == "busy"
        made.engine.gate.set()
        assert isinstance(made.next()[1], Answer)
        closing.join(DEADLINE_S)
        assert not closing.is_alive()
        with pytest.raises(RequestRefused):
            made.scheduler.submit("caller", made.job("late"))


@settings(deadline=None, max_examples=25)
@given(
    steps=st.lists(
        st.sampled_from(["submit", "offer 0", "offer 1", "close 0", "open"]), max_size=40
    ),
    workers=st.integers(1, 3),
)
def test_every_image_is_answered_dropped_or_refused(steps: list[str], workers: int) -> None:
    with bench(workers=workers, max_waiting=3) as made:
        streams: list[Session] = [made.scheduler.open_stream("webrtc") for _ in range(2)]
        closed, asked, refused = set(), 0, 0
        for number, step in enumerate(steps):
            verb, _, which = step.partition(" ")
            if verb == "open":
                made.engine.gate.set()
            elif verb == "close":
                made.scheduler.close_stream(streams[int(which)])
                closed.add(int(which))
            elif verb == "offer" and int(which) not in closed:
                made.scheduler.offer(streams[int(which)], made.job(f"s{which}", number))
            elif verb == "submit":
                asked += 1
                try:
                    made.scheduler.submit(f"caller {number % 2}", made.job("caller", number))
                except RequestRefused:
                    refused += 1
        made.engine.gate.set()
        answered = Counter(made.next()[0] for _ in range(asked - refused)) if asked else Counter()
        while answered["caller"] < asked - refused:
            answered[made.next()[0]] += 1
        assert answered["caller"] == asked - refused
    assert made.scheduler.depth() == 0
