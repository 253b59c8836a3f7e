"""The page of a data set in a real browser: nothing fetched, nothing refused, fits a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from sightline.data.dataset import Dataset
from sightline.data.page import write_dataset_page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SHOWN = """[...document.querySelectorAll('use')].filter(one => {
    const box = one.getBoundingClientRect();
    return box.width > 40 && box.height > 20;
}).length"""


@pytest.mark.parametrize("name", ["kangaroo", "coco_val100", "formats/voc_quirks_made"])
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_it_opens(
    browser: Browser, shared: Path, tmp_path: Path, name: str, width: int, scheme: str
) -> None:
    path = tmp_path / "page.html"
    write_dataset_page(Dataset.load(shared / "data" / name), path)
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    said: list[str] = []
    requested: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: requested.append(request.url))
    page.goto(path.as_uri())
    assert said == []
    assert {url for url in requested if not url.startswith("data:")} == {path.as_uri()}
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(SHOWN) >= 6
    assert page.evaluate("document.querySelectorAll('.photo').length") == page.evaluate(
        "document.querySelectorAll('use').length"
    )
    context.close()
