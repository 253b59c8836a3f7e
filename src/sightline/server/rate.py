"""How many requests one address may make: a bound on the mean, with room for a page's burst."""

from __future__ import annotations

import math
import time
from ipaddress import IPv6Address, ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

from sightline.server.errors import problem_response

_BEYOND_THIS_MACHINE = 50.0
_BURST_S = 2.0
_LEAST_BURST = 20  # a page fetches its parts at once
_MAX_ADDRESSES = 4096
_THIS_MACHINE = "127.0.0.1"


class Rates:
    """Each address's share, by the generic cell rate algorithm (ITU-T I.371): one number each.

    rate: requests a second, on the mean. spares_loopback: this machine itself may ask at will.
    """

    def __init__(self, rate: float, *, spares_loopback: bool) -> None:
        self._interval_s = 1 / rate
        self._slack_s = max(_BURST_S, (_LEAST_BURST - 1) / rate)
        self._spares_loopback = spares_loopback
        self._due: dict[str, float] = {}  # when what was asked so far will have been paid off

    def wait_s(self, address: str, now_s: float) -> float:
        """0 where a request may be made now, which counts it; else how long until one may."""
        key = _subscriber(address)
        if key == _THIS_MACHINE and self._spares_loopback:
            return 0.0
        due = max(self._due.get(key, 0.0), now_s)
        if (wait := due - now_s - self._slack_s) > 0:
            return wait
        if key not in self._due and len(self._due) >= _MAX_ADDRESSES:
            self._forget(now_s)
        self._due[key] = due + self._interval_s
        return 0.0

    def _forget(self, now_s: float) -> None:
        """Make room: who owes nothing is as good as unknown; after them, who owes least."""
        self._due = {key: due for key, due in self._due.items() if due > now_s}
        if len(self._due) >= _MAX_ADDRESSES:
            by_debt = sorted(self._due.items(), key=lambda entry: entry[1])
            self._due = dict(by_debt[_MAX_ADDRESSES // 2 :])


def make_rates(rate: float | None, *, is_local: bool) -> Rates | None:
    """What the setting means: by default this machine asks at will, others at a bounded rate."""
    if rate is not None:
        return Rates(rate, spares_loopback=False)
    return None if is_local else Rates(_BEYOND_THIS_MACHINE, spares_loopback=True)


class RateLimit:
    """Middleware: answers 429 to addresses that ask too often, WebSocket handshakes included."""

    def __init__(self, app: ASGIApp, rates: Rates) -> None:
        self.app = app
        self._rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if client is not None:
            wait_s = self._rates.wait_s(client[0], time.monotonic())
            if wait_s > 0:
                seconds = math.ceil(wait_s)
                detail = f"More requests than one address may make; ask again in {seconds} s."
                refusal = problem_response("rate-limited", detail, {"Retry-After": str(seconds)})
                await refusal(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _subscriber(address: str) -> str:
    """Who an address counts for: an IPv6 network of 64 bits is one home."""
    if ":" not in address:
        return _THIS_MACHINE if address.startswith("127.") else address
    parsed = ip_address(address.partition("%")[0])
    assert isinstance(parsed, IPv6Address)  # it has a colon
    if parsed.ipv4_mapped is not None:
        return _subscriber(str(parsed.ipv4_mapped))
    return _THIS_MACHINE if parsed.is_loopback else parsed.exploded[:19]
