"""WHIP with real publishers: aiortc, and FFmpeg's own muxer as it comes with PyAV."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiortc import RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.server.conftest import PLAN, CheckProblem, Start
from tests.server.rtc_network import address_for_ice
from tests.server.rtc_peer import DrawnTrack, Message, offering

from sightline.server import peers
from sightline.server.served import ModelStore

SDP = {"Content-Type": "application/sdp"}


@pytest.fixture(scope="module", autouse=True)
def ice_address() -> Iterator[None]:
    with address_for_ice():
        yield


@pytest.fixture
def quarters(tiny_bundle: Path) -> ModelStore:
    """A model that finds the white quarter of a picture."""
    return ModelStore.load([tiny_bundle], PLAN)


def names(client: httpx.Client) -> list[str]:
    return [each["name"] for each in client.get("/v1/streams").json()["streams"]]


def settled(read: Callable[[], Any], expected: Any) -> Any:
    """What `read` gives, once it is what is expected or for half a minute."""
    end = time.monotonic() + 30
    while (value := read()) != expected and time.monotonic() < end:
        time.sleep(0.05)
    return value


def listen(client: httpx.Client, name: str, count: int) -> list[Message]:
    """So many results of a stream, by its events."""
    results: list[Message] = []
    with client.stream("GET", f"/v1/streams/{name}/events", timeout=30) as events:
        for line in events.iter_lines():
            if line.startswith("data: "):
                message = json.loads(line.removeprefix("data: "))
                results += [message] if message["type"] == "detections" else []
            if len(results) == count:
                break
    return results


async def publish(
    client: httpx.Client, connection: RTCPeerConnection, query: str = ""
) -> httpx.Response:
    """Publish what the connection offers; gives the server's response."""
    response = await asyncio.to_thread(
        client.post,
        f"/v1/whip{query}",
        content=connection.localDescription.sdp.encode(),
        headers=SDP,
    )
    assert response.status_code == 201, response.text
    await connection.setRemoteDescription(RTCSessionDescription(response.text, "answer"))
    return response


@pytest.mark.parametrize("codec", ["VP8", "H264"])
def test_a_publisher_and_its_listeners(start: Start, quarters: ModelStore, codec: str) -> None:
    track = DrawnTrack()

    async def run(client: httpx.Client) -> list[Message]:
        async with offering(None, data=False) as (connection, _):
            connection.addTrack(track)
            (transceiver,) = connection.getTransceivers()
            transceiver.direction = "sendonly"
            every = RTCRtpSender.getCapabilities("video").codecs
            transceiver.setCodecPreferences([each for each in every if each.name == codec])
            await connection.setLocalDescription(await connection.createOffer())
            response = await publish(client, connection, "?name=door&threshold=0.6")
            assert response.headers["content-type"].startswith("application/sdp")
            assert response.headers["etag"].startswith('"')
            assert "link" not in response.headers
            assert names(client) == ["door"]
            results = await asyncio.to_thread(listen, client, "door", 20)
            location = response.headers["location"]
            assert client.delete(location.replace("whip", "webrtc")).status_code == 404
            assert client.delete(location).status_code == 200
            assert client.delete(location).status_code == 404
            assert settled(lambda: names(client), []) == []
            return results

    with start(store=quarters) as client:
        results = asyncio.run(run(client))
    assert all(each["threshold"] == 0.6 and len(each["detections"]) == 1 for each in results)
    assert all("age_ms" in each and each["pts"] >= 0 for each in results)


def test_nothing_is_detected_while_nobody_listens(start: Start, quarters: ModelStore) -> None:
    def looked_at(client: httpx.Client) -> float:
        lines = client.get("/metrics").text.splitlines()
        counts = [line for line in lines if line.startswith("sightline_images_total{")]
        return sum(float(line.split()[-1]) for line in counts)

    async def run(client: httpx.Client) -> None:
        async with offering(DrawnTrack(), data=False) as (connection, _):
            await publish(client, connection, "?name=door")
            await asyncio.to_thread(listen, client, "door", 3)  # frames do arrive
            await asyncio.sleep(0.3)
            before = looked_at(client)
            await asyncio.sleep(0.7)
            assert looked_at(client) == before > 0

    with start(store=quarters) as client:
        asyncio.run(run(client))


def test_a_name_is_taken_once(
    start: Start,
    quarters: ModelStore,
    check_problem: CheckProblem,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until its publisher has gone, by itself or by falling silent."""
    monkeypatch.setattr(peers, "CONNECT_S", 2.0)

    async def run(client: httpx.Client) -> None:
        async with offering(DrawnTrack(), data=False) as (connection, _):
            offer = connection.localDescription.sdp.encode()
            assert client.post("/v1/whip?name=door", content=offer, headers=SDP).status_code == 201
            again = client.post("/v1/whip?name=door", content=offer, headers=SDP)
            check_problem(again, "conflict")
            made_up = [client.post("/v1/whip", content=offer, headers=SDP) for _ in range(2)]
            assert [each.status_code for each in made_up] == [201, 201]
            assert len(set(names(client))) == 3
            assert settled(lambda: names(client), []) == []
            assert client.post("/v1/whip?name=door", content=offer, headers=SDP).status_code == 201

    with start(store=quarters) as client:
        asyncio.run(run(client))


def make_certificate(folder: Path, curve: ec.EllipticCurve) -> tuple[str, str]:
    """Files of a certificate and its key. RFC 8827 (6.5) asks for P-256.

    FFmpeg 8 with GnuTLS makes up one on P-224, which OpenSSL 4 refuses.
    """
    key = ec.generate_private_key(curve)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "publisher")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    return str(files[0]), str(files[1])


# In a process of its own: PyAV holds Python's lock while FFmpeg talks with the server.
_FFMPEG = """
import sys, time
from fractions import Fraction
import av
from tests.server.rtc_peer import draw_quarter

url, certificate, key = sys.argv[1:]
options = {"cert_file": certificate, "key_file": key}
with av.open(url, "w", format="whip", options=options) as output:
    stream = output.add_stream("libx264", rate=30)
    stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
    stream.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"}
    stream.gop_size = 30
    for number in range(150):
        frame = av.VideoFrame.from_ndarray(draw_quarter(number), format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 30)
        output.mux(stream.encode(frame))
        time.sleep(1 / 30)
"""


def test_ffmpeg_publishes(start: Start, quarters: ModelStore, tmp_path: Path) -> None:
    files = make_certificate(tmp_path, ec.SECP256R1())
    with start(store=quarters) as client:
        url = f"{str(client.base_url).rstrip('/')}/v1/whip?name=ffmpeg"
        with subprocess.Popen(
            [sys.executable, "-c", _FFMPEG, url, *files], stderr=subprocess.PIPE, text=True
        ) as ffmpeg:
            try:
                found = settled(lambda: ffmpeg.poll() is not None or names(client), ["ffmpeg"])
                assert found == ["ffmpeg"]
                results = listen(client, "ffmpeg", 15)
                _, errors = ffmpeg.communicate(timeout=60)
            finally:
                ffmpeg.kill()
        assert ffmpeg.returncode == 0, errors
        assert settled(lambda: names(client), []) == []  # FFmpeg ends with a DELETE
    assert all(len(each["detections"]) == 1 for each in results)


def test_a_certificate_that_is_refused_is_written_to_the_log(
    start: Start, quarters: ModelStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = make_certificate(tmp_path, ec.SECP224R1())
    with start(store=quarters) as client:
        url = f"{str(client.base_url).rstrip('/')}/v1/whip?name=ffmpeg"
        command = [sys.executable, "-c", _FFMPEG, url, *files]
        failed = subprocess.run(command, stderr=subprocess.PIPE, timeout=60)
        assert failed.returncode != 0
        assert settled(lambda: names(client), []) == []
    told = [record for record in caplog.records if "DTLS" in record.getMessage()]
    assert [record.levelname for record in told] == ["WARNING"]
    assert "-cert_file" in told[0].getMessage()


def test_servers_are_told_to_publishers(start: Start, quarters: ModelStore) -> None:
    # Nobody answers at TEST-NET-1; TCP, since gathering then fails at once and not in seconds.
    with start(store=quarters, ice_server=("turn:me:secret@127.0.0.1:9?transport=tcp",)) as client:
        options = client.options("/v1/whip")
        assert options.status_code == 204
        assert options.headers["accept-post"] == "application/sdp"
        link = '<turn:127.0.0.1:9?transport=tcp>; rel="ice-server"; username="me"; '
        assert options.headers["link"].startswith(link)

        async def run() -> httpx.Response:
            async with offering(DrawnTrack(), data=False) as (connection, _):
                return await publish(client, connection)

        assert asyncio.run(run()).headers["link"].startswith(link)


def test_other_origins_see_where_the_session_is(start: Start, quarters: ModelStore) -> None:
    origin = {"Origin": "https://studio.example"}
    with start(store=quarters, cors_origin="https://studio.example") as client:
        asks = {"Access-Control-Request-Method": "DELETE", **origin}
        asked = client.options("/v1/whip/some-session", headers=asks)
        assert asked.status_code == 200
        assert "DELETE" in asked.headers["access-control-allow-methods"]

        async def run() -> httpx.Response:
            async with offering(DrawnTrack(), data=False) as (connection, _):
                offer = connection.localDescription.sdp.encode()
                return client.post("/v1/whip", content=offer, headers=SDP | origin)

        answered = asyncio.run(run())
        assert "Location" in answered.headers["access-control-expose-headers"]


def test_publishers_show_the_token(
    start: Start, quarters: ModelStore, check_problem: CheckProblem
) -> None:
    with start(store=quarters, token="correct-horse") as client:
        check_problem(client.post("/v1/whip", content=b"v=0", headers=SDP), "token-required")
        bearer = SDP | {"Authorization": "Bearer correct-horse"}
        check_problem(client.post("/v1/whip", content=b"v=0", headers=bearer), "invalid-request")


def test_what_whip_does_not_have(client: httpx.Client, check_problem: CheckProblem) -> None:
    patched = client.patch("/v1/whip/some-session", content=b"a=candidate:...")
    check_problem(patched, "method-not-allowed")
    assert patched.headers["allow"] == "DELETE"
    check_problem(client.delete("/v1/whip/some-session"), "not-found")
    for method in ("GET", "PUT"):  # RFC 9725, 4.2: kept for later use
        check_problem(client.request(method, "/v1/whip"), "method-not-allowed")
    wrong = client.post("/v1/whip", json={"sdp": "v=0"})
    check_problem(wrong, "unsupported-media")
    for name in ("", ".hidden", "a/b", "x" * 65, "ü"):
        refused = client.post("/v1/whip", params={"name": name}, content=b"v=0", headers=SDP)
        assert "name:" in check_problem(refused, "invalid-request")["detail"]
    refused = client.post("/v1/whip?threshold=2", content=b"v=0", headers=SDP)
    assert "threshold:" in check_problem(refused, "invalid-request")["detail"]
