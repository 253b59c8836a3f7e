"""What a browser fetches: the live page, the models to run in it, the sample clip."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from pydantic import Field
from starlette.routing import BaseRoute, Match
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from sightline.manifest import GRAPH_NAME, MANIFEST_NAME
from sightline.server.bodies import json_response
from sightline.server.errors import RequestRefused, problem_response
from sightline.server.openapi import Shape, problems, reads
from sightline.server.served import ModelStore, ServedFile, ServedModel
from sightline.server.service import Service

STATIC_DIR = Path(__file__).parent / "static"
_FOR_GOOD = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"

# Said here because a system's own table may be wrong (Windows' registry: .js as text/plain), and
# a browser refuses modules and wasm of the wrong type.
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
}
_CLIP_TYPES = {".mp4": "video/mp4", ".webm": "video/webm", ".mov": "video/quicktime"}
# The bundler's names: a hash of the content, 8 characters of base64. One in capitals or digits is
# asked for, so that "-threaded.wasm" is none.
_HASHED_NAME = re.compile(r"-(?=[\w-]*[A-Z0-9])[\w-]{8}\.\w+$")

_UNBUILT_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Sightline</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}
code{background:#8882;padding:.1em .3em;border-radius:.2em}</style>
<h1>The server runs; its live page is not built</h1>
<p>A wheel of Sightline carries the page. In a checkout, build it once with
<code>make web</code> and reload.</p>
<p>The HTTP service works without it: <code>curl -F image=@photo.jpg %s</code></p>
"""


class Status(Shape):
    status: Literal["ok"]


class DescribedModel(Shape):
    """A model; addresses are of this version, whose files never change, unless they say less."""

    name: str
    version: str = Field(description="changes with any file of the bundle")
    target: str = Field(description="onnx, savedmodel, litert, tfjs ...")
    detects: bool = Field(description="whether the server runs it; a tfjs artefact is files alone")
    labels: list[str]
    width: int = Field(description="of the graph's input; images of any size are taken")
    height: int
    score_threshold: float
    manifest: str = Field(description="address of manifest.json")
    graph: str | None = Field(description="address of model.onnx, if the live page can run it")
    bytes: int | None = Field(description="size of that file")
    files: dict[str, str] = Field(description="addresses of all that browsers may fetch")


class Catalogue(Shape):
    models: list[DescribedModel]
    default: str = Field(description="the name of the model that answers where none is named")
    sample_clip: str | None


def page_router(service: Service, sample_clip: Path | None, static_dir: Path) -> APIRouter:
    """Everything under GET but the static files themselves."""
    router = APIRouter()
    _add_state(router, service)
    _add_models(router, service.store, sample_clip)
    _add_pages(router, sample_clip, static_dir)
    return router


def _add_state(router: APIRouter, service: Service) -> None:
    @reads(router, "/healthz", summary="Whether the server lives", tags=["server"])
    async def report_health() -> Status:
        return Status(status="ok")

    @reads(
        router,
        "/readyz",
        summary="Whether it takes work",
        tags=["server"],
        responses=problems("busy"),
    )
    async def report_readiness() -> Status:
        service.check_ready()
        return Status(status="ok")


def _add_models(router: APIRouter, store: ModelStore, sample_clip: Path | None) -> None:
    missing = problems("not-found")
    a_file = {
        200: {
            "description": "the file",
            "content": {
                "application/json": {"schema": {}},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            },
        },
        304: {"description": "the file is as the caller knows it (If-None-Match)"},
    }

    @reads(
        router,
        "/v1/models",
        summary="The models served here",
        tags=["models"],
        responses={200: {"model": Catalogue}},
    )
    async def list_models() -> Response:
        value = {
            "models": [_describe(model) for model in store],
            "default": store.default.name,
            "sample_clip": "/sample-clip" if sample_clip else None,
        }
        return json_response(value, {"Cache-Control": _ASK_AGAIN})

    @reads(
        router,
        "/v1/models/{name}",
        summary="A model served here",
        tags=["models"],
        responses={200: {"model": DescribedModel}, **missing},
    )
    async def describe_model(name: str) -> Response:
        return json_response(_describe(store.get(name)), {"Cache-Control": _ASK_AGAIN})

    @reads(
        router,
        "/models/{name}/{file}",
        summary="A file of a model, as it is now",
        tags=["models"],
        response_model=None,
        responses={**a_file, **missing},
    )
    async def send_model_file(name: str, file: str, request: Request) -> Response:
        return _send(store.get(name).files, file, request, _ASK_AGAIN)

    @reads(
        router,
        "/models/{name}/{version}/{file}",
        summary="A file of one version of a model",
        tags=["models"],
        response_model=None,
        responses={**a_file, **missing},
    )
    async def send_version_file(name: str, version: str, file: str, request: Request) -> Response:
        return _send(store.get_files(name, version), file, request, _FOR_GOOD)


def _add_pages(router: APIRouter, sample_clip: Path | None, static_dir: Path) -> None:
    @router.api_route("/sample-clip", methods=["GET", "HEAD"], include_in_schema=False)
    async def send_sample_clip() -> FileResponse:
        if sample_clip is None or not sample_clip.is_file():
            raise RequestRefused("not-found", "This server was started without a sample clip.")
        kind = _CLIP_TYPES.get(sample_clip.suffix.lower(), "application/octet-stream")
        return FileResponse(sample_clip, media_type=kind, headers={"Cache-Control": "no-cache"})

    # The last two had their names in 2017, and show the script tags of then.
    @router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    @router.api_route("/local", methods=["GET", "HEAD"], include_in_schema=False)
    @router.api_route("/video", methods=["GET", "HEAD"], include_in_schema=False)
    async def send_page(request: Request) -> Response:
        name = request.scope["path"].rpartition("/")[2] or "index"
        page = static_dir / f"{name}.html"
        if not page.is_file():
            address = html.escape(str(request.url_for("detect_image")))
            return HTMLResponse(_UNBUILT_PAGE % address, 503)
        return FileResponse(
            page, media_type=_MEDIA_TYPES[".html"], headers={"Cache-Control": _ASK_AGAIN}
        )

    for name in ("docs", "call", "embed"):
        _add_page(router, static_dir, name)


def _add_page(router: APIRouter, static_dir: Path, name: str) -> None:
    """A page in a folder of its own."""
    page = static_dir / name / "index.html"

    @router.api_route(f"/{name}", methods=["GET", "HEAD"], include_in_schema=False)
    async def lead_there() -> Response:
        return RedirectResponse(f"{name}/")  # relative: the server may lie below another's address

    @router.api_route(f"/{name}/", methods=["GET", "HEAD"], include_in_schema=False)
    async def send_it() -> FileResponse:
        if not page.is_file():
            raise RequestRefused(
                "not-found", "This page is not built here; /openapi.json describes the service."
            )
        return FileResponse(
            page, media_type=_MEDIA_TYPES[".html"], headers={"Cache-Control": _ASK_AGAIN}
        )


class PageFiles(StaticFiles):
    """The built page's files: kept for good where the name holds a hash, else asked for anew."""

    def __init__(self, directory: Path, routes: Sequence[BaseRoute] = ()) -> None:
        """routes: those before this one; their addresses are known by other methods."""
        super().__init__(directory=directory, check_dir=False)
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # this mount takes every address that nothing else does
            refusal = problem_response("not-found", "No WebSocket lies at this address.")
            await refusal(scope, receive, send)
            return
        await super().__call__(scope, receive, send)

    async def get_response(self, path: str, scope: Scope) -> Response:
        matching = [route for route in self._routes if route.matches(scope)[0] is not Match.NONE]
        allowed = {method for route in matching for method in getattr(route, "methods", ())}
        if allowed or scope["method"] not in ("GET", "HEAD"):
            methods = ", ".join(sorted(allowed or {"GET", "HEAD"}))
            raise HTTPException(405, headers={"Allow": methods})
        return await super().get_response(path, scope)

    async def check_config(self) -> None:
        if self.directory is None or not os.path.isdir(self.directory):
            raise HTTPException(404)  # not built, or not built yet

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        path = Path(full_path)
        if kind := _MEDIA_TYPES.get(path.suffix.lower()):
            response.headers["Content-Type"] = kind
        is_hashed = _HASHED_NAME.search(path.name) is not None
        response.headers["Cache-Control"] = _FOR_GOOD if is_hashed else _ASK_AGAIN
        return response


def _describe(model: ServedModel) -> dict[str, Any]:
    manifest = model.manifest
    graph = model.files.get(GRAPH_NAME) if manifest.batch == 1 else None  # pages: frame by frame
    files = {each: f"/models/{model.name}/{model.version}/{each}" for each in model.files}
    return {
        "name": model.name,
        "version": model.version,
        "target": manifest.target,
        "detects": model.detects,
        "labels": list(manifest.labels),
        "width": manifest.width,
        "height": manifest.height,
        "score_threshold": manifest.score_threshold,
        "manifest": files[MANIFEST_NAME],
        "graph": files[GRAPH_NAME] if graph else None,
        "bytes": len(graph.content) if graph else None,
        "files": files,
    }


def _send(files: Mapping[str, ServedFile], file: str, request: Request, caching: str) -> Response:
    served = files.get(file)
    if served is None:
        raise RequestRefused("not-found", f"This model has {', '.join(files)} here.")
    headers = {"ETag": served.etag, "Cache-Control": caching}
    if _matches(request.headers.get("if-none-match", ""), served.etag):
        return Response(status_code=304, headers=headers)
    return Response(served.content, headers=headers, media_type=served.media_type)


def _matches(if_none_match: str, etag: str) -> bool:
    """RFC 9110, 13.1.2: weak comparison with each listed tag."""
    listed = [part.strip().removeprefix("W/") for part in if_none_match.split(",")]
    return etag in listed or "*" in listed
