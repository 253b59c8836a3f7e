"""One thing that was looked at, and what was seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

OK, FAILED, MISSING, SKIPPED = "ok", "failed", "missing", "skipped"


@dataclass(frozen=True)
class Leg:
    """state: ok; failed: what was asked for does not work; missing: not here, and needed only for
    what `todo` says; skipped: not looked at. seen: one line. todo: what to do about it, or "".
    """

    name: str
    state: str
    seen: str
    todo: str = ""

    def to_json(self) -> dict[str, str]:
        return {"name": self.name, "state": self.state, "seen": self.seen, "do": self.todo}


Report = Callable[[Leg], None]


class LegFailed(Exception):
    """Ends a leg: what was seen, and what to do."""

    def __init__(self, seen: str, todo: str) -> None:
        super().__init__(seen)
        self.seen = seen
        self.todo = todo


def skip(report: Report, names: tuple[str, ...], why: str, todo: str = "") -> None:
    """Report these legs as not looked at, the first with what to do about it."""
    for number, name in enumerate(names):
        report(Leg(name, SKIPPED, why, "" if number else todo))
