"""The doctor on real servers, and with one thing at a time wrong on the way to them."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sightline.errors import UsageError
from sightline.workflow.doctor import target as target_module
from sightline.workflow.doctor import webrtc_legs
from sightline.workflow.doctor.examine import examine_server
from sightline.workflow.doctor.leg import Leg
from sightline.workflow.doctor.target import Target

TOKEN = "doctor-test-token"
WEBRTC = ["offer", "ICE", "DTLS", "media"]
Rewrite = Callable[[str], str]


@contextmanager
def serving(*arguments: str) -> Iterator[str]:
    """`sightline serve` with these arguments; gives the address that it prints first."""
    command = [sys.executable, "-m", "sightline.cli.main", "serve", *arguments, "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        try:
            url = process.stdout.readline().strip()
            assert url, "the server did not start"
            yield url
        finally:
            watchdog.cancel()
            process.terminate()


@pytest.fixture(scope="module")
def server(atto_bundle: Path) -> Iterator[str]:
    with serving(str(atto_bundle)) as url:
        yield url


@pytest.fixture(scope="module")
def guarded(atto_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The https address of a server for every network, with a token and its own certificate."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTLINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        arguments = ("--https", "--host", "0.0.0.0", "--token", TOKEN)
        with serving(str(atto_bundle), *arguments) as url:
            yield url


@pytest.fixture(scope="module")
def address() -> str:
    """An IPv4 address of this machine that is not loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no network: ICE has no address to offer")
        return str(probe.getsockname()[0])


@pytest.fixture
def no_aiortc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiortc", None)  # what find_spec takes for not installed


def examine(url: str, **given: str | None) -> dict[str, Leg]:
    legs: list[Leg] = []
    examine_server(url, legs.append, **given)
    return {leg.name: leg for leg in legs}


def states(legs: dict[str, Leg]) -> dict[str, str]:
    return {name: leg.state for name, leg in legs.items()}


def assert_ends_at(legs: dict[str, Leg], name: str) -> Leg:
    """Everything before this leg was well, it failed with advice, and nothing was tried after."""
    names = list(legs)
    at = names.index(name)
    assert set(states(legs).values()) == {"ok", "failed", "skipped"}, legs
    assert [legs[each].state for each in names[at:]] == ["failed"] + ["skipped"] * (
        len(names) - at - 1
    ), legs
    assert legs[name].todo
    return legs[name]


def test_every_leg_of_a_server_that_works(server: str, address: str) -> None:
    legs = examine(server)
    names = ["address", "HTTP", "ready", "access", "detection", "WebSocket", *WEBRTC]
    assert states(legs) == dict.fromkeys(names, "ok"), legs
    assert "deimv2-atto" in legs["access"].seen
    for name in ("detection", "WebSocket", "media"):
        assert "stop sign" in legs[name].seen  # it looked at the picture
        assert re.search(r"\d ms", legs[name].seen)
    assert re.search(r"\S+:\d+ to \S+:\d+ over UDP", legs["ICE"].seen)


def test_without_aiortc_webrtc_is_skipped(server: str, no_aiortc: None) -> None:
    legs = examine(server)
    assert legs["WebSocket"].state == "ok"
    assert [legs[name].state for name in WEBRTC] == ["skipped"] * 4
    assert "pip install 'sightline[webrtc]'" in legs["offer"].todo


def test_token_wrong_or_none(guarded: str, no_aiortc: None) -> None:
    bare = guarded.partition("?")[0]
    for given, said in (("not-the-token", "wrong"), (None, "asked for")):
        failed = assert_ends_at(examine(bare, token=given), "access")
        assert said in failed.seen and "--token" in failed.todo
    for url, given in ((bare, TOKEN), (guarded, None)):
        legs = examine(url, token=given)
        assert legs["access"].state == legs["WebSocket"].state == "ok", legs
        assert TOKEN not in str(legs)


def test_own_certificate_is_taken_on_loopback_alone(
    guarded: str, address: str, no_aiortc: None
) -> None:
    legs = examine(guarded)
    assert "failed" not in states(legs).values()
    assert "a browser will warn" in legs["certificate"].seen
    elsewhere = guarded.replace("localhost", address)
    failed = assert_ends_at(examine(elsewhere), "certificate")
    shown = re.search(r"--fingerprint ((?:[0-9A-F]{2}:){31}[0-9A-F]{2})$", failed.todo)
    assert shown is not None, failed
    legs = examine(elsewhere, fingerprint=shown[1].lower())
    assert legs["certificate"].state == legs["WebSocket"].state == "ok", legs
    other = shown[1][:-2] + ("00" if shown[1][-2:] != "00" else "01")
    for url in (guarded, elsewhere):
        assert_ends_at(examine(url, fingerprint=other), "certificate")


def test_http_asked_of_https_and_the_other_way(server: str, guarded: str) -> None:
    failed = assert_ends_at(examine(guarded.replace("https:", "http:")), "HTTP")
    assert "https://" in failed.todo
    failed = assert_ends_at(examine(server.replace("http:", "https:")), "certificate")
    assert "http://" in failed.todo


def test_nothing_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        failed = assert_ends_at_address(f"http://127.0.0.1:{port}/")
    assert str(port) in failed.seen and "start the server" in failed.todo


def test_no_such_machine() -> None:
    failed = assert_ends_at_address("http://no-such-machine.invalid:8000/")
    assert "no-such-machine.invalid" in failed.seen


def assert_ends_at_address(url: str) -> Leg:
    legs = examine(url)
    first, *others = legs.values()
    assert first.name == "address" and first.state == "failed", legs
    assert {leg.state for leg in others} == {"skipped"}
    return first


def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_module, "TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        failed = assert_ends_at(examine(f"http://127.0.0.1:{silent.getsockname()[1]}"), "HTTP")
    assert "no answer within 0.3 s" in failed.seen


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://x", "http://", "http://[", "http://a:b"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(UsageError, match="such as http://"):
        Target(url)


# What stands between the doctor and a server, or in a server's place.


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        """Not on the terminal."""

    def answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def handling(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{proxy.server_port}/"
        finally:
            proxy.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "headers", "content", "seen", "todo"),
    [
        (200, {"Server": "other/1"}, b"<h1>hello</h1>", "not Sightline's", "port"),
        (404, {}, b"", "gives 404", "port"),
        (301, {"Location": "https://elsewhere/"}, b"", "leads elsewhere", "https://elsewhere/"),
        (502, {}, b"", "a proxy answers 502", "proxy"),
        (500, {}, b"", "fails: 500", "log"),
    ],
)
def test_what_is_not_our_server(
    status: int, headers: dict[str, str], content: bytes, seen: str, todo: str
) -> None:
    class Other(Handler):
        def do_GET(self) -> None:
            self.answer(status, headers, content)

    with handling(Other) as url:
        failed = assert_ends_at(examine(url), "HTTP")
    assert seen in failed.seen and todo in failed.todo


def test_a_server_without_webrtc_is_no_fault() -> None:
    class Plain(Handler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.answer(501 if "webrtc" in self.path else 200, {}, b'{"status": "ok"}')

        do_POST = do_GET

    with handling(Plain) as url:
        legs = examine(url)
    assert [legs[name].state for name in WEBRTC] == ["missing"] + ["skipped"] * 3, legs
    assert "pip install 'sightline[webrtc]'" in legs["offer"].todo


@contextmanager
def proxying(server: str, offer: Rewrite, answer: Rewrite) -> Iterator[str]:
    """A proxy that passes on no WebSocket and changes the SDP of offers and answers."""
    place = server.removeprefix("http://").rstrip("/")

    class Proxy(Handler):
        def do_GET(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length", 0)))
            is_offer = self.path == "/v1/webrtc/offer"
            connection = HTTPConnection(place, timeout=30)
            kept = {name: self.headers[name] for name in ("Content-Type",) if name in self.headers}
            connection.request(
                self.command, self.path, changed(content, offer) if is_offer else content, kept
            )
            got = connection.getresponse()
            content = got.read()
            connection.close()
            self.answer(got.status, {}, changed(content, answer) if is_offer else content)

        do_POST = do_DELETE = do_GET

    with handling(Proxy) as url:
        yield url


def changed(body: bytes, rewrite: Rewrite) -> bytes:
    value = json.loads(body)
    return json.dumps(value | {"sdp": rewrite(value["sdp"])}).encode()


def without_candidates(sdp: str) -> str:
    lines = [line for line in sdp.splitlines() if "candidate" not in line]
    return "\r\n".join(lines) + "\r\n"


def with_candidate(sdp: str, address: str, port: int) -> str:
    """The SDP with this one candidate in place of its own, in its first media section."""
    line = f"a=candidate:1 1 udp 2130706431 {address} {port} typ host\r\n"
    head, media, rest = without_candidates(sdp).partition("a=mid:")
    return head + line + media + rest


def test_a_proxy_that_eats_websockets_and_a_server_without_addresses(server: str) -> None:
    with proxying(server, lambda sdp: sdp, without_candidates) as url:
        legs = examine(url)
    assert legs["detection"].state == "ok", legs
    assert legs["WebSocket"].state == "failed"
    assert "in place of 101" in legs["WebSocket"].seen and "Upgrade" in legs["WebSocket"].todo
    assert legs["ICE"].state == "failed" and legs["media"].state == "skipped"
    assert "the server has no address" in legs["ICE"].seen


def test_no_udp_names_ice(server: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webrtc_legs, "ICE_S", 1.5)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((address, 0))
        port = silent.getsockname()[1]
        with proxying(
            server,
            lambda sdp: with_candidate(sdp, address, port),
            lambda sdp: with_candidate(sdp, address, port),
        ) as url:
            legs = examine(url)
    assert legs["offer"].state == "ok"
    failed = legs["ICE"]
    assert failed.state == "failed" and legs["DTLS"].state == legs["media"].state == "skipped"
    assert address in failed.seen and "firewall or VPN" in failed.todo


def test_a_server_that_offers_other_addresses_names_the_container(
    server: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webrtc_legs, "ICE_S", 0.5)
    monkeypatch.setattr(Target, "is_loopback", lambda self: False)  # as from another machine
    with proxying(
        server,
        lambda sdp: with_candidate(sdp, "198.51.100.7", 9),
        lambda sdp: with_candidate(sdp, address, 9),
    ) as url:
        failed = examine(url)["ICE"]
    assert failed.state == "failed" and "--network host" in failed.todo


class Relay(threading.Thread):
    """A UDP relay between doctor and server; packets of these first bytes do not pass.

    RFC 7983: STUN has 0 to 3, DTLS 20 to 63, RTP and RTCP 128 to 191.
    """

    def __init__(self, address: str, barred: range) -> None:
        super().__init__()
        self.barred = barred
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.server: tuple[str, int] | None = None
        self.dropped = 0

    def take(self, sdp: str) -> str:
        """The answer with the relay's address in place of the server's."""
        found = re.search(r"a=candidate:.* ([\d.]+) (\d+) typ host", sdp)
        assert found is not None, sdp
        self.server = (found[1], int(found[2]))
        return with_candidate(sdp, *self.socket.getsockname())

    def run(self) -> None:
        doctor = None
        while True:
            packet, sender = self.socket.recvfrom(2048)
            if not packet:
                return
            if sender != self.server:
                doctor = sender
            if packet[0] in self.barred:
                self.dropped += 1
            elif (receiver := doctor if sender == self.server else self.server) is not None:
                self.socket.sendto(packet, receiver)

    def stop(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.socket.getsockname())
        self.join()
        self.socket.close()


@contextmanager
def relaying(server: str, address: str, barred: range) -> Iterator[tuple[str, Relay]]:
    """A proxy to the server after which UDP has no way but the relay."""
    relay = Relay(address, barred)
    relay.start()
    try:
        with proxying(
            server, lambda sdp: with_candidate(sdp, "198.51.100.7", 9), relay.take
        ) as url:
            yield url, relay
    finally:
        relay.stop()


def test_dropped_handshakes_name_dtls(
    server: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webrtc_legs, "DTLS_S", 1.5)
    with relaying(server, address, range(20, 64)) as (url, relay):
        legs = examine(url)
    assert legs["ICE"].state == "ok", legs
    assert legs["DTLS"].state == "failed" and legs["media"].state == "skipped"
    assert relay.dropped and "MTU" in legs["DTLS"].todo


def test_dropped_video_names_media(
    server: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webrtc_legs, "MEDIA_S", 1.5)
    with relaying(server, address, range(128, 192)) as (url, relay):
        legs = examine(url)
    assert legs["DTLS"].state == "ok", legs
    assert legs["media"].state == "failed" and relay.dropped
    assert "no result" in legs["media"].seen
