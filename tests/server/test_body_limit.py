"""Bodies are bounded while they stream, and refusals arrive."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from sightline.server.body_limit import BodyLimit
from sightline.server.errors import RequestRefused

MIB = 2**20


HEAD = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
TAIL = b"\r\n--x--\r\n"
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}


def endless(total: int) -> Iterator[bytes]:
    """The begin of a multipart upload, then zeros."""
    yield HEAD
    for _ in range(total // 65536):
        yield bytes(65536)


def test_body_that_announces_too_much(client: httpx.Client, check_problem: Any) -> None:
    response = client.post("/image", files={"image": bytes(33 * MIB)})
    check_problem(response, "body-too-large")
    assert "32 MiB" in response.json()["detail"]


def test_body_that_never_ends(start: Any, check_problem: Any) -> None:
    with start(max_body_mib=1) as client:
        begin = time.monotonic()
        response = client.post("/image", content=endless(10**10), headers=MULTIPART)
        check_problem(response, "body-too-large")
        assert time.monotonic() - begin < 20  # reading on ends after 2 s; 10 GB would take longer
        assert client.get("/healthz").status_code == 200


def test_body_at_the_limit_is_taken(start: Any, shared: Any) -> None:
    photo = (shared / "data" / "broken" / "01_ok.jpg").read_bytes()
    room = MIB - len(HEAD) - len(photo) - len(TAIL)
    with start(max_body_mib=1) as client:
        for extra, status in ((0, 200), (1, 413)):
            body = HEAD + photo + bytes(room + extra) + TAIL
            assert len(body) == MIB + extra
            assert client.post("/image", content=body, headers=MULTIPART).status_code == status


def test_announced_terabyte_is_refused_before_it_comes(client: httpx.Client) -> None:
    url = client.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=10) as raw:
        raw.sendall(
            b"POST /image HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000000\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        )
        answer = b""
        while block := raw.recv(65536):  # until the server hangs up
            answer += block
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ") and b"connection: close" in head.lower()
    assert json.loads(body)["code"] == "body-too-large"


def test_refusal_for_another_reason_arrives_too(start: Any, check_problem: Any) -> None:
    with start(token="correct-horse") as client:
        response = client.post("/image", content=endless(40 * MIB))
        check_problem(response, "token-required")


def test_bodies_within_the_limit_keep_the_connection(client: httpx.Client, shared: Any) -> None:
    photo = {"image": (shared / "data" / "broken" / "01_ok.jpg").read_bytes()}
    response = client.post("/image", files=photo)
    assert response.headers.get("connection", "keep-alive") != "close"


async def _feed(parts: list[bytes], limit: int, announce: bool) -> int | None:
    """Bytes an app could read through the limit; None when it was refused."""
    messages: list[Message] = [
        {"type": "http.request", "body": part, "more_body": True} for part in parts
    ]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    size = str(sum(map(len, parts))).encode()
    header = (b"content-length", size) if announce else (b"transfer-encoding", b"chunked")
    read = 0
    refused = False

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        raise AssertionError("nothing is sent here")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal read, refused
        try:
            while (message := await receive())["more_body"]:
                read += len(message["body"])
        except RequestRefused as error:
            assert error.code == "body-too-large"
            refused = True

    await BodyLimit(app, limit, 30)({"type": "http", "headers": [header]}, receive, send)
    assert read <= limit
    return None if refused else read


@settings(deadline=None)  # each example starts an event loop
@given(st.lists(st.binary(max_size=40), max_size=10), st.integers(0, 120), st.booleans())
def test_refused_exactly_when_larger_than_the_limit(
    parts: list[bytes], limit: int, announce: bool
) -> None:
    total = sum(map(len, parts))
    expected = total if total <= limit else None
    assert asyncio.run(_feed(parts, limit, announce)) == expected


@pytest.mark.parametrize("length", ["abc", "-1", "1_0", "٣"])
def test_lengths_that_are_no_numbers(client: httpx.Client, length: str) -> None:
    url = client.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=10) as raw:
        head = f"POST /image HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
        raw.sendall(head.encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 4")
