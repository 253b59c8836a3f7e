"""report.html: one page that shows how a run went. Self-contained."""

from __future__ import annotations

from sightline.train.run import Run


def write_report(run: Run) -> None:
    """Write the page from the run folder's files."""
