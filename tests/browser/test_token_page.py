"""The page that asks for the server's token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.browser.conftest import serving

if TYPE_CHECKING:
    from tests.browser.conftest import LivePage

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TOKEN = "correct-horse"


def without_token(url: str) -> str:
    """The address that a server prints, as a stranger knows it."""
    return url.partition("?")[0]


def test_a_wrong_token_is_told_of_and_the_right_one_opens(
    live: Callable[..., LivePage], built_page: None, atto_bundle: Path, shared: Path
) -> None:
    with serving((atto_bundle,), shared, "--token", TOKEN) as url:
        page = live(url=without_token(url)).open().page
        assert page.locator("[role=alert]").count() == 0
        page.fill("[name=token]", "battery-staple")
        page.click("button")
        assert page.inner_text("[role=alert]") == "That token is wrong."
        assert "battery" not in page.content()
        page.fill("[name=token]", TOKEN)
        page.click("button")
        page.wait_for_selector("#use-camera")
        assert "token" not in page.url


def test_it_fits_a_narrow_phone(
    live: Callable[..., LivePage], built_page: None, atto_bundle: Path, shared: Path
) -> None:
    with serving((atto_bundle,), shared, "--token", TOKEN) as url:
        narrow = live(url=without_token(url), viewport={"width": 320, "height": 640})
        page = narrow.open("?token=wrong").page
        assert page.evaluate("document.documentElement.scrollWidth") == 320
        box = page.locator("button").bounding_box()
        assert box and box["x"] + box["width"] <= 320


def test_light_and_dark_follow_the_system(
    live: Callable[..., LivePage], built_page: None, atto_bundle: Path, shared: Path
) -> None:
    """Its colours are the live page's, and the content policy lets its style through."""
    background = "getComputedStyle(document.body).backgroundColor"
    with serving((atto_bundle,), shared, "--token", TOKEN) as url:
        for scheme in ("light", "dark"):
            page = live(url=without_token(url), color_scheme=scheme).open().page
            asking = page.evaluate(background)
            page.goto(url)
            page.wait_for_selector("#use-camera")
            assert page.evaluate(background) == asking
