"""Offers that are refused: what is wrong with each is told, and nothing of it stays."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.server.conftest import CheckProblem, Start
from tests.server.rtc_network import address_for_ice
from tests.server.rtc_peer import DrawnTrack, offering

from sightline.server.errors import RequestRefused
from sightline.server.offer import MAX_SDP_BYTES, read_offer

SDP = {"Content-Type": "application/sdp"}


@pytest.fixture(scope="module", autouse=True)
def ice_address() -> Iterator[None]:
    with address_for_ice():
        yield


async def _make_offers() -> tuple[str, str]:
    """One with audio, video and data, and one with video alone."""
    connection = RTCPeerConnection()
    connection.addTransceiver("audio", "sendonly")
    connection.addTransceiver(DrawnTrack(), "sendrecv")
    connection.addTransceiver("video", "sendonly")
    connection.createDataChannel("results")
    await connection.setLocalDescription(await connection.createOffer())
    whole = connection.localDescription.sdp
    await connection.close()
    async with offering(DrawnTrack(), data=False) as (single, _):
        return whole, single.localDescription.sdp


@pytest.fixture(scope="module")
def offers() -> tuple[str, str]:
    with address_for_ice(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("aiortc.RTCIceGatherer.getDefaultIceServers", classmethod(lambda cls: []))
        return asyncio.run(_make_offers())


@pytest.fixture
def offer(offers: tuple[str, str]) -> str:
    return offers[0]


def send(client: httpx.Client, sdp: str, **options: Any) -> httpx.Response:
    return client.post("/v1/webrtc/offer", json={"sdp": sdp, "type": "offer", **options})


def open_sessions(client: httpx.Client) -> float:
    lines = client.get("/metrics").text.splitlines()
    return sum(
        float(line.split()[-1]) for line in lines if line.startswith("sightline_sessions{path=")
    )


def test_one_video_is_taken_and_the_rest_left(client: httpx.Client, offer: str) -> None:
    answered = send(client, offer).json()
    sections = answered["sdp"].split("m=")[1:]
    assert [each.split()[0] for each in sections] == ["audio", "video", "video", "application"]
    taken = ["inactive" if "a=inactive" in each else "recvonly" for each in sections[:3]]
    assert taken == ["inactive", "recvonly", "inactive"]
    assert "a=candidate" in answered["sdp"]
    assert client.delete(f"/v1/webrtc/{answered['session']}").status_code == 204


def test_attributes_of_the_whole_session(client: httpx.Client, offers: tuple[str, str]) -> None:
    """Publishers such as OBS say once, above the media, what holds for all of it."""
    head, section = offers[1].split("m=video", 1)
    shared = ("a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup")
    lines = section.splitlines()
    moved = [line for line in lines if line.startswith(shared)]
    kept = [line for line in lines if not line.startswith(shared)]
    sdp = head + "\r\n".join([*moved, "m=video" + kept[0], *kept[1:]]) + "\r\n"
    answered = client.post("/v1/whip", content=sdp.encode(), headers=SDP)
    assert answered.status_code == 201, answered.text
    assert client.delete(answered.headers["location"]).status_code == 200


def test_what_is_left_of_candidates(offer: str) -> None:
    lines = [
        "a=candidate:1 1 UDP 2122262783 0a1b2c3d-0000-4000-8000-aabbccddeeff.local 54321 typ host",
        "a=candidate:2 1 TCP 1518214911 192.0.2.9 9 typ host tcptype active",
        "a=candidate:3 1 udp 2122262783 224.0.0.251 5353 typ host",
        "a=candidate:4 1 udp 2122262783 192.0.2.9 0 typ host",
        "a=candidate:5 1 udp 2122262783 192.0.2.9 99999 typ host",
        "a=candidate:6 2 udp 2122262783 192.0.2.9 1234 typ host",
        "a=candidate:7 1 udp 2122262783 localhost 1234 typ host",
        "a=candidate:8 1 udp",
        "a=candidate:",
        "a=end-of-candidates",
    ]
    good = "a=candidate:9 1 udp 2122262783 192.0.2.9 1234 typ host"
    left = read_offer(offer + "\r\n".join([*lines, good]) + "\r\n").sdp
    assert good in left
    assert not any(line in left.splitlines() for line in lines)
    many = "".join(good.replace("1234", str(port)) + "\r\n" for port in range(2000, 2100))
    kept = [line for line in read_offer(offer + many).sdp.splitlines() if "192.0.2.9" in line]
    assert 0 < len(kept) <= 32


def without(start: str) -> Callable[[str], str]:
    return lambda sdp: (
        "\r\n".join(line for line in sdp.splitlines() if not line.startswith(start)) + "\r\n"
    )


def replaced(old: str, new: str) -> Callable[[str], str]:
    def change(sdp: str) -> str:
        assert old in sdp
        return sdp.replace(old, new)

    return change


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (lambda sdp: "", "malformed-request", "no SDP"),
        (lambda sdp: "hello", "malformed-request", "no SDP"),
        (lambda sdp: "v=0\r\n", "invalid-request", "media sections"),
        (lambda sdp: sdp + "m=broken\r\n", "malformed-request", "parsed"),
        (lambda sdp: sdp + "a=fmtp:111 x=y\r\n", "malformed-request", "parsed"),
        (lambda sdp: sdp + "a=setup:sideways\r\n", "malformed-request", "parsed"),
        (lambda sdp: sdp + "a=x\r\n" * 1000, "body-too-large", "lines"),
        (lambda sdp: sdp + "a=" + "x" * MAX_SDP_BYTES, "body-too-large", "bytes"),
        (lambda sdp: sdp + "a=rtpmap:96 VP8/90000\r\n" * 129, "invalid-request", "formats"),
        (lambda sdp: sdp + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" * 8, "invalid-request", "sections"),
        (without("a=ice-ufrag"), "invalid-request", "ice-ufrag"),
        (without("a=fingerprint"), "invalid-request", "a=fingerprint"),
        (without("a=setup"), "invalid-request", "a=setup"),
        (without("a=mid"), "invalid-request", "a=mid"),
        (without("a=group"), "invalid-request", "BUNDLE"),
        (without("a=rtcp-mux"), "invalid-request", "a=rtcp-mux"),
        (without("a=sctp-port"), "invalid-request", "a=sctp-port"),
        (without("a=send"), "invalid-request", "a=sendonly"),
        (replaced("BUNDLE 0 1 2 3", "BUNDLE 1 0 2 3"), "invalid-request", "BUNDLE"),
        (replaced("BUNDLE 0 1 2 3", "BUNDLE 0 0 1 2 3"), "invalid-request", "BUNDLE"),
        (replaced("max-message-size:262144", "max-message-size:9"), "invalid-request", "size"),
        (replaced("m=application", "m=carrier-pigeon"), "unsupported-media", "only video"),
        (replaced("a=sendrecv", "a=recvonly"), None, ""),  # the second video is sent
        (
            lambda sdp: sdp.replace("a=sendrecv", "a=recvonly").replace("a=sendonly", "a=inactive"),
            "invalid-request",
            "sends no video",
        ),
        (
            lambda sdp: sdp.replace("VP8/90000", "VP9/90000").replace("H264/90000", "AV1/90000"),
            "unsupported-media",
            "VP8",
        ),
    ],
)
def test_what_is_wrong_is_told(
    client: httpx.Client,
    check_problem: CheckProblem,
    offer: str,
    change: Callable[[str], str],
    code: str | None,
    says: str,
) -> None:
    before = open_sessions(client)
    response = send(client, change(offer))
    if code is None:
        assert response.status_code == 200
        client.delete(f"/v1/webrtc/{response.json()['session']}")
    else:
        assert says in check_problem(response, code)["detail"]
        assert open_sessions(client) == before


def test_an_offer_without_data_is_sent_to_whip(
    client: httpx.Client, check_problem: CheckProblem, offers: tuple[str, str]
) -> None:
    told = check_problem(send(client, offers[1]), "invalid-request")
    assert "/v1/whip" in told["detail"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed-request"),
        (b"\xff", "malformed-request"),
        (b"[" * 100_000, "malformed-request"),
        (b"[]", "invalid-request"),
        (b'{"type": "offer"}', "invalid-request"),
        (b'{"type": "offer", "sdp": 1}', "invalid-request"),
        (b'{"type": "answer", "sdp": "v=0"}', "invalid-request"),
        (b'{"type": "offer", "sdp": "v=0", "threshold": 2}', "invalid-request"),
        (b'{"type": "offer", "sdp": "v=0", "labels": [1]}', "invalid-request"),
        (b'{"type": "offer", "sdp": "\\ud800"}', "malformed-request"),
        (json.dumps({"sdp": "v=0\n" * 50_000}).encode(), "body-too-large"),
    ],
)
def test_bodies_that_are_no_offer(
    client: httpx.Client, check_problem: CheckProblem, body: bytes, code: str
) -> None:
    headers = {"Content-Type": "application/json"}
    check_problem(client.post("/v1/webrtc/offer", content=body, headers=headers), code)


def test_an_offer_is_json(client: httpx.Client, check_problem: CheckProblem, offer: str) -> None:
    sent = client.post("/v1/webrtc/offer", content=offer.encode(), headers=SDP)
    check_problem(sent, "unsupported-media")


def test_models_and_labels_that_are_not_there(
    client: httpx.Client, check_problem: CheckProblem, offer: str
) -> None:
    before = open_sessions(client)
    check_problem(send(client, offer, model="another"), "not-found")
    check_problem(send(client, offer, labels="unicorn"), "invalid-request")
    assert open_sessions(client) == before


def test_without_the_extra(
    start: Start, check_problem: CheckProblem, offer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start() as client:
        monkeypatch.setitem(sys.modules, "aiortc", None)
        for refused in (
            send(client, offer),
            client.post("/v1/whip", content=offer.encode(), headers=SDP),
        ):
            detail = check_problem(refused, "not-available")["detail"]
            assert "pip install 'sightline[webrtc]'" in detail


def mutate(sdp: str, seed: int) -> str:
    """A real offer with a few lines lost, doubled, moved, cut or overwritten."""
    draw = random.Random(seed)
    lines = sdp.splitlines()
    for _ in range(draw.randint(1, 6)):
        at = draw.randrange(len(lines))
        kind = draw.randrange(6)
        if kind == 0 and len(lines) > 1:
            del lines[at]
        elif kind == 1:
            lines.insert(draw.randrange(len(lines)), lines[at])
        elif kind == 2:
            lines[at] = lines[at][: draw.randrange(len(lines[at]) + 1)]
        elif kind == 3:
            spot = draw.randrange(len(lines[at]) + 1)
            junk = "".join(draw.choice(":= 0-9/;,ab\x00é\u2028") for _ in range(draw.randint(1, 4)))
            lines[at] = lines[at][:spot] + junk + lines[at][spot:]
        elif kind == 4:
            other = draw.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        else:
            digits = [i for i, sign in enumerate(lines[at]) if sign.isdigit()]
            for spot in digits[:3]:
                new = draw.choice(["", "9", "-1", "99999999999"])
                lines[at] = lines[at][:spot] + new + lines[at][spot + 1 :]
    return "\r\n".join(lines) + "\r\n"


@given(seed=st.integers(0, 2**32))
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_damaged_offers(
    client: httpx.Client, check_problem: CheckProblem, offers: tuple[str, str], seed: int
) -> None:
    """Each is answered or refused, with an answer that a peer can read; nothing stays open."""
    before = open_sessions(client)
    sdp = mutate(offers[seed % 2], seed)
    if seed % 2:
        response = client.post("/v1/whip", content=sdp.encode(), headers=SDP)
        path = response.headers.get("location", "")
    else:
        response = send(client, sdp)
        path = f"/v1/webrtc/{response.json().get('session')}"
    if response.is_success:
        text = response.text if seed % 2 else response.json()["sdp"]
        assert RTCSessionDescription(text, "answer").sdp.startswith("v=0")
        assert client.delete(path).is_success
    else:
        check_problem(response, response.json()["code"])
        assert 400 <= response.status_code < 500, (response.text, sdp)
    assert open_sessions(client) == before


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda data: data.decode("latin-1")))
@settings(max_examples=200, deadline=None)
def test_any_text(text: str) -> None:
    for sdp in (text, "v=0\r\n" + text, "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n" + text):
        with pytest.raises(RequestRefused):
            read_offer(sdp)
