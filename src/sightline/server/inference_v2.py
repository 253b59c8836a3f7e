"""The Open Inference Protocol, version 2, with its binary tensor extension.

https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md and the
extension "binary tensor data"; KServe, Triton and MLServer speak it too. One input, `image`:

    UINT8 [1, H, W, 3]  RGB pixels of any size
    BYTES [1]           an image file; in JSON as base64 text

Outputs: `boxes` FP32 [1, N, 4] x1, y1, x2, y2 in pixels of that (upright) image, `scores` FP32
[1, N], `labels` INT32 [1, N], `names` BYTES [1, N]. The request's parameters may hold threshold,
labels and max, as everywhere.
"""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from sightline.server.bodies import json_response, received
from sightline.server.detect import image_options
from sightline.server.errors import RequestRefused
from sightline.server.openapi import problems, reads
from sightline.server.served import ModelStore, ServedModel
from sightline.server.service import Service, caller
from sightline.server.tensors import (
    MAX_HEADER,
    describe_inputs,
    describe_outputs,
    open_tensor,
    read_tensors,
    write_outputs,
)

HEADER_LENGTH = "Inference-Header-Content-Length"
# All threads wait while JSON is parsed: this much takes about 0.1 s.
_MAX_JSON_MIB = 8
_PLATFORMS = {"savedmodel": "tensorflow_savedmodel", "litert": "tensorflow_lite"}
_PATHS = ("/v2/models/{name}", "/v2/models/{name}/versions/{number}")
_NOT_FOUND = problems("not-found")

_TENSOR_SCHEMA = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"const": "image"},
        "shape": {"type": "array", "items": {"type": "integer"}},
        "datatype": {"enum": ["UINT8", "BYTES"]},
        "data": {"type": "array"},
        "parameters": {"type": "object"},
    },
}
_DOCUMENTED: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["inputs"],
                    "properties": {
                        "id": {"type": "string"},
                        "parameters": {"type": "object"},
                        "inputs": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": 1,
                            "items": _TENSOR_SCHEMA,
                        },
                        "outputs": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["name"],
                                "properties": {
                                    "name": {"enum": ["boxes", "scores", "labels", "names"]},
                                    "parameters": {"type": "object"},
                                },
                            },
                        },
                    },
                }
            }
        },
    }
}
_INFER_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the outputs",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["model_name", "model_version", "outputs"],
                    "properties": {
                        "id": {"type": "string"},
                        "model_name": {"type": "string"},
                        "model_version": {"type": "string"},
                        "outputs": {"type": "array", "items": {"type": "object"}},
                    },
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


def inference_router(service: Service) -> APIRouter:
    """The protocol's routes, on the models of this service."""
    router = APIRouter(tags=["Open Inference Protocol"])

    @reads(router, "/v2", summary="The server")
    async def describe_server() -> Response:
        return json_response(
            {
                "name": "sightline",
                "version": version("sightline"),
                "extensions": ["binary_tensor_data", "parameters"],
            }
        )

    @reads(router, "/v2/health/live", summary="Whether the server answers")
    async def report_live() -> Response:
        return json_response({"live": True})

    @reads(router, "/v2/health/ready", summary="Whether it takes work", responses=problems("busy"))
    async def report_ready() -> Response:
        service.check_ready()
        return json_response({"ready": True})

    for path in _PATHS:
        _add_model_routes(router, path, service)
    return router


def _add_model_routes(router: APIRouter, path: str, service: Service) -> None:
    """A model's routes below `path`, which may name a version."""

    @reads(router, path, summary="A model", responses=_NOT_FOUND)
    async def describe_model(name: str, number: str | None = None) -> Response:
        model = _find(service.store, name, number)
        manifest = model.manifest
        return json_response(
            {
                "name": model.name,
                "versions": [model.version],
                "platform": _PLATFORMS.get(manifest.target, "onnxruntime_onnx"),
                "inputs": describe_inputs(),
                "outputs": describe_outputs(),
                "parameters": {
                    "labels": ",".join(manifest.labels),
                    "threshold": manifest.score_threshold,
                },
            }
        )

    @reads(router, f"{path}/ready", summary="Whether a model takes work", responses=_NOT_FOUND)
    async def report_model_ready(name: str, number: str | None = None) -> Response:
        service.check_ready()
        return json_response({"name": _find(service.store, name, number).name, "ready": True})

    @router.post(
        f"{path}/infer",
        summary="Detect in one image",
        response_model=None,
        responses={
            **_INFER_ANSWER,
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
    async def infer(request: Request, name: str, number: str | None = None) -> Response:
        return await _infer(service, _find(service.store, name, number), request)


async def _infer(service: Service, model: ServedModel, request: Request) -> Response:
    async with received(request) as body:
        header_length = _header_length(request.headers.get(HEADER_LENGTH))
        if header_length is None and body.size > _MAX_JSON_MIB * 2**20:
            raise RequestRefused(
                "body-too-large",
                f"Up to {_MAX_JSON_MIB} MiB of JSON are taken; send pixels as a binary tensor.",
            )
        asked = read_tensors(body.read(0, header_length))
        options = image_options(asked.options(), model.name)
        read_binary = None if header_length is None else partial(body.read, header_length)
        open_picture = open_tensor(asked.inputs[0], read_binary)
        answer = await service.detect(options, open_picture, caller(request))
    found = answer.detections
    assert found is not None
    outputs, binary = write_outputs(found, asked)
    head: dict[str, Any] = {"model_name": model.name, "model_version": model.version}
    if asked.id is not None:
        head["id"] = asked.id
    return _respond({**head, "outputs": outputs}, binary)


def _find(store: ModelStore, name: str, number: str | None) -> ServedModel:
    """The model that the server can run. Raises RequestRefused, also for another version."""
    model = store.get_runnable(name)
    if number is not None and number != model.version:
        raise RequestRefused("not-found", f"{model.name} is here in version {model.version} alone.")
    return model


def _header_length(text: str | None) -> int | None:
    """How many bytes of JSON precede binary tensors; None where all is JSON."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) <= MAX_HEADER):
        raise RequestRefused(
            "malformed-request", f"{HEADER_LENGTH}: a number in 0..{MAX_HEADER} is expected"
        )
    return int(text)


def _respond(head: dict[str, Any], binary: list[bytes]) -> Response:
    encoded = msgspec.json.encode(head)
    if not binary:
        return Response(encoded, media_type="application/json")
    return Response(
        b"".join((encoded, *binary)),
        media_type="application/octet-stream",
        headers={HEADER_LENGTH: str(len(encoded))},
    )
