"""A progress bar on stderr for commands that take more than a moment."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

# Called with things done and to do; None where nobody knows how many there will be.
Show = Callable[[int, int | None], None]

_PATIENCE_S = 1.0


@contextmanager
def progress_bar(
    what: str,
    *,
    unit: Literal["images", "runs", "bytes"] = "images",
    patience_s: float = _PATIENCE_S,
) -> Iterator[Show | None]:
    """A function that shows progress; None where stderr is no terminal.

    What is done within `patience_s` seconds shows no bar.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    counts = (DownloadColumn(),) if unit == "bytes" else (MofNCompleteColumn(), TextColumn(unit))
    console = Console(stderr=True)
    bar = Progress(
        TextColumn(what), BarColumn(), *counts, TimeLeft(), console=console, transient=True
    )
    task = bar.add_task(what, total=None)
    begin_s = time.monotonic()

    def show(done: int, total: int | None) -> None:
        if not bar.live.is_started and time.monotonic() - begin_s >= patience_s:
            bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield show
    finally:
        bar.stop()
