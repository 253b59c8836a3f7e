"""What a browser fetches: the live page, the models to run in it, the sample clip."""

from __future__ import annotations

import html
import os
import re
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from sightline.manifest import GRAPH_NAME, MANIFEST_NAME
from sightline.server.errors import RequestRefused, problem_response
from sightline.server.served import ModelStore, ServedModel

STATIC_DIR = Path(__file__).parent / "static"

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


def page_router(store: ModelStore, sample_clip: Path | None, static_dir: Path) -> APIRouter:
    """Everything under GET but the static files themselves."""
    router = APIRouter()

    @router.api_route("/healthz", methods=["GET", "HEAD"], include_in_schema=False)
    async def report_health() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/v1/models", summary="The models served here")
    async def list_models() -> dict[str, Any]:
        return {
            "models": [_describe(model) for model in store],
            "sample_clip": "/sample-clip" if sample_clip else None,
        }

    @router.api_route("/models/{name}/{file}", methods=["GET", "HEAD"], include_in_schema=False)
    async def send_model_file(name: str, file: str, request: Request) -> Response:
        model = store.get(name)
        served = model.files.get(file)
        if served is None:
            raise RequestRefused("not-found", f"This model has {', '.join(model.files)} here.")
        headers = {"ETag": served.etag, "Cache-Control": "no-cache"}
        if _matches(request.headers.get("if-none-match", ""), served.etag):
            return Response(status_code=304, headers=headers)
        return Response(served.content, headers=headers, media_type=served.media_type)

    @router.api_route("/sample-clip", methods=["GET", "HEAD"], include_in_schema=False)
    async def send_sample_clip() -> FileResponse:
        if sample_clip is None or not sample_clip.is_file():
            raise RequestRefused("not-found", "This server was started without a sample clip.")
        kind = _CLIP_TYPES.get(sample_clip.suffix.lower(), "application/octet-stream")
        return FileResponse(sample_clip, media_type=kind, headers={"Cache-Control": "no-cache"})

    @router.api_route("/local", methods=["GET", "HEAD"], include_in_schema=False)
    @router.api_route("/video", methods=["GET", "HEAD"], include_in_schema=False)
    @router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def send_page(request: Request) -> Response:
        page = static_dir / "index.html"
        if not page.is_file():
            address = html.escape(str(request.url_for("detect_image")))
            return HTMLResponse(_UNBUILT_PAGE % address, 503)
        return FileResponse(
            page, media_type=_MEDIA_TYPES[".html"], headers={"Cache-Control": "no-cache"}
        )

    return router


class PageFiles(StaticFiles):
    """The built page's files: kept for good where the name holds a hash, else asked for anew."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory, check_dir=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # this mount takes every address that nothing else does
            refusal = problem_response("not-found", "No WebSocket lies at this address.")
            await refusal(scope, receive, send)
            return
        await super().__call__(scope, receive, send)

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
        response.headers["Cache-Control"] = (
            "public, max-age=31536000, immutable" if is_hashed else "no-cache"
        )
        return response


def _describe(model: ServedModel) -> dict[str, Any]:
    manifest, graph = model.manifest, model.files.get(GRAPH_NAME)
    return {
        "name": model.name,
        "labels": list(manifest.labels),
        "width": manifest.width,
        "height": manifest.height,
        "score_threshold": manifest.score_threshold,
        "manifest": f"/models/{model.name}/{MANIFEST_NAME}",
        "graph": f"/models/{model.name}/{GRAPH_NAME}" if graph else None,
        "bytes": len(graph.content) if graph else None,
    }


def _matches(if_none_match: str, etag: str) -> bool:
    """RFC 9110, 13.1.2: weak comparison with each listed tag."""
    listed = [part.strip().removeprefix("W/") for part in if_none_match.split(",")]
    return etag in listed or "*" in listed
