"""WHIP (RFC 9725): OBS, FFmpeg, GStreamer and cameras publish by one POST of an SDP.

WHIP has no way back for results: the video becomes a named stream, which anybody may listen to.
Candidates are all in the first answer: there is no trickling and no ICE restart, so no PATCH.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import Response

from sightline.runtime.addresses import NAME_FORM
from sightline.server.errors import RequestRefused
from sightline.server.live import LiveStream, Message
from sightline.server.offer import MAX_SDP_BYTES, read_offer
from sightline.server.openapi import STREAM_OPTIONS, in_query, problems
from sightline.server.options import read_options
from sightline.server.peers import Peers, check_installed, read_text
from sightline.server.streams import Broadcast, StreamBoard

if TYPE_CHECKING:
    from aiortc import RTCDataChannel

_PATH = "whip"
_SDP = "application/sdp"
_NAME_RULE = "1 to 64 letters, digits, '.', '_' or '-', not beginning with '.'"


def whip_router(peers: Peers, board: StreamBoard) -> APIRouter:
    """The routes for publishers; their streams appear on the board."""
    router = APIRouter(prefix="/v1/whip", tags=["WebRTC"])
    links = {"Link": ", ".join(server.link() for server in peers.ice_servers)}
    links = links if peers.ice_servers else {}

    @router.post(
        "",
        status_code=201,
        summary="Publish video by WHIP; results are at /v1/streams/{name}",
        response_model=None,
        responses={
            201: {
                "description": "the answer; Location is the session",
                "content": {_SDP: {"schema": {"type": "string"}}},
            },
            **problems(
                "not-found",
                "conflict",
                "body-too-large",
                "unsupported-media",
                "invalid-request",
                "not-available",
            ),
        },
        openapi_extra={
            "parameters": in_query(
                {"name": {"type": "string", "pattern": f"^{NAME_FORM.pattern}$"}, **STREAM_OPTIONS}
            ),
            "requestBody": {
                "required": True,
                "content": {_SDP: {"schema": {"type": "string", "description": "the offer"}}},
            },
        },
    )
    async def publish(request: Request) -> Response:
        check_installed()
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != _SDP:
            raise RequestRefused("unsupported-media", f"Send an SDP with Content-Type: {_SDP}.")
        options = read_options(request.query_params)
        name = _read_name(request.query_params.get("name"))
        offer = read_offer(await read_text(request, MAX_SDP_BYTES))
        peer, sdp = await peers.connect(_PATH, offer, options, _Published(board, name))
        headers = {
            "Location": f"/v1/whip/{peer.session}",
            "ETag": f'"{secrets.token_urlsafe(9)}"',  # of the ICE session, which does not change
            **links,
        }
        return Response(sdp, 201, headers, media_type=_SDP)

    @router.options("", include_in_schema=False)
    async def tell() -> Response:
        return Response(None, 204, {"Allow": "OPTIONS, POST", "Accept-Post": _SDP, **links})

    @router.delete("/{session}", summary="Stop publishing", responses=problems("not-found"))
    async def end(session: str) -> Response:
        peers.end(_PATH, session)
        return Response(status_code=200)

    return router


class _Published:
    """A publisher's named stream. With nobody listening, nothing is detected."""

    def __init__(self, board: StreamBoard, name: str) -> None:
        self._board = board
        self._name = name
        self._broadcast: Broadcast | None = None

    @property
    def is_wanted(self) -> bool:
        return self._broadcast is not None and self._broadcast.listeners > 0

    def open(self, stream: LiveStream) -> None:
        self._broadcast = self._board.open(self._name, "whip")
        self._broadcast.send(stream.ready())

    def add_channel(self, channel: RTCDataChannel) -> None:
        channel.close()

    def send(self, message: Message) -> None:
        if self._broadcast is not None:
            self._broadcast.send(message)

    def close(self) -> None:
        if self._broadcast is not None:
            self._broadcast.close()


def _read_name(name: str | None) -> str:
    if name is None:
        return f"whip-{secrets.token_hex(4)}"
    if not NAME_FORM.fullmatch(name):
        raise RequestRefused("invalid-request", f"name: {_NAME_RULE}")
    return name
