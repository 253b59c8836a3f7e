"""Networks of their own for tests: aiortc leaves 127.0.0.1 out, so loopback alone is not enough."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aioice.ice import get_host_addresses

_LINK = "sightline0"
_ADDRESS = "198.51.100.1"  # TEST-NET-2, RFC 5737
_ADDRESSES = ("203.0.113.1", "203.0.113.2")  # TEST-NET-3


@dataclass(frozen=True)
class Network:
    """address: where a server of this process is reached. enter: what to put before a command
    that shall run at the other end.
    """

    address: str
    enter: tuple[str, ...]


@contextmanager
def address_for_ice() -> Iterator[None]:
    """This machine has an address that ICE uses: its own, or one of a link that is made here.

    Raises RuntimeError where there is none and none may be made.
    """
    if get_host_addresses(use_ipv4=True, use_ipv6=False):
        yield
        return
    if not _may_make_links():
        raise RuntimeError("WebRTC's tests need an address besides 127.0.0.1, or the right to ip")
    other_end = f"{_LINK}-end"  # an interface of its own, as not every kernel has dummy links
    _ip("link", "add", _LINK, "type", "veth", "peer", "name", other_end)
    try:
        _ip("address", "add", f"{_ADDRESS}/24", "dev", _LINK)
        for end in (_LINK, other_end):
            _ip("link", "set", end, "up")
        yield
    finally:
        _ip("link", "delete", _LINK)


@contextmanager
def second_network() -> Iterator[Network]:
    """A network namespace behind a pair of links; where none may be made, this machine's own."""
    if not _may_make_links():
        yield Network(get_host_addresses(use_ipv4=True, use_ipv6=False)[0], ())
        return
    name = f"sightline-{os.getpid()}"
    inside, outside = f"si{os.getpid()}", f"so{os.getpid()}"
    enter = ("ip", "netns", "exec", name)
    _ip("netns", "add", name)
    try:
        _ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name)
        _ip("address", "add", f"{_ADDRESSES[0]}/24", "dev", outside)
        _ip("link", "set", outside, "up")
        _ip("-n", name, "address", "add", f"{_ADDRESSES[1]}/24", "dev", inside)
        _ip("-n", name, "link", "set", inside, "up")
        _ip("-n", name, "link", "set", "lo", "up")
        yield Network(_ADDRESSES[0], enter)
    finally:
        _ip("netns", "delete", name)  # the links go with it


def loopback_only(*command: str) -> subprocess.CompletedProcess[str]:
    """The command run in a namespace that has 127.0.0.1 and nothing else."""
    script = 'ip link set lo up && exec "$@"'
    may = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--net", "--map-root-user")
    return subprocess.run(
        [*may, "sh", "-c", script, "sh", *command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _may_make_links() -> bool:
    return os.geteuid() == 0 and shutil.which("ip") is not None


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=30)
