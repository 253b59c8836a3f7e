"""WS /v1/call/{room}: pages that open the same room find each other for a WebRTC call.

Text messages, JSON: {"type": "signal", "to": id, "data": text} is passed on to that member as
{"type": "signal", "from": id, "data": text}; {"type": "ping"} says that the page is still there.
The server tells joined (with who is there), arrived and left.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, WebSocket

from sightline.server.errors import RequestRefused, problem, problem_response
from sightline.server.rate import Rates
from sightline.server.rooms import Member
from sightline.server.service import Service
from sightline.server.websocket import conversation, send_message, until_one_ends

IDLE_S = 45.0  # without a message; pages ping more often
MESSAGES_PER_S = 5.0  # on the mean; an arrival is a few at once
_MAX_CHARS = 32_768  # an offer of one video has 6,000
_ROOM_FORM = re.compile(r"[A-Za-z0-9_-]{4,64}")


def call_router(service: Service) -> APIRouter:
    """The WebSocket by which pages meet."""
    router = APIRouter()

    @router.websocket("/v1/call/{room}")
    async def meet(socket: WebSocket, room: str) -> None:
        if _ROOM_FORM.fullmatch(room) is None:
            detail = "A room's name is 4 to 64 letters, digits, '_' or '-'."
            await socket.send_denial_response(problem_response("invalid-request", detail))
            return
        async with conversation(service, socket):
            service.check_ready()
            with service.rooms.join(room) as (member, pass_on):
                await until_one_ends(_read(socket, member, pass_on), _write(socket, member))

    return router


async def _write(socket: WebSocket, member: Member) -> None:
    while (message := await member.take()) is not None:
        await send_message(socket, message)


async def _read(socket: WebSocket, member: Member, pass_on: Callable[[str, str], bool]) -> None:
    rates = Rates(MESSAGES_PER_S, spares_loopback=False)
    while True:
        try:
            async with asyncio.timeout(IDLE_S):
                received = await socket.receive()
        except TimeoutError:
            raise RequestRefused("request-timeout", f"No message in {IDLE_S:g} s.") from None
        if received["type"] == "websocket.disconnect":
            return
        if rates.wait_s(member.number, time.monotonic()) > 0:
            raise RequestRefused("rate-limited", "More messages than a call needs.")
        try:
            message = _parse(received.get("text"))
            if message["type"] == "signal" and not pass_on(message["to"], message["data"]):
                raise RequestRefused("not-found", "The page that this is for has left the call.")
        except RequestRefused as error:
            told = {"type": "error", "error": problem(error.code, error.detail)}
            member.put(told)


def _parse(text: str | None) -> dict[str, Any]:
    if text is None:
        raise RequestRefused("malformed-request", "Messages of a call are text.")
    if len(text) > _MAX_CHARS:
        raise RequestRefused("body-too-large", f"A message has at most {_MAX_CHARS} characters.")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise RequestRefused("malformed-request", "A message is a JSON object.") from None
    if isinstance(value, dict):
        if value.get("type") == "ping":
            return value
        is_text = all(isinstance(value.get(name), str) for name in ("to", "data"))
        if value.get("type") == "signal" and is_text:
            return value
    raise RequestRefused(
        "invalid-request",
        'Messages are {"type": "signal", "to": id, "data": text} or {"type": "ping"}.',
    )
