"""Named streams: their list, and listening to them as server-sent events and by WebSocket.

The stream is a video file that the server plays, so that it never falls silent.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from tests.server.conftest import CheckProblem, Start
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from sightline.server import listen
from sightline.server.app import create_app
from sightline.server.config import ServeConfig
from sightline.server.served import ModelStore
from sightline.server.streams import StreamBoard

Message = dict[str, Any]


@pytest.fixture
def clip(shared: Path) -> str:
    """Furniture, in every frame."""
    return f"clip={shared / 'data' / 'video' / 'pan_coco139_5s.mp4'}"


@contextmanager
def listening(client: httpx.Client, name: str, query: str = "") -> Iterator[ClientConnection]:
    url = str(client.base_url).replace("http", "ws", 1).rstrip("/")
    with connect(f"{url}/v1/streams/{name}?{query}", compression=None, proxy=None) as heard:
        yield heard


def receive(heard: ClientConnection) -> Message:
    value: Message = json.loads(heard.recv(timeout=30))
    return value


def read_event(lines: Iterator[str]) -> tuple[dict[str, str], Message]:
    """The fields of the next event that has data, and the data."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            return fields, json.loads(fields["data"])
    raise AssertionError("the events ended")


def listeners(client: httpx.Client, name: str = "clip") -> int:
    streams = client.get("/v1/streams").json()["streams"]
    count: int = next(each["listeners"] for each in streams if each["name"] == name)
    return count


def settled(read: Callable[[], Any], expected: Any) -> Any:
    """What `read` gives, once it is what is expected or for half a minute."""
    end = time.monotonic() + 30
    while (value := read()) != expected and time.monotonic() < end:
        time.sleep(0.05)
    return value


def test_events_and_messages_say_the_same(start: Start, clip: str, contracts: Path) -> None:
    schema = json.loads((contracts / "wire.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    with (
        start(source=(clip,)) as client,
        client.stream("GET", "/v1/streams/clip/events") as events,
        listening(client, "clip") as heard,
    ):
        assert events.headers["content-type"].startswith("text/event-stream")
        assert "content-length" not in events.headers
        lines = events.iter_lines()
        fields, ready = read_event(lines)
        assert (fields["retry"], fields["event"], ready["type"]) == ("2000", "ready", "ready")
        assert receive(heard) == ready
        told = {message["frame"]: message for message in (receive(heard) for _ in range(10))}
        for message in (ready, *told.values()):
            validator.validate(message)
        frame, last = -1, max(told)
        while frame < last:
            fields, message = read_event(lines)
            frame = message["frame"]
            assert (fields["event"], fields["id"]) == ("detections", str(frame))
            if frame in told:
                del told[frame]["dropped"], message["dropped"]
                assert message == told.pop(frame)
        assert len(told) < 5  # each may have missed some, not most


def test_a_listener_narrows_the_results(start: Start, clip: str) -> None:
    with start(source=(clip,)) as client:
        with listening(client, "clip") as heard:
            ready = receive(heard)
            found = [each for _ in range(3) for each in receive(heard)["detections"]]
            assert {each["label"] for each in found} > {"chair"}
            assert all(each["id"] >= 1 for each in found)  # tracked
        with listening(client, "clip", "labels=chair&max=1&threshold=0.6") as heard:
            assert receive(heard)["threshold"] == 0.6
            for _ in range(5):
                message = receive(heard)
                assert message["threshold"] == 0.6
                assert len(message["detections"]) <= 1
                assert all(each["label"] == "chair" for each in message["detections"])
                assert all(each["score"] >= 0.6 for each in message["detections"])
        with listening(client, "clip", "threshold=0.01") as heard:
            assert receive(heard)["threshold"] == ready["threshold"]  # below it are none


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("model=deimv2-atto", "invalid-request"),
        ("track=1", "invalid-request"),
        ("labels=unicorn", "invalid-request"),
        ("threshold=x", "invalid-request"),
    ],
)
def test_options_of_a_listener_are_checked(
    start: Start, clip: str, query: str, code: str, check_problem: CheckProblem
) -> None:
    with start(source=(clip,)) as client:
        check_problem(client.get(f"/v1/streams/clip/events?{query}"), code)
        with listening(client, "clip", query) as heard:
            assert receive(heard)["error"]["code"] == code
            assert _close_code(heard) == 1008


def test_unknown_names_are_told(client: httpx.Client, check_problem: CheckProblem) -> None:
    check_problem(client.get("/v1/streams/none/events"), "not-found")
    with listening(client, "none") as heard:
        assert receive(heard)["error"]["code"] == "not-found"
        assert _close_code(heard) == 1008
    assert client.get("/v1/streams").json() == {"streams": []}


def test_what_a_listener_sends_is_refused_and_it_goes_on(start: Start, clip: str) -> None:
    with start(source=(clip,)) as client, listening(client, "clip") as heard:
        receive(heard)
        heard.send(b"an image")
        kinds = {receive(heard)["type"] for _ in range(20)}
        assert kinds == {"error", "detections"}


def test_listeners_take_places_and_give_them_back(
    start: Start, clip: str, check_problem: CheckProblem
) -> None:
    with start(source=(clip,), max_sessions=3) as client:
        with listening(client, "clip") as first, listening(client, "clip") as second:
            receive(first), receive(second)
            check_problem(client.get("/v1/streams/clip/events"), "busy")
            with listening(client, "clip") as third:
                assert receive(third)["error"]["code"] == "busy"
                assert _close_code(third) == 1013
            assert listeners(client) == 2
        assert settled(lambda: listeners(client), 0) == 0
        for _ in range(5):
            with client.stream("GET", "/v1/streams/clip/events") as events:
                read_event(events.iter_lines())
            assert settled(lambda: listeners(client), 0) == 0


def test_a_quiet_stream_shows_that_it_lives(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "HEARTBEAT_S", 0.1)
    with (
        start(source=(f"absent={tmp_path / 'none.mp4'}",)) as client,
        client.stream("GET", "/v1/streams/absent/events") as events,
    ):
        lines = events.iter_lines()
        read_event(lines)  # ready
        fields, message = read_event(lines)
        assert (fields["event"], message["error"]["code"]) == ("problem", "source-unavailable")
        assert [next(lines) for _ in range(4)] == [": still here", "", ": still here", ""]


def test_listeners_that_vanish_leave_nothing(start: Start, clip: str) -> None:
    with start(source=(clip,)) as client:
        for path in ("/v1/streams/clip/events", "/v1/streams/clip"):
            _vanish(client, path)
        assert settled(lambda: listeners(client), 0) == 0
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(50):
            _vanish(client, "/v1/streams/clip/events")
            _vanish(client, "/v1/streams/clip")
        assert settled(lambda: listeners(client), 0) == 0
        assert settled(lambda: len(os.listdir("/proc/self/fd")), before) == before


def test_a_listener_that_does_not_read_is_let_go(
    atto: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the buffers of the network, which would take minutes to fill: the app on its own."""
    monkeypatch.setattr(listen, "SEND_S", 0.2)

    async def play() -> tuple[int, float]:
        app = create_app(atto, ServeConfig(), static_dir=tmp_path)
        service = app.state.service
        stream = service.board.open("door", "whip")
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)
            if len(sent) > 3:
                await asyncio.Event().wait()

        async def stay() -> Any:
            await asyncio.Event().wait()

        path = "/v1/streams/door/events"
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b""}
        scope |= {"headers": [(b"host", b"localhost")], "http_version": "1.1", "raw_path": b""}
        serving = asyncio.create_task(app(scope, stay, send))
        while not serving.done():
            stream.send({"type": "still", "frame": 1})
            await asyncio.sleep(0.02)
        await serving
        gauge: float = service.metrics.sessions.labels("listener")._value.get()
        return stream.listeners, gauge

    assert asyncio.run(play()) == (0, 0)


def test_the_servers_stop_ends_both(start: Start, clip: str) -> None:
    with ExitStack() as stack:
        other = stack.enter_context(httpx.Client(timeout=30, trust_env=False))
        with start(source=(clip,)) as client:
            heard = stack.enter_context(listening(client, "clip"))
            receive(heard)
            url = f"{client.base_url}/v1/streams/clip/events"
            events = stack.enter_context(other.stream("GET", url))
            lines = events.iter_lines()
            read_event(lines)
        assert len([*lines]) < 1000  # and httpx would raise if they were cut off
        assert _close_code(heard) == 1012


def test_a_slot_holds_the_newest_message_and_the_last_before_the_end() -> None:
    watched: list[bool] = []

    async def play() -> list[Any]:
        board = StreamBoard()
        stream = board.open("door", "whip")
        stream.watch = watched.append
        with stream.listen() as slot, stream.listen() as other:
            for number in range(5):
                stream.send({"type": "still", "frame": number})
            taken = [await slot.take()]
            stream.send({"type": "ready", "model": "m"})
            stream.close()
            taken += [await slot.take(), await slot.take(), await other.take()]
        with stream.listen() as late:
            taken.append(await late.take())
        assert list(board) == []
        return taken

    newest, ready = {"type": "still", "frame": 4}, {"type": "ready", "model": "m"}
    assert asyncio.run(play()) == [newest, ready, None, ready, None]
    assert watched == [True, False, True, False]


def test_a_stream_that_is_down_says_so_to_those_who_come_until_it_is_up() -> None:
    error = {"code": "source-unavailable"}

    async def play() -> list[Any]:
        stream = StreamBoard().open("cam", "source")
        taken = []
        with stream.listen() as slot:
            stream.go_down(error)
            stream.send({"type": "still", "frame": 1})  # was still at work
            taken.append(await slot.take())
            with stream.listen() as late:
                taken.append(await late.take())
            stream.come_up()
            stream.send({"type": "still", "frame": 2})
            taken.append(await slot.take())
        with stream.listen() as later:
            stream.close()
            taken.append(await later.take())
        return taken

    told = {"type": "error", "error": error}
    assert asyncio.run(play()) == [told, told, {"type": "still", "frame": 2}, None]


def _vanish(client: httpx.Client, path: str) -> None:
    """Ask, read the start of the answer, and reset the connection."""
    host, port = client.base_url.host, client.base_url.port
    assert port is not None
    raw = socket.create_connection((host, port), timeout=10)
    upgrade = (
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
    )
    extra = "" if path.endswith("events") else upgrade
    raw.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{extra}\r\n".encode())
    assert raw.recv(64).split()[1] in (b"101", b"200")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.close()


def _close_code(heard: ClientConnection) -> int | None:
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            heard.recv(timeout=30)
    return caught.value.rcvd.code if caught.value.rcvd else None
