"""WS /v1/stream with a real client: what is answered, what is dropped, what is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.server.conftest import Start
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from sightline.data.images import decode_image
from sightline.errors import ImageError
from sightline.server import connection, websocket

Message = dict[str, Any]


@contextmanager
def opened(client: httpx.Client, query: str = "", **settings: Any) -> Iterator[ClientConnection]:
    """A connection to /v1/stream of the server that `client` is of."""
    url = str(client.base_url).replace("http", "ws", 1).rstrip("/") + "/v1/stream"
    with connect(f"{url}?{query}", compression=None, proxy=None, **settings) as stream:
        yield stream


def receive(stream: ClientConnection) -> Message:
    value: Message = json.loads(stream.recv(timeout=30))
    return value


def close_code(stream: ClientConnection) -> int | None:
    with pytest.raises(ConnectionClosed) as caught:
        stream.recv(timeout=30)
    return caught.value.rcvd.code if caught.value.rcvd else None


def settled(read: Callable[[], Any], expected: Any) -> Any:
    """What `read` gives, once it is what is expected or for half a minute."""
    end = time.monotonic() + 30
    while (value := read()) != expected and time.monotonic() < end:
        time.sleep(0.05)
    return value


def open_sessions(client: httpx.Client) -> float:
    service = client.app.state.service  # type: ignore[attr-defined]
    value: float = service.metrics.sessions.labels("websocket")._value.get()
    return value


@pytest.fixture(scope="session")
def photo(shared: Path) -> bytes:
    return (shared / "data" / "broken" / "01_ok.jpg").read_bytes()


def test_answers_each_image_with_what_a_request_would_find(
    client: httpx.Client, photo: bytes, contracts: Path
) -> None:
    schema = json.loads((contracts / "wire.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    asked = client.post("/v1/detect?threshold=0.3", content=photo).json()
    with opened(client, "threshold=0.3") as stream:
        ready = receive(stream)
        validator.validate(ready)
        assert (ready["type"], ready["model"], ready["threshold"]) == (
            "ready",
            "deimv2-atto",
            0.3,
        )
        assert ready["credit"] == 1
        for number in range(3):
            stream.send(photo)
            message = receive(stream)
            validator.validate(message)
            assert (message["frame"], message["dropped"]) == (number, 0)
            assert message["detections"] == asked["detections"]
            assert len(message["detections"]) > 0


def test_takes_options_from_the_address_and_from_text_messages(
    client: httpx.Client, photo: bytes
) -> None:
    with opened(client, "threshold=0.1&max=2") as stream:
        receive(stream)
        stream.send(photo)
        assert len(receive(stream)["detections"]) == 2
        stream.send(json.dumps({"type": "options", "labels": "bear"}))
        assert receive(stream)["threshold"] == 0.1  # what is left out stays
        stream.send(photo)
        assert {found["label"] for found in receive(stream)["detections"]} == {"bear"}
        stream.send(json.dumps({"type": "options", "threshold": 1.0}))
        assert receive(stream)["threshold"] == 1.0
        stream.send(photo)
        assert receive(stream)["detections"] == []


def test_numbers_objects_and_passes_over_still_pictures_when_asked(
    client: httpx.Client, photo: bytes
) -> None:
    with opened(client, "track=1&motion=1&labels=bear") as stream:
        receive(stream)
        stream.send(photo)
        assert [found["id"] for found in receive(stream)["detections"]] == [1]
        stream.send(photo)
        still = receive(stream)
        assert (still["type"], still["frame"]) == ("still", 1)
        assert "detections" not in still


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("hello", "malformed-request"),
        ("[" * 10_000, "malformed-request"),
        ("[]", "invalid-request"),
        ('{"type": "credit"}', "invalid-request"),
        ('{"type": "options", "threshold": 2}', "invalid-request"),
        ('{"type": "options", "threshold": NaN}', "invalid-request"),
        ('{"type": "options", "labels": ["\\ud800"]}', "invalid-request"),
        ('{"type": "options", "model": "none"}', "not-found"),
        ('{"type": "options", "labels": "' + "x" * 20_000 + '"}', "body-too-large"),
    ],
)
def test_a_bad_text_message_is_answered_and_changes_nothing(
    client: httpx.Client, photo: bytes, text: str, code: str
) -> None:
    with opened(client, "threshold=0.25") as stream:
        receive(stream)
        stream.send(text)
        answer = receive(stream)
        assert (answer["type"], answer["error"]["code"]) == ("error", code)
        stream.send(photo)
        assert receive(stream)["threshold"] == 0.25


@pytest.mark.parametrize("query", ["threshold=2", "model=none", "labels=unicorn", "max=0"])
def test_options_that_do_not_fit_are_told_before_the_close(
    client: httpx.Client, query: str
) -> None:
    with opened(client, query) as stream:
        assert receive(stream)["error"]["code"] in ("invalid-request", "not-found")
        assert close_code(stream) == 1008


def test_a_full_server_says_so_and_has_room_again_afterwards(start: Start) -> None:
    with start(max_sessions=1) as client:
        with opened(client) as first:
            receive(first)
            with opened(client) as second:
                assert receive(second)["error"]["code"] == "busy"
                assert close_code(second) == 1013
        assert settled(lambda: open_sessions(client), 0) == 0
        with opened(client) as third:
            assert receive(third)["type"] == "ready"


def test_the_subprotocol_is_selected_and_its_token_not_repeated(start: Start) -> None:
    with start(token="secret-token-1") as client:
        offered: Any = ["sightline.v1", "bearer.secret-token-1"]
        with opened(client, subprotocols=offered) as stream:
            assert stream.subprotocol == "sightline.v1"
            assert receive(stream)["type"] == "ready"


def test_a_client_that_sends_too_much_loses_frames_and_no_count(start: Start, photo: bytes) -> None:
    with start() as client, opened(client) as stream:
        receive(stream)
        for _ in range(100):
            stream.send(photo)
        seen = [receive(stream)]
        while seen[-1]["frame"] < 99:
            seen.append(receive(stream))
        numbers = [message["frame"] for message in seen]
        assert numbers == sorted(set(numbers))
        # Every frame was worked on or dropped.
        metrics = client.app.state.service.metrics  # type: ignore[attr-defined]
        worked_on = metrics.images.labels("websocket", "detected")._value.get()
        assert worked_on >= len(seen)
        assert seen[-1]["dropped"] == 100 - worked_on > 0


def test_broken_images_are_answered_one_by_one_and_the_stream_goes_on(
    client: httpx.Client, shared: Path, photo: bytes
) -> None:
    files = sorted(path for path in (shared / "data" / "broken").iterdir() if path.suffix != ".md")
    assert len(files) > 30
    with opened(client) as stream, opened(client) as other:
        receive(stream), receive(other)
        for number, path in enumerate(files):
            content = path.read_bytes()
            stream.send(content)
            answer = receive(stream)
            assert answer["frame"] == number
            try:
                size = decode_image(content, name="the image").size
            except ImageError:
                assert answer["type"] == "error", path.name
                assert answer["error"]["status"] in (413, 422), path.name
            else:
                assert (answer["width"], answer["height"]) == size, path.name
        other.send(photo)  # a stream beside it
        assert receive(other)["type"] == "detections"


@pytest.mark.parametrize("size", [2**20 + 1, 40_000_000])
def test_a_message_over_the_limit_is_told_and_ends_its_connection_only(
    start: Start, photo: bytes, size: int
) -> None:
    with start(max_body_mib=1) as client, opened(client) as other:
        receive(other)
        with opened(client) as stream:
            receive(stream)
            stream.send(bytes(size))
            error = receive(stream)["error"]
            assert error["code"] == "body-too-large"
            assert "1 MiB" in error["detail"]
            assert close_code(stream) == 1009
        other.send(photo)
        assert receive(other)["type"] == "detections"
        refused = client.app.state.service.metrics.refused  # type: ignore[attr-defined]
        assert refused.labels("body-too-large")._value.get() == 1


def test_a_message_in_too_many_fragments_is_told(client: httpx.Client) -> None:
    with opened(client) as stream:
        receive(stream)
        with suppress(ConnectionClosed):  # which it may notice while it sends
            stream.send(b"." for _ in range(2000))
        assert receive(stream)["error"]["code"] == "body-too-large"
        assert close_code(stream) == 1009


def test_a_client_that_never_stops_sending_is_cut(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_LINGER_S", 0.5)
    with start(max_body_mib=1) as client:
        raw = _raw_stream(client)
        try:
            raw.sendall(bytes([0x82, 0xFF]) + struct.pack("!Q", 2**40) + bytes(4))
            raw.settimeout(20)
            with pytest.raises(ConnectionError):
                while True:
                    raw.sendall(bytes(2**16))
            assert settled(lambda: open_sessions(client), 0) == 0
        finally:
            raw.close()


def test_a_silent_client_is_told_and_let_go(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "IDLE_S", 0.2)
    with opened(client) as stream:
        receive(stream)
        assert receive(stream)["error"]["code"] == "request-timeout"
        assert close_code(stream) == 1008


def test_a_client_that_never_reads_loses_its_place(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "SEND_S", 0.3)
    with start() as client:
        raw = _raw_stream(client)
        try:
            assert settled(lambda: open_sessions(client), 1) == 1
            question = b'{"type":"options"}'
            frame = bytes([0x81, 0x80 | len(question)]) + bytes(4) + question
            raw.settimeout(2)
            with pytest.raises(OSError):  # the server does not read on while answers lie unread
                while True:
                    raw.sendall(frame * 500)
            assert settled(lambda: open_sessions(client), 0) == 0
        finally:
            raw.close()


def test_the_servers_stop_is_told(start: Start, photo: bytes) -> None:
    with ExitStack() as stack:
        with start() as client:
            stream = stack.enter_context(opened(client))
            receive(stream)
            stream.send(photo)
            receive(stream)
        assert close_code(stream) == 1012


def test_abrupt_ends_leave_nothing_and_harm_nobody(start: Start, photo: bytes) -> None:
    """200 clients vanish with an image at work; one beside them gets each of its results."""
    with start() as client:
        app: Any = client.app  # type: ignore[attr-defined]

        async def count(request: Request) -> JSONResponse:
            return JSONResponse([len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))])

        app.router.routes.insert(0, Route("/count", count))
        stop = threading.Event()
        results: list[int] = []

        def watch() -> None:
            with opened(client) as stream:
                receive(stream)
                while not stop.is_set():
                    stream.send(photo)
                    results.append(receive(stream)["frame"])

        for _ in range(5):
            _vanish(client, photo)
        assert settled(lambda: open_sessions(client), 0) == 0
        before = client.get("/count").json()
        watcher = threading.Thread(target=watch)
        watcher.start()
        for _ in range(200):
            _vanish(client, photo)
        stop.set()
        watcher.join(30)
        assert results == list(range(len(results)))
        assert len(results) > 10
        assert settled(lambda: open_sessions(client), 0) == 0
        assert settled(lambda: client.get("/count").json(), before) == before
        assert not app.state.service._streams
        assert app.state.service.scheduler.depth() == 0


def _vanish(client: httpx.Client, image: bytes) -> None:
    raw = _raw_stream(client)
    head = struct.pack("!BBH", 0x82, 0x80 | 126, len(image)) + bytes(4)
    raw.sendall(head + image)
    # No goodbye: the connection is reset.
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.close()


def _raw_stream(client: httpx.Client) -> socket.socket:
    """A WebSocket to /v1/stream as a bare socket, after its handshake."""
    host, port = client.base_url.host, client.base_url.port
    assert port is not None
    raw = socket.create_connection((host, port), timeout=10)
    raw.sendall(
        f"GET /v1/stream HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n".encode()
    )
    assert b" 101 " in raw.recv(64)
    return raw
