"""The one JSON error shape, and which status each cause gets.

The shape is RFC 9457's (application/problem+json) with a stable `code`; its JSON Schema is
contracts/error.schema.json. `detail` is for people and never tells of paths, versions or code.

    code                  status  cause
    image-unreadable      422     empty, truncated, or no image of a known format
    image-too-large       413     more pixels than are decoded, seen in the header
    body-too-large        413     more bytes than the server takes
    malformed-request     400     not parseable as what it says it is
    invalid-request       422     a field is missing or out of range
    token-required        401     no token, or a wrong one
    origin-refused        403     a web page of another origin, or a Host that is not ours
    not-found             404     no such path or model
    method-not-allowed    405
    conflict              409     the name is taken
    request-timeout       408     headers or body took too long
    unsupported-media     415     a kind of body, or of video, that is not taken
    rate-limited          429     more requests a second than one address may make
    internal              500     a fault of the server, written to its log
    not-available         501     this installation lacks a part; its operator can add it
    busy                  503     full, or stopping; Retry-After says when to ask again
    source-unavailable    503     a camera or file of the server gives no pictures just now
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as RoutingError
from starlette.requests import ClientDisconnect

from sightline.errors import ImageError, ImageTooLarge, SightlineError

STATUS_OF_CODE: Mapping[str, int] = {
    "image-unreadable": 422,
    "image-too-large": 413,
    "body-too-large": 413,
    "malformed-request": 400,
    "invalid-request": 422,
    "token-required": 401,
    "origin-refused": 403,
    "not-found": 404,
    "method-not-allowed": 405,
    "request-timeout": 408,
    "conflict": 409,
    "unsupported-media": 415,
    "rate-limited": 429,
    "internal": 500,
    "not-available": 501,
    "busy": 503,
    "source-unavailable": 503,
}
_CODE_OF_STATUS = {400: "malformed-request", 404: "not-found", 405: "method-not-allowed"}
_INTERNAL = "The server failed at this request; its log says why."

log = logging.getLogger("sightline.server")


class RequestRefused(HTTPException):
    """An answer in the error shape, raised from anywhere in a request."""

    def __init__(self, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(STATUS_OF_CODE[code], detail, headers)
        self.code = code


def problem(code: str, detail: str) -> dict[str, Any]:
    """The error as JSON, the same over HTTP, WebSocket and data channel."""
    status = STATUS_OF_CODE[code]
    return {
        "type": "about:blank",  # RFC 9457, 4.2.1: the title is then the status's phrase
        "title": HTTPStatus(status).phrase,
        "status": status,
        # Half a surrogate pair, which JSON may hold and UTF-8 may not, may be quoted in it.
        "detail": detail.encode(errors="replace").decode(),
        "code": code,
    }


def problem_response(
    code: str, detail: str, headers: Mapping[str, str] | None = None, *, path: str = ""
) -> JSONResponse:
    """The error as an HTTP response to a request of `path`.

    Clients of the Open Inference Protocol look for the text under `error`: RFC 9457 lets a problem
    have members of its own.
    """
    value = problem(code, detail)
    if path == "/v2" or path.startswith("/v2/"):
        value["error"] = detail
    return JSONResponse(value, STATUS_OF_CODE[code], headers, "application/problem+json")


def problem_of(error: Exception, path: str) -> dict[str, Any]:
    """What a caller on `path` is told of any error; one that is our fault goes to the log."""
    if isinstance(error, RequestRefused):
        return problem(error.code, error.detail)
    if isinstance(error, ImageTooLarge):
        return problem("image-too-large", str(error))
    if isinstance(error, ImageError):
        return problem("image-unreadable", str(error))
    log.error("%s failed", path, exc_info=error)
    return problem("internal", _INTERNAL)


def internal_problem(error: Exception, path: str) -> JSONResponse:
    """The answer to a fault of ours; the traceback goes to the log, not to the caller."""
    log.error("%s failed", path, exc_info=error)
    return problem_response("internal", _INTERNAL, path=path)


def install_error_handlers(app: FastAPI) -> None:
    """Have every error of the app's routes answered in the error shape."""
    app.add_exception_handler(RoutingError, _answer_http_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid_request)
    app.add_exception_handler(SightlineError, _answer_sightline_error)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)


async def _answer_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RoutingError)
    if isinstance(error, RequestRefused):
        return problem_response(error.code, error.detail, error.headers, path=request.url.path)
    code = _CODE_OF_STATUS.get(error.status_code)
    if code is None:
        return internal_problem(error, request.url.path)
    detail = {
        "not-found": "Nothing lies at this address.",
        "method-not-allowed": f"This address does not take {request.method}.",
    }.get(code, str(error.detail))
    return problem_response(code, detail, error.headers, path=request.url.path)


async def _answer_invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = [f"{part['loc'][-1]}: {_say_what_is_wrong(part)}" for part in error.errors()]
    return problem_response("invalid-request", "; ".join(problems), path=request.url.path)


def _say_what_is_wrong(part: Mapping[str, Any]) -> str:
    kind = part["type"]
    if kind == "value_error":  # of the fields here only files raise it, in terms of Python types
        return "a file is expected (multipart/form-data, with a file name)"
    return "this field is missing" if kind == "missing" else str(part["msg"])


async def _answer_nobody(request: Request, error: Exception) -> JSONResponse:
    """For a caller who has gone; what counts requests sees it all the same."""
    return problem_response("malformed-request", "The body ended early.", path=request.url.path)


async def _answer_sightline_error(request: Request, error: Exception) -> JSONResponse:
    value = problem_of(error, request.url.path)
    return problem_response(value["code"], value["detail"], path=request.url.path)
