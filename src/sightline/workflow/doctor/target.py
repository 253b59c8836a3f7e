"""The server that is asked after: its address, token and certificate, and single requests to it.

Goes straight to the address, past any proxy of the environment: so do WebRTC's packets.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import ssl
import time
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from sightline.errors import UsageError
from sightline.workflow.doctor.leg import LegFailed

TIMEOUT_S = 10.0
_MOST_BYTES = 2**20


@dataclass(frozen=True)
class Reply:
    """What a request got. took_ms: from sending it to the last byte."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    took_ms: float

    def json(self) -> dict[str, Any]:
        """The body's JSON object; {} where it is none."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    def told(self) -> str:
        """Status and, of an error in our shape, its sentence."""
        detail = self.json().get("detail")
        phrase = http.client.responses.get(self.status, "")
        return f"{self.status} {phrase}" + (f": {detail}" if isinstance(detail, str) else "")


class Target:
    """A server's address. `peer` is the IP address behind it, once it was connected to."""

    def __init__(self, url: str, token: str | None = None) -> None:
        """Raises UsageError for what is no http or https address."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port, parts = None, None, urlsplit("")
        if parts.scheme not in ("http", "https") or not host:
            raise UsageError(
                f"{url!r} is no address of a server: give one such as http://127.0.0.1:8000/"
            )
        self.host = host
        self.is_encrypted = parts.scheme == "https"
        self.port = port or (443 if self.is_encrypted else 80)
        self.path = parts.path.rstrip("/")
        self.token = token or parse_qs(parts.query).get("token", [None])[0]
        self.peer = ""
        self.context: ssl.SSLContext | None = None  # set when the certificate was looked at

    @property
    def place(self) -> str:
        """Host and port, as they stand in an address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def url(self, path: str, scheme: str = "http") -> str:
        """An address on this server, without the token."""
        return f"{scheme}{'s' if self.is_encrypted else ''}://{self.place}{self.path}{path}"

    def is_loopback(self) -> bool:
        """Whether the connection stayed on this machine."""
        return bool(self.peer) and ip_address(self.peer.partition("%")[0]).is_loopback

    def connect(self) -> socket.socket:
        """A TCP connection. Raises OSError."""
        connection = socket.create_connection((self.host, self.port), TIMEOUT_S)
        self.peer = connection.getpeername()[0]
        return connection

    def request(
        self, method: str, path: str, body: bytes | None = None, media_type: str = ""
    ) -> Reply:
        """One request on a connection of its own. Raises LegFailed."""
        headers = {"Accept": "application/json", "User-Agent": "sightline-doctor"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if media_type:
            headers["Content-Type"] = media_type
        start = time.perf_counter()
        connection = _Connection(self)
        try:
            connection.request(method, self.path + path, body, headers)
            response = connection.getresponse()
            content = _read(response, start)
        except (http.client.HTTPException, OSError, ValueError) as error:
            raise _request_failed(error, self) from error
        finally:
            connection.close()
        took_ms = 1000 * (time.perf_counter() - start)
        return Reply(response.status, response.headers, content, took_ms)

    def subprotocols(self) -> list[str]:
        """What a WebSocket offers: the protocol, and the token where one is needed."""
        bearer = [f"bearer.{quote(self.token, safe='')}"] if self.token else []
        return ["sightline.v1", *bearer]


class _Connection(http.client.HTTPConnection):
    def __init__(self, target: Target) -> None:
        super().__init__(target.host, target.port, timeout=TIMEOUT_S)
        self._target = target

    def connect(self) -> None:
        self.sock = self._target.connect()
        if self._target.context is not None:
            self.sock = self._target.context.wrap_socket(
                self.sock, server_hostname=self._target.host
            )


def _read(response: http.client.HTTPResponse, start: float) -> bytes:
    """The body, at most 1 MiB of it, unless it takes too long altogether."""
    content = b""
    while len(content) < _MOST_BYTES and (part := response.read1(65536)):
        content += part
        if time.perf_counter() - start > TIMEOUT_S:
            raise TimeoutError(f"the answer took longer than {TIMEOUT_S:g} s")
    return content


def _request_failed(error: Exception, target: Target) -> LegFailed:
    if isinstance(error, TimeoutError):
        return LegFailed(
            f"no answer within {TIMEOUT_S:g} s",
            "see the server's log; it may be busy, or something between holds the connection",
        )
    other = "http" if target.is_encrypted else "https"
    return LegFailed(
        f"the connection ended without an HTTP answer ({first_words(error)})",
        f"check that a web server listens there; if it speaks {other}, ask {other}://{target.place}",
    )


def first_words(error: BaseException) -> str:
    """The first line of an error's message, or its kind where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0] or type(error).__name__


def examine_certificate(target: Target, fingerprint: str | None) -> str:
    """What the certificate is; sets what every later connection trusts. Raises LegFailed.

    A certificate that no authority vouches for is trusted on loopback, where nobody stands
    between, or when its fingerprint is the one given; and then that very certificate alone.
    """
    context = ssl.create_default_context()
    try:
        with _handshake(target, context) as connection:
            end = (connection.getpeercert() or {}).get("notAfter", "")
        target.context = context
        return f"an authority vouches for it and for {target.host}, until {end}"
    except ssl.SSLCertVerificationError as error:
        return _examine_unknown(target, fingerprint, error.verify_message)
    except (ssl.SSLError, OSError) as error:
        raise LegFailed(
            f"no encrypted connection: {first_words(error)}",
            f"if the server was started without --https, ask http://{target.place}",
        ) from error


def _examine_unknown(target: Target, fingerprint: str | None, why: str) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with _handshake(target, context) as connection:  # nothing is sent on it
            content = connection.getpeercert(binary_form=True) or b""
    except OSError as error:
        raise LegFailed(first_words(error), "see the server's log") from error
    digest = hashlib.sha256(content).hexdigest().upper()
    shown = ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))
    wanted = (fingerprint or "").replace(":", "").upper()
    if wanted != digest and (wanted or not target.is_loopback()):
        raise LegFailed(
            f"not to be trusted ({why}); its SHA-256 is {shown}",
            "compare that with the fingerprint that the server printed: if it is the same, add "
            f"--fingerprint {shown}",
        )
    pinned = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    pinned.check_hostname = False
    pinned.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # this certificate is the whole chain
    pinned.load_verify_locations(cadata=ssl.DER_cert_to_PEM_cert(content))
    try:
        _handshake(target, pinned).close()
    except ssl.SSLCertVerificationError as error:
        raise LegFailed(error.verify_message, "make the certificate anew") from error
    except OSError as error:
        raise LegFailed(first_words(error), "see the server's log") from error
    target.context = pinned
    reason = "its fingerprint is the one given" if wanted else "taken, being on this machine"
    return f"{why}; {reason}; a browser will warn of it (SHA-256 {shown})"


def _handshake(target: Target, context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(target.connect(), server_hostname=target.host)
