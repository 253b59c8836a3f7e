"""Listening to named streams: their messages as server-sent events and by WebSocket."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response, WebSocket
from PIL import Image
from starlette.types import Receive, Scope, Send

from sightline.detections import Detections
from sightline.server.errors import RequestRefused, problem
from sightline.server.live import Message
from sightline.server.openapi import problems, reads
from sightline.server.options import Options, read_options
from sightline.server.service import Service
from sightline.server.streams import Slot, StreamInfo
from sightline.server.websocket import SEND_S, conversation, send_message, until_one_ends

HEARTBEAT_S = 15.0
PICTURE_S = 10.0  # that a still picture is waited for
_RETRY_MS = 2000
# EventSource calls its own event "error" when the connection is lost.
_EVENT_NAMES = {"error": "problem"}


def listen_router(service: Service) -> APIRouter:
    """The list of named streams, and both ways to listen to one."""
    router = APIRouter(tags=["streams"])

    @reads(router, "/v1/streams", summary="Cameras and publishers whose results can be listened to")
    async def list_streams() -> dict[str, list[StreamInfo]]:
        return {"streams": [stream.info() for stream in service.board]}

    @router.get(
        "/v1/streams/{name}/events",
        summary="A stream's messages as server-sent events",
        response_class=Response,
        responses={
            200: {
                "description": "events without end; each one's data is a wire message",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            },
            **problems("not-found", "invalid-request"),
        },
    )
    async def stream_events(request: Request, name: str) -> Response:
        return _Events(_Listener(service, name, dict(request.query_params)))

    @reads(
        router,
        "/v1/streams/{name}/frame.jpg",
        summary="What a camera sees, with boxes=1 what is found in it as well",
        response_class=Response,
        responses={
            200: {
                "description": "the newest frame",
                "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
            },
            **problems("not-found", "invalid-request", "source-unavailable", "busy"),
        },
    )
    async def stream_frame(request: Request, name: str, boxes: bool = False) -> Response:
        listener = _Listener(service, name, dict(request.query_params))
        picture, message = await _next_picture(listener)
        found = message.get("detections", []) if boxes else []
        labels = service.store.get(message["model"]).manifest.labels
        jpeg = await asyncio.to_thread(_draw, picture, found, labels)
        return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})

    @router.websocket("/v1/streams/{name}")
    async def stream_messages(socket: WebSocket, name: str) -> None:
        async with conversation(service, socket):
            listener = _Listener(service, name, dict(socket.query_params))
            with listener.listen() as slot:
                sending = _send_all(socket, listener, slot)
                await until_one_ends(sending, _read_nothing(socket))

    return router


class _Listener:
    """What one listener wants of a stream: threshold, labels and max narrow its results."""

    def __init__(self, service: Service, name: str, query: dict[str, Any]) -> None:
        """Raises RequestRefused for no such stream, or options that do not fit it."""
        self._service = service
        self.stream = stream = service.board.get(name)
        asked = read_options(query)
        if asked.model or asked.track or asked.motion:
            raise RequestRefused(
                "invalid-request",
                "A listener may ask for threshold, labels and max; the rest is the stream's own.",
            )
        if asked.labels and stream.ready:
            replace(asked, model=stream.ready["model"]).check(service.store)
        self._asked = asked

    @contextmanager
    def listen(self) -> Iterator[Slot]:
        """The stream's slot, "ready" in it. Takes a place among the server's streams."""
        session = self._service.scheduler.open_stream("listener")
        try:
            with self.stream.listen() as slot:
                yield slot
        finally:
            self._service.scheduler.close_stream(session)

    def ready(self) -> Message | None:
        """The first message, if the stream has said what it is."""
        return self.narrow(self.stream.ready) if self.stream.ready else None

    def narrow(self, message: Message) -> Message:
        """The message with the objects that this listener asked for."""
        return narrow(message, self._asked)


def narrow(message: Message, asked: Options) -> Message:
    """The message with the objects that were asked for. Under the stream's threshold are none."""
    if "threshold" not in message:
        return message
    threshold = max(message["threshold"], asked.threshold or 0.0)
    message = {**message, "threshold": threshold}
    if "detections" in message:
        message["detections"] = [
            found
            for found in message["detections"]
            if found["score"] >= threshold
            and (asked.labels is None or found["label"] in asked.labels)
        ][: asked.max]
    return message


async def _send_all(socket: WebSocket, listener: _Listener, slot: Slot) -> None:
    if ready := listener.ready():
        await send_message(socket, ready)
    while (message := await slot.take()) is not None:
        await send_message(socket, listener.narrow(message))


async def _read_nothing(socket: WebSocket) -> None:
    """Until the client goes; what it sends is refused."""
    refusal = problem("invalid-request", "This WebSocket only sends; see /v1/stream for images.")
    while (await socket.receive())["type"] != "websocket.disconnect":
        await send_message(socket, {"type": "error", "error": refusal})


async def _next_picture(listener: _Listener) -> tuple[Image.Image, Message]:
    """A picture with its message. Raises RequestRefused where none comes."""
    find_picture = listener.stream.find_picture
    if find_picture is None:
        raise RequestRefused(
            "not-found", "Streams of WHIP publishers have no still picture, those of sources have."
        )
    detail = f"No picture came within {PICTURE_S:g} s."
    with suppress(TimeoutError), listener.listen() as slot:
        async with asyncio.timeout(PICTURE_S):
            while (message := await slot.take()) is not None:
                picture = find_picture(message.get("frame", -1))
                if picture is not None:
                    return picture, listener.narrow(message)
                if message["type"] == "error" and "frame" not in message:
                    detail = message["error"]["detail"]
                    break
    raise RequestRefused("source-unavailable", detail)


def _draw(picture: Image.Image, found: list[dict[str, Any]], labels: tuple[str, ...]) -> bytes:
    if found:
        # A model that has just been exchanged may have had others.
        names = list(dict.fromkeys([*labels, *(each["label"] for each in found)]))
        detections = Detections(
            np.array([each["box"] for each in found], np.float32),
            np.array([each["score"] for each in found], np.float32),
            np.array([names.index(each["label"]) for each in found], np.int32),
            tuple(names),
            *picture.size,
        )
        picture = detections.draw(picture)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


class _Events(Response):
    """Server-sent events (HTML standard, 9.2) until the stream, the client or the server ends."""

    media_type = "text/event-stream"

    def __init__(self, listener: _Listener) -> None:
        # Proxies such as nginx would otherwise collect events before they pass them on.
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._listener = listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._listener.listen() as slot, suppress(TimeoutError):  # one that does not read
            await until_one_ends(self._write(send, slot), _wait_for_disconnect(receive))

    async def _write(self, send: Send, slot: Slot) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        await _write_part(send, f"retry: {_RETRY_MS}\n\n")
        if ready := self._listener.ready():
            await _write_part(send, _event(ready))
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    message = await slot.take()
            except TimeoutError:
                await _write_part(send, ": still here\n\n")
                continue
            if message is None:
                break
            await _write_part(send, _event(self._listener.narrow(message)))
        await send({"type": "http.response.body"})


async def _write_part(send: Send, text: str) -> None:
    async with asyncio.timeout(SEND_S):
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _event(message: Message) -> str:
    number = f"id: {message['frame']}\n" if "frame" in message else ""
    name = _EVENT_NAMES.get(message["type"], message["type"])
    return f"{number}event: {name}\ndata: {json.dumps(message, separators=(',', ':'))}\n\n"
