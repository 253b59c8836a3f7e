"""What can go wrong says what went wrong, and the page recovers where it can."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Playwright, Route
from tests.browser.bare_tab import bare_tab
from tests.browser.conftest import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.conftest import LivePage

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# When the tab is hidden, and when it is seen again.
SEE_WHAT_IS_SHOWN = """
window.shown = [];
document.addEventListener('visibilitychange', () => shown.push(window.sightline.lastResult));
"""
MANIFEST = "**/manifest.json"
GRAPH = "**/model.onnx"


def answer_truncated(route: Route) -> None:
    body = route.fetch().body()
    route.fulfill(body=body[: len(body) // 2], content_type="application/octet-stream")


def answer_changed(route: Route) -> None:
    body = bytearray(route.fetch().body())
    body[len(body) // 2] ^= 1
    route.fulfill(body=bytes(body), content_type="application/octet-stream")


def answer_of_a_later_version(route: Route) -> None:
    route.fulfill(json={**json.loads(route.fetch().body()), "format_version": 99})


@pytest.mark.parametrize(
    ("files", "answer", "title"),
    [
        (GRAPH, lambda route: route.fulfill(status=404), "The model is not there"),
        (GRAPH, answer_truncated, "The model did not arrive whole"),
        (GRAPH, answer_changed, "The model is not the one it should be"),
        (GRAPH, lambda route: route.abort(), "The model cannot be loaded"),
        (MANIFEST, answer_of_a_later_version, "The model is newer than this page"),
        (MANIFEST, lambda route: route.fulfill(body="<html>"), "The model cannot be used"),
        ("**/v1/models", lambda route: route.abort(), "The server does not answer"),
        ("**/v1/models", lambda route: route.fulfill(json={"models": []}), "offers no model"),
    ],
)
def test_a_model_that_does_not_come_is_named_and_can_be_tried_again(
    live: Callable[..., LivePage], files: str, answer: Callable[[Route], None], title: str
) -> None:
    page = live()
    page.page.route(files, answer)
    page.open()
    assert title in page.problem()
    assert "Failed to fetch" not in page.page.inner_text("#problem-advice")
    assert page.page.evaluate("window.sightline.stats.state") == "failed"
    assert page.page.inner_text("#status-text") == "Problem"
    page.page.unroute(files)
    page.page.click("#problem-retry")
    page.until_ready()
    assert page.page.is_hidden("#problem")
    assert page.errors == []


def test_a_refused_camera_is_explained(
    playwright: Playwright,
    chromium_path: str,
    browser_flags: tuple[str, ...],
    page_in: Callable[..., LivePage],
) -> None:
    flags = [*browser_flags, "--use-fake-device-for-media-stream"]
    launched = playwright.chromium.launch(
        executable_path=chromium_path, args=[*flags, "--use-fake-ui-for-media-stream=deny"]
    )
    try:
        page = page_in(launched).open()
        page.page.click("#use-camera")
        assert "The camera was not allowed" in page.problem()
        assert page.page.evaluate("window.sightline.stats.source") == "none"
    finally:
        launched.close()


def test_a_machine_without_camera_is_told_so(
    playwright: Playwright,
    chromium_path: str,
    browser_flags: tuple[str, ...],
    page_in: Callable[..., LivePage],
) -> None:
    if any(Path("/dev").glob("video*")):
        pytest.skip("this machine has a camera")
    flags = [*browser_flags, "--use-fake-ui-for-media-stream"]
    launched = playwright.chromium.launch(executable_path=chromium_path, args=flags)
    try:
        page = page_in(launched).open().until_ready()
        page.page.click("#use-camera")
        assert "No camera was found" in page.problem()
        # Another source serves at once.
        page.page.click("#use-sample")
        page.until_found()
        assert page.page.is_hidden("#problem")
    finally:
        launched.close()


def test_an_unplugged_camera_is_noticed(live: Callable[..., LivePage]) -> None:
    page = live(permissions=["camera"]).open().until_ready()
    page.page.click("#use-camera")
    page.until("window.sightline.stats.framesDetected >= 1")
    # Chromium's fake camera cannot be unplugged: the event is what a browser sends then.
    page.page.evaluate(
        "document.querySelector('#video').srcObject.getTracks()[0]"
        ".dispatchEvent(new Event('ended'))"
    )
    assert "The camera went away" in page.problem()
    # Connected again: it goes on by itself.
    page.page.evaluate("navigator.mediaDevices.dispatchEvent(new Event('devicechange'))")
    page.until("window.sightline.stats.framesDetected >= 1")
    assert page.page.is_hidden("#problem")


def test_files_that_are_no_photos_are_refused_and_the_next_one_works(
    live: Callable[..., LivePage], shared: Path
) -> None:
    page = live().open().until_ready()
    broken = shared / "data" / "broken"
    for name in (
        "02_truncated_half.jpg",
        "03_truncated_last20.jpg",
        "06_zero_bytes.jpg",
        "07_text.jpg",
        "09_bomb_30000x30000_1bit.png",
        "11_huge_dims.png",
        "29_svg.svg",
        "30_riff_truncated.webp",
    ):
        page.page.evaluate("document.querySelector('#problem').hidden = true")
        page.choose_file(broken / name)
        problem = page.problem()
        assert "This photo cannot be used" in problem and name in problem
        assert page.detections() == []
    page.choose_file(broken / "01_ok.jpg")
    page.until("window.sightline.lastResult !== null")
    assert page.page.is_hidden("#problem")
    assert page.errors == []


def test_a_video_that_is_none_is_refused(live: Callable[..., LivePage], tmp_path: Path) -> None:
    page = live().open().until_ready()
    fake = tmp_path / "holiday.mp4"
    fake.write_bytes(b"not a video" * 100)
    page.choose_file(fake)
    problem = page.problem()
    assert "This video cannot be played" in problem
    assert "holiday.mp4 is damaged, or of a kind that this browser cannot play." in problem
    assert "DEMUXER" not in problem


def test_workers_that_die_are_replaced_until_they_die_again_and_again(
    live: Callable[..., LivePage],
) -> None:
    page = live()
    page.page.add_init_script(
        "window.workers = []; const Plain = Worker;"
        "window.Worker = class extends Plain {"
        "  constructor(...all) { super(...all); window.workers.push(this); } };"
    )
    page.open("?source=sample").until_ready().until_found()
    # The detector's and the painter's.
    page.page.evaluate("workers.splice(0).forEach((w) => w.dispatchEvent(new ErrorEvent('error')))")
    page.until("window.workers.length > 0")
    seen = page.page.evaluate("window.sightline.stats.framesDetected")
    page.until(f"window.sightline.stats.framesDetected > {seen + 5}")
    assert page.page.is_hidden("#problem")
    for _ in range(3):  # with the first more than are replaced within a minute
        page.until("window.workers.length > 0")
        page.page.evaluate(
            "workers.splice(0).forEach((w) => w.dispatchEvent(new ErrorEvent('error')))"
        )
    assert "The detector stopped" in page.problem()
    page.page.click("#problem-retry")
    page.until_ready()
    page.until_found()


def test_a_browser_without_simd_is_told_so(
    playwright: Playwright,
    chromium_path: str,
    browser_flags: tuple[str, ...],
    page_in: Callable[..., LivePage],
) -> None:
    flags = [*browser_flags, "--js-flags=--no-enable-sse4-1"]  # as on processors before 2008
    launched = playwright.chromium.launch(executable_path=chromium_path, args=flags)
    try:
        page = page_in(launched).open()
        assert "This browser is too old" in page.problem()
    finally:
        launched.close()


@pytest.mark.parametrize("run", ["device", "websocket", "webrtc"])
def test_a_hidden_tab_rests_and_goes_on_when_it_is_seen_again(
    chromium_path: str,
    browser_flags: tuple[str, ...],
    server_url: str,
    tmp_path: Path,
    run: str,
) -> None:
    url = f"{server_url}?source=sample&run={run}"
    with bare_tab(chromium_path, browser_flags, tmp_path, url) as tab:
        tab.until("window.sightline?.lastResult?.detections.length > 0")
        tab.evaluate(SEE_WHAT_IS_SHOWN)
        tab.hide()
        time.sleep(1)  # what was under way has come
        seen = tab.evaluate("window.sightline.stats.framesDetected")
        time.sleep(2)
        if run != "webrtc":  # a stream is sent on
            assert tab.evaluate("window.sightline.stats.framesDetected") <= seen + 2
        tab.show()
        assert tab.evaluate("window.shown") == [None, None]
        tab.until(f"window.sightline.stats.framesDetected > {seen} + 5")
        tab.until("window.sightline.lastResult?.detections.length > 0")
        assert not tab.evaluate("document.querySelector('#problem').checkVisibility()")


@pytest.mark.parametrize("pages", [150, 270])  # of 64 KiB: too few to load atto, to run it
def test_a_model_that_needs_more_memory_than_there_is_is_told_of(
    playwright: Playwright,
    chromium_path: str,
    browser_flags: tuple[str, ...],
    page_in: Callable[..., LivePage],
    pages: int,
) -> None:
    flags = [*browser_flags, f"--js-flags=--wasm-max-mem-pages={pages}"]
    launched = playwright.chromium.launch(executable_path=chromium_path, args=flags)
    try:
        page = page_in(launched).open("?source=sample")
        assert "There is too little memory" in page.problem()
    finally:
        launched.close()


def test_a_page_loaded_again_and_again_leaves_nothing_at_the_server(
    live: Callable[..., LivePage],
) -> None:
    page = live().open("?run=websocket&source=sample").until_ready()
    page.until("window.sightline.stats.connection === 'ready'")
    for _ in range(20):
        page.page.reload(wait_until="domcontentloaded")
    page.until("window.sightline?.stats.connection === 'ready'")
    page.until_found()
    deadline = time.monotonic() + PATIENCE_S
    while open_sessions(page) > 1:
        assert time.monotonic() < deadline, "sessions of pages that are gone"
        page.page.wait_for_timeout(200)
    assert page.errors == []


def open_sessions(page: LivePage) -> float:
    text = page.page.request.get(page.url + "metrics").text()
    lines = [line for line in text.splitlines() if line.startswith("sightline_sessions{")]
    return sum(float(line.split()[-1]) for line in lines)
