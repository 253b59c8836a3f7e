"""The page of the HTTP interface works from the server alone, under its content policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from tests.browser.conftest import LivePage

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_describes_the_interface_and_tries_it_out(
    live: Callable[..., LivePage], scheme: str
) -> None:
    docs = live(color_scheme=scheme)
    page = docs.page
    said: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.goto(docs.url + "docs")
    page.get_by_text("/v1/detect", exact=True).first.wait_for()
    page.get_by_role("button", name="GET /healthz").first.click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    answer = page.locator(".live-responses-table .response-col_status", has_text="200")
    answer.first.wait_for()

    assert said == [], "the content policy, or a missing file"
    assert docs.errors == []
    origin = urlsplit(docs.url)
    for url in docs.requested:
        assert urlsplit(url).scheme == "data" or urlsplit(url).netloc == origin.netloc, url
    dark = page.evaluate("document.documentElement.classList.contains('dark-mode')")
    assert dark == (scheme == "dark")


def test_its_licences_lie_beside_it(live: Callable[..., LivePage]) -> None:
    docs = live()
    answer = docs.page.goto(docs.url + "docs/licenses.txt")
    assert answer is not None and answer.ok
    assert "swagger-ui" in answer.text() and "Apache License" in answer.text()
