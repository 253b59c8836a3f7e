"""A graph for four images at once, behind the scheduler: together in a run, answered as alone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import httpx
import numpy as np
import pytest
from PIL import Image
from tests.server.conftest import Start

from sightline.data.images import decode_image
from sightline.errors import ImageUnreadable
from sightline.export.run import export
from sightline.runtime.detector import Detector
from sightline.server.job import Answer, Job, Memory
from sightline.server.metrics import Metrics
from sightline.server.options import Options
from sightline.server.plan import Plan
from sightline.server.scheduler import Scheduler
from sightline.server.served import ModelStore

BATCH = 4
DEADLINE_S = 60.0
OPTIONS = Options(threshold=0.3)


@pytest.fixture(scope="module")
def batched(atto_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    artefact = export(
        atto_bundle, to="onnx", out=tmp_path_factory.mktemp("batch") / "b", batch=BATCH
    )
    return ModelStore.load([artefact.path], Plan(workers=1, threads=2, batch=BATCH))


@pytest.fixture(scope="module")
def single(atto_bundle: Path) -> Detector:
    return Detector.load(atto_bundle, threads=2)


@pytest.fixture(scope="module")
def photos(shared: Path) -> list[bytes]:
    files = sorted((shared / "data" / "coco_val100").rglob("*.jpg"))[:12]
    assert len(files) == 12
    return [path.read_bytes() for path in files]


class Bench:
    """A scheduler that has not begun, so that what waits together is known."""

    def __init__(self, store: ModelStore) -> None:
        self.metrics = Metrics()
        self.scheduler = Scheduler(store.plan, self.metrics, max_waiting=32, max_sessions=8)
        self.model = store.default
        self.answers: Queue[tuple[int, Answer | Exception]] = Queue()

    def job(self, number: int, photo: bytes, memory: Memory | None = None) -> Job:
        def open_picture() -> Image.Image:
            return decode_image(photo)

        def done(answer: Answer | Exception) -> None:
            self.answers.put((number, answer))

        return Job(self.model, OPTIONS, open_picture, done, memory, number / 10)

    def take(self, count: int) -> dict[int, Answer | Exception]:
        return dict(self.answers.get(timeout=DEADLINE_S) for _ in range(count))

    def runs(self) -> tuple[int, int]:
        """Runs of the graph so far, and images in them."""
        return runs_in(self.metrics.render().decode())


def runs_in(metrics: str) -> tuple[int, int]:
    values = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line[0] != "#")
    return int(float(values["sightline_batch_size_count"])), int(
        float(values["sightline_batch_size_sum"])
    )


@contextmanager
def bench(store: ModelStore) -> Iterator[Bench]:
    made = Bench(store)
    try:
        yield made
    finally:
        made.scheduler.close()


def check_same(answer: Answer | Exception | None, photo: bytes, single: Detector) -> None:
    """The answer is what the graph for one image finds."""
    assert isinstance(answer, Answer) and answer.detections is not None
    expected = single(photo, threshold=OPTIONS.threshold)
    found = answer.detections
    assert (answer.width, answer.height) == (expected.width, expected.height)
    np.testing.assert_array_equal(found.label_ids, expected.label_ids)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
    scale = np.tile([expected.width, expected.height], 2)
    np.testing.assert_allclose(found.boxes_xyxy / scale, expected.boxes_xyxy / scale, atol=1e-4)


def test_what_waits_together_runs_together(
    batched: ModelStore, single: Detector, photos: list[bytes]
) -> None:
    """Three streams and three callers: four in the first run, the other two in the second."""
    with bench(batched) as made:
        for number in range(3):
            made.scheduler.offer(
                made.scheduler.open_stream("websocket"), made.job(number, photos[number])
            )
            made.scheduler.submit(f"caller {number}", made.job(number + 3, photos[number + 3]))
        made.scheduler.start()
        answers = made.take(6)
        assert made.runs() == (2, 6)
    for number, answer in answers.items():
        check_same(answer, photos[number], single)


def test_one_stream_alone_has_runs_of_one_image_in_order(
    batched: ModelStore, single: Detector, photos: list[bytes]
) -> None:
    with bench(batched) as made:
        made.scheduler.start()
        session = made.scheduler.open_stream("websocket")
        for number in range(3):
            made.scheduler.offer(session, made.job(number, photos[number]))
            check_same(made.take(1)[number], photos[number], single)
        assert made.runs() == (3, 3)


def test_a_damaged_image_and_a_still_one_leave_the_others_their_run(
    batched: ModelStore, single: Detector, photos: list[bytes]
) -> None:
    still = Options(threshold=0.3, motion=True)
    with bench(batched) as made:
        memory = Memory(still, made.model)
        assert memory.gate is not None
        memory.gate.has_moved(decode_image(photos[1]), 0.0)
        made.scheduler.submit("a", made.job(0, photos[0][:3000]))
        made.scheduler.offer(
            made.scheduler.open_stream("websocket"), made.job(1, photos[1], memory)
        )
        made.scheduler.submit("b", made.job(2, photos[2]))
        made.scheduler.submit("c", made.job(3, photos[3]))
        made.scheduler.start()
        answers = made.take(4)
        assert made.runs() == (1, 2)
    assert isinstance(answers[0], ImageUnreadable)
    resting = answers[1]
    assert isinstance(resting, Answer) and resting.detections is None
    for number in (2, 3):
        check_same(answers[number], photos[number], single)


def test_each_stream_keeps_its_own_numbers(batched: ModelStore, photos: list[bytes]) -> None:
    """Objects that stand still have the same numbers in every frame, from 1 in every stream."""
    tracked = Options(threshold=0.3, track=True)
    with bench(batched) as made:
        sessions = [made.scheduler.open_stream("websocket") for _ in range(BATCH)]
        memories = [Memory(tracked, made.model) for _ in sessions]
        first: dict[int, list[int]] = {}
        for frame in range(3):
            for stream, (session, memory) in enumerate(zip(sessions, memories, strict=True)):
                number = stream + BATCH * frame
                made.scheduler.offer(session, made.job(number, photos[stream], memory))
            if not frame:
                made.scheduler.start()
            for number, answer in made.take(BATCH).items():
                assert isinstance(answer, Answer) and answer.ids is not None
                strong = answer.ids[answer.detections.scores >= 0.3].tolist()  # type: ignore[union-attr]
                assert strong == first.setdefault(number % BATCH, list(range(1, len(strong) + 1)))
        assert any(first.values())


def test_requests_at_once_share_runs(
    batched: ModelStore, single: Detector, photos: list[bytes], start: Start
) -> None:
    with start(store=batched) as client, ThreadPoolExecutor(len(photos)) as pool:

        def post(photo: bytes) -> httpx.Response:
            return client.post("/v1/detect?threshold=0.3", content=photo)

        answers = list(pool.map(post, photos))
        count, images = runs_in(client.get("/metrics").text)
    assert images == len(photos) > count
    for photo, answer in zip(photos, answers, strict=True):
        assert answer.status_code == 200, answer.text
        expected = single(photo, threshold=0.3)
        objects = answer.json()["detections"]
        assert [each["label"] for each in objects] == [each.label for each in expected]
        scores = [each["score"] for each in objects]
        np.testing.assert_allclose(scores, expected.scores, atol=1.1e-4)  # rounded to 1e-5
