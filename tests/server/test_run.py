"""How a server ends: what runs is finished, what streams is told, what hangs is cut."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from sightline.errors import ServerError
from sightline.server.app import create_app
from sightline.server.config import ServeConfig
from sightline.server.run import make_server, open_socket
from sightline.server.served import ModelStore

READY = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Running:
    """A server in a thread that is told to stop as a signal would."""

    def __init__(self, store: ModelStore, **settings: Any) -> None:
        app = create_app(store, ServeConfig(**settings))
        self.service = app.state.service
        started = threading.Event()
        self._listener = open_socket("127.0.0.1", 0)
        self.port = self._listener.getsockname()[1]
        self._server = make_server(app, started.set)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}
        )
        self._thread.start()
        assert started.wait(30)

    def tell_to_stop(self) -> None:
        self._server.should_exit = True

    def wait(self) -> None:
        self._thread.join(60)
        self._listener.close()
        assert not self._thread.is_alive()

    def dial(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


@pytest.fixture
def run(atto: ModelStore) -> Iterator[Callable[..., Any]]:
    @contextmanager
    def start(**settings: Any) -> Iterator[Running]:
        server = Running(atto, **settings)
        try:
            yield server
        finally:
            server.tell_to_stop()
            server.wait()

    yield start


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_connection_in_use_is_answered_once_more(run: Any) -> None:
    """Its next request may be on the way already; the answer says that it is the last."""
    with run() as server, server.dial() as raw:
        raw.sendall(READY)
        assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")
        server.tell_to_stop()
        wait_until(lambda: server.service.is_stopping)
        raw.sendall(READY)
        answer = b""
        while block := raw.recv(65536):
            answer += block
    assert answer.startswith(b"HTTP/1.1 503 ") and b'"code":"busy"' in answer
    assert b"connection: close" in answer.lower() and b"retry-after" in answer.lower()


def test_streams_are_told(run: Any) -> None:
    with run(drain_timeout=1000.0) as server:  # they are not waited for
        with connect(f"ws://127.0.0.1:{server.port}/v1/stream", proxy=None) as stream:
            assert '"ready"' in str(stream.recv(30))
            server.tell_to_stop()
            with pytest.raises(ConnectionClosed) as closed:
                stream.recv(30)
        server.wait()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012


def test_what_hangs_is_cut(run: Any) -> None:
    head = b"POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
    with run(drain_timeout=0.2, body_timeout=1000.0) as server, server.dial() as raw:
        raw.sendall(head)
        wait_until(lambda: len(server._server.server_state.tasks) == 1)
        server.tell_to_stop()
        server.wait()


def test_a_slow_request_is_waited_for(run: Any, shared: Path) -> None:
    photo = (shared / "data" / "broken" / "01_ok.jpg").read_bytes()
    head = f"POST /v1/detect HTTP/1.1\r\nHost: x\r\nContent-Length: {len(photo)}\r\n\r\n"
    with run() as server, server.dial() as raw:
        raw.sendall(head.replace(" x", " localhost").encode() + photo[:100])
        wait_until(lambda: len(server._server.server_state.tasks) == 1)
        server.tell_to_stop()
        wait_until(lambda: server.service.is_stopping)
        time.sleep(1.0)  # longer than an idle connection is given
        raw.sendall(photo[100:])
        assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_the_port_is_free_again(run: Any) -> None:
    with run() as server:
        pass
    open_socket("127.0.0.1", server.port).close()


def test_a_port_in_use_is_named() -> None:
    with (
        open_socket("127.0.0.1", 0) as taken,
        pytest.raises(ServerError, match=f"port {taken.getsockname()[1]} .* in use"),
    ):
        open_socket("127.0.0.1", taken.getsockname()[1])
