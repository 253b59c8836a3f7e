"""What a server can be told: the one place where its defaults are written."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.config import option
from sightline.runtime.engine import DEVICES


@dataclass(frozen=True)
class ServeConfig:
    """Settings of `sightline serve`; who may ask for what follows from them (security.py)."""

    host: str = option("127.0.0.1", "address to listen on; 0.0.0.0 for every network, with a token")
    port: int = option(8000, "port to listen on; 0 takes a free one", low=0)
    https: bool = option(
        False, "encrypt, with a certificate made for this machine's addresses unless one is given"
    )
    certificate: str | None = option(None, "certificate file (PEM) for --https; needs --key")
    key: str | None = option(None, "private key file (PEM) of --certificate")
    token: str | None = option(
        None, "secret that callers must show; made up and printed beyond this machine"
    )
    open: bool = option(False, "ask nobody for a token, on any address")
    cors_origin: str | None = option(
        None,
        "web origins besides the server's own that may call it, separated by commas; * for all",
    )
    source: tuple[str, ...] = option(
        (), "NAME=URL of a video file, RTSP or HTTP camera or device to detect in; may be repeated"
    )
    ice_server: tuple[str, ...] = option(
        (), "stun:HOST:PORT or turn:USER:PASSWORD@HOST:PORT for WebRTC; may be repeated"
    )
    sample_clip: str | None = option(None, "video file that the live page offers as a sample")
    open_browser: bool = option(False, "open the live page in the browser")
    device: str = option(
        "auto", "what ONNX Runtime computes on; auto: a CUDA GPU or the CPU", choices=DEVICES
    )
    workers: int | None = option(
        None, "images worked on at a time; by default what is fastest, measured at start", low=1
    )
    threads: int | None = option(
        None, "threads of one inference; by default what is fastest, measured at start", low=1
    )
    max_waiting: int = option(32, "requests that may wait for a worker; more are told 503", low=0)
    max_sessions: int = option(
        64,
        "streams (WebSocket, WebRTC, event) at a time, and pages in calls; more are told 503",
        low=1,
    )
    max_connections: int = option(512, "open connections; more are told 503", low=1)
    rate: float | None = option(
        None, "requests a second from one address; by default 50 beyond this machine", low=0.1
    )
    max_body_mib: int = option(32, "largest request body in MiB", low=1)
    header_timeout: float = option(10.0, "seconds that a request's headers may take", low=0.1)
    body_timeout: float = option(30.0, "seconds that a request's body may take", low=0.1)
    drain_timeout: float = option(
        10.0, "seconds that running requests are given when the server is told to stop", low=0
    )
