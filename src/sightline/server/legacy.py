"""POST /image and GET /test as the 2017 service answered them, so that its clients keep working.

The format is kept to the letter, its oddity included: `height` and `width` of an object are its
bottom and right EDGES, all in 0..1 of the image.
"""

from __future__ import annotations

from typing import IO, Annotated, Any

from fastapi import APIRouter, File, Form, UploadFile
from fastapi.responses import JSONResponse

from sightline.data.images import decode_image
from sightline.detections import Detections
from sightline.runtime.detector import Detector
from sightline.server.errors import RequestRefused
from sightline.server.pool import WorkerPool
from sightline.server.sample_picture import draw_sample_picture
from sightline.server.served import ServedModel

_WIRE_VERSION = "0.0.1"
_NAME_LENGTH = 80


def legacy_router(model: ServedModel, pool: WorkerPool) -> APIRouter:
    """The 2017 routes, answered by `model`."""
    router = APIRouter(tags=["2017"])

    @router.post("/image", summary="Detect in one image (2017 wire format)")
    async def detect_image(
        image: Annotated[UploadFile, File(description="JPEG, PNG, WebP, GIF, BMP or TIFF")],
        threshold: Annotated[
            float | None, Form(ge=0, le=1, description="least score; default: the model's own")
        ] = None,
    ) -> JSONResponse:
        name = (image.filename or "the image")[:_NAME_LENGTH]
        found = await pool.run(_detect, model.detector, image.file, name, threshold)
        used = model.manifest.score_threshold if threshold is None else threshold
        return JSONResponse(wire_objects(found, model.name, used))

    @router.get("/test", summary="Detect in a built-in picture (2017 wire format)")
    async def detect_sample() -> JSONResponse:
        found = await pool.run(lambda: model.detector(draw_sample_picture()))
        return JSONResponse(wire_objects(found, model.name, model.manifest.score_threshold))

    @router.get("/image", include_in_schema=False)
    async def explain_image() -> None:
        raise RequestRefused(
            "method-not-allowed",
            "POST an image to this address: multipart/form-data with the file field image and, "
            "if wanted, the text field threshold (0..1).",
            {"Allow": "POST"},
        )

    return router


def wire_objects(found: Detections, model_name: str, threshold: float) -> list[dict[str, Any]]:
    """The 2017 answer: a header, then one element per object, edges in 0..1 of the image."""
    objects: list[dict[str, Any]] = [
        {
            "name": model_name,
            "version": _WIRE_VERSION,
            "numObjects": len(found),
            "threshold": threshold,
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


def _detect(
    detector: Detector, upload: IO[bytes], name: str, threshold: float | None
) -> Detections:
    # Read here and not in the loop: only as many bodies are in memory as there are workers.
    return detector(decode_image(upload.read(), name=name), threshold=threshold)
