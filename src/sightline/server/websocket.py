"""WS /v1/stream: images in, one message with what was found for each one worked on.

Binary messages are images, numbered from 0 as they come. Newest only: an image that arrives while
one waits takes its place, and is counted in "dropped". A client that sends its next image when the
result of the last one has come loses none.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from sightline.data.images import decode_image
from sightline.server.errors import RequestRefused, problem, problem_of
from sightline.server.live import LiveStream, Message
from sightline.server.options import read_options
from sightline.server.service import Service
from sightline.server.streams import Slot

SUBPROTOCOL = "sightline.v1"
CREDIT = 1  # images that a client sensibly has on their way: more only wait, or are dropped
IDLE_S = 60.0  # without a message from the client
SEND_S = 10.0  # for one message; a client that takes longer to read is given up
_CONTROL_CHARS = 16_384
_CLOSE_CODES = {"busy": 1013, "internal": 1011}  # RFC 6455, 7.4.1 and IANA's registry
_REFUSED = 1008
_STOPPING = 1012

log = logging.getLogger("sightline.server")


def websocket_router(service: Service) -> APIRouter:
    """The WebSocket that takes images."""
    router = APIRouter()

    @router.websocket("/v1/stream")
    async def detect_stream(socket: WebSocket) -> None:
        async with conversation(service, socket):
            await _ImageStream(service, socket).run()

    return router


@asynccontextmanager
async def conversation(service: Service, socket: WebSocket) -> AsyncIterator[None]:
    """Accepts the WebSocket, ends it as the block ends: an error is told before the close."""
    offered = socket.scope["subprotocols"]
    try:
        await socket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        try:
            yield
        except (WebSocketDisconnect, TimeoutError):
            return  # it has gone, or does not read: nothing more can be told
        except Exception as error:
            told = problem_of(error, socket.url.path)
            service.metrics.refused.labels(told["code"]).inc()
            await send_message(socket, {"type": "error", "error": told})
            await socket.close(_CLOSE_CODES.get(told["code"], _REFUSED))
        else:
            await socket.close(_STOPPING if service.is_stopping else 1000)
    except (WebSocketDisconnect, TimeoutError, RuntimeError) as error:
        # Starlette's and uvicorn's ways to say that the other end was faster.
        log.debug("a WebSocket on %s had gone: %s", socket.url.path, error)


async def send_message(socket: WebSocket, message: Message) -> None:
    """Raises TimeoutError when the other end does not read, WebSocketDisconnect when it is gone."""
    async with asyncio.timeout(SEND_S):
        await socket.send_text(json.dumps(message, separators=(",", ":")))


async def send_newest(socket: WebSocket, slot: Slot) -> None:
    """Send what comes into the slot until its end."""
    while (message := await slot.take()) is not None:
        await send_message(socket, message)


async def until_one_ends(*parts: Coroutine[Any, Any, None]) -> None:
    """Runs them together; when one has ended, the others are. Raises what that one raised."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


class _ImageStream:
    def __init__(self, service: Service, socket: WebSocket) -> None:
        self._service = service
        self._socket = socket
        self._values: dict[str, Any] = dict(socket.query_params)
        self._slot = Slot()

    async def run(self) -> None:
        """Until the client or the server ends it. Raises RequestRefused."""
        stream = self._service.open_stream("websocket", read_options(self._values), self._slot.put)
        stream.when_closed(partial(self._slot.put, None))
        try:
            await send_message(self._socket, _ready(stream))
            await until_one_ends(self._read(stream), send_newest(self._socket, self._slot))
        finally:
            stream.close()

    async def _read(self, stream: LiveStream) -> None:
        count = 0
        while True:
            try:
                async with asyncio.timeout(IDLE_S):
                    received = await self._socket.receive()
            except TimeoutError:
                raise RequestRefused("request-timeout", f"No image in {IDLE_S:g} s.") from None
            if received["type"] == "websocket.disconnect":
                return
            image = received.get("bytes")
            if image is None:
                await send_message(self._socket, self._obey(stream, received["text"]))
                continue
            stream.offer(partial(decode_image, image, name="the image"), frame=count)
            count += 1

    def _obey(self, stream: LiveStream, text: str) -> Message:
        """The answer to a text message, which may change options: ready again, or an error."""
        try:
            control = _read_control(text)
            values = self._values | control
            stream.change(read_options(values))
        except RequestRefused as error:
            return {"type": "error", "error": problem(error.code, error.detail)}
        self._values = values
        return _ready(stream)


def _ready(stream: LiveStream) -> Message:
    return {**stream.ready(), "credit": CREDIT}


def _read_control(text: str) -> dict[str, Any]:
    if len(text) > _CONTROL_CHARS:
        raise RequestRefused("body-too-large", "Text messages are short; images go as binary ones.")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise RequestRefused(
            "malformed-request", "Images go as binary messages; a text message is JSON."
        ) from None
    if not isinstance(value, dict) or value.get("type") != "options":
        raise RequestRefused(
            "invalid-request", 'A text message is {"type": "options", ...} with options to change.'
        )
    return value
