"""What happens on a connection below the application: uvicorn's protocols within our bounds.

- Headers come within a time and a size, or are answered with 408 or 400 in the error shape.
- More connections than are taken are told 503, and far more are cut.
- A peer that takes nothing of what it is sent is cut: it would hold memory for as long as it likes.
- A connection that is told to drain answers what comes for a moment longer before it closes, since
  a request may already be on its way.
"""

from __future__ import annotations

import asyncio
import json
from asyncio.transports import BaseTransport
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, cast

import httptools
import uvicorn
from uvicorn._types import ASGI3Application, ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import CloseCode, Frame, Opcode

from sightline.server.config import ServeConfig
from sightline.server.errors import problem, problem_response

_MAX_HEADERS = 100
_MAX_HEAD_BYTES = 2**16  # and as much again as one read brings
_MAX_FRAGMENTS = 1000  # of a WebSocket message
_MAX_PIPELINED = 32
_TOLD_IN_WORDS = 64  # connections above the limit that are still answered
_TICK_S = 5.0
_DRAIN_GRACE_S = 0.5
_KEEP_ALIVE_S = 75  # above the minute for which proxies and clients keep a connection to use again
_QUIET_S, _LINGER_S = 1.0, 10.0  # of a peer that was told why its WebSocket ends
_OVERFULL = "As many connections are open as this server takes."


class ConnectionConfig(uvicorn.Config):
    """uvicorn's settings, and of ours what its connections ask for: `serve`, and who counts."""

    def __init__(
        self, app: Any, serve: ServeConfig, count_refusal: Callable[[str], None], **settings: Any
    ) -> None:
        super().__init__(
            app,
            http=HttpConnection,
            ws=WebSocketConnection,
            ws_max_size=serve.max_body_mib * 2**20,
            ws_per_message_deflate=False,  # images do not shrink, and bombs would unfold
            timeout_keep_alive=_KEEP_ALIVE_S,
            **settings,
        )
        self.serve = serve
        self.count_refusal = count_refusal
        self.overfull = problem_response(
            "busy", _OVERFULL, {"Retry-After": "5", "Connection": "close"}
        )


class Watch:
    """Looks at a connection now and then: one timer each, whatever passes through it.

    deadline: in the loop's time, when `time_out` is to be called. stalled_since: from when on the
    peer has taken nothing.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        serve: ServeConfig,
        time_out: Callable[[], None] = lambda: None,
    ) -> None:
        self.deadline: float | None = None
        self.stalled_since: float | None = None
        self._closing_since: float | None = None
        self._loop = loop
        self._transport = transport
        self._patience_s = serve.body_timeout
        self._tick_s = min(_TICK_S, serve.body_timeout, serve.header_timeout)
        self._time_out = time_out
        self._timer = loop.call_later(self._tick_s, self._look)

    def cancel(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        if self._transport.is_closing() and self._closing_since is None:
            self._closing_since = now
        waits = [since for since in (self.stalled_since, self._closing_since) if since is not None]
        if waits and now - min(waits) >= self._patience_s:
            self._transport.abort()
            return
        delay = self._tick_s
        if self.deadline is not None and self._closing_since is None:
            if now >= self.deadline:
                self._time_out()
            else:
                delay = min(delay, self.deadline - now)
        self._timer = self._loop.call_later(delay, self._look)


class HttpConnection(HttpToolsProtocol):
    """An HTTP connection, until it becomes a WebSocket."""

    config: ConnectionConfig

    def __init__(
        self,
        config: ConnectionConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._watch: Watch | None = None
        self._header_timeout = config.serve.header_timeout
        self._running: RequestResponseCycle | None = None
        self._is_in_head = False
        self._is_draining = False
        self._unused_bytes = 0  # since the last that were a whole head or a part of a body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        excess = len(self.connections) - self.config.serve.max_connections
        if excess > _TOLD_IN_WORDS:
            transport.abort()
            return
        if excess > 0:
            self.config.count_refusal("busy")
            self.app = cast(Any, self.config.overfull)
        self._watch = Watch(self.loop, transport, self.config.serve, self._time_out)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)
        if self._running is not None:  # uvicorn tells the newest of several requests only
            self._running.disconnected = True
            self._running.message_event.set()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._is_idle() and self._watch is not None and self._watch.deadline is None:
            self._expect_head()
        self._unused_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
                return
        except httptools.HttpParserError:
            self._refuse("malformed-request", "This is no HTTP request that can be understood.")
            return
        if self._unused_bytes > _MAX_HEAD_BYTES:
            self._refuse("malformed-request", "The request's headers are larger than taken here.")

    def handle_websocket_upgrade(self) -> None:
        if self.app is self.config.overfull:
            self._answer("busy", _OVERFULL, {"Retry-After": "5"})
            return
        if self._watch is not None:
            self._watch.cancel()
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        self._is_in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._is_in_head:
            return  # a trailer, after the body: nothing here reads any (RFC 9110, 6.5.1)
        if len(self.headers) >= _MAX_HEADERS:
            raise ValueError("too many headers")  # reaches data_received as an HttpParserError
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._unused_bytes = 0
        if self._watch is not None:
            self._watch.deadline = None
        if len(self.pipeline) >= _MAX_PIPELINED:
            raise ValueError("too many requests at once")
        super().on_headers_complete()
        if self._is_draining and self.cycle is not None:
            self.cycle.keep_alive = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        self._unused_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unused_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._is_in_head and self._is_idle():  # the next request has begun meanwhile
            self._expect_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._watch is not None:
            self._watch.stalled_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._watch is not None:
            self._watch.stalled_since = None

    def shutdown(self) -> None:
        """Called when the server stops: answers what is on its way, then closes."""
        self._is_draining = True
        if self._is_idle():
            grace_s = min(_DRAIN_GRACE_S, self.config.serve.drain_timeout)
            self.loop.call_later(grace_s, self._close_if_idle)
        else:
            self.cycle.keep_alive = False

    def _close_if_idle(self) -> None:
        if self._is_idle() and not self._is_in_head and not self.transport.is_closing():
            self.transport.close()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_head(self) -> None:
        if self._watch is not None:
            self._watch.deadline = self.loop.time() + self._header_timeout

    def _time_out(self) -> None:
        if self._is_in_head:
            self._refuse("request-timeout", "The request's headers took too long.")
        else:  # a browser keeps a spare connection: nothing was asked, so nothing is answered
            self.transport.close()

    def _refuse(self, code: str, detail: str) -> None:
        if not self.transport.is_closing():
            self.config.count_refusal(code)
            self._answer(code, detail)

    def _answer(self, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        """Answer without the application, and close."""
        is_between = self._is_idle() or not (self.cycle.response_started or self._is_in_head)
        if is_between:  # or the answer would be taken for another request's
            answer = problem_response(code, detail, {**(headers or {}), "Connection": "close"})
            status = HTTPStatus(answer.status_code)
            lines = [f"HTTP/1.1 {status} {status.phrase}".encode()]
            lines += [name + b": " + value for name, value in answer.raw_headers]
            self.transport.write(b"\r\n".join([*lines, b"", bytes(answer.body)]))
        self.transport.close()


class WebSocketConnection(WebSocketsSansIOProtocol):
    """A WebSocket. Reads the next message once the application has taken the last one.

    One that is ended for what it sent, a message over the limit above all, is read on from for a
    moment: what it is told would else be lost (see body_limit.py).
    """

    config: ConnectionConfig
    _watch: Watch
    _linger_end: float | None = None  # in the loop's time
    _heard_at = 0.0

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self._watch = Watch(self.loop, self.transport, self.config.serve)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._linger_end is None:
            super().data_received(data)
        else:
            self._heard_at = self.loop.time()

    def handle_parser_exception(self) -> None:
        if self._linger_end is not None:
            return
        assert self.conn.close_sent is not None
        code, reason = self.conn.close_sent.code, self.conn.close_sent.reason
        told = [] if self.close_sent or code != CloseCode.MESSAGE_TOO_BIG else [self._refuse_size()]
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join([*told, *self.conn.data_to_send()]))
        self.close_sent = self.disconnected = True
        self.stop_keepalive()
        self._heard_at = self.loop.time()
        self._linger_end = self._heard_at + _LINGER_S
        self._linger()

    def _refuse_size(self) -> bytes:
        """A text message, to be sent before the close."""
        self.config.count_refusal("body-too-large")
        most = f"{self.config.serve.max_body_mib} MiB in at most {_MAX_FRAGMENTS} fragments"
        error = problem("body-too-large", f"A message is larger than taken here: {most}.")
        message = json.dumps({"type": "error", "error": error}, separators=(",", ":"))
        return Frame(Opcode.TEXT, message.encode()).serialize(mask=False)

    def _linger(self) -> None:
        """Throw away what still comes, until nothing does or it has been long."""
        if self.close_timer is not None:
            self.close_timer.cancel()
        end = min(self._heard_at + _QUIET_S, self._linger_end or 0.0)
        if self.loop.time() >= end:
            self.transport.close()
        else:  # while there is this timer, uvicorn leaves the closing to it
            self.close_timer = self.loop.call_at(end, self._linger)

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= _MAX_FRAGMENTS:  # empty ones count for nothing in the size
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            self.handle_parser_exception()
            return
        super().handle_cont(event)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch.stalled_since = self.loop.time()
        if not self.transport.is_closing():
            self.transport.pause_reading()  # or each ping read would add a pong to what waits

    def resume_writing(self) -> None:
        super().resume_writing()
        self._watch.stalled_since = None
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    async def receive(self) -> ASGIReceiveEvent:
        message = await super().receive()
        if not self.writable.is_set() and not self.transport.is_closing():
            self.transport.pause_reading()
        return message

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        is_refusal = message["type"] == "websocket.http.response.body"
        if is_refusal and not message.get("more_body"):
            self.handshake_complete = True  # or uvicorn logs an error for each refused handshake
