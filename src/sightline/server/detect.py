"""POST /v1/detect: one image in, its objects in pixels out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from PIL import Image
from starlette.datastructures import UploadFile

from sightline.data.images import decode_image
from sightline.server.bodies import json_response, received
from sightline.server.errors import RequestRefused
from sightline.server.openapi import IMAGE_OPTIONS, DetectAnswer, in_query, problems
from sightline.server.options import Options, read_options
from sightline.server.service import Service, caller

_NAME = "the image"  # in messages; a raw body has no other
# The third is what `curl --data-binary @photo.jpg` says of any file.
_RAW_KINDS = frozenset(("", "application/octet-stream", "application/x-www-form-urlencoded"))
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "type": "object",
    "required": ["image"],
    "properties": {"image": {"type": "string", "format": "binary"}, **IMAGE_OPTIONS},
}
_DOCUMENTED: dict[str, Any] = {
    "parameters": in_query(IMAGE_OPTIONS),
    "requestBody": {
        "required": True,
        "description": "The image file itself, or a form with the file field `image`. JPEG, PNG, "
        "WebP, GIF, BMP and TIFF are taken; what it is, its bytes decide.",
        "content": {
            "image/*": _BINARY,
            "application/octet-stream": _BINARY,
            "multipart/form-data": {"schema": _FORM},
        },
    },
}


def detect_router(service: Service) -> APIRouter:
    """The route, on the models of this service."""
    router = APIRouter(tags=["detection"])

    # The request is read by hand: a raw body is not copied, and options come from two places.
    @router.post(
        "/v1/detect",
        summary="Detect in one image",
        response_model=None,
        responses={
            200: {"model": DetectAnswer},
            **problems(
                "malformed-request",
                "not-found",
                "body-too-large",
                "image-too-large",
                "unsupported-media",
                "invalid-request",
                "image-unreadable",
            ),
        },
        openapi_extra=_DOCUMENTED,
    )
    async def detect(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            return await _detect_in_form(service, request)
        if kind not in _RAW_KINDS and not kind.startswith("image/"):
            raise RequestRefused(
                "unsupported-media",
                "Send the image file as the body with Content-Type: image/jpeg, another image "
                "type or application/octet-stream, or as the file field image of "
                "multipart/form-data.",
            )
        options = image_options(request.query_params)
        async with received(request) as body:

            def open_picture() -> Image.Image:
                return decode_image(body.read(), name=_NAME)

            answer = await service.detect(options, open_picture, caller(request))
            return json_response(answer.to_json())

    return router


def image_options(values: Mapping[str, Any], model: str | None = None) -> Options:
    """`read_options` for an image by itself; model: in place of what `values` say.

    Raises RequestRefused (invalid-request) for what only streams can do, too.
    """
    options = read_options(values)
    if options.track or options.motion:
        raise RequestRefused(
            "invalid-request", "track, motion: for streams (/v1/stream), not for single images"
        )
    return options if model is None else replace(options, model=model)


async def _detect_in_form(service: Service, request: Request) -> Response:
    async with request.form(max_files=1, max_fields=16) as form:
        image = form.get("image")
        if not isinstance(image, UploadFile):
            raise RequestRefused(
                "invalid-request",
                "image: a file is expected (multipart/form-data, with a file name)",
            )
        options = image_options({**request.query_params, **form})

        def open_picture() -> Image.Image:
            # Read here: only as many bodies are in memory as there are workers.
            return decode_image(image.file.read(), name=_NAME)

        answer = await service.detect(options, open_picture, caller(request))
        return json_response(answer.to_json())
