"""Middleware that bounds request bodies in size and time, and refuses in a way that arrives.

A server that answers and hangs up while the client still sends makes the client's system throw
the answer away (RFC 9112, 9.6). So an early answer is followed by a short while of reading on.
"""

from __future__ import annotations

import asyncio
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightline.server.errors import RequestRefused

_LINGER_S = 2.0
_PIECE_BYTES = 2**16


class BodyLimit:
    """Raises RequestRefused from `receive` once a body exceeds `max_bytes` (body-too-large) or has
    not come within `max_s` seconds (request-timeout).

    Large answers leave in pieces, so that no more of one is held than its reader takes.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, max_s: float) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.max_s = max_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(receive, Headers(scope=scope), self.max_bytes, self.max_s)

        async def send_and_linger(message: Message) -> None:
            if message["type"] == "http.response.start" and not body.is_done:
                MutableHeaders(scope=message)["Connection"] = "close"
            if len(message.get("body", b"")) > _PIECE_BYTES:
                message = await _send_pieces(send, message)
            is_last = message["type"] == "http.response.body" and not message.get("more_body")
            if not is_last or body.is_done:
                await send(message)
                return
            await send({**message, "more_body": True})
            await body.drain()
            await send({"type": "http.response.body"})

        await self.app(scope, body.receive, send_and_linger)


async def _send_pieces(send: Send, message: Message) -> Message:
    """Send all but the last piece of a body; gives the message of the last."""
    rest = memoryview(message["body"])
    while len(rest) > _PIECE_BYTES:
        await send({**message, "body": rest[:_PIECE_BYTES], "more_body": True})
        rest = rest[_PIECE_BYTES:]
    return {**message, "body": rest}


class _Body:
    """One request's body: counts what has come."""

    def __init__(self, receive: Receive, headers: Headers, max_bytes: int, max_s: float) -> None:
        announced = headers.get("content-length", "0")
        self._receive = receive
        self._max_bytes = max_bytes
        self._announced = int(announced) if announced.isdecimal() else 0
        self._received = 0
        self._end = time.monotonic() + max_s
        self.is_done = self._announced == 0 and "transfer-encoding" not in headers

    async def receive(self) -> Message:
        """The next part. Raises RequestRefused when the body is, or says it will be, too large."""
        if self._announced > self._max_bytes:
            raise self._refusal()
        try:
            message = await self._next_in_time()
        except TimeoutError:
            raise RequestRefused("request-timeout", "The request's body took too long.") from None
        if self._received > self._max_bytes:
            raise self._refusal()
        return message

    async def _next_in_time(self) -> Message:
        if self.is_done:  # what comes now is the end of the connection, whenever that may be
            return await self._next()
        async with asyncio.timeout(self._end - time.monotonic()):
            return await self._next()

    async def drain(self) -> None:
        """Throw away what still comes, for a short while."""
        end = time.monotonic() + _LINGER_S
        while not self.is_done and (left := end - time.monotonic()) > 0:
            try:
                await asyncio.wait_for(self._next(), left)
            except TimeoutError:
                return

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] != "http.request":
            self.is_done = True
            return message
        self._received += len(message.get("body", b""))
        self.is_done = self.is_done or not message.get("more_body", False)
        return message

    def _refusal(self) -> RequestRefused:
        return RequestRefused(
            "body-too-large",
            f"The request body is larger than the {self._max_bytes / 2**20:g} MiB taken here.",
        )
