"""What the server counts and times, in the format that Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """One server's numbers. `path` is http, websocket, webrtc, whip or source."""

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
