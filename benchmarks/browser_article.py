"""atto in our page beside the same network in the 2021 article's, in turns: frames a second.

    python benchmarks/browser_article.py [--rounds 3] [--seconds 10]

The article's page takes TensorFlow.js on wasm, on the main thread; its model is our export for
TensorFlow.js, which resizes inside, as the article's SSD does. Both see one 1280x720 clip of 30
frames a second. Ours runs on one thread. Needs SIGHTLINE_SHARED (../shared) and web/node_modules
(make web).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Browser

from page import (  # beside this file
    WARM_UP_S,
    WATCH_GAPS,
    make_clip,
    make_coco_bundle,
    open_browser,
    serve,
    until,
)
from sightline.export.run import export

HERE = Path(__file__).resolve().parent
MODULES = HERE.parent / "web" / "node_modules"
# Where a page says how many frames it has looked at.
OURS = "window.sightline?.stats.framesDetected"
ARTICLE = "window.article?.framesDetected"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, open_browser() as browser:
        folder = Path(name)
        bundle, clip = make_coco_bundle("deimv2-atto", folder), make_clip(folder / "clip.webm")
        site = make_site(folder / "site", bundle, clip)
        rates: dict[str, list[float]] = {OURS: [], ARTICLE: []}
        gaps: dict[str, list[float]] = {OURS: [], ARTICLE: []}
        with serve(bundle, clip) as ours, serve_folder(site) as article:
            urls = {OURS: f"{ours}?source=sample&threads=1", ARTICLE: article}
            for _ in range(arguments.rounds):
                for counter, url in urls.items():
                    rate, gap = watch(browser, url, counter, arguments.seconds)
                    rates[counter].append(rate)
                    gaps[counter].append(gap)
    print("| page | frames/s, each round | longest gap ms, median of rounds | load |")
    print("|---|---|---|---|")
    for counter, title in ((OURS, "ours, worker, one thread"), (ARTICLE, "the article's")):
        each = ", ".join(f"{rate:.1f}" for rate in rates[counter])
        gap = statistics.median(gaps[counter])
        print(f"| {title} | {each} | {gap:.0f} | {os.getloadavg()[0]:.1f} |")
    ratios = [mine / theirs for mine, theirs in zip(rates[OURS], rates[ARTICLE], strict=True)]
    print(f"\nratio of frame rates: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")


def make_site(folder: Path, bundle: Path, clip: Path) -> Path:
    """The article's page with TensorFlow.js in one file, the model and the clip."""
    (folder / "wasm").mkdir(parents=True)
    for binary in (MODULES / "@tensorflow/tfjs-backend-wasm/dist").glob("*.wasm"):
        shutil.copy(binary, folder / "wasm")
    os.environ["SIGHTLINE_BROWSER"] = "none"  # it is proven elsewhere, which takes minutes
    export(bundle, to="tfjs", out=folder / "model", unproven=True)
    shutil.copy(clip, folder / "clip.webm")
    shutil.copy(HERE / "browser_article.html", folder / "index.html")
    node = shutil.which("node")
    assert node is not None, "needs Node"
    with tempfile.TemporaryDirectory() as source:
        (Path(source) / "node_modules").symlink_to(MODULES)
        entry = shutil.copy(HERE / "browser_article.js", source)
        bundler = str(MODULES / "rolldown/bin/cli.mjs")
        command = [node, bundler, entry, "--file", str(folder / "page.js")]
        command += ["--format", "iife", "--platform", "browser"]
        subprocess.run(command, check=True, cwd=source, capture_output=True)
    return folder


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serve_folder(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def watch(browser: Browser, url: str, counter: str, seconds: float) -> tuple[float, float]:
    """Frames a second of a fresh page that has warmed up, and its longest gap in milliseconds."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(url)
    until(page, f"{counter} > 2")
    page.wait_for_timeout(WARM_UP_S * 1000)
    page.evaluate(WATCH_GAPS)
    now = f"[performance.now(), {counter}]"
    begun, before = page.evaluate(now)
    page.wait_for_timeout(seconds * 1000)
    ended, after = page.evaluate(now)
    gap = max(page.evaluate("window.gaps"))
    context.close()
    return 1000 * (after - before) / (ended - begun), gap


if __name__ == "__main__":
    main()
