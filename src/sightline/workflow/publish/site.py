"""`sightline publish`: the site's files, put together and written whole."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sightline.errors import PublishError, UsageError
from sightline.manifest import GRAPH_NAME, MANIFEST_NAME
from sightline.server.pages import STATIC_DIR
from sightline.workflow.publish.card import model_card
from sightline.workflow.publish.check import SiteCheck, check_site
from sightline.workflow.publish.compress import compress
from sightline.workflow.publish.folder import check_replaceable, staged_site, write_marker
from sightline.workflow.publish.icons import draw_icon
from sightline.workflow.publish.live_page import (
    ASSETS,
    INDEX,
    POLICY,
    derive_page,
    find_assets,
    read_built_page,
)
from sightline.workflow.publish.model import PublishedModel, place_model

WORKER = "sw.js"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".mov": "video/quicktime",
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
}
_LARGE = 100_000
CLIPS = (".mov", ".mp4", ".webm")
# Fetched again on each visit: what leads to everything else, whose names change with the content.
_NAMED_FOR_GOOD = (f"/{ASSETS}/*", "/models/*")


@dataclass(frozen=True)
class Sizes:
    """Bytes that a visitor fetches, by what the host sends: brotli, gzip, or files as they are."""

    brotli: int = 0
    gzip: int = 0
    raw: int = 0

    def __add__(self, other: Sizes) -> Sizes:
        return Sizes(self.brotli + other.brotli, self.gzip + other.gzip, self.raw + other.raw)


@dataclass(frozen=True)
class Published:
    """A site on disk. sizes: of each file that pages fetch, in the order in which they do.

    first_detection: what they fetch until the first model can run, all scripts that might be
    wanted included; where it was checked, what the browser fetched. choices: by model, which of
    its graphs was taken and why.
    """

    out: Path
    version: str
    bytes: int
    sizes: dict[str, Sizes]
    first_detection: Sizes
    choices: dict[str, str] = field(default_factory=dict)
    check: SiteCheck | None = None


def publish(
    models: Sequence[str | Path],
    out: str | Path,
    *,
    sample_clip: str | Path | None = None,
    as_is: bool = False,
    check: bool = False,
    static: Path = STATIC_DIR,
    say: Callable[[str], None] = lambda line: None,
) -> Published:
    """Write the live page with these models as a static site into `out`, whole or not at all.

    models: bundles, run folders, ONNX artefacts or zoo names; the first is what the page opens
    with. as_is: publish the graphs given, not ones with 16-bit weights. check: see it detect in a
    browser before it is put in place. say: told of each step. Raises PublishError, ModelError or
    UsageError; then `out` is as it was.
    """
    clip = _check_clip(sample_clip)
    page = read_built_page(static)
    out = Path(out)
    check_replaceable(out)  # said before anything takes time
    with staged_site(out) as site:
        placed = []
        for model in models:
            say(f"model {model}")
            placed.append(place_model(model, site, as_is=as_is, say=say))
        assets = find_assets(page, static)
        (site / ASSETS).mkdir()
        for asset in (*assets.always, *assets.optional):
            shutil.copyfile(static / ASSETS / asset, site / ASSETS / asset)
        _write_page(site, page, placed, clip, static)
        optional = {f"{ASSETS}/{asset}" for asset in assets.optional}
        made = _finish(site, placed, optional, static, say)
        if check:
            made = _checked(made, placed[0], optional, say)
    return replace(made, out=out.resolve())


def _check_clip(sample_clip: str | Path | None) -> Path | None:
    if sample_clip is None:
        return None
    clip = Path(sample_clip)
    if not clip.is_file():
        raise PublishError(f"{clip}: no such file; --sample-clip takes a video")
    if clip.suffix.lower() not in CLIPS:
        raise UsageError(f"{clip} is not {', '.join(CLIPS)}: what browsers play")
    return clip


def _write_page(
    site: Path, page: str, placed: Sequence[PublishedModel], clip: Path | None, static: Path
) -> None:
    """Everything but the service worker, whose list must hold it all."""
    title = placed[0].manifest.name
    clip_path = None
    if clip is not None:
        clip_path = _place(site, f"{ASSETS}/clip{clip.suffix.lower()}", clip.read_bytes())
    catalogue = {
        "models": [_describe(model) for model in placed],
        "default": title,
        "sample_clip": clip_path,
    }
    catalogue_path = _place(site, "catalogue.json", json.dumps(catalogue, indent=1).encode())
    start = (static / "publish" / "start.js").read_bytes()
    start_path = _place(site, f"{ASSETS}/start.js", start)
    for name in ("icon.svg", "licenses.txt"):
        shutil.copyfile(static / name, site / name)
    (site / "icons").mkdir()
    for side in (192, 512):
        (site / "icons" / f"icon-{side}.png").write_bytes(draw_icon(side))
    (site / "icons" / "maskable-512.png").write_bytes(draw_icon(512, is_maskable=True))
    (site / "manifest.webmanifest").write_text(_web_manifest(title), encoding="utf-8")
    derived = derive_page(page, title=title, start=start_path, catalogue=catalogue_path)
    (site / INDEX).write_text(derived, encoding="utf-8")


def _place(site: Path, path: str, content: bytes) -> str:
    """Write a file under its name with its hash in it; returns that."""
    digest = hashlib.sha256(content).hexdigest()[:8]
    stem, _, suffix = path.rpartition(".")
    named = f"{stem}-{digest}.{suffix}"
    (site / named).write_bytes(content)
    return named


def _describe(model: PublishedModel) -> dict[str, Any]:
    """As /v1/models does, with addresses relative to the catalogue."""
    manifest = model.manifest
    files = {each: f"{model.folder}/{each}" for each in (MANIFEST_NAME, GRAPH_NAME)}
    return {
        "name": manifest.name,
        "version": model.folder.rpartition("-")[2],
        "target": manifest.target,
        "detects": False,
        "labels": list(manifest.labels),
        "width": manifest.width,
        "height": manifest.height,
        "score_threshold": manifest.score_threshold,
        "manifest": files[MANIFEST_NAME],
        "graph": files[GRAPH_NAME],
        "bytes": manifest.files[GRAPH_NAME].size,
        "files": files,
    }


def _web_manifest(title: str) -> str:
    def icon(name: str, sizes: str, purpose: str = "any") -> dict[str, str]:
        kind = TYPES[Path(name).suffix]
        return {"src": name, "sizes": sizes, "type": kind, "purpose": purpose}

    value = {
        "name": f"{title} · Sightline",
        "short_name": title,
        "description": "Object detection that runs on this device.",
        "id": "./",
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": "#0c1116",
        "theme_color": "#0c1116",
        "icons": [
            icon("icons/icon-192.png", "192x192"),
            icon("icons/icon-512.png", "512x512"),
            icon("icons/maskable-512.png", "512x512", "maskable"),
            icon("icon.svg", "any"),
        ],
    }
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _finish(
    site: Path,
    placed: Sequence[PublishedModel],
    optional: set[str],
    static: Path,
    say: Callable[[str], None],
) -> Published:
    """Compress, list and mark what lies in `site`."""
    say("compressing (the runtime takes a minute, once on a machine)")
    sizes = {path: _sizes(site / path, quickly=path in optional) for path in _files(site)}
    (site / "model-card.html").write_text(model_card(placed, site), encoding="utf-8")
    sizes["model-card.html"] = _sizes(site / "model-card.html")
    ranks = {path: 2 if path in optional else _rank(path, placed) for path in sizes}
    order = sorted(sizes, key=lambda path: (ranks[path], path))
    listed = {
        path: {
            "sha256": hashlib.sha256((site / path).read_bytes()).hexdigest(),
            "type": TYPES.get(Path(path).suffix, "application/octet-stream"),
            # asking a host what it does costs a round trip: for these the answer is worth it
            "gzip": sizes[path].raw > _LARGE and (site / f"{path}.gz").is_file(),
            "optional": path in optional,
        }
        for path in order
    }
    version = hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:12]
    worker = (static / "publish" / "worker.js").read_text(encoding="utf-8")
    content = json.dumps({"version": version, "files": listed})
    (site / WORKER).write_text(f"self.SIGHTLINE_SITE = {content};\n{worker}", encoding="utf-8")
    sizes[WORKER] = _sizes(site / WORKER)
    (site / ".nojekyll").touch()  # GitHub Pages: files as they are
    (site / "_headers").write_text(_headers(), encoding="utf-8")
    first = {WORKER, *(path for path in order if ranks[path] == 0)}
    write_marker(site, {"version": version})
    return Published(
        out=site,
        version=version,
        bytes=sum(path.stat().st_size for path in site.rglob("*") if path.is_file()),
        sizes={path: sizes[path] for path in (*order, WORKER)},
        first_detection=sum((sizes[path] for path in first), Sizes()),
        choices={model.manifest.name: model.choice for model in placed},
    )


def _checked(
    made: Published, first: PublishedModel, optional: set[str], say: Callable[[str], None]
) -> Published:
    """With the check's result, and the bytes that the browser really asked for."""
    to_keep = len(made.sizes.keys() - optional - {WORKER})
    seen = check_site(made.out, made.out / first.folder, to_keep, say)
    fetched = (made.sizes[path] for path in seen.requested if path in made.sizes)
    return replace(made, check=seen, first_detection=sum(fetched, Sizes()))


def _files(site: Path) -> list[str]:
    return [path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()]


def _sizes(path: Path, *, quickly: bool = False) -> Sizes:
    raw = path.stat().st_size
    # what is moving pictures or small already is not tried
    copies = {} if path.suffix in (*CLIPS, ".png") else compress(path, quickly=quickly)
    gz = copies.get(".gz", raw)
    return Sizes(brotli=copies.get(".br", gz), gzip=gz, raw=raw)


def _rank(path: str, placed: Sequence[PublishedModel]) -> int:
    """0 for what the first detection needs, 1 for what a visit may need, 3 for what plays."""
    if path.endswith(CLIPS):
        return 3
    begins = path in (INDEX, "icon.svg") or path.startswith(
        (f"{ASSETS}/", "catalogue-", f"{placed[0].folder}/")
    )
    return 0 if begins else 1


def _headers() -> str:
    """What Netlify and Cloudflare Pages add to answers: isolated from the first visit on."""
    everywhere = {
        "Content-Security-Policy": f"{POLICY}; frame-ancestors 'self'",
        "Cross-Origin-Embedder-Policy": "require-corp",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    lines = ["/*", *(f"  {name}: {value}" for name, value in everywhere.items())]
    for paths in _NAMED_FOR_GOOD:
        lines += [paths, "  Cache-Control: public, max-age=31536000, immutable"]
    return "\n".join([*lines, f"/{WORKER}", "  Cache-Control: no-cache", ""])
