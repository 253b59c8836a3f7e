"""A call between pages: what one shows is found in the other, on the device and on the server."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page
from tests.browser.conftest import LivePage
from tests.server.rtc_network import address_for_ice

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ONE = "window.sightlineCall.members.length === 1"
FOUND = "window.sightlineCall.members[0]?.result?.detections.length > 0"
ALONE = "window.sightlineCall.members.length === 0"


class CallPage(LivePage):
    """A page of a call. Everybody who opens `link` is in it."""

    def until_alone(self) -> CallPage:
        self.until("document.querySelector('#status').dataset.state === 'ready'")
        return self

    @property
    def link(self) -> str:
        return str(self.page.input_value("#link"))

    def show_sample(self) -> CallPage:
        self.page.click("#use-sample")
        return self

    def member(self) -> dict[str, Any]:
        return dict(self.page.evaluate("window.sightlineCall.members[0]"))

    def settled_result(self) -> dict[str, Any]:
        """What is found in the picture of a video that stands still: the same in each that comes.

        Of a paused video browsers send a frame a second, or none; three seconds hold the way of
        those that were sent before.
        """
        self.page.wait_for_timeout(3000)
        return dict(self.member()["result"])

    def describe(self) -> str:
        members = self.page.evaluate("window.sightlineCall?.members")
        return f"{self.page.inner_text('main')!r}, {json.dumps(members)}, errors {self.errors}"


@pytest.fixture(scope="module", autouse=True)
def ice_address() -> Iterator[None]:
    with address_for_ice():
        yield


@pytest.fixture
def open_call(browser: Browser, server_url: str) -> Iterator[Callable[..., CallPage]]:
    """A page at a call's link, in a browser profile of its own; without a link a new call."""
    contexts = []

    def make(link: str = f"{server_url}call", **settings: Any) -> CallPage:
        context = browser.new_context(**settings)
        contexts.append(context)
        page = CallPage(context.new_page(), link)
        page.open()
        return page

    yield make
    for context in contexts:
        context.close()


def is_within(page: Page, inner: str, outer: str) -> bool:
    """Whether no edge of the first element lies beyond the second's."""
    return bool(
        page.evaluate(
            """([inner, outer]) => {
                const [a, b] = [inner, outer].map((each) =>
                    document.querySelector(each).getBoundingClientRect());
                return a.left >= b.left && a.right <= b.right
                    && a.top >= b.top && a.bottom <= b.bottom;
            }""",
            [inner, outer],
        )
    )


def iou(first: list[float], second: list[float]) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    common = max(0.0, width) * max(0.0, height)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return common / (areas - common)


def test_what_one_page_shows_is_found_in_the_other(open_call: Callable[..., CallPage]) -> None:
    first = open_call().until_alone()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/call/#[a-z0-9]{12}", first.link)
    second = open_call(first.link)
    second.until(ONE)
    first.until(ONE)
    first.until("window.sightlineCall.members[0].note === 'Shows nothing yet'")
    assert is_within(first.page, ".tile-note", ".tile")
    second.show_sample()
    first.until(FOUND)
    assert second.member()["note"] == "Shows nothing yet"
    # Standing still, the pictures are the same on both sides.
    second.page.evaluate("document.querySelector('#own-video').pause()")
    here = first.settled_result()
    there = second.page.evaluate(
        """async () => {
            const { createDetector, grabFrame } = await import("../sightline.js");
            const { models } = await (await fetch("../v1/models")).json();
            const { manifest: manifestUrl, graph: graphUrl } = models[0];
            const detector = await createDetector({ model: { manifestUrl, graphUrl } });
            const frame = await grabFrame(document.querySelector("#own-video"));
            return await detector.detect(frame);
        }"""
    )
    assert [here["width"] / here["height"]] == pytest.approx([there["width"] / there["height"]])
    best = there["detections"][0]
    assert best["label"] == "bottle"
    scale = there["width"] / here["width"]
    boxes = [
        [edge * scale for edge in each["boxXyxy"]]
        for each in here["detections"]
        if each["label"] == "bottle"
    ]
    # A call's first seconds have little detail: its bandwidth is still being tried.
    assert max(iou(best["boxXyxy"], box) for box in boxes) > 0.7
    second.page.click("#stop")
    first.until("window.sightlineCall.members[0].note === 'Shows nothing yet'")
    second.page.click("#use-camera")
    first.until(FOUND)
    assert not first.errors + second.errors


def test_who_leaves_is_gone_and_may_come_back(open_call: Callable[..., CallPage]) -> None:
    first = open_call().until_alone().show_sample()
    second = open_call(first.link)
    second.until(FOUND)
    second.page.reload()
    second.until(FOUND)  # what the first shows, it shows to whoever comes
    first.until(ONE)
    second.page.close()
    first.until(ALONE)
    assert "Nobody else here" in first.page.inner_text("#status")
    third = open_call(first.link).show_sample()
    third.until(FOUND)
    first.until(FOUND)


def test_the_video_of_another_page_is_sent_on_to_the_server(
    open_call: Callable[..., CallPage], server_url: str
) -> None:
    first = open_call().until_alone().show_sample()
    second = open_call(first.link)
    second.until(FOUND)
    for way in ("websocket", "webrtc"):
        second.page.select_option("#place", way)
        second.until(FOUND)
        assert second.member()["result"]["detections"][0]["label"] == "bottle"
        numbers = httpx.get(f"{server_url}metrics", trust_env=False).text
        assert f'sightline_sessions{{path="{way}"}} 1.0' in numbers
        assert "this server" in second.page.inner_text("#privacy-promise")
        assert "only brings" not in second.page.inner_text("#privacy-detail")
    second.page.select_option("#place", "device")
    second.until(FOUND)
    assert "nobody else" in second.page.inner_text("#privacy-promise")
    assert "only brings" in second.page.inner_text("#privacy-detail")


def test_three_pages_see_each_other(open_call: Callable[..., CallPage]) -> None:
    first = open_call().until_alone().show_sample()
    second = open_call(first.link)
    third = open_call(first.link)
    for page in (first, second, third):
        page.until(
            "window.sightlineCall.members.length === 2"
            " && window.sightlineCall.members.every(({ state }) => state === 'connected')"
        )
    second.until("window.sightlineCall.members.some(({ result }) => result?.detections.length)")
    third.until("window.sightlineCall.members.some(({ result }) => result?.detections.length)")
