"""`sightline serve`: the live page and the HTTP service."""

from __future__ import annotations

import argparse
import sys
import threading
import webbrowser
from typing import TYPE_CHECKING

from sightline.cli.options import add_config_flags, config_values
from sightline.config import make_config
from sightline.server.config import ServeConfig

if TYPE_CHECKING:
    from sightline.server.run import Endpoint

EPILOG = """examples:
  sightline serve deimv2-femto                    the COCO model, on http://127.0.0.1:8000/
  sightline serve runs/kangaroo                   the best model of a training run
  sightline serve runs/a runs/b --port 8080       several; the first answers POST /image
  sightline serve runs/a --host 0.0.0.0           for the whole network, with a token
  curl -F image=@photo.jpg http://127.0.0.1:8000/image
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

    config = make_config(ServeConfig, config_values(args, ServeConfig))
    bundles = [ensure_bundle(reference, _say) for reference in args.models]
    serve(bundles, config, ready=lambda endpoint: announce(endpoint, config))
    _say("sightline serve: stopped")
    return 0


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def announce(endpoint: Endpoint, config: ServeConfig) -> None:
    """The address on stdout, where a program may read it; what to know on stderr."""
    for url in endpoint.urls:
        print(url, flush=True)
    page = _with_sample(endpoint.urls[0]) if config.sample_clip else endpoint.urls[0]
    first, *others = endpoint.model_names
    lines = [f"Serving {first}" + (f" (default), {', '.join(others)}" if others else "")]
    if endpoint.access.token is not None:
        lines.append(
            f"Callers need the token {endpoint.access.token}: open the address above, or send "
            "the header Authorization: Bearer TOKEN"
        )
    if not endpoint.is_local:
        lines.append(
            "A browser gives its camera to pages from localhost or https only: from other "
            "machines the page can play files, not the camera"
        )
        if endpoint.access.token is None:
            lines.append("Warning: --open: whoever reaches this machine can use the server")
    if "*" in endpoint.access.origins:
        lines.append("Warning: --cors-origin *: every web page may call the server")
    if config.sample_clip:
        lines.append(f"The sample clip: {page}")
    lines.append("Ctrl-C stops")
    _say("\n".join(lines))
    if config.open_browser:  # in a thread: a text browser would hold up the server
        threading.Thread(target=webbrowser.open, args=(page,), daemon=True).start()


def _with_sample(url: str) -> str:
    """The address at which the page begins with the sample clip."""
    return f"{url}{'&' if '?' in url else '?'}source=sample"
