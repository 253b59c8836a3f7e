"""The JavaScript examples of docs/serving.md, run in a page of the server as they stand there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from tests.browser.conftest import REPO, LivePage
from tests.server.rtc_network import address_for_ice

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TEXT = (REPO / "docs" / "serving.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```js\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def url(serve: Callable[..., str], coco_bundle: Path, shared: Path) -> Iterator[str]:
    clip = shared / "data" / "video" / "bottle-detection.mp4"
    with address_for_ice():
        yield serve(coco_bundle, options=("--source", f"door={clip}"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.split("\n")[0][:40])
def test_an_example_logs_what_was_found(
    example: str, url: str, browser: Browser, page_in: Callable[..., LivePage], shared: Path
) -> None:
    page = page_in(browser, url).page
    photo = shared / "data" / "broken" / "01_ok.jpg"
    page.route("**/photo.jpg", lambda route: route.fulfill(path=photo))
    said: list[Any] = []
    page.on("console", lambda message: said.extend(each.json_value() for each in message.args))
    page.goto(f"{url}licenses.txt")
    page.evaluate(f"async () => {{ {example} }}")
    page.wait_for_timeout(100)
    assert said, "it logged nothing"
    found = said[-1]["detections"] if isinstance(said[-1], dict) else said[-1]
    assert isinstance(found, list)


def test_there_is_an_example_for_each_way() -> None:
    assert len(EXAMPLES) >= 4
