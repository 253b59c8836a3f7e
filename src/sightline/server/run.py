"""Running the server until it is stopped."""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import quote

import uvicorn
from fastapi import FastAPI

from sightline.errors import ConfigError, ServerError
from sightline.manifest import read_manifest
from sightline.runtime.locate import locate_bundle
from sightline.server.app import create_app
from sightline.server.config import ServeConfig
from sightline.server.connection import ConnectionConfig, HttpConnection
from sightline.server.plan import Plan, choose_plan
from sightline.server.security import Access, decide_access, is_loopback
from sightline.server.served import ModelStore
from sightline.server.service import Service
from sightline.server.tls import Certificate, lan_addresses, prepare_certificate

_BACKLOG = 256


@dataclass(frozen=True)
class Endpoint:
    """Where a server can be reached. `urls`: to open, token included, the nearest first.

    models: the folder of each by its name, the default first.
    """

    urls: tuple[str, ...]
    models: Mapping[str, Path]
    access: Access
    is_local: bool
    plan: Plan
    certificate: Certificate | None


def serve(
    references: Sequence[str | Path],
    config: ServeConfig,
    *,
    ready: Callable[[Endpoint], None] | None = None,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Serve these models until SIGINT or SIGTERM; `ready` is called once requests are answered.

    The first model is the default. Raises ServerError when the address cannot be listened on or a
    certificate does not do, ConfigError for contradicting settings, and what loading a model
    raises.
    """
    certificate = prepare_certificate(config)
    decide_access(config)  # contradictions come up before the port is taken
    with open_socket(config.host, config.port) as listener:
        config = replace(config, port=listener.getsockname()[1])
        access = decide_access(config)
        if progress is not None:
            progress("Measuring how many images at a time this machine does best")
        plan = choose_plan(_first_runnable(references), config)
        store = ModelStore.load(references, plan)
        app = create_app(store, config, access=access)
        endpoint = Endpoint(
            urls=_urls(listener, access.token, "https" if certificate else "http"),
            models={model.name: model.folder for model in store},
            access=access,
            is_local=is_loopback(config.host),
            plan=plan,
            certificate=certificate,
        )
        server = make_server(app, lambda: ready(endpoint) if ready else None, certificate)
        server.run(sockets=[listener])


def make_server(
    app: FastAPI,
    ready: Callable[[], None] = lambda: None,
    certificate: Certificate | None = None,
) -> uvicorn.Server:
    """A uvicorn server on the fast stack, quiet but for errors; call `.run(sockets=[...])`."""
    service: Service = app.state.service
    config = service.config
    # A malformed form is its sender's trouble, and is answered.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    return _Server(
        ConnectionConfig(
            app,
            config,
            lambda code: service.metrics.refused.labels(code).inc(),
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nobody is believed about who they are
            timeout_graceful_shutdown=math.ceil(config.drain_timeout),
        ),
        service,
        ready,
        certificate,
    )


def open_socket(host: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises ServerError saying why not, ConfigError for no port."""
    if port > 65535:
        raise ConfigError(f"a port is at most 65535, not {port}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ServerError(
            f"{host!r} is no address of this machine; try 127.0.0.1 or 0.0.0.0"
        ) from error
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _refused(host, port, error) from error
    return listener


class _Server(uvicorn.Server):
    """Says when it is ready; told to stop, it ends streams first and lets requests finish."""

    config: ConnectionConfig

    def __init__(
        self,
        config: ConnectionConfig,
        service: Service,
        ready: Callable[[], None],
        certificate: Certificate | None,
    ) -> None:
        super().__init__(config)
        self._certificate = certificate
        self._service = service
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's, with a bound on the time that a TLS handshake may take."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise ServerError("the server could not start; its log says why")
        loop = asyncio.get_running_loop()
        secure: dict[str, Any] = {}
        if self._certificate is not None:
            secure = {
                "ssl": self._certificate.context,
                "ssl_handshake_timeout": self.config.serve.header_timeout,
                "ssl_shutdown_timeout": self.config.serve.header_timeout,
            }
        self.servers = [
            await loop.create_server(self._connection, sock=each, backlog=_BACKLOG, **secure)
            for each in sockets or ()
        ]
        self.started = True
        self._ready()

    def _connection(self) -> HttpConnection:
        return HttpConnection(self.config, self.server_state, self.lifespan.state)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.stop_streams()  # uvicorn waits for them before it tells the application
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal asks for a graceful end, the second does not wait for it.

        Unlike uvicorn's this does not repeat the signal in the end: stopping as told is success.
        """
        if self.should_exit:
            os._exit(128 + sig)
        self.should_exit = True


def _first_runnable(references: Sequence[str | Path]) -> Path:
    """The folder of the first model that the server can run, or of the first."""
    folders = [locate_bundle(reference) for reference in references]
    return next((each for each in folders if read_manifest(each).target != "tfjs"), folders[0])


def _refused(host: str, port: int, error: OSError) -> ServerError:
    if error.errno == errno.EADDRINUSE:
        return ServerError(
            f"port {port} on {host} is in use by another program: choose another with "
            f"--port {port + 1}, or let a free one be taken with --port 0"
        )
    if error.errno == errno.EACCES:
        return ServerError(f"port {port} needs more rights than this user has; try --port 8000")
    if error.errno == errno.EADDRNOTAVAIL:
        return ServerError(f"{host} is no address of this machine; try 127.0.0.1 or 0.0.0.0")
    return ServerError(f"cannot listen on {host} port {port}: {error.strerror}")


def _urls(listener: socket.socket, token: str | None, scheme: str) -> tuple[str, ...]:
    host, port = listener.getsockname()[:2]
    hosts = [host]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not listened on
        hosts = ["localhost", *lan_addresses()]
    query = f"?token={quote(token, safe='')}" if token else ""
    named = [f"[{each}]" if ":" in each else each for each in hosts]
    return tuple(f"{scheme}://{each}:{port}/{query}" for each in named)
