"""Which browser is found, and what is said where there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sightline.errors import MissingBrowser, MissingExtra
from sightline.runtime.chromium import BrowserPage, find_browser


def make_program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_variable_comes_before_the_path(tmp_path: Path) -> None:
    make_program(tmp_path / "bin" / "chromium")
    chosen = make_program(tmp_path / "mine" / "my-chrome")
    environment = {"PATH": str(tmp_path / "bin"), "SIGHTLINE_BROWSER": str(chosen)}
    assert find_browser(environment, "linux") == chosen


def test_the_variable_may_be_a_name_on_the_path(tmp_path: Path) -> None:
    chosen = make_program(tmp_path / "my-chrome")
    environment = {"PATH": str(tmp_path), "SIGHTLINE_BROWSER": "my-chrome"}
    assert find_browser(environment, "linux") == chosen


def test_a_variable_that_names_no_program_is_an_error_not_a_wish(tmp_path: Path) -> None:
    make_program(tmp_path / "chromium")
    environment = {"PATH": str(tmp_path), "SIGHTLINE_BROWSER": str(tmp_path / "nothing")}
    with pytest.raises(MissingBrowser, match=r"SIGHTLINE_BROWSER is .*nothing"):
        find_browser(environment, "linux")


@pytest.mark.parametrize("name", ["chromium", "google-chrome", "microsoft-edge"])
def test_each_of_the_three_is_found_on_the_path(tmp_path: Path, name: str) -> None:
    program = make_program(tmp_path / name)
    assert find_browser({"PATH": str(tmp_path)}, "linux") == program


def test_on_windows_the_usual_folders_are_searched(tmp_path: Path) -> None:
    edge = make_program(tmp_path / "x86" / "Microsoft" / "Edge" / "Application" / "msedge.exe")
    environment = {"PATH": "", "PROGRAMFILES": "", "PROGRAMFILES(X86)": str(tmp_path / "x86")}
    assert find_browser(environment, "win32") == edge


def test_on_a_mac_the_user_s_own_applications_are_searched(tmp_path: Path) -> None:
    app = tmp_path / "Applications" / "Google Chrome.app" / "Contents" / "MacOS" / "Google Chrome"
    if Path("/Applications/Google Chrome.app").exists():
        pytest.skip("this machine has a Chrome for all its users, which comes first")
    make_program(app)
    assert find_browser({"PATH": "", "HOME": str(tmp_path)}, "darwin") == app


@pytest.mark.parametrize(
    ("platform", "advice"), [("linux", "apt-get install chromium"), ("win32", "install Chrome")]
)
def test_without_a_browser_it_says_what_to_install(
    tmp_path: Path, platform: str, advice: str
) -> None:
    with pytest.raises(MissingBrowser, match=advice) as raised:
        find_browser({"PATH": str(tmp_path)}, platform)
    assert "SIGHTLINE_BROWSER" in str(raised.value)


def test_without_playwright_it_says_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "playwright", None)
    monkeypatch.delitem(sys.modules, "playwright.async_api", raising=False)
    with pytest.raises(MissingExtra, match=r"pip install 'sightline\[browser\]'"):
        BrowserPage("http://127.0.0.1:9/")
