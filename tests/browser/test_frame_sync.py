"""Boxes are painted on the frame they were found in, wherever that was looked at.

A photo moves by a few pixels from frame to frame, and each frame has its number in it: what is read
from the overlay's pixels is which frame is painted there, and from its box's place in which it was
found.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import numpy as np
import pytest
from playwright.sync_api import Browser
from tests.browser.conftest import LivePage, serving
from tests.server.rtc_network import address_for_ice

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SCRIPTS = [Path(__file__).with_name(name) for name in ("server_page.js", "sync_page.js")]
# So near its turning points the photo's place does not tell the frame.
AROUND = 5


class Lab(LivePage):
    """A page of the server with the moving photo as a video, watched."""

    def load(self) -> Lab:
        self.page.goto(urljoin(self.url, "/licenses.txt"))
        for script in SCRIPTS:
            self.page.add_script_tag(path=script, type="module")
            self.until("window.lab !== undefined")
        self.until("window.lab.watch !== undefined")
        return self

    def watch(self, photo: Path, is_file: bool, **options: Any) -> Lab:
        address = "data:image/jpeg;base64," + base64.b64encode(photo.read_bytes()).decode()
        self.page.evaluate(
            "async ([...how]) => { await lab.watch(...how); }", [address, is_file, options]
        )
        return self

    def read(self, name: str) -> NDArray[np.float64]:
        return np.array(self.page.evaluate(f"lab.{name}"), dtype=float)

    def describe(self) -> str:
        count = self.page.evaluate("lab.painted.length")
        return f"{count} painted, {self.page.evaluate('lab.errors')}, errors {self.errors}"


@pytest.fixture(scope="module")
def atto_url(built_page: None, atto_bundle: Path, shared: Path) -> Iterator[str]:
    with address_for_ice(), serving((atto_bundle,), shared) as url:
        yield url


@pytest.fixture
def lab(browser: Browser, atto_url: str) -> Iterator[Lab]:
    """A page on the server. The lab's own script may not run under the content policy of pages."""
    context = browser.new_context(bypass_csp=True)
    yield Lab(context.new_page(), atto_url).load()
    context.close()


# Of a stream only its frames' times come back, so that a frame is found again by them.
@pytest.mark.parametrize(
    ("place", "is_file", "frames"),
    [
        ({"model": "/models/deimv2-atto/"}, False, 0),
        ({"transport": "websocket"}, False, 0),
        ({"transport": "webrtc"}, False, 1),
        ({"transport": "webrtc"}, True, 1),
    ],
)
def test_the_frame_beneath_a_box_is_the_one_it_was_found_in(
    lab: Lab, shared: Path, place: dict[str, str], is_file: bool, frames: int
) -> None:
    bear = shared / "data" / "coco_val100" / "images" / "000000000285.jpg"
    lab.watch(bear, is_file, **place).until("lab.painted.length > 120")
    late = frames_late(lab.read("paints")[:, 0], lab.read("painted"))
    assert len(late) >= 40, "too few boxes to judge by"
    is_tied = np.abs(late) <= frames
    assert is_tied.mean() >= 0.9, f"late by so many frames, sorted: {np.sort(late)}"
    if is_file:
        return
    # As when a phone is turned, or a shared window gets another size.
    lab.page.evaluate("lab.canvas.height = 480")
    lab.until("lab.watching.result.height / lab.watching.result.width === 480 / 640")
    lab.until("lab.watching.result.detections.length > 0")
    assert lab.page.evaluate("lab.errors") == []


def frames_late(lefts: NDArray[np.float64], painted: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many frames after its box's the painted frame is, (K,).

    lefts: (N,), the photo's left edge by frame. painted: (M, 2), the frame and its box's middle.
    """
    steps = np.diff(lefts)
    numbers = painted[:, 0].astype(int)
    is_steady = np.array(
        [
            AROUND <= at < len(steps) - AROUND
            and len(set(np.sign(steps[at - AROUND : at + AROUND]))) == 1
            for at in numbers
        ]
    )
    numbers, middles = numbers[is_steady], painted[is_steady, 1]
    step = steps[numbers]
    # From the frame's left edge to the middle of the object: what is the same both ways.
    ahead = middles - lefts[numbers]
    middle = (np.median(ahead[step > 0]) + np.median(ahead[step < 0])) / 2
    late: NDArray[np.int64] = -np.round((ahead - middle) / step).astype(np.int64)
    return late
