"""Progress bars: for terminals alone, and only for what takes a while."""

from __future__ import annotations

import io
import sys

import pytest

from sightline.cli.progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """In the test itself: pytest puts its own stderr in place after the fixtures."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return screen


def test_none_where_nobody_looks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress_bar("reading", patience_s=0) as progress:
        assert progress is None
    assert capsys.readouterr().out == ""


def test_quick_work_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with progress_bar("reading", patience_s=60) as progress:
        assert progress is not None
        for done in range(1, 4):
            progress(done, 3)
    assert terminal.getvalue() == ""


@pytest.mark.parametrize(
    ("unit", "total", "shown"),
    [("images", 4, "2/4 images"), ("runs", 4, "2/4 runs"), ("bytes", 4, "2/4 bytes")],
)
def test_long_work_shows_what_is_done(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    unit: str,
    total: int,
    shown: str,
) -> None:
    terminal = open_terminal(monkeypatch)
    with progress_bar("reading", unit=unit, patience_s=0) as progress:  # type: ignore[arg-type]
        assert progress is not None
        progress(2, total)
    assert "reading" in terminal.getvalue()
    assert shown in terminal.getvalue()
    assert capsys.readouterr().out == ""  # results alone go there


def test_a_download_of_unknown_size(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with progress_bar("weights", unit="bytes", patience_s=0) as progress:
        assert progress is not None
        progress(2000, None)
    assert "2.0/? kB" in terminal.getvalue()
