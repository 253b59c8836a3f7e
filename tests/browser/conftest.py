"""A real Chromium on a really running `sightline serve`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Request, sync_playwright

from sightline.manifest import read_manifest, write_manifest

REPO = Path(__file__).resolve().parents[2]

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # a container's root user has none
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    # No name resolves but the server's: a page that needs another host fails. Under its name,
    # which is not localhost, the page is as insecure as one opened from another machine.
    "--host-resolver-rules=MAP sightline.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
FAKE_CAMERA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
# Long enough for the model to load on a machine whose cores are all at work.
PATIENCE_S = 90.0


class LivePage:
    """The live page in a browser, and what it says of itself in `window.sightline`."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.requested: list[str] = []
        self.errors: list[str] = []
        page.context.on("request", self._remember)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _remember(self, request: Request) -> None:
        self.requested.append(request.url)

    def open(self, query: str = "") -> LivePage:
        """Load it, without waiting for the model."""
        self.page.goto(self.url + query)
        return self

    def until(self, condition: str, patience_s: float = PATIENCE_S) -> None:
        """Wait for a JavaScript expression to become true.

        Playwright's own wait_for_function evaluates strings inside the page, which the page's
        content policy forbids.
        """
        deadline = time.monotonic() + patience_s
        while not self.page.evaluate(condition):
            if time.monotonic() > deadline:
                raise AssertionError(f"never true: {condition}; {self.describe()}")
            self.page.wait_for_timeout(50)

    def until_ready(self) -> LivePage:
        self.until("window.sightline?.stats.state === 'ready'")
        return self

    def until_found(self) -> list[dict[str, Any]]:
        """The detections on display, once there are any."""
        self.until("window.sightline.lastResult?.detections.length > 0")
        return self.detections()

    def detections(self) -> list[dict[str, Any]]:
        return list(self.page.evaluate("window.sightline.lastResult?.detections ?? []"))

    def choose_file(self, path: Path) -> LivePage:
        self.page.set_input_files("#file", path)
        return self

    def set_threshold(self, percent: int) -> None:
        """Move the slider, as a hand would."""
        self.page.evaluate(
            "(value) => { const slider = document.querySelector('#threshold');"
            " slider.value = value; slider.dispatchEvent(new Event('input')); }",
            percent,
        )

    def problem(self) -> str:
        """Title and advice of the problem on display, once there is one."""
        self.page.wait_for_selector("#problem:visible", timeout=PATIENCE_S * 1000)
        return " ".join(self.page.inner_text("#problem > div").split())

    def describe(self) -> str:
        stats = self.page.evaluate("window.sightline?.stats")
        problem = self.page.inner_text("#problem > div")
        return f"stats {json.dumps(stats)}, problem {problem!r}, errors {self.errors}"


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Chromium, Chrome or what SIGHTLINE_BROWSER names."""
    names = ("chromium", "google-chrome", "chromium-browser")
    found = os.environ.get("SIGHTLINE_BROWSER") or next(
        filter(None, map(shutil.which, names)), None
    )
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("there is no Chromium, and CI may not skip")
        pytest.skip("there is no Chromium (install it, or set SIGHTLINE_BROWSER)")
    return found


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def browser(playwright: Playwright, chromium_path: str, shared: Path) -> Iterator[Browser]:
    """With a camera that shows the bottle clip, granted to whoever asks."""
    clip = shared / "data" / "video" / "bottle_4s_640x360.mjpeg"
    flags = [*FLAGS, *FAKE_CAMERA, f"--use-file-for-fake-video-capture={clip}"]
    launched = playwright.chromium.launch(executable_path=chromium_path, args=flags)
    yield launched
    launched.close()


@pytest.fixture(scope="session")
def built_page() -> None:
    """The page as its sources are now; nothing is done where it is up to date."""
    subprocess.run([sys.executable, REPO / "hatch_build.py"], check=True)


@pytest.fixture(scope="session")
def bundles(atto_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The smallest COCO model, and a copy of another name that shows only what it is sure of."""
    copy = tmp_path_factory.mktemp("second") / "careful"
    shutil.copytree(atto_bundle, copy)
    write_manifest(copy, replace(read_manifest(copy), name="careful", score_threshold=0.7))
    return atto_bundle, copy


@contextmanager
def serving(bundles: tuple[Path, ...], shared: Path, *options: str) -> Iterator[str]:
    """The address of a server process with these bundles and the bottle clip."""
    clip = shared / "data" / "video" / "bottle_8s_640x360.webm"
    command = [sys.executable, "-m", "sightline.cli.main", "serve", *map(str, bundles)]
    command += ["--port", "0", "--sample-clip", str(clip), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            assert url.startswith("http://127.0.0.1:"), f"the server did not start: {url!r}"
            yield url
        finally:
            server.terminate()
            server.wait(30)


@pytest.fixture(scope="session")
def server_url(built_page: None, bundles: tuple[Path, Path], shared: Path) -> Iterator[str]:
    """A server with both bundles, for this machine alone."""
    with serving(bundles, shared) as url:
        yield url


@pytest.fixture
def insecure_url(built_page: None, atto_bundle: Path, shared: Path) -> Iterator[str]:
    """A server that asks for a token, by a name that browsers do not trust without HTTPS."""
    with serving((atto_bundle,), shared, "--token", "open-sesame") as url:
        yield url.replace("127.0.0.1", "sightline.test")


@pytest.fixture
def serve(built_page: None, shared: Path) -> Iterator[Callable[..., str]]:
    """Serve other bundles, with further options: the address; it is ended after the test."""

    def start(*bundles: Path, options: tuple[str, ...] = ()) -> str:
        return stack.enter_context(serving(bundles, shared, *options))

    with ExitStack() as stack:
        yield start


@pytest.fixture
def page_in(server_url: str) -> Iterator[Callable[..., LivePage]]:
    """Make a page in a given browser; it is closed after the test."""
    contexts: list[BrowserContext] = []

    def make(inside: Browser, url: str = server_url, **settings: Any) -> LivePage:
        context = inside.new_context(**settings)
        contexts.append(context)
        return LivePage(context.new_page(), url)

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def live(browser: Browser, page_in: Callable[..., LivePage]) -> Callable[..., LivePage]:
    """Make a page in the browser with the camera, e.g. `live(color_scheme="dark")`."""
    return partial(page_in, browser)


@pytest.fixture(scope="session")
def browser_flags() -> tuple[str, ...]:
    """What every browser of these tests is started with."""
    return FLAGS
