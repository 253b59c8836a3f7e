"""STUN and TURN servers that peers of WebRTC may need, as settings say them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from sightline.errors import ConfigError

_HOST = r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?"
_STUN = re.compile(rf"stun:{_HOST}")
# A password may have any printable sign but blanks, an "@" too: the last one ends it.
_TURN = re.compile(
    r"(?P<scheme>turns?):(?P<user>[^\s:@]+):(?P<password>[!-~]+)@"
    rf"{_HOST}(?:\?transport=(?P<transport>udp|tcp))?"
)


@dataclass(frozen=True)
class IceServer:
    """url: without credentials (RFC 7064, RFC 7065). username, password: of a TURN server."""

    url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def link(self) -> str:
        """As a value of the header Link (RFC 9725, 4.6)."""
        if self.username is None:
            return f'<{self.url}>; rel="ice-server"'
        return (
            f'<{self.url}>; rel="ice-server"; username={_quote(self.username)}; '
            f'credential={_quote(self.password or "")}; credential-type="password"'
        )


def read_ice_servers(texts: Sequence[str]) -> tuple[IceServer, ...]:
    """What --ice-server says. Raises ConfigError, which does not repeat a password."""
    servers = tuple(_read(text) for text in texts)
    for kind in ("stun", "turn"):
        if sum(server.url.startswith(kind) for server in servers) > 1:
            raise ConfigError(f"--ice-server takes one server of each kind, and has two {kind}:")
    return servers


def _read(text: str) -> IceServer:
    found = _STUN.fullmatch(text) or _TURN.fullmatch(text)
    if found is None or not 0 < int(found["port"] or 1) < 65536:
        raise ConfigError(
            "--ice-server takes stun:HOST:PORT, turn:USER:PASSWORD@HOST:PORT or turns: likewise, "
            f"with ?transport=tcp if need be; {_shown(text)} is none of these"
        )
    address = found["host"] + (f":{found['port']}" if found["port"] else "")
    if found.re is _STUN:
        return IceServer(f"stun:{address}")
    scheme, transport = found["scheme"], found["transport"]
    if scheme == "turns" and transport == "udp":
        raise ConfigError("--ice-server: turns: goes over TCP, not ?transport=udp")
    query = f"?transport={transport}" if transport else ""
    return IceServer(f"{scheme}:{address}{query}", found["user"], found["password"])


def _shown(text: str) -> str:
    """What was given, as far as it holds no password."""
    return repr(text[:60]) if "@" not in text else f"what begins with {text[:5]!r}"


def _quote(text: str) -> str:
    """A quoted-string (RFC 9110, 5.6.4)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
