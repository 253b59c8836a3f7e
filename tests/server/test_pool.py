"""The bound on work: by the pool alone, and seen through HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from sightline.server.errors import RequestRefused
from sightline.server.pool import WorkerPool


@contextmanager
def occupied(pool: WorkerPool, calls: int) -> Iterator[None]:
    """Fill the pool with calls that only end with the block."""
    release = threading.Event()

    async def hold() -> None:
        await pool.run(release.wait, 30)

    threads = [threading.Thread(target=asyncio.run, args=(hold(),)) for _ in range(calls)]
    for thread in threads:
        thread.start()
    while pool.pending < calls:
        assert all(thread.is_alive() for thread in threads)
    try:
        yield
    finally:
        release.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    pool = WorkerPool(workers=1, max_waiting=1)
    yield pool
    pool.close()


def test_a_full_pool_refuses_then_recovers(pool: WorkerPool) -> None:
    with occupied(pool, 2), pytest.raises(RequestRefused) as caught:
        asyncio.run(pool.run(lambda: 1))
    assert caught.value.code == "busy" and caught.value.headers == {"Retry-After": "1"}
    assert asyncio.run(pool.run(lambda: 2)) == 2
    assert pool.pending == 0


def test_failing_work_raises_and_frees_its_place(pool: WorkerPool) -> None:
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            asyncio.run(pool.run(lambda: 1 // 0))
    assert pool.pending == 0


def test_work_of_a_caller_who_left_still_counts(pool: WorkerPool) -> None:
    """Otherwise callers that connect and go would fill the threads past the bound."""
    release = threading.Event()

    async def leave() -> int:
        call = asyncio.create_task(pool.run(release.wait, 30))
        while not pool.pending:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)  # until the thread has begun: what runs cannot be cancelled
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        return pool.pending

    assert asyncio.run(leave()) == 1
    release.set()
    assert asyncio.run(pool.run(lambda: 3)) == 3


def test_full_server_says_so_and_stays_responsive(
    start: Any, shared: Path, check_problem: Any
) -> None:
    files = {"image": (shared / "data" / "broken" / "01_ok.jpg").read_bytes()}
    with start(workers=1, max_waiting=1) as client:
        with occupied(client.app.state.pool, 2):
            refused: httpx.Response = client.post("/image", files=files)
            assert refused.headers["retry-after"] == "1"
            check_problem(refused, "busy")
            assert client.get("/healthz").json() == {"status": "ok"}  # the loop is not blocked
        assert client.post("/image", files=files).status_code == 200


def test_many_clients_at_once_all_get_an_answer(start: Any, shared: Path) -> None:
    files = {"image": (shared / "data" / "broken" / "01_ok.jpg").read_bytes()}
    with start(workers=2, max_waiting=4) as client:

        async def ask() -> list[httpx.Response]:
            async with httpx.AsyncClient(base_url=client.base_url, trust_env=False) as many:
                calls = [many.post("/image", files=files, timeout=30) for _ in range(24)]
                return await asyncio.gather(*calls)

        answers = asyncio.run(ask())
    assert {answer.status_code for answer in answers} <= {200, 503}
    good = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(good) >= 6  # two at work and four waiting fit in always
    assert all(answer == good[0] for answer in good)
