"""The built live page as a published one: which of its files it needs, and what is added to it.

The page itself is the server's, unchanged but for its head and a line of links.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from pathlib import Path

from sightline.errors import PublishError

INDEX = "index.html"
ASSETS = "assets"
# The bundler's names of what a page loads for another runtime than ONNX Runtime on the CPU. No
# published model needs TensorFlow.js; WebGPU is for devices that have it and pages that choose it.
_TFJS = ("tfjs-",)
_WEBGPU = ("onnxwebgpu-",)
# Of ways to a server, which a folder has not.
_REMOTE = ("frametap-", "jpegworker-")
# ONNX Runtime's own way to compile what it has fetched; the rest needs nothing but the folder.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self' blob: data:; img-src 'self' blob: data:; media-src 'self' blob:; "
    "worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'"
)
_OWN_SCRIPT = re.compile(r'<script type="module"[^>]* src="\./(assets/[^"]+\.js)"></script>')
_TITLE = re.compile("<title>.*?</title>")
_PRELOAD = re.compile(r'\s*<link rel="modulepreload"[^>]*>')


def read_built_page(static: Path) -> str:
    """index.html as it was built. Raises PublishError where it was not."""
    needed = (static / INDEX, static / "publish" / "start.js", static / "publish" / "worker.js")
    if not all(path.is_file() for path in needed):
        raise PublishError(
            f"the live page is not built ({static} has not all of it); a wheel of Sightline "
            "carries it, in a checkout run: make web"
        )
    return needed[0].read_text(encoding="utf-8")


@dataclass(frozen=True)
class Assets:
    """Names below assets/. always: what every device may fetch. optional: for WebGPU alone."""

    always: list[str]
    optional: list[str]


def find_assets(page: str, static: Path) -> Assets:
    """The assets that the page, or a script of it, names; for any model in ONNX."""
    always = _named_from(page, static, without=_TFJS + _REMOTE + _WEBGPU)
    everything = _named_from(page, static, without=_TFJS + _REMOTE)
    return Assets(sorted(always), sorted(everything - always))


def _named_from(page: str, static: Path, without: tuple[str, ...]) -> set[str]:
    """Assets named in the page and in each other's text, not through those that begin so."""
    names = {path.name for path in (static / ASSETS).iterdir() if path.is_file()}
    names = {name for name in names if not name.startswith(without)}
    found: set[str] = set()
    waiting = [name for name in names if name in page]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        if name.endswith((".js", ".mjs", ".css")):
            text = (static / ASSETS / name).read_text(encoding="utf-8", errors="replace")
            waiting += [other for other in names if other in text]
    return found


def derive_page(page: str, *, title: str, start: str, catalogue: str) -> str:
    """The published page. start, catalogue: paths of its start script and its list of models.

    Raises PublishError for a page that is built in another way than this expects.
    """
    script = _OWN_SCRIPT.search(page)
    if script is None or "<head>" not in page or "</head>" not in page:
        raise PublishError(f"{INDEX} is not as this version builds it; build it again: make web")
    # The start loads the page's own script when the service worker is there: not before.
    begin = f'<script type="module" src="{start}" data-page="{script[1]}"></script>'
    page = _PRELOAD.sub("", page.replace(script[0], begin, 1))
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    page = page.replace("<head>", f"<head>\n    {policy}", 1)
    links = (
        f'<link rel="sightline-catalogue" href="{catalogue}">',
        '<link rel="manifest" href="manifest.webmanifest">',
        '<link rel="apple-touch-icon" href="icons/icon-192.png">',
    )
    page = page.replace("</head>", "".join(f"  {each}\n  " for each in links) + "</head>", 1)
    page = re.sub(
        "<title>.*?</title>", f"<title>{escape(title)} · Sightline</title>", page, count=1
    )
    about = (
        '<p class="hint"><a class="link" href="model-card.html">About the model</a> · '
        '<a class="link" href="licenses.txt">Licences</a></p>\n      '
    )
    place = "</aside>" if "</aside>" in page else "</body>"
    return page.replace(place, f"{about}{place}", 1)
