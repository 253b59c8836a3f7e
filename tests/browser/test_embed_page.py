"""The page of examples: each runs as its code stands beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page
from tests.browser.conftest import PATIENCE_S, REPO, LivePage

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EXAMPLES = REPO / "web" / "apps" / "embed" / "public" / "examples"


def run(page: Page, name: str) -> None:
    page.click(f"[data-example={name}] button")


def test_each_example_runs_and_shows_its_code(
    live: Callable[..., LivePage], server_url: str, shared: Path
) -> None:
    opened = live(f"{server_url}embed")
    opened.open()
    page = opened.page
    page.set_default_timeout(PATIENCE_S * 1000)
    page.wait_for_selector("[data-example=picture] pre")
    for script in EXAMPLES.glob("*.js"):
        assert script.read_text().strip() in page.inner_text(f"[data-example={script.stem}]")
    assert "/models/deimv2-atto" in page.inner_text("[data-example=function] .code")

    opened.until("document.querySelector('#found')?.textContent.includes('bottle')")
    page.evaluate(
        "document.addEventListener('sightline-detections',"
        " ({ detail }) => { window.seen = detail.detections; })"
    )
    run(page, "element")
    opened.until("window.seen?.some(({ label }) => label === 'bottle')")
    run(page, "counting")
    opened.until("document.querySelector('#events')?.textContent.includes(': enter left half')")
    run(page, "scripttag")
    page.evaluate(
        "document.addEventListener('objectDetection', ({ detail }) => { window.told = detail; })"
    )
    opened.until("window.told?.some((each) => each.class_name === 'bottle')")
    run(page, "picture")
    opened.until("document.querySelector('#answer')?.textContent.includes('Choose')")
    page.set_input_files("#photo", shared / "data" / "broken" / "01_ok.jpg")
    opened.until("document.querySelector('#answer').textContent.includes('boxXyxy')")
    assert not opened.errors
    assert all(url.startswith((server_url, "blob:", "data:")) for url in opened.requested)
