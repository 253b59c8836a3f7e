"""WebRTC with a real peer: its pictures in, results on its data channel, and what ends it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import numpy as np
import pytest
from aiortc import RTCIceGatherer
from tests.server import rtc_peer
from tests.server.conftest import PLAN, CheckProblem, Start, running
from tests.server.rtc_network import address_for_ice, second_network
from tests.server.rtc_peer import (
    TICKS,
    ClipTrack,
    DrawnTrack,
    Message,
    Page,
    connected,
    draw_quarter,
    offering,
)

from sightline.runtime.detector import Detector
from sightline.server import peers
from sightline.server.app import create_app
from sightline.server.config import ServeConfig
from sightline.server.served import ModelStore

TOKEN = "correct-horse"


@pytest.fixture(scope="module", autouse=True)
def ice_address() -> Iterator[None]:
    with address_for_ice():
        yield


@pytest.fixture
def quarters(tiny_bundle: Path) -> ModelStore:
    """A model that finds the white quarter of a picture."""
    return ModelStore.load([tiny_bundle], PLAN)


@pytest.fixture(autouse=True)
def no_public_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiortc's default is a STUN server in the internet: it must never be asked for."""

    def refuse(cls: type) -> None:
        raise AssertionError("a public STUN server was asked for")

    monkeypatch.setattr(RTCIceGatherer, "getDefaultIceServers", classmethod(refuse))


def url_of(client: httpx.Client) -> str:
    return str(client.base_url).rstrip("/")


def sessions(client: httpx.Client, path: str = "webrtc") -> float:
    """How many streams of this kind the server says are open."""
    for line in client.get("/metrics").text.splitlines():
        if line.startswith(f'sightline_sessions{{path="{path}"}}'):
            return float(line.split()[-1])
    return 0.0


def settled(read: Callable[[], Any], expected: Any) -> Any:
    """What `read` gives, once it is what is expected or for half a minute."""
    end = time.monotonic() + 30
    while (value := read()) != expected and time.monotonic() < end:
        time.sleep(0.05)
    return value


def decoders() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.endswith("-decoder")]


def shows_its_quarter(message: Message, number: int) -> bool:
    """Whether a result is that of picture `number` of draw_quarter."""
    row, column = divmod(number // 5 % 4, 2)
    height, width = message["height"], message["width"]
    box = [
        column * width / 2,
        row * height / 2,
        (column + 1) * width / 2,
        (row + 1) * height / 2,
    ]
    return [found["box"] for found in message["detections"]] == [box]


def test_results_of_a_clip(start: Start, atto_bundle: Path, shared: Path, contracts: Path) -> None:
    """The boxes are those that the detector finds in the picture of that time."""
    schema = json.loads((contracts / "wire.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    track = ClipTrack(shared / "data" / "video" / "pan_coco139_5s.mp4", fps=15)

    async def watch(url: str) -> Page:
        async with connected(url, track, threshold=0.4) as page:
            await page.receive_results(20)
        return page

    with start() as client:
        page = asyncio.run(watch(url_of(client)))
        assert settled(lambda: sessions(client), 0) == 0
    for message in page.messages:
        validator.validate(message)
    ready, *others = page.messages
    assert ready["type"] == "ready" and "person" in ready["labels"] and ready["threshold"] == 0.4
    numbers = [message["frame"] for message in others]
    assert numbers == sorted(set(numbers))
    assert all(message["age_ms"] >= message["timing"]["infer_ms"] > 0 for message in others)
    detector = Detector.load(atto_bundle)
    for message in page.results[5:20]:  # from when the sender's bitrate has settled
        picture = track.pictures[track.number_of(message["pts"]) % len(track.pictures)]
        expected = detector(picture, threshold=0.2)
        found = message["detections"][0]
        boxes = expected.boxes_xyxy[[label == found["label"] for label in expected.labels]]
        # Compression at half a megabit moves scores, and edges by some pixels of 640.
        assert np.abs(boxes - found["box"]).max(axis=1).min() < 40


def test_results_tell_their_frame(start: Start, quarters: ModelStore) -> None:
    track = DrawnTrack()

    async def watch(url: str) -> list[Message]:
        async with connected(url, track) as page:
            return await page.receive_results(60)

    with start(store=quarters) as client:
        results = asyncio.run(watch(url_of(client)))
    assert all(shows_its_quarter(each, track.number_of(each["pts"])) for each in results)
    numbers = [track.number_of(each["pts"]) for each in results]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_lost_packets(start: Start, quarters: ModelStore, share: float) -> None:
    """What is lost is sent again, or a whole picture is: results keep coming, and right."""
    track = DrawnTrack()

    async def watch(url: str) -> list[Message]:
        async with connected(url, track) as page:
            await page.receive_results(5)
            page.lose(share)
            return await page.receive_results(80)

    with start(store=quarters) as client:
        results = asyncio.run(watch(url_of(client)))
    assert all(shows_its_quarter(each, track.number_of(each["pts"])) for each in results)


def test_an_outage(start: Start, quarters: ModelStore) -> None:
    """What was sent meanwhile is given up; no result is of a picture that refers to it."""
    track = DrawnTrack()

    async def watch(url: str) -> list[Message]:
        async with connected(url, track) as page:
            await page.receive_results(5)
            page.lose(1.0)
            await asyncio.sleep(1.5)
            page.messages.clear()
            page.lose(0.0)
            return await page.receive_results(40)

    with start(store=quarters) as client:
        results = asyncio.run(watch(url_of(client)))
    assert all(shows_its_quarter(each, track.number_of(each["pts"])) for each in results)


def test_few_negotiate_at_a_time(
    client: httpx.Client, check_problem: CheckProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "MAX_NEGOTIATIONS", 0)
    offer = {"sdp": asyncio.run(make_offer()), "type": "offer"}
    refused = client.post("/v1/webrtc/offer", json=offer)
    check_problem(refused, "busy")
    assert refused.headers["retry-after"] == "1"


@pytest.mark.parametrize("jump", [3600 * TICKS, -20 * TICKS, 2**31])
def test_jumps_of_the_senders_clock(start: Start, quarters: ModelStore, jump: int) -> None:
    """RTP's clock is the sender's; forward or back, results go on, each for its picture."""
    track = DrawnTrack()

    async def watch(url: str) -> tuple[Message, list[Message]]:
        async with connected(url, track) as page:
            before = (await page.receive_results(10))[-1]
            page.shift_clock(jump)
            await page.receive(lambda message: message.get("pts", 0) > before["pts"] + 2**20)
            page.messages.clear()
            return before, await page.receive_results(30)

    with start(store=quarters) as client:
        before, after = asyncio.run(watch(url_of(client)))
    # Time never runs back: RTP's 32 bits are taken to have come round (RFC 3550, 5.1).
    assert all(each["pts"] > before["pts"] for each in after)
    numbers = [track.number_of((each["pts"] - jump) % 2**32) for each in after]
    assert all(shows_its_quarter(each, number) for each, number in zip(after, numbers, strict=True))


def test_the_picture_may_change_its_size(start: Start, quarters: ModelStore) -> None:
    track = DrawnTrack(
        lambda number: draw_quarter(number, *((240, 320) if number < 20 else (360, 202)))
    )

    async def watch(url: str) -> list[Message]:
        async with connected(url, track) as page:
            await page.receive(lambda message: message.get("width") == 202)
            count = len(page.results)
            return (await page.receive_results(count + 5))[count:]

    with start(store=quarters) as client:
        results = asyncio.run(watch(url_of(client)))
    assert all((each["width"], each["height"]) == (202, 360) for each in results)
    assert all(shows_its_quarter(each, track.number_of(each["pts"])) for each in results)


def test_questions_and_options_on_the_channel(start: Start, quarters: ModelStore) -> None:
    async def talk(url: str) -> None:
        async with connected(url, DrawnTrack()) as page:
            await page.receive_results(1)
            page.channel.send('{"type": "ping", "t": 12.5}')
            pong = await page.receive(lambda message: message["type"] == "pong")
            assert pong["t"] == 12.5
            page.channel.send('{"type": "ping", "t": 13}')
            later = await page.receive(lambda message: message.get("t") == 13)
            assert later["time_ms"] > pong["time_ms"]
            for text, code in (
                ("[" * 9000, "malformed-request"),
                (b"\xff\xfe", "malformed-request"),
                ("[1]", "malformed-request"),
                ('{"type": "ping", "t": "now"}', "invalid-request"),
                ('{"type": "dance"}', "invalid-request"),
                ('{"type": "options", "threshold": 7}', "invalid-request"),
                ('{"type": "options", "model": "another"}', "not-found"),
                (" " * 20_000, "body-too-large"),
            ):
                page.messages.clear()
                page.channel.send(text)
                told = await page.receive(lambda message: message["type"] == "error")
                assert told["error"]["code"] == code, text[:50]
            page.channel.send('{"type": "options", "labels": "lower"}')
            await page.receive(lambda message: message["type"] == "ready")
            page.messages.clear()
            await page.receive_results(30)
            labels = {found["label"] for each in page.results[2:] for found in each["detections"]}
            assert labels == {"lower"}

    with start(store=quarters) as client:
        asyncio.run(talk(url_of(client)))


@pytest.mark.parametrize("way", ["delete", "beacon", "channel", "connection", "vanish"])
def test_ways_to_end(
    start: Start, quarters: ModelStore, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "IDLE_S", 1.0)

    async def come_and_go(client: httpx.Client) -> None:
        async with connected(url_of(client), DrawnTrack()) as page:
            await page.receive_results(1)
            assert sessions(client) == 1
            if way == "delete":
                assert client.delete(f"/v1/webrtc/{page.session}").status_code == 204
            elif way == "beacon":
                left = client.post(f"/v1/webrtc/{page.session}/close", content=b"")
                assert left.status_code == 204
            elif way == "channel":
                page.channel.close()
            elif way == "connection":
                await page.connection.close()
            else:
                page.abort()
            ended = await asyncio.to_thread(settled, lambda: sessions(client), 0)
            assert ended == 0
            assert client.delete(f"/v1/webrtc/{page.session}").status_code == 404

    with start(store=quarters) as client:
        asyncio.run(come_and_go(client))
        assert settled(decoders, []) == []


def test_a_peer_without_frames_is_closed(
    start: Start, quarters: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "IDLE_S", 1.0)
    track = DrawnTrack()

    async def pause(url: str) -> Message:
        async with connected(url, track) as page:
            await page.receive_results(3)
            track.is_paused = True
            return await page.receive(lambda message: message["type"] == "error")

    with start(store=quarters) as client:
        told = asyncio.run(pause(url_of(client)))
        assert told["error"]["code"] == "request-timeout"
        assert settled(lambda: sessions(client), 0) == 0


def test_a_peer_that_never_comes_gives_its_place_back(
    start: Start,
    quarters: ModelStore,
    check_problem: CheckProblem,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peers, "CONNECT_S", 1.0)
    with start(store=quarters, max_sessions=1) as client:
        offer = {"sdp": asyncio.run(make_offer()), "type": "offer"}
        first = client.post("/v1/webrtc/offer", json=offer)
        assert first.status_code == 200
        second = client.post("/v1/webrtc/offer", json=offer)
        check_problem(second, "busy")
        assert int(second.headers["retry-after"]) > 0
        assert settled(lambda: sessions(client), 0) == 0
        assert client.post("/v1/webrtc/offer", json=offer).status_code == 200


def test_a_stopping_server_ends_its_peers(start: Start, quarters: ModelStore) -> None:
    async def stay(url: str, stop: Callable[[], None]) -> None:
        async with connected(url, DrawnTrack()) as page:
            await page.receive_results(1)
            stopping = asyncio.create_task(asyncio.to_thread(stop))
            async with asyncio.timeout(rtc_peer.WAIT_S):
                while page.connection.connectionState != "closed":
                    await asyncio.sleep(0.05)
                await stopping

    running_server = start(store=quarters)
    client = running_server.__enter__()
    asyncio.run(stay(url_of(client), lambda: running_server.__exit__(None, None, None)))
    assert decoders() == []


def test_a_peer_in_another_network(quarters: ModelStore) -> None:
    """Another process, behind a link of its own; the server asks for its token."""
    with second_network() as network:
        config = ServeConfig(host=network.address, token=TOKEN)
        program = [*network.enter, sys.executable, rtc_peer.__file__]
        with running(create_app(quarters, config), network.address) as url:
            done = subprocess.run(
                [*program, url, "20", TOKEN], capture_output=True, text=True, timeout=60
            )
            assert done.returncode == 0, done.stderr
            refused = subprocess.run(
                [*program, url, "1", "wrong-token"], capture_output=True, text=True, timeout=60
            )
    results = json.loads(done.stdout)
    assert len(results) >= 20
    assert all(len(detections) == 1 for _, detections in results)
    assert "token-required" in refused.stderr


@pytest.mark.slow
def test_200_peers_that_vanish(
    start: Start, quarters: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of them in the middle of it, half before they connect: nothing of them is left."""
    monkeypatch.setattr(peers, "IDLE_S", 1.0)
    monkeypatch.setattr(peers, "CONNECT_S", 5.0)

    async def vanish(client: httpx.Client, number: int) -> None:
        if number % 2:
            offer = {"sdp": await make_offer(), "type": "offer"}
            response = await asyncio.to_thread(client.post, "/v1/webrtc/offer", json=offer)
            assert response.status_code == 200
            return
        async with connected(url_of(client), DrawnTrack()) as page:
            await page.receive_results(1)
            page.abort()

    async def churn(client: httpx.Client, numbers: range) -> None:
        for begin in range(numbers.start, numbers.stop, 4):
            await asyncio.to_thread(settled, lambda: sessions(client) < 32, True)  # of 64 streams
            await asyncio.gather(*(vanish(client, begin + i) for i in range(4)))

    def held() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    with start(store=quarters) as client:
        asyncio.run(churn(client, range(20)))
        assert settled(lambda: sessions(client), 0) == 0
        assert settled(decoders, []) == []
        before = held()
        asyncio.run(churn(client, range(20, 200)))
        assert settled(lambda: sessions(client), 0) == 0
        assert settled(decoders, []) == []
        # Executors' threads and the client's connections may come and go, peers' may not.
        assert np.subtract(held(), before).max() <= 8


async def make_offer(**options: Any) -> str:
    async with offering(DrawnTrack(), **options) as (connection, _):
        sdp: str = connection.localDescription.sdp
        return sdp
