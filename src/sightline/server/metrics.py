"""What the server counts and times, in the format that Prometheus reads."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightline.server.openapi import reads

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32)
# Labels of which there are few: anybody can make up methods and addresses.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER = "other"


class Metrics:
    """One server's numbers. `path` is http, websocket, webrtc, whip, source or listener."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "sightline_http_requests",
            "HTTP requests answered",
            ("method", "route", "status"),
            registry=registry,
        )
        self.request_seconds = Histogram(
            "sightline_http_request_seconds",
            "Time from a request's headers to the end of its answer",
            ("route",),
            registry=registry,
            buckets=_SECONDS,
        )
        self.stage_seconds = Histogram(
            "sightline_stage_seconds",
            "Time of an image in each stage: queue, decode, infer, total",
            ("stage", "path"),
            registry=registry,
            buckets=_SECONDS,
        )
        self.images = Counter(
            "sightline_images", "Images worked on", ("path", "outcome"), registry=registry
        )
        self.dropped = Counter(
            "sightline_dropped_frames",
            "Frames that a newer one took the place of",
            ("path",),
            registry=registry,
        )
        self.batch_size = Histogram(
            "sightline_batch_size",
            "Images in a run of the graph",
            registry=registry,
            buckets=_SIZES,
        )
        self.sessions = Gauge(
            "sightline_sessions", "Streams open now", ("path",), registry=registry
        )
        self.refused = Counter(
            "sightline_refused", "Requests and streams refused", ("code",), registry=registry
        )
        self.reloads = Counter(
            "sightline_model_reloads",
            "Models exchanged while running",
            ("model",),
            registry=registry,
        )
        self._queue_depth = Gauge(
            "sightline_queue_depth", "Images waiting for a worker", registry=registry
        )

    def watch_queue(self, depth: Callable[[], int]) -> None:
        """Ask `depth` for the number of waiting images whenever metrics are read."""
        self._queue_depth.set_function(depth)

    def render(self) -> bytes:
        """All of it as text."""
        return generate_latest(self._registry)


class CountRequests:
    """Middleware: counts and times each request by its route, each refusal by its code."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        status, is_problem = 500, False  # what uvicorn answers where nothing else does
        start = time.perf_counter()

        async def send_counted(message: Message) -> None:
            nonlocal status, is_problem
            if message["type"].endswith("http.response.start"):  # also a WebSocket's refusal
                status = message["status"]
                kind = (
                    Headers(raw=message["headers"]).get("content-type", "") if status > 399 else ""
                )
                is_problem = kind == "application/problem+json"
            elif is_problem and message["type"].endswith("http.response.body"):
                is_problem = False
                self._count_refusal(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, send_counted)
        finally:
            if scope["type"] == "http":
                method = scope["method"] if scope["method"] in _METHODS else _OTHER
                route = getattr(scope.get("route"), "path", _OTHER)
                self._metrics.requests.labels(method, route, str(status)).inc()
                self._metrics.request_seconds.labels(route).observe(time.perf_counter() - start)

    def _count_refusal(self, body: bytes) -> None:
        code = msgspec.json.decode(body, type=_Refusal).code
        self._metrics.refused.labels(code).inc()


class _Refusal(msgspec.Struct):
    code: str


def metrics_router(metrics: Metrics) -> APIRouter:
    """GET /metrics."""
    router = APIRouter(tags=["server"])

    @reads(
        router,
        "/metrics",
        summary="Numbers for Prometheus",
        response_model=None,
        responses={
            200: {
                "description": "Prometheus' text format",
                "content": {"text/plain": {"schema": {"type": "string"}}},
            }
        },
        response_class=Response,
    )
    async def send_metrics() -> Response:
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    return router
