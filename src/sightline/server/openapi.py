"""The OpenAPI document: shapes that several routes share, and the one error shape in all of them.

The shapes are here for the document alone; what is sent is made elsewhere, and tests hold both
against contracts/wire.schema.json and contracts/error.schema.json.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, ConfigDict, Field

from sightline.server.errors import STATUS_OF_CODE
from sightline.server.options import MAX_COUNT

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

# What any request may be told, whatever it asks for.
_ANYWHERE = ("token-required", "origin-refused", "rate-limited", "internal", "busy")
_WITH_BODY = ("malformed-request", "request-timeout", "body-too-large")
_VALIDATION = "#/components/schemas/HTTPValidationError"

# What read_options reads, as it is documented.
IMAGE_OPTIONS: dict[str, dict[str, Any]] = {
    "model": {"type": "string", "description": "a name of /v1/models; by default the first"},
    "threshold": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "description": "least score; by default the model's own",
    },
    "labels": {"type": "string", "description": "only these classes, separated by commas"},
    "max": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_COUNT,
        "description": "at most so many objects, the best first",
    },
}
STREAM_OPTIONS = {
    **IMAGE_OPTIONS,
    "track": {"type": "boolean", "description": "number objects from frame to frame"},
    "motion": {"type": "boolean", "description": "look only at frames that differ"},
}


class Shape(BaseModel):
    """A JSON object without further members."""

    model_config = ConfigDict(extra="forbid")


class Problem(Shape):
    """RFC 9457. Match on `code`; `title` and `detail` are for people and may change."""

    type: Literal["about:blank"]
    title: str = Field(description="the status's phrase")
    status: int = Field(ge=400, le=599)
    detail: str = Field(min_length=1, description="what was wrong with this request, what to do")
    code: str = Field(json_schema_extra={"enum": list(STATUS_OF_CODE)})
    error: str = Field(
        "", min_length=1, description="under /v2 alone: the detail, where its clients look for it"
    )


class DetectedObject(Shape):
    """One object in the image."""

    label: str
    score: float = Field(ge=0, le=1)
    box: list[float] = Field(
        min_length=4, max_length=4, description="x1, y1, x2, y2 in pixels of the upright image"
    )


class Times(Shape):
    """Milliseconds: waiting for a worker, decoding and resizing, in the graph, all together."""

    queue_ms: float = Field(ge=0)
    decode_ms: float = Field(ge=0)
    infer_ms: float = Field(ge=0)
    total_ms: float = Field(ge=0)


class DetectAnswer(Shape):
    """What was found in an image, the best score first; width and height are the upright ones."""

    model: str
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    threshold: float = Field(ge=0, le=1)
    detections: list[DetectedObject]
    timing: Times


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route that may be refused so: one entry a status."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(STATUS_OF_CODE[code], []).append(code)
    return {
        status: {
            "description": ", ".join(those),
            "content": {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
            },
        }
        for status, those in by_status.items()
    }


def reads(router: APIRouter, path: str, **described: Any) -> Callable[[Endpoint], Endpoint]:
    """Decorator: a route for GET, and for HEAD, which the document need not repeat."""

    def register(endpoint: Endpoint) -> Endpoint:
        router.head(path, include_in_schema=False)(endpoint)
        return router.get(path, **described)(endpoint)

    return register


class Application(FastAPI):
    """FastAPI with our errors in its document instead of its own."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = _finish(super().openapi())
        return self.openapi_schema


def _finish(document: dict[str, Any]) -> dict[str, Any]:
    for path, operations in document["paths"].items():
        named = ("not-found",) if "{" in path else ()
        for method, operation in operations.items():
            responses = operation["responses"]
            if _VALIDATION in str(responses.get("422")):
                responses["422"] = problems("invalid-request")[422]
            common = _ANYWHERE + named + (_WITH_BODY if method == "post" else ())
            for status, response in problems(*common).items():
                known = responses.setdefault(str(status), response)
                if known is not response and response["description"] not in known["description"]:
                    known["description"] += f", {response['description']}"
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schemas["Problem"] = Problem.model_json_schema()
    schemas["Problem"]["properties"]["error"].pop("default")  # absent is not empty
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    # Either: on a loopback address, and with --open, no token is asked for.
    document["security"] = [{"token": []}, {}]
    return document


def in_query(schemas: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """These options as parameters of an address."""
    return [{"name": name, "in": "query", "schema": schema} for name, schema in schemas.items()]
