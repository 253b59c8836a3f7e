"""The live page in headless Chromium: frame rate, latency, inference beside the bare call, gaps.

    python benchmarks/page.py [MODEL ...] [--seconds 15] [--threads 1 2]

MODEL is a bundle; by default atto and femto with COCO weights. Needs SIGHTLINE_SHARED (../shared).
The clip has 1280x720 pixels and 30 frames a second, more than the models can look at on one core:
then the time between two results is inference and what else a frame costs ("beyond").
Longest gap: between two animation frames of the page's main thread, after warming up; beside it
the same page doing nothing, which is what the machine's other work costs. Longest task: the most
processor time that the main thread spent at one stretch, which other work cannot lengthen. Bare:
onnxruntime-web's session.run alone in the page's own worker, one run after another while the clip
goes on playing, so that no frame is painted. Between frames: the same, one at a time while the page
goes on with all it does, which shows what it costs to share the cores with that.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from sightline.workflow.resolve import make_zoo_bundle

SHARED = Path(os.environ.get("SIGHTLINE_SHARED", "../shared"))
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
COCO_MODELS = ("deimv2-atto", "deimv2-femto")
WARM_UP_S = 4
TRACE_S = 4
BARE_RUNS = 40
BARE_PAUSE_S = 0.25

# Left to itself on the page; `gaps` are the milliseconds between two animation frames.
WATCH_GAPS = """() => {
  window.gaps = [];
  let last = performance.now();
  const step = (now) => { window.gaps.push(now - last); last = now; requestAnimationFrame(step); };
  requestAnimationFrame((now) => { last = now; requestAnimationFrame(step); });
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    print(
        "| model | threads | frames/s | latency p50 ms | inference p50 ms | bare p50 ms | ratio "
        "| between frames p50 ms | preprocessing p50 ms | beyond inference ms | page frames/s "
        "| longest gap ms | idle page's | longest task CPU ms | load |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        clip = make_clip(Path(folder) / "clip.webm")
        bundles = args.models or [make_coco_bundle(name, Path(folder)) for name in COCO_MODELS]
        for bundle in bundles:
            with serve(bundle, clip) as url:
                for threads in args.threads:
                    print(row(browser, url, bundle.name, threads, args.seconds), flush=True)


@contextmanager
def open_browser(*flags: str) -> Iterator[Browser]:
    path = os.environ.get("SIGHTLINE_BROWSER") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags])
        yield browser
        browser.close()


def make_coco_bundle(name: str, folder: Path) -> Path:
    return make_zoo_bundle(name, SHARED / "models" / f"{name}-coco.safetensors", folder / name)


def make_clip(path: Path) -> Path:
    """The bottle clip in 1280x720 at 30 frames a second, each of its pictures twice."""
    import cv2

    source = cv2.VideoCapture(str(SHARED / "data" / "video" / "bottle_8s_640x360.webm"))
    # OpenCV does not know WebM's VP8 by a code of its own, which it says, and writes it.
    clip = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"VP80"), 30, (1280, 720))
    while True:
        is_read, picture = source.read()
        if not is_read:
            break
        for _ in range(2):
            clip.write(cv2.resize(picture, (1280, 720)))
    clip.release()
    return path


@contextmanager
def serve(bundle: Path, clip: Path) -> Iterator[str]:
    """The address of a server process that lives as long as the block."""
    command = [sys.executable, "-m", "sightline.cli.main", "serve", str(bundle)]
    command += ["--port", "0", "--sample-clip", str(clip)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def row(browser: Browser, url: str, name: str, threads: int, seconds: float) -> str:
    """One line of the table: an idle page and a working one, each watched for so many seconds."""
    idle = watch(browser, f"{url}?threads={threads}", "state === 'ready'", seconds)
    busy = watch(browser, f"{url}?source=sample&threads={threads}", "framesDetected > 2", seconds)
    stats = busy["stats"]
    bare, between = statistics.median(busy["bare"]), statistics.median(busy["between"])
    # Where frames were replaced, the next always waited: nothing else filled the time.
    is_full = stats["framesReplaced"] > stats["framesDetected"] / 10
    beyond = f"{1000 / busy['rate'] - stats['inferenceMs']:.1f}" if is_full else "not full"
    return (
        f"| {name} | {threads} | {busy['rate']:.1f} | {stats['latencyMs']:.0f} "
        f"| {stats['inferenceMs']:.1f} | {bare:.1f} | {stats['inferenceMs'] / bare:.2f} "
        f"| {between:.1f} "
        f"| {stats['preprocessMs']:.1f} | {beyond} "
        f"| {1000 * len(busy['gaps']) / sum(busy['gaps']):.0f} "
        f"| {max(busy['gaps']):.0f} | {max(idle['gaps']):.0f} | {busy['longest_task']:.1f} "
        f"| {os.getloadavg()[0]:.1f} |"
    )


def watch(browser: Browser, url: str, started: str, seconds: float) -> dict[str, Any]:
    """What a fresh page says of itself after warming up and so many seconds."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(url)
    until(page, f"window.sightline?.stats.{started}")
    page.wait_for_timeout(WARM_UP_S * 1000)
    page.evaluate(WATCH_GAPS)
    before = page.evaluate("window.sightline.stats.framesDetected")
    start = time.monotonic()
    page.wait_for_timeout(seconds * 1000)
    seen: dict[str, Any] = page.evaluate("({stats: window.sightline.stats, gaps: window.gaps})")
    seen["rate"] = (seen["stats"]["framesDetected"] - before) / (time.monotonic() - start)
    seen["longest_task"] = longest_task(browser, page)
    if seen["stats"]["framesDetected"] > 0:
        seen |= measure_bare(page)
    context.close()
    return seen


def measure_bare(page: Page) -> dict[str, list[float]]:
    """Milliseconds of runs of the graph: between the page's frames, and one after another."""
    between = []
    for _ in range(BARE_RUNS):
        between += page.evaluate("window.sightline.measure(1)")
        page.wait_for_timeout(BARE_PAUSE_S * 1000)
    return {"between": between, "bare": page.evaluate(f"window.sightline.measure({BARE_RUNS})")}


def longest_task(browser: Browser, page: Page) -> float:
    """Milliseconds of processor time of the page's longest main-thread task in some seconds."""
    browser.start_tracing(page=page, categories=["toplevel"])
    page.wait_for_timeout(TRACE_S * 1000)
    events: list[dict[str, Any]] = json.loads(browser.stop_tracing())["traceEvents"]
    mains = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks_us = [
        float(event.get("tdur", 0))
        for event in events
        if event["name"].endswith("RunTask") and (event["pid"], event["tid"]) in mains
    ]
    return max(tasks_us) / 1000


def until(page: Page, condition: str, patience_s: float = 120) -> None:
    """Wait for an expression; the page's content policy forbids Playwright's own way."""
    deadline = time.monotonic() + patience_s
    while not page.evaluate(condition):
        if time.monotonic() > deadline:
            raise TimeoutError(condition)
        page.wait_for_timeout(50)


if __name__ == "__main__":
    main()
