"""`sightline serve`: the live page and the HTTP service."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import webbrowser
from typing import TYPE_CHECKING

from sightline.cli.options import add_config_flags, config_values
from sightline.config import make_config
from sightline.server.config import ServeConfig

if TYPE_CHECKING:
    from sightline.server.run import Endpoint

TOKEN_VARIABLE = "SIGHTLINE_TOKEN"  # noqa: S105 - a variable's name

EPILOG = """examples:
  sightline serve deimv2-femto                    the COCO model, on http://127.0.0.1:8000/
  sightline serve runs/kangaroo                   the best model of a training run
  sightline serve runs/a runs/b --port 8080       several; the first is the default
  sightline serve runs/a --host 0.0.0.0           for the whole network, with a token
  sightline serve runs/a --host 0.0.0.0 --https   with the camera of a phone: scan the QR code
  sightline serve runs/a --source yard=rtsp://USER:PASSWORD@192.168.1.20/stream
                                                  a network camera, watched by the server
  sightline serve runs/a --ice-server stun:stun.example.org:3478
                                                  WebRTC across networks
  curl -F image=@photo.jpg http://127.0.0.1:8000/image

A token in the environment variable SIGHTLINE_TOKEN, unlike --token, is not seen in lists of
processes.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument(
        "models", nargs="+", metavar="MODEL", help="a bundle, a run folder or a zoo name"
    )
    add_config_flags(parser, ServeConfig)


def run(args: argparse.Namespace) -> int:
    from sightline.server.run import serve
    from sightline.workflow.resolve import ensure_bundle

    # Until the server runs, which has its own ways: as process 1 of a container this one would
    # not be ended by SIGTERM otherwise.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    values = config_values(args, ServeConfig)
    if values["token"] is None and not values["open"]:
        values["token"] = os.environ.get(TOKEN_VARIABLE) or None
    config = make_config(ServeConfig, values)
    bundles = [ensure_bundle(reference, _say) for reference in args.models]
    _log_on_stderr()
    serve(
        bundles,
        config,
        ready=lambda endpoint: announce(endpoint, config),
        progress=_say if sys.stderr.isatty() else None,
    )
    _say("sightline serve: stopped")
    return 0


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


class _Line(logging.Formatter):
    """A log record as a line; a warning says that it is one."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        return line if record.levelno < logging.WARNING else f"{record.levelname.title()}: {line}"


def _log_on_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Line())
    log = logging.getLogger("sightline.server")
    log.setLevel(logging.INFO)
    log.addHandler(handler)


def announce(endpoint: Endpoint, config: ServeConfig) -> None:
    """The address on stdout, where a program may read it; what to know on stderr."""
    for url in endpoint.urls:
        print(url, flush=True)
    page = _with_sample(endpoint.urls[0]) if config.sample_clip else endpoint.urls[0]
    lines = [*_what_is_served(endpoint), *_who_may_ask(endpoint)]
    if config.sample_clip:
        lines.append(f"The sample clip: {page}")
    lines.append("Ctrl-C stops")
    _say("\n".join(lines))
    if not endpoint.is_local and sys.stderr.isatty():
        _show_code(endpoint)
    if config.open_browser:  # in a thread: a text browser would hold up the server
        threading.Thread(target=webbrowser.open, args=(page,), daemon=True).start()


def _what_is_served(endpoint: Endpoint) -> list[str]:
    from sightline.runtime.engine import PROVIDERS
    from sightline.runtime.engines.onnx import find_provider

    plan = endpoint.plan
    provider = find_provider(plan.device)
    device = next(name for name, each in PROVIDERS.items() if each == provider)
    share = f"{_count(plan.workers, 'image')} at a time on {_count(plan.threads, 'thread')} each"
    rate = f", about {plan.images_per_s:.0f} a second" if plan.images_per_s else ""
    base = endpoint.urls[0].partition("?")[0]
    models = [f"{name} ({folder})" for name, folder in endpoint.models.items()]
    return [
        f"Serving {', '.join(models)}" + ("; the first is the default" if models[1:] else ""),
        f"{device.upper()}: {share}{rate}",
        f"For programs: {base}docs; numbers: {base}metrics",
    ]


def _who_may_ask(endpoint: Endpoint) -> list[str]:
    access, certificate = endpoint.access, endpoint.certificate
    lines = []
    if access.token is not None:
        lines.append(
            f"Callers need the token {access.token}: open the address above, or send "
            "the header Authorization: Bearer TOKEN"
        )
    if certificate is not None:
        lines.append(f"The certificate's SHA-256 fingerprint: {certificate.fingerprint}")
        if certificate.warning:
            lines.append(f"Warning: {certificate.warning}")
    elif not endpoint.is_local:
        lines.append(
            "A browser gives its camera to pages from localhost or https only: for the camera of "
            "another machine add --https"
        )
    if access.is_open:
        lines.append("Warning: --open: whoever reaches this server can use it")
    if "*" in access.origins:
        lines.append("Warning: --cors-origin *: every web page may call the server")
    return lines


def _show_code(endpoint: Endpoint) -> None:
    """A QR code that opens the page on a phone in the same network."""
    import segno

    url = next((each for each in endpoint.urls if "//localhost" not in each), None)
    if url is not None:
        _say(f"On a phone: {url}")
        segno.make(url, error="l").terminal(out=sys.stderr, border=2, compact=True)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _with_sample(url: str) -> str:
    """The address at which the page begins with the sample clip."""
    return f"{url}{'&' if '?' in url else '?'}source=sample"
