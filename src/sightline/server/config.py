"""What a server can be told: the one place where its defaults are written."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.config import option


@dataclass(frozen=True)
class ServeConfig:
    """Settings of `sightline serve`; who may ask for what follows from them (security.py)."""

    host: str = option("127.0.0.1", "address to listen on; 0.0.0.0 for every network, with a token")
    port: int = option(8000, "port to listen on; 0 takes a free one", low=0)
    token: str | None = option(
        None, "secret that callers must show; made up and printed beyond this machine"
    )
    open: bool = option(False, "ask nobody for a token, on any address")
    cors_origin: str | None = option(
        None,
        "web origins besides the server's own that may call it, separated by commas; * for all",
    )
    sample_clip: str | None = option(None, "video file that the live page offers as a sample")
    open_browser: bool = option(False, "open the live page in the browser")
    max_body_mib: int = option(32, "largest request body in MiB", low=1)
    workers: int = option(2, "images decoded and detected in at a time", low=1)
    max_waiting: int = option(16, "requests that may wait for a worker; more are told 503", low=0)
