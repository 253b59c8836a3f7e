"""Memory of the live page over many frames: heaps and wasm of page and worker, and the process's.

    python benchmarks/browser_soak.py [MODEL] [--frames 10000] [--samples 5] [--minutes M]

MODEL is a bundle; by default atto with COCO weights. The sample clip is looped until so many frames
have been looked at, or so many minutes have passed. Memory is read after collecting garbage: what
the browser attributes to the page and to its worker, wasm included
(performance.measureUserAgentSpecificMemory), and the resident memory of the page's process. Needs
SIGHTLINE_SHARED (../shared).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from page import SHARED, make_coco_bundle, open_browser, serve, until  # beside this file

# V8 measures at its next garbage collection, by default within 20 seconds.
FLAGS = ("--js-flags=--expose-gc", "--enable-blink-features=ForceEagerMeasureMemory")
FRAMES = "window.sightline.stats.framesDetected"
MEASURE = """async () => {
  globalThis.gc?.();
  const { breakdown } = await performance.measureUserAgentSpecificMemory();
  const bytes = { page: 0, worker: 0 };
  for (const part of breakdown) {
    const isWorker = part.attribution.some(({ scope }) => scope === 'DedicatedWorkerGlobalScope');
    bytes[isWorker ? 'worker' : 'page'] += part.bytes;
  }
  return bytes;
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, metavar="MODEL")
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=60)
    arguments = parser.parse_args()
    clip = SHARED / "data" / "video" / "bottle_8s_640x360.webm"
    with tempfile.TemporaryDirectory() as folder, open_browser(*FLAGS) as browser:
        bundle = arguments.model or make_coco_bundle("deimv2-atto", Path(folder))
        with serve(bundle, clip) as url:
            soak(browser, url, arguments.frames, arguments.samples, arguments.minutes)


def soak(browser: Browser, url: str, frames: int, samples: int, minutes: float) -> None:
    page = browser.new_page()
    page.goto(f"{url}?source=sample&threads=1")
    until(page, f"window.sightline && {FRAMES} > 30")
    deadline = time.monotonic() + 60 * minutes
    print("| frames | minutes | page MB | worker and its wasm MB | process MB |")
    print("|---|---|---|---|---|", flush=True)
    begun = time.monotonic()
    for sample in range(samples):
        goal = frames * sample / (samples - 1)
        while page.evaluate(FRAMES) < goal and time.monotonic() < deadline:
            page.wait_for_timeout(500)
        print(row(browser, page, time.monotonic() - begun), flush=True)
        if time.monotonic() >= deadline:
            break


def row(browser: Browser, page: Page, seconds: float) -> str:
    memory: dict[str, int] = page.evaluate(MEASURE)
    resident = resident_bytes(browser)
    cells = [memory["page"], memory["worker"], resident]
    megabytes = " | ".join(f"{cell / 1e6:.1f}" for cell in cells)
    return f"| {page.evaluate(FRAMES):,} | {seconds / 60:.1f} | {megabytes} |"


def resident_bytes(browser: Browser) -> int:
    """Of the largest renderer, which is the page's: the others show nothing."""
    session = browser.new_browser_cdp_session()
    processes: list[dict[str, Any]] = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return max(
        int(line.split()[1]) * 1024
        for process in processes
        if process["type"] == "renderer"
        for line in Path(f"/proc/{process['id']}/status").read_text().splitlines()
        if line.startswith("VmRSS")
    )


if __name__ == "__main__":
    main()
