"""Running the server until it is stopped."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from sightline.errors import ConfigError, ServerError
from sightline.manifest import read_manifest
from sightline.runtime.locate import locate_bundle
from sightline.server.app import create_app
from sightline.server.config import ServeConfig
from sightline.server.connection import WebSocketConnection
from sightline.server.plan import choose_plan
from sightline.server.security import Access, decide_access, is_loopback
from sightline.server.served import ModelStore

_BACKLOG = 256


@dataclass(frozen=True)
class Endpoint:
    """Where a server can be reached. `urls`: to open, token included, the nearest first."""

    urls: tuple[str, ...]
    model_names: tuple[str, ...]
    access: Access
    is_local: bool


def serve(
    references: Sequence[str | Path],
    config: ServeConfig,
    *,
    ready: Callable[[Endpoint], None] | None = None,
) -> None:
    """Serve these models until Ctrl-C; `ready` is called once requests are answered.

    The first model is the default. Raises ServerError when the address cannot be listened on,
    ConfigError for contradicting settings, and what loading a model raises.
    """
    access = decide_access(config)
    with open_socket(config.host, config.port) as listener:
        plan = choose_plan(_first_runnable(references), config)
        store = ModelStore.load(references, plan)
        app = create_app(store, config, access=access)
        endpoint = Endpoint(
            urls=_urls(listener, access.token),
            model_names=tuple(model.name for model in store),
            access=access,
            is_local=is_loopback(config.host),
        )
        server = make_server(app, lambda: ready(endpoint) if ready else None)
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            return  # uvicorn has closed down gracefully and then repeats the signal


def make_server(app: FastAPI, ready: Callable[[], None] = lambda: None) -> uvicorn.Server:
    """A uvicorn server on the fast stack, quiet but for errors; call `.run(sockets=[...])`."""
    config: ServeConfig = app.state.service.config
    return _Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nobody is believed about who they are
            ws=WebSocketConnection,
            ws_max_size=config.max_body_mib * 2**20,
            ws_per_message_deflate=False,  # images do not shrink, and bombs would unfold
            timeout_graceful_shutdown=5,
        ),
        ready,
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
        raise ServerError(f"{host!r} is no address of this machine ({error})") from error
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
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._ready()


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


def _urls(listener: socket.socket, token: str | None) -> tuple[str, ...]:
    host, port = listener.getsockname()[:2]
    hosts = [host]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not listened on
        hosts = ["localhost", *_lan_address()]
    query = f"?token={token}" if token else ""
    return tuple(f"http://{f'[{each}]' if ':' in each else each}:{port}/{query}" for each in hosts)


def _lan_address() -> list[str]:
    """This machine's address in its network, if it has one. Connecting UDP sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1, RFC 5737
            return [str(probe.getsockname()[0])]
        except OSError:
            return []
