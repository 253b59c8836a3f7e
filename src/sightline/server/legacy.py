"""POST /image and GET /test as the 2017 service answered them, so that its clients keep working.

The format is kept to the letter, its oddity included: `height` and `width` of an object are its
bottom and right EDGES, all in 0..1 of the image.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import JSONResponse
from PIL import Image

from sightline.data.images import decode_image
from sightline.server.errors import RequestRefused
from sightline.server.job import Answer
from sightline.server.openapi import problems, reads
from sightline.server.options import Options
from sightline.server.sample_picture import draw_sample_picture
from sightline.server.service import Service, caller

_WIRE_VERSION = "0.0.1"
_NAME_LENGTH = 80
_OBJECTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "a header with name, version, numObjects, threshold; then an element with "
        "class_name, score and the edges y, x, height (bottom) and width (right) an object",
        "content": {
            "application/json": {
                "schema": {"type": "array", "minItems": 1, "items": {"type": "object"}}
            }
        },
    }
}


def legacy_router(service: Service) -> APIRouter:
    """The 2017 routes, answered by the default model."""
    router = APIRouter(tags=["2017"])

    @router.post(
        "/image",
        summary="Detect in one image (2017 wire format)",
        response_model=None,
        responses={
            **_OBJECTS,
            **problems("body-too-large", "image-too-large", "invalid-request", "image-unreadable"),
        },
    )
    async def detect_image(
        request: Request,
        image: Annotated[UploadFile, File(description="JPEG, PNG, WebP, GIF, BMP or TIFF")],
        threshold: Annotated[
            float | None, Form(ge=0, le=1, description="least score; default: the model's own")
        ] = None,
    ) -> JSONResponse:
        name = (image.filename or "the image")[:_NAME_LENGTH]

        def open_picture() -> Image.Image:
            # Read here: only as many bodies are in memory as there are workers.
            return decode_image(image.file.read(), name=name)

        options = Options(threshold=threshold)
        return JSONResponse(
            wire_objects(await service.detect(options, open_picture, caller(request)))
        )

    @reads(
        router,
        "/test",
        summary="Detect in a built-in picture (2017 wire format)",
        response_model=None,
        responses=_OBJECTS,
    )
    async def detect_sample(request: Request) -> JSONResponse:
        answer = await service.detect(Options(), draw_sample_picture, caller(request))
        return JSONResponse(wire_objects(answer))

    @router.api_route("/image", methods=["GET", "HEAD"], include_in_schema=False)
    async def explain_image() -> None:
        raise RequestRefused(
            "method-not-allowed",
            "POST an image to this address: multipart/form-data with the file field image and, "
            "if wanted, the text field threshold (0..1).",
            {"Allow": "POST"},
        )

    return router


def wire_objects(answer: Answer) -> list[dict[str, Any]]:
    """The 2017 answer: a header, then one element per object, edges in 0..1 of the image."""
    found = answer.detections
    assert found is not None
    objects: list[dict[str, Any]] = [
        {
            "name": answer.model,
            "version": _WIRE_VERSION,
            "numObjects": len(found),
            "threshold": answer.threshold,
        }
    ]
    for detection in found:
        x1, y1, x2, y2 = detection.box_xyxy
        objects.append(
            {
                "name": "Object",
                "class_name": detection.label,
                "score": detection.score,
                "y": y1 / found.height,
                "x": x1 / found.width,
                "height": y2 / found.height,
                "width": x2 / found.width,
            }
        )
    return objects
