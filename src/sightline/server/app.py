"""The server's application: routes and middleware put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from sightline.errors import ConfigError
from sightline.server.body_limit import BodyLimit
from sightline.server.call import call_router
from sightline.server.cameras import Cameras, read_cameras
from sightline.server.config import ServeConfig
from sightline.server.detect import detect_router
from sightline.server.errors import install_error_handlers
from sightline.server.ice import read_ice_servers
from sightline.server.inference_v2 import HEADER_LENGTH, inference_router
from sightline.server.legacy import legacy_router
from sightline.server.listen import listen_router
from sightline.server.metrics import CountRequests, metrics_router
from sightline.server.openapi import Application
from sightline.server.pages import STATIC_DIR, PageFiles, page_router
from sightline.server.peers import Peers
from sightline.server.rate import RateLimit, make_rates
from sightline.server.reload import fresh_models
from sightline.server.security import Access, Guard, decide_access, is_loopback
from sightline.server.served import ModelStore
from sightline.server.service import Service
from sightline.server.webrtc import webrtc_router
from sightline.server.websocket import websocket_router
from sightline.server.whip import whip_router


def create_app(
    store: ModelStore,
    config: ServeConfig,
    *,
    access: Access | None = None,
    static_dir: Path = STATIC_DIR,
) -> FastAPI:
    """The application on these models; `app.state.service` is what its routes share.

    `access` defaults to what `config` says. Raises ConfigError for settings that contradict each
    other, a sample clip that is not there or a malformed source.
    """
    access = access or decide_access(config)
    sample_clip = _sample_clip(config.sample_clip)
    sources = read_cameras(config)
    service = Service(store, config, access)
    peers = Peers(service, read_ice_servers(config.ice_server))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.scheduler.start()
        cameras = Cameras(service, sources)
        async with fresh_models(service):
            yield
        await cameras.stop()
        await peers.close()
        await service.close()

    app = Application(
        title="Sightline",
        version=version("sightline"),
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages fetch their scripts from a CDN
        redoc_url=None,
        # FastAPI's OpenTelemetry, which would send to wherever the environment says.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.service = service
    install_error_handlers(app)
    routers = (
        call_router(service),
        detect_router(service),
        inference_router(service),
        legacy_router(service),
        listen_router(service),
        metrics_router(service.metrics),
        page_router(service, sample_clip, static_dir),
        webrtc_router(peers),
        websocket_router(service),
        whip_router(peers, service.board),
    )
    for router in routers:
        app.include_router(router)
    app.mount("/", PageFiles(static_dir, [route for each in routers for route in each.routes]))

    # Added last is outermost: counting, CORS, early answers that linger, rates, then the door.
    app.add_middleware(Guard, access=access)
    rates = make_rates(config.rate, is_local=is_loopback(config.host))
    if rates is not None:
        app.add_middleware(RateLimit, rates=rates)
    app.add_middleware(BodyLimit, max_bytes=config.max_body_mib * 2**20, max_s=config.body_timeout)
    if access.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=access.origins,
            allow_methods=["GET", "HEAD", "POST", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", HEADER_LENGTH, "Last-Event-ID"],
            expose_headers=["ETag", "Link", "Location", "Retry-After", HEADER_LENGTH],
        )
    app.add_middleware(CountRequests, metrics=service.metrics)
    return app


def _sample_clip(name: str | None) -> Path | None:
    if name is None:
        return None
    path = Path(name)
    if not path.is_file():
        raise ConfigError(f"the sample clip {name} is no file; --sample-clip takes a video file")
    return path.resolve()
