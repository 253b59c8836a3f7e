"""Chrome, Chromium or Edge: found on this machine, and a page in one, without a window.

Knows nothing of models. Playwright is needed to open a page, not to find the browser.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import threading
from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sightline.errors import MissingBrowser, MissingExtra

if TYPE_CHECKING:
    from playwright.async_api import Browser, ConsoleMessage, Page, Playwright

T = TypeVar("T")

ON_PATH = (
    "chromium",
    "google-chrome",
    "chromium-browser",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "microsoft-edge-stable",
    "msedge",
)
MAC_APPS = ("Google Chrome", "Chromium", "Microsoft Edge")
WINDOWS_PROGRAMS = (
    "Google/Chrome/Application/chrome.exe",
    "Chromium/Application/chrome.exe",
    "Microsoft/Edge/Application/msedge.exe",
)
WINDOWS_FOLDERS = ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")

FLAGS = (
    "--headless=new",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    # Nothing is reachable but this machine, by its number.
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    # WebGL and WebGPU in software: alike on every machine, with a graphics card or without.
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
)
START_S = 60.0


class PageFailed(Exception):
    """A function in the page threw, the page crashed, or it did not answer in time."""


def find_browser(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """The program of a Chrome, Chromium or Edge: SIGHTLINE_BROWSER, else the first found.

    Raises MissingBrowser saying what to install.
    """
    path = environment.get("PATH", "")
    if chosen := environment.get("SIGHTLINE_BROWSER"):
        if found := shutil.which(chosen, path=path):
            return Path(found)
        raise MissingBrowser(
            f"SIGHTLINE_BROWSER is {chosen!r}, which is no program here; set it to the path of a "
            "Chrome, Chromium or Edge"
        )
    for name in ON_PATH:
        if found := shutil.which(name, path=path):
            return Path(found)
    for place in _usual_places(environment, platform):
        if place.is_file():
            return place
    raise MissingBrowser(
        "there is no Chrome, Chromium or Edge here, in which artefacts for browsers are run; "
        f"{_how_to_install(platform)}, or set SIGHTLINE_BROWSER to the path of one"
    )


def _usual_places(environment: Mapping[str, str], platform: str) -> Iterator[Path]:
    if platform == "darwin":
        home = environment.get("HOME", "")
        for app in MAC_APPS:
            for applications in ("/Applications", f"{home}/Applications"):
                yield Path(applications, f"{app}.app", "Contents", "MacOS", app)
    if platform == "win32":
        for program in WINDOWS_PROGRAMS:
            for variable in WINDOWS_FOLDERS:
                if folder := environment.get(variable):
                    yield Path(folder, program)


def _how_to_install(platform: str) -> str:
    if platform in ("darwin", "win32"):
        return "install Chrome (https://www.google.com/chrome)"
    return "install Chromium (apt-get install chromium, dnf install chromium)"


class BrowserPage:
    """A page in a browser of its own, which ends with close(), or with this process.

    Playwright runs in a thread of its own: its functions may be called from any thread, also where
    an event loop runs already, as in a notebook. Nothing waits without an end. requested: the
    addresses that the page and its workers have asked for.
    """

    def __init__(self, url: str) -> None:
        """Open the page. Raises MissingExtra, MissingBrowser or PageFailed."""
        try:
            import playwright.async_api  # noqa: F401
        except ImportError as error:
            raise MissingExtra("running an artefact in a browser", "browser") from error
        self._program = find_browser()
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None
        self._page: Page | None = None
        self._last_error = ""
        self.requested: list[str] = []
        self._loop = asyncio.new_event_loop()
        # What Playwright leaves unread when its process is ended from outside is nobody's concern.
        self._loop.set_exception_handler(lambda loop, context: None)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        try:
            self._wait(self._open(url), START_S)
        except BaseException:
            self.close()
            raise

    def call(self, function: str, *arguments: Any, timeout_s: float) -> Any:
        """What a JavaScript function gives, or its promise; arguments and result as in JSON.

        Raises PageFailed with the page's own message.
        """
        return self._wait(self._call(function, arguments), timeout_s)

    def close(self) -> None:
        """End the browser. A second call does nothing."""
        if self._loop.is_closed():
            return
        try:
            self._wait(self._end(), START_S)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        limited = asyncio.wait_for(work, timeout_s)
        try:
            return asyncio.run_coroutine_threadsafe(limited, self._loop).result()
        except TimeoutError as error:
            said = f"; its last error: {self._last_error}" if self._last_error else ""
            raise PageFailed(f"no answer within {timeout_s:.0f} s{said}") from error

    async def _open(self, url: str) -> None:
        from playwright.async_api import Error, async_playwright

        self._playwright = await async_playwright().start()
        try:
            self._browser = await self._playwright.chromium.launch(
                executable_path=self._program,
                args=FLAGS,
                # root has no sandbox, as in a container
                chromium_sandbox=not hasattr(os, "geteuid") or os.geteuid() != 0,
                timeout=START_S * 1000,
            )
        except Error as error:
            raise MissingBrowser(
                f"{self._program} does not start: {_reason(error)}; set SIGHTLINE_BROWSER to the "
                "path of another Chrome, Chromium or Edge"
            ) from error
        self._page = await self._browser.new_page()
        self._page.on("console", self._hear)
        self._page.context.on("request", lambda request: self.requested.append(request.url))
        self._page.on("pageerror", lambda error: self._keep(str(error)))
        try:
            await self._page.goto(url, timeout=START_S * 1000)
        except Error as error:
            raise PageFailed(_reason(error)) from error

    async def _call(self, function: str, arguments: tuple[Any, ...]) -> Any:
        from playwright.async_api import Error

        assert self._page is not None
        try:
            return await self._page.evaluate(f"(given) => ({function})(...given)", list(arguments))
        except Error as error:
            raise PageFailed(_reason(error)) from error

    async def _end(self) -> None:
        if self._browser is not None:
            await self._browser.close()
        if self._playwright is not None:
            await self._playwright.stop()

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._keep(message.text)

    def _keep(self, text: str) -> None:
        self._last_error = (text.splitlines() or [""])[0]


def _reason(error: Exception) -> str:
    """The first line of Playwright's message, without what Playwright calls itself."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    for prefix in ("Page.evaluate: ", "Page.goto: ", "BrowserType.launch: ", "Error: "):
        line = line.removeprefix(prefix)
    return line
