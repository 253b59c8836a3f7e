"""Slow, silent, greedy and malformed clients: each is answered or cut, and others go on."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.server.rate import Rates, make_rates

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPGRADE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def dial(client: httpx.Client) -> socket.socket:
    return socket.create_connection(("127.0.0.1", client.base_url.port or 80), timeout=20)


def read_all(raw: socket.socket) -> bytes:
    """What comes until the server hangs up."""
    answer = b""
    try:
        while block := raw.recv(65536):
            answer += block
    except ConnectionResetError:
        pass
    return answer


def check_raw(answer: bytes, code: str, check_problem: Any) -> httpx.Response:
    """A whole answer in the error shape, after which the connection closed."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    response = httpx.Response(int(first.split()[1]), headers=headers, content=body)
    check_problem(response, code)
    assert response.headers["connection"] == "close"
    assert int(response.headers["content-length"]) == len(body)
    return response


def test_headers_that_never_end(start: Any, check_problem: Any) -> None:
    with start(header_timeout=0.8) as client, dial(client) as raw:
        raw.sendall(GET[:-2] + b"X-Slow: ")
        check_raw(read_all(raw), "request-timeout", check_problem)
        metrics = client.get("/metrics").text
        assert 'sightline_refused_total{code="request-timeout"} 1.0' in metrics


def test_headers_that_never_end_on_a_connection_in_use(start: Any, check_problem: Any) -> None:
    with start(header_timeout=0.8) as client, dial(client) as raw:
        raw.sendall(GET)
        assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")
        raw.sendall(GET[:-2])
        check_raw(read_all(raw), "request-timeout", check_problem)


def test_silence_is_hung_up_on(start: Any) -> None:
    """Also an empty line now and then, which is no request (RFC 9112, 2.2)."""
    with start(header_timeout=0.8) as client:
        with dial(client) as raw:
            assert read_all(raw) == b""
        with dial(client) as raw:
            raw.sendall(GET)
            assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")
            raw.sendall(b"\r\n")
            assert read_all(raw) == b""


def test_an_idle_connection_may_be_used_again(start: Any) -> None:
    with start(header_timeout=0.8) as client, dial(client) as raw:
        for _ in range(2):
            raw.sendall(GET)
            assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")
            with pytest.raises(TimeoutError):  # the time for headers has not begun
                raw.settimeout(1.2)
                raw.recv(1)


def test_a_body_that_never_ends(start: Any, check_problem: Any) -> None:
    head = b"POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
    with start(body_timeout=0.3) as client:
        for body in (
            b"Content-Length: 99\r\n\r\nabc",
            b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc",
        ):
            with dial(client) as raw:
                raw.sendall(head + body)
                check_raw(read_all(raw), "request-timeout", check_problem)


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + bytes(1_000_000).replace(b"\0", b"x"),
        b"GET /" + b"x" * 1_000_000,
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"a: b\r\n" * 101 + b"\r\n",
    ],
    ids=["one header", "address", "many headers"],
)
def test_large_headers(start: Any, check_problem: Any, head: bytes) -> None:
    with start() as client, dial(client) as raw:
        try:
            raw.sendall(head)
        except (BrokenPipeError, ConnectionResetError):
            return  # hung up on while it was sent
        answer = read_all(raw)
        if answer:  # what comes after the answer may have made the system throw it away
            check_raw(answer, "malformed-request", check_problem)
        assert client.get("/healthz").status_code == 200


def test_endless_trailers(start: Any) -> None:
    head = b"POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with start() as client, dial(client) as raw:
        raw.sendall(head + b"1\r\nx\r\n0\r\n")
        with pytest.raises(ConnectionError):
            for _ in range(10_000):
                raw.sendall(b"a: " + b"b" * 10_000 + b"\r\n")


@pytest.mark.parametrize(
    "request_", [b"hello\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9.9\r\n\r\n"]
)
def test_what_is_no_http(start: Any, check_problem: Any, request_: bytes) -> None:
    with start() as client, dial(client) as raw:
        raw.sendall(request_)
        check_raw(read_all(raw), "malformed-request", check_problem)


def test_a_flood_of_requests_in_one_packet(start: Any) -> None:
    with start() as client, dial(client) as raw:
        raw.sendall(GET * 3)
        seen = b""
        while seen.count(b"HTTP/1.1 200 ") < 3:
            seen += raw.recv(65536)
        raw.sendall(GET * 1000)
        assert read_all(raw).count(b"HTTP/1.1 200 ") < 1000
        assert client.get("/healthz").status_code == 200


def test_more_connections_than_are_taken(start: Any, check_problem: Any) -> None:
    with start(max_connections=4) as client, ExitStack() as held:
        for _ in range(4):
            raw = held.enter_context(dial(client))
            raw.sendall(GET)
            raw.recv(65536)
        for request in (GET, UPGRADE):
            with dial(client) as excess:
                excess.sendall(request)
                answer = check_raw(read_all(excess), "busy", check_problem)
                assert int(answer.headers["retry-after"]) > 0
        held.close()
        assert client.get("/healthz").status_code == 200
        assert 'sightline_refused_total{code="busy"} 2.0' in client.get("/metrics").text


def test_far_more_connections_are_cut(start: Any) -> None:
    with start(max_connections=1) as client, ExitStack() as held:
        opened = [held.enter_context(dial(client)) for _ in range(100)]
        opened[-1].settimeout(20)
        assert read_all(opened[-1]) == b""
        held.close()
        assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("request_", [GET * 3, UPGRADE], ids=["HTTP", "WebSocket"])
def test_a_client_that_hangs_up_leaves_nothing(start: Any, request_: bytes) -> None:
    with start(max_connections=3) as client:
        for _ in range(30):
            with closing(dial(client)) as raw:
                raw.sendall(request_)
        wait_until(lambda: client.get("/healthz").status_code == 200)


def test_a_client_that_reads_nothing_is_cut(start: Any) -> None:
    """Neither its memory nor its place is held for ever."""
    asks = b"GET /models/deimv2-atto/model.onnx HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with start(body_timeout=0.5, max_connections=2) as client, dial(client) as deaf:
        deaf.sendall(asks * 30)
        with dial(client) as probe:  # the second place; once the first is free, a third is one too
            probe.sendall(GET)
            probe.recv(65536)
            wait_until(lambda: client.get("/healthz").status_code == 200)
        size = int(client.head("/models/deimv2-atto/model.onnx").headers["content-length"])
        assert len(read_all(deaf)) < 30 * size


def frame(opcode: int, payload: bytes = b"", *, is_last: bool = True) -> bytes:
    """A short frame from a client (RFC 6455, 5.2), masked with zeros."""
    head = bytes([opcode | (0x80 if is_last else 0), 0x80 | len(payload)])
    return head + bytes(4) + payload


def upgraded(client: httpx.Client) -> socket.socket:
    raw = dial(client)
    raw.sendall(UPGRADE)
    assert raw.recv(65536).startswith(b"HTTP/1.1 101 ")
    return raw


def test_pings_whose_pongs_are_not_read(start: Any) -> None:
    """Each is answered, so a server that read on would heap up answers."""
    pings, sent = frame(0x9, b"x" * 125) * 1000, 0
    with start(body_timeout=0.5, max_sessions=1) as client, upgraded(client) as raw:
        with pytest.raises(ConnectionError):
            while sent < 2**28:
                sent += raw.send(pings)
        assert client.get("/healthz").status_code == 200


def test_a_message_in_endless_parts(start: Any) -> None:
    with start() as client, upgraded(client) as raw:
        raw.sendall(frame(0x2, is_last=False) + frame(0x0, is_last=False) * 10_000)
        told = read_all(raw)
    assert b"body-too-large" in told
    assert b"\x03\xf1" in told.rpartition(b"\x88")[2], "closed with another code than 1009"


@pytest.mark.slow  # the server reads on for ten seconds, so that what it says arrives
def test_who_sends_on_after_being_told_is_cut(start: Any) -> None:
    with start() as client, upgraded(client) as raw:
        raw.sendall(frame(0x2, is_last=False))
        end = time.monotonic() + 60
        with pytest.raises(ConnectionError):
            while time.monotonic() < end:
                raw.sendall(frame(0x0, is_last=False) * 100)
                time.sleep(0.02)


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_slow_reader_gets_all(start: Any, atto: Any) -> None:
    """Longer than the patience for one piece, but on and on."""
    whole = atto.default.files["model.onnx"].content
    with start(body_timeout=0.5) as client, dial(client) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        raw.sendall(
            b"GET /models/deimv2-atto/model.onnx HTTP/1.1\r\nHost: localhost\r\n"
            b"Connection: close\r\n\r\n"
        )
        seen = bytearray()
        while block := raw.recv(100_000):
            seen += block
            time.sleep(0.05)
        assert bytes(seen).partition(b"\r\n\r\n")[2] == whole


def test_rate_of_one_address(start: Any, check_problem: Any) -> None:
    with start(rate=0.1) as client:
        answers = [client.get("/v1/models") for _ in range(21)]
        assert [each.status_code for each in answers] == [200] * 20 + [429]
        check_problem(answers[-1], "rate-limited")
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 10
        with dial(client) as raw:
            raw.sendall(UPGRADE)
            answer = read_all(raw)
            assert answer.startswith(b"HTTP/1.1 429 ")
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "rate-limited"


def test_rates_by_default() -> None:
    assert make_rates(None, is_local=True) is None
    beyond = make_rates(None, is_local=False)
    assert beyond is not None
    assert not any(
        beyond.wait_s(each, 0) for each in ("127.0.0.1", "::1", "::ffff:127.0.0.1") * 500
    )
    assert any(beyond.wait_s("192.168.1.7", 0) for _ in range(500))


@given(st.floats(0.1, 1000), st.lists(st.floats(0, 10), max_size=200))
def test_no_more_pass_than_burst_and_rate(rate: float, gaps: list[float]) -> None:
    rates, now, passed = Rates(rate, spares_loopback=False), 0.0, 0
    for gap in gaps:
        now += gap
        passed += rates.wait_s("a", now) == 0
    assert passed <= max(20, 2 * rate + 1) + rate * now + 1


@given(st.floats(0.1, 1000), st.integers(1, 300))
def test_after_the_wait_it_is_taken(rate: float, asked: int) -> None:
    rates = Rates(rate, spares_loopback=False)
    waits = [rates.wait_s("a", 5.0) for _ in range(asked)]
    if waits[-1]:
        assert rates.wait_s("a", 5.0 + waits[-1] + 1e-6) == 0


def test_who_shares_a_rate() -> None:
    rates = Rates(1, spares_loopback=False)
    while rates.wait_s("2001:db8:1:2::1", 0) == 0:
        pass
    assert rates.wait_s("2001:db8:1:2:ffff::9", 0) > 0  # the same home
    assert rates.wait_s("2001:db8:1:3::1", 0) == 0
    while rates.wait_s("192.0.2.7", 0) == 0:
        pass
    assert rates.wait_s("::ffff:192.0.2.7", 0) > 0
    assert rates.wait_s("192.0.2.8", 0) == 0


def addresses() -> Iterator[str]:
    for number in range(20_000):
        yield f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def test_memory_of_rates_is_bounded_and_keeps_who_owes_most() -> None:
    rates = Rates(1, spares_loopback=False)
    while rates.wait_s("192.0.2.7", 0) == 0:
        pass
    for address in addresses():
        rates.wait_s(address, 0)
    assert len(rates._due) <= 4096
    assert rates.wait_s("192.0.2.7", 0) > 0
