"""The examples of docs/browser.md, run as they stand there; its table of errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from tests.browser.conftest import PATIENCE_S, REPO, LivePage

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TEXT = (REPO / "docs" / "browser.md").read_text(encoding="utf-8")
ERRORS = REPO / "web" / "packages" / "runtime" / "src" / "errors.ts"


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def title(example: str) -> str:
    return example.split("\n")[0][:40]


@pytest.fixture
def example_page(
    server_url: str, browser: Browser, page_in: Callable[..., LivePage], shared: Path
) -> Page:
    page: Page = page_in(browser, server_url).page
    photo = shared / "data" / "broken" / "01_ok.jpg"
    page.route("**/photo.jpg", lambda route: route.fulfill(path=photo))
    return page


def said_by(page: Page) -> list[Any]:
    said: list[Any] = []
    page.on("console", lambda message: said.extend(each.json_value() for each in message.args))
    return said


def until_found(page: Page, said: list[Any]) -> None:
    """Something was logged that has detections in it, in one of the forms that there are."""
    for _ in range(int(PATIENCE_S * 10)):
        if any(isinstance(each, list) and each and "label" in str(each) for each in said):
            return
        if any(isinstance(each, list) and "class_name" in str(each) for each in said):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"nothing was found: {said}, page {page.inner_text('body')!r}")


@pytest.mark.parametrize("example", examples("js"), ids=title)
def test_a_script_finds_something(example: str, example_page: Page, server_url: str) -> None:
    said = said_by(example_page)
    example_page.goto(f"{server_url}licenses.txt")
    example_page.evaluate(f"async () => {{ {example} }}")
    until_found(example_page, said)


@pytest.mark.parametrize("example", examples("html"), ids=title)
def test_a_page_finds_something(example: str, example_page: Page, server_url: str) -> None:
    body = f'<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">{example}'
    example_page.route(
        "**/example.html", lambda route: route.fulfill(body=body, content_type="text/html")
    )
    said = said_by(example_page)
    example_page.goto(f"{server_url}example.html")
    until_found(example_page, said)


def test_there_is_an_example_for_each_way() -> None:
    assert len(examples("js")) >= 4
    assert len(examples("html")) >= 3


def test_every_error_stands_in_the_document() -> None:
    codes = re.findall(r'code(?:: string)? = "([a-z-]+)"', ERRORS.read_text(encoding="utf-8"))
    rows = re.findall(r"^\| `([a-z-]+)` \| [^|]+ \|$", TEXT.split("## Errors")[1], re.MULTILINE)
    assert sorted(rows) == sorted(codes)
