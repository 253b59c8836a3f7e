"""Real servers on loopback: uvicorn as `sightline serve` runs it, in a thread."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from fastapi import FastAPI

from sightline.server.app import create_app
from sightline.server.config import ServeConfig
from sightline.server.plan import Plan
from sightline.server.run import make_server, open_socket
from sightline.server.served import ModelStore

Start = Callable[..., AbstractContextManager[httpx.Client]]
CheckProblem = Callable[[httpx.Response, str], dict[str, Any]]


@contextmanager
def running(app: FastAPI, host: str = "127.0.0.1") -> Iterator[str]:
    """The base address of a server that runs while the block does."""
    started = threading.Event()
    listener = open_socket(host, 0)
    server = make_server(app, started.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        assert started.wait(30)
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
        assert not thread.is_alive()


PLAN = Plan(workers=2, threads=1)


@pytest.fixture(scope="session")
def atto(atto_bundle: Path) -> ModelStore:
    return ModelStore.load([atto_bundle], PLAN)


@pytest.fixture
def start(atto: ModelStore, tmp_path: Path) -> Start:
    """Run an app with other settings and get a client of it: `with start(token=...) as client`."""

    @contextmanager
    def run(
        *, store: ModelStore = atto, static_dir: Path = tmp_path, **settings: Any
    ) -> Iterator[httpx.Client]:
        app = create_app(store, ServeConfig(**settings), static_dir=static_dir)
        with running(app) as url, httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            client.app = app  # type: ignore[attr-defined]
            yield client

    return run


@pytest.fixture(scope="session")
def client(atto: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of one server with default settings and no page, shared by the tests."""
    app = create_app(atto, ServeConfig(), static_dir=tmp_path_factory.mktemp("static"))
    with running(app) as url, httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def check_problem(contracts: Path) -> CheckProblem:
    """Assert that an answer is in the error shape and has that code; gives its JSON."""
    schema = json.loads((contracts / "error.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)

    def check(response: httpx.Response, code: str) -> dict[str, Any]:
        assert response.headers["content-type"] == "application/problem+json", response.text
        value: dict[str, Any] = response.json()
        validator.validate(value)
        assert value["status"] == response.status_code
        assert value["code"] == code, value
        return value

    return check


@pytest.fixture(scope="session")
def refused_files() -> dict[str, str]:
    """Files of data/broken that are refused, with the code; in all others is detected."""
    return {
        "02_truncated_half.jpg": "image-unreadable",
        "03_truncated_last20.jpg": "image-unreadable",
        "04_header_only.jpg": "image-unreadable",
        "06_zero_bytes.jpg": "image-unreadable",
        "07_text.jpg": "image-unreadable",
        "09_bomb_30000x30000_1bit.png": "image-too-large",
        "10_bomb_declared_only.png": "image-too-large",
        "11_huge_dims.png": "image-too-large",
        "29_svg.svg": "image-unreadable",
        "30_riff_truncated.webp": "image-unreadable",
    }
