"""A picture over the WebSocket and its message back."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from sightline.workflow.doctor.http_legs import describe_answer, sample_jpeg
from sightline.workflow.doctor.leg import FAILED, OK, Leg, LegFailed, Report
from sightline.workflow.doctor.target import TIMEOUT_S, Target, first_words

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

_PASSING = "let it pass on the headers Upgrade and Connection, by HTTP/1.1"


def examine_websocket(target: Target, report: Report) -> None:
    """Report the leg."""
    try:
        report(Leg("WebSocket", OK, _stream(target)))
    except LegFailed as error:
        report(Leg("WebSocket", FAILED, error.seen, error.todo))


def _stream(target: Target) -> str:
    from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
    from websockets.sync.client import connect
    from websockets.typing import Subprotocol

    try:
        with connect(
            target.url("/v1/stream", "ws"),
            sock=target.connect(),  # which goes past the proxies of the environment
            ssl=target.context,
            subprotocols=[Subprotocol(each) for each in target.subprotocols()],
            open_timeout=TIMEOUT_S,
            close_timeout=2,
        ) as connection:
            return _exchange(connection)
    except InvalidStatus as error:
        raise _refused(error.response.status_code, bytes(error.response.body or b"")) from error
    except ConnectionClosed as error:
        code = error.rcvd.code if error.rcvd else None
        seen = f"closed with {code}" if code else "the connection broke off"
        raise LegFailed(seen, "see the server's log; a proxy between may cut it") from error
    except TimeoutError as error:
        raise LegFailed(
            f"no message within {TIMEOUT_S:g} s", "a proxy may hold the messages back"
        ) from error
    except (WebSocketException, OSError) as error:
        raise LegFailed(
            f"no WebSocket: {first_words(error)}", f"if a proxy stands between, {_PASSING}"
        ) from error


def _exchange(connection: ClientConnection) -> str:
    _receive(connection, "ready")
    picture, took_ms = sample_jpeg(), 0.0
    message: dict[str, Any] = {}
    for _ in range(2):  # the first one warms up
        start = time.perf_counter()
        connection.send(picture)
        message = _receive(connection, "detections")
        took_ms = 1000 * (time.perf_counter() - start)
    return f"{describe_answer(message)}, {took_ms:.0f} ms there and back"


def _receive(connection: ClientConnection, kind: str) -> dict[str, Any]:
    """The next message. Raises LegFailed unless it is of this kind."""
    text = connection.recv(TIMEOUT_S)
    try:
        message = json.loads(text)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        raise LegFailed("what came is no message of Sightline's", "check what the address leads to")
    if message.get("type") == "error":
        told = message.get("error") or {}
        raise LegFailed(
            str(told.get("detail")), "try again later" if told.get("code") == "busy" else ""
        )
    if message.get("type") != kind:
        raise LegFailed(
            f"{message.get('type')!r} came where {kind!r} was expected",
            "bring server and doctor to the same version",
        )
    return message


def _refused(status: int, body: bytes) -> LegFailed:
    """What an answer other than 101 to the WebSocket's request means."""
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    # Without its upgrade the request is one for a page, of which there is none.
    if isinstance(told, dict) and "detail" in told and told.get("code") != "not-found":
        return LegFailed(f"refused with {status}: {told['detail']}", "see the server's settings")
    if status in (502, 503, 504):
        return LegFailed(f"a proxy answers {status}", "check the proxy's way to the server")
    return LegFailed(
        f"answered with {status} in place of 101: a proxy between takes it for plain HTTP, or the "
        "server has no WebSocket",
        f"if a proxy stands between, {_PASSING}",
    )
