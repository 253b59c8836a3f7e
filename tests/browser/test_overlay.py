"""The overlay keeps to the picture, pixel by pixel, however a page shows it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, ViewportSize
from tests.browser.conftest import REPO, LivePage

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SCRIPT = Path(__file__).with_name("overlay_page.js")
STATIC = REPO / "src" / "sightline" / "server" / "static"
VIEWPORT: ViewportSize = {"width": 640, "height": 480}
SIZE = "width:500px;height:400px;"
# How far a drawn edge may be from the picture's, in CSS pixels: browsers soften the edges of
# pictures that they enlarge over about one.
OFF_PX = 1.5
# What a worker paints is seen a few frames later, on a machine at work after some more.
TRIES = 10


class Lab(LivePage):
    """A page with a video of known content and an overlay over it."""

    def load(self) -> Lab:
        self.page.goto(urljoin(self.url, "/licenses.txt"))
        self.page.add_script_tag(path=SCRIPT, type="module")
        self.until("window.lab !== undefined")
        return self

    def lay(self, kind: str, style: str = "", around: str = "") -> Lab:
        self.page.evaluate("([...how]) => lab.lay(...how)", [kind, style, around])
        return self

    def shot(self) -> NDArray[np.int64]:
        """The page as it is seen, (H, W, 3)."""
        with Image.open(io.BytesIO(self.page.screenshot())) as picture:
            return np.asarray(picture.convert("RGB")).astype(np.int64)

    def describe(self) -> str:
        return f"errors {self.errors}"

    def assert_aligned(self, has_frame: bool = True, looked_at: float = 1.0) -> None:
        """The box's lines come to lie on the rectangle's edges, in the upper part of the page."""
        self.page.evaluate("lab.clear()")
        is_white = self.shot().min(axis=2) > 128
        rectangle = edges(is_white[: int(looked_at * len(is_white))])
        color = self.page.evaluate("lab.color")
        allowed = OFF_PX * self.page.evaluate("devicePixelRatio")
        for _ in range(TRIES):
            self.page.evaluate("(hasFrame) => lab.show(hasFrame)", has_frame)
            drawn = line_edges(self.shot(), color, rectangle)
            if drawn == pytest.approx(rectangle, abs=allowed):
                return
        raise AssertionError(f"the box is at {drawn}, the rectangle at {rectangle}")


def edges(mask: NDArray[np.bool_]) -> list[float]:
    """Left, top, right and bottom of what is set, in pixels."""
    rows, columns = np.nonzero(mask)
    return [float(at) for at in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)]


def line_edges(
    shot: NDArray[np.int64], color: tuple[int, int, int], around: list[float]
) -> list[float]:
    """The middles of a box's four lines: across its middle row, and down near its right edge."""
    is_line = np.abs(shot - np.array(color)).sum(axis=2) < 40
    x1, y1, x2, y2 = around
    row = is_line[int((y1 + y2) / 2)].nonzero()[0]
    # The label, above the box or within, leaves the far end of the box free.
    column = is_line[:, int(x1 + 0.6 * (x2 - x1))].nonzero()[0]
    if len(row) == 0 or len(column) == 0:
        return []  # not yet on the screen
    return [
        float(np.mean(half) + 0.5)
        for half in (
            row[row < (x1 + x2) / 2],
            column[column < (y1 + y2) / 2],
            row[row > (x1 + x2) / 2],
            column[column > (y1 + y2) / 2],
        )
    ]


@pytest.fixture(scope="module")
def files_url(built_page: None) -> Iterator[str]:
    """The built files from a plain file server: an overlay needs no model."""
    handler = partial(QuietFiles, directory=str(STATIC))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


class QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def lab(browser: Browser, files_url: str) -> Iterator[Callable[..., Lab]]:
    """Make a page, e.g. `lab(device_scale_factor=2)`."""
    contexts: list[BrowserContext] = []

    def make(**settings: Any) -> Lab:
        contexts.append(browser.new_context(**{"viewport": VIEWPORT, **settings}))
        return Lab(contexts[-1].new_page(), files_url).load()

    yield make
    for context in contexts:
        context.close()


@pytest.mark.parametrize("ratio", [1, 1.5, 2])
def test_boxes_keep_to_the_picture_with_every_object_fit(
    lab: Callable[..., Lab], ratio: float
) -> None:
    page = lab(device_scale_factor=ratio)
    for fit in ("contain", "cover", "fill", "none", "scale-down"):
        for more in ("", "object-position:20% 80%", "transform:scaleX(-1)"):
            page.lay("rectangle", f"{SIZE}object-fit:{fit};{more}").assert_aligned()
    assert page.errors == []


@pytest.mark.parametrize(
    ("style", "around"),
    [
        ("border:7px solid #222;padding:11px 3px 5px 20px", ""),
        ("box-sizing:border-box;border:9px solid #222;padding:10px", ""),
        ("margin:13px", "position:relative;left:31px;border:5px solid #222"),
        ("", "transform:scale(0.8);transform-origin:0 0"),
        ("", "transform:scaleX(-1);width:600px"),
        ("scale:-1 1;translate:20px 10px", "padding:10px"),
        ("transform:scale(0.9) translateX(30px)", "display:flex;gap:20px;justify-content:center"),
        ("", "overflow:scroll;height:300px;width:550px"),
        ("position:fixed;left:33px;top:44px", ""),
        ("display:block;margin:0 auto;width:70%;height:auto;aspect-ratio:1", ""),
    ],
)
def test_boxes_keep_to_the_picture_however_it_is_laid_out(
    lab: Callable[..., Lab], style: str, around: str
) -> None:
    page = lab().lay("rectangle", SIZE + style, around)
    page.assert_aligned()
    # Whatever moves it then, and without a frame.
    page.page.evaluate("lab.around.style.paddingLeft = '57.5px'; lab.around.scrollTop = 40")
    page.page.evaluate("lab.video.style.width = '430px'; lab.frames(3)")
    page.assert_aligned(has_frame=False)


def test_a_mirrored_picture_has_readable_labels_and_boxes_where_they_belong(
    lab: Callable[..., Lab],
) -> None:
    page = lab().lay("rectangle", SIZE)
    page.page.evaluate("lab.overlay.configure({mirror: true})")
    assert page.page.evaluate("getComputedStyle(lab.video).scale") == "-1 1"
    page.assert_aligned()
    mirrored = page.shot()
    page.page.evaluate("lab.overlay.configure({mirror: false})")
    page.assert_aligned()
    # The picture is its own mirror image, and so is the box but for its label, which is read alike.
    assert np.abs(page.shot() - mirrored)[:, :500].mean() < 1
    page.lay("rectangle", SIZE + "transform:scaleX(-1)")
    page.page.evaluate("lab.overlay.configure({mirror: true})")
    assert page.page.evaluate("getComputedStyle(lab.video).scale") == "none", "mirrored already"


def test_boxes_keep_to_a_video_in_full_screen(lab: Callable[..., Lab]) -> None:
    page = lab(viewport={"width": 1280, "height": 720}).lay("rectangle", SIZE + "object-fit:cover")
    page.page.evaluate(
        "document.addEventListener('click', () => window.toFill.requestFullscreen())"
    )
    for name in ("video", "around"):
        page.page.evaluate(f"window.toFill = lab.{name}")
        page.page.mouse.click(600, 450)
        page.until("document.fullscreenElement === window.toFill")
        page.page.evaluate("lab.frames(10)")
        # Below, browsers show controls of their own.
        page.assert_aligned(looked_at=0.75)
        page.page.evaluate("document.exitFullscreen()")
        page.until("document.fullscreenElement === null")
        page.page.evaluate("lab.frames(10)")
        page.assert_aligned()


def test_boxes_keep_to_the_picture_on_a_screen_of_another_density(lab: Callable[..., Lab]) -> None:
    page = lab().lay("rectangle", SIZE)
    page.assert_aligned()
    screen = page.page.context.new_cdp_session(page.page)
    for ratio in (2, 1.25):
        metrics = {**VIEWPORT, "deviceScaleFactor": ratio, "mobile": False}
        screen.send("Emulation.setDeviceMetricsOverride", metrics)
        page.until(f"devicePixelRatio === {ratio}")
        page.page.evaluate("lab.frames(5)")
        width = page.page.evaluate("document.querySelector('.sightline-overlay').width")
        assert width == 500 * ratio
        page.assert_aligned()


def test_boxes_follow_a_video_that_is_taken_away_and_put_back(lab: Callable[..., Lab]) -> None:
    page = lab().lay("rectangle", SIZE)
    page.assert_aligned()
    page.page.evaluate("lab.video.remove(); lab.frames(5)")
    assert page.page.evaluate("lab.count()") == 0
    page.page.evaluate("document.body.append(lab.video); lab.video.play()")
    page.assert_aligned()
    page.page.evaluate("lab.overlay.close()")
    assert page.page.evaluate("lab.count()") == 0


def test_the_frame_lies_beneath_its_boxes_until_results_stay_away(
    lab: Callable[..., Lab],
) -> None:
    page = lab().lay("number", "width:320px;height:180px")
    shown = page.page.evaluate("lab.showNumber()")
    page.until("document.querySelector('.sightline-overlay').style.clipPath === ''")
    assert number_in(page.shot()) == shown
    # Longer than a second: nothing has come, and the video is seen again.
    page.page.wait_for_timeout(1500)
    assert number_in(page.shot()) > shown + 20


def number_in(shot: NDArray[np.int64]) -> int:
    return sum(1 << bit for bit in range(16) if shot[8, bit * 16 + 8].min() > 128)


def test_a_frame_has_the_colors_of_the_video(lab: Callable[..., Lab]) -> None:
    page = lab().lay("colors", "width:640px;height:360px")
    page.page.evaluate("lab.clear()")
    before = page.shot()
    page.page.evaluate(
        "lab.overlay.show({width: 320, height: 180, detections: []}, new VideoFrame(lab.video))"
    )
    page.until("document.querySelector('.sightline-overlay').style.clipPath === ''")
    # Pictures are enlarged by other means on the way to the screen and to a canvas: of their
    # edges nothing is said.
    flat = np.zeros(before.shape[:2], dtype=bool)
    for x in range(8):
        for y in range(3):
            flat[y * 120 + 20 : y * 120 + 100, x * 80 + 20 : x * 80 + 60] = True
    assert np.abs(page.shot() - before)[flat].max() <= 3


def test_the_browsers_own_controls_are_not_hidden(lab: Callable[..., Lab]) -> None:
    page = lab().lay("number", "width:320px;height:180px")
    page.page.evaluate("lab.video.controls = true")
    shown = page.page.evaluate("lab.showNumber()")
    page.page.evaluate("lab.frames(30)")
    assert number_in(page.shot()) > shown
