"""WebRTC for web pages: an offer in, an answer out; results on the data channel of the page.

POST /v1/webrtc/offer, and the session that it gives ends by DELETE /v1/webrtc/{session}, or by
POST /v1/webrtc/{session}/close for what can only post.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from sightline.server.channels import Channels
from sightline.server.errors import RequestRefused
from sightline.server.offer import MAX_SDP_BYTES, read_offer
from sightline.server.openapi import STREAM_OPTIONS, Shape, problems
from sightline.server.options import read_options
from sightline.server.peers import Peers, check_installed, read_text

_PATH = "webrtc"
_MAX_BODY = 2 * MAX_SDP_BYTES  # an SDP in JSON has its line ends escaped, and options beside it
_OFFER = {
    "type": "object",
    "required": ["sdp", "type"],
    "properties": {
        "sdp": {"type": "string", "description": "with its candidates: there is no trickling"},
        "type": {"type": "string", "enum": ["offer"]},
        **STREAM_OPTIONS,
    },
}


class Answer(Shape):
    """The answer to an offer. session: what ends the connection; tell nobody."""

    sdp: str
    type: str = Field(json_schema_extra={"enum": ["answer"]})
    session: str


def webrtc_router(peers: Peers) -> APIRouter:
    """The routes for web pages."""
    router = APIRouter(prefix="/v1/webrtc", tags=["WebRTC"])

    @router.post(
        "/offer",
        summary="Connect a page's video; results come on its data channel",
        responses=problems(
            "not-found",
            "body-too-large",
            "unsupported-media",
            "invalid-request",
            "not-available",
        ),
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/json": {"schema": _OFFER}}}
        },
    )
    async def take_offer(request: Request) -> Answer:
        check_installed()
        values = await _read_json(request)
        options = read_options(values)
        offer = read_offer(values["sdp"])
        if not offer.has_data:
            raise RequestRefused(
                "invalid-request",
                "sdp: there is no data channel for the results: create one before the offer, or "
                "publish to /v1/whip and listen to /v1/streams/{name}.",
            )
        peer, sdp = await peers.connect(_PATH, offer, options, Channels(values))
        return Answer(sdp=sdp, type="answer", session=peer.session)

    @router.delete(
        "/{session}", status_code=204, summary="End a session", responses=problems("not-found")
    )
    async def end(session: str) -> Response:
        peers.end(_PATH, session)
        return Response(status_code=204)

    @router.post(
        "/{session}/close",
        status_code=204,
        summary="End a session, by POST",
        responses=problems("not-found"),
    )
    async def close(session: str) -> Response:
        peers.end(_PATH, session)
        return Response(status_code=204)

    return router


async def _read_json(request: Request) -> dict[str, Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RequestRefused("unsupported-media", "Send JSON with Content-Type: application/json.")
    try:
        values = json.loads(await read_text(request, _MAX_BODY))
    except (ValueError, RecursionError):
        raise RequestRefused("malformed-request", "The body is not JSON.") from None
    if not isinstance(values, dict):
        raise RequestRefused("invalid-request", "A JSON object with sdp and type is expected.")
    if values.get("type") != "offer":
        raise RequestRefused("invalid-request", 'type: "offer" is expected')
    if not isinstance(values.get("sdp"), str):
        raise RequestRefused("invalid-request", "sdp: the offer's text is expected")
    return values
