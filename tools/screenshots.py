"""Renews the pictures of the pages in docs/images, from a quickstart's own drawn clip.

sightline quickstart DIR --no-serve --minutes 14
python tools/screenshots.py DIR
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from sightline.runtime.chromium import find_browser

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
# What the clip shows at its beginning is on display, and the figures have settled.
LOOK_MS = 6000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("quickstart", type=Path, metavar="DIR")
    folder = parser.parse_args().quickstart
    with serve(folder) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_browser(), args=["--headless=new", "--no-sandbox"]
        )
        shoot(browser, f"{url}?source=sample", "live", DESKTOP)
        shoot(browser, f"{url}?source=sample", "live-dark", DESKTOP, is_dark=True)
        shoot(browser, f"{url}?source=sample", "phone", PHONE)
        shoot_call(browser, f"{url}call/")
        browser.close()


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "sightline.cli.main", "serve", str(folder / "run")]
    command += ["--port", "0", "--sample-clip", str(folder / "clip.webm")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def open_page(browser: Browser, url: str, size: dict[str, int], *, is_dark: bool = False) -> Page:
    page = browser.new_context(
        viewport={"width": size["width"], "height": size["height"]},
        device_scale_factor=1 if size is DESKTOP else 2,
        color_scheme="dark" if is_dark else "light",
    ).new_page()
    page.goto(url)
    return page


def shoot(
    browser: Browser, url: str, name: str, size: dict[str, int], *, is_dark: bool = False
) -> None:
    page = open_page(browser, url, size, is_dark=is_dark)
    page.wait_for_timeout(LOOK_MS)
    page.screenshot(path=IMAGES / f"{name}.png")
    page.context.close()


def shoot_call(browser: Browser, url: str) -> None:
    one = open_page(browser, url, DESKTOP)
    one.wait_for_selector("#use-sample:not([disabled])")
    other = open_page(browser, one.input_value("#link"), PHONE)
    for page in (one, other):
        page.click("#use-sample")
    one.wait_for_timeout(2 * LOOK_MS)
    one.screenshot(path=IMAGES / "call.png")


if __name__ == "__main__":
    main()
