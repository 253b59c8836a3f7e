"""The way to a server by WebRTC: offer, ICE, DTLS, media; here as the browser's part."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import median
from typing import TYPE_CHECKING, Any

from sightline.workflow.doctor.http_legs import describe_answer
from sightline.workflow.doctor.leg import FAILED, MISSING, OK, Leg, LegFailed, Report, skip
from sightline.workflow.doctor.picture_track import SentPictures, make_track
from sightline.workflow.doctor.target import Target

if TYPE_CHECKING:
    from aiortc import RTCPeerConnection

WEBRTC_LEGS = ("offer", "ICE", "DTLS", "media")
ICE_S = 10.0  # RFC 8445's checks of a handful of pairs are over in two
DTLS_S = 8.0  # three retransmissions (RFC 6347, 4.2.4)
MEDIA_S = 10.0
ENOUGH_RESULTS = 20
_CLOSE_S = 5.0


@dataclass(frozen=True)
class Candidate:
    """One of an SDP (RFC 8839, 5.1). kind: host, srflx or relay."""

    address: str
    port: int
    kind: str


def examine_webrtc(target: Target, report: Report) -> None:
    """Report the legs up to the first that fails, and the others as skipped."""
    if find_spec("aiortc") is None:
        todo = "pip install 'sightline[webrtc]' on this machine"
        skip(report, WEBRTC_LEGS, "this needs aiortc, which is not installed here", todo)
        return
    asyncio.run(_examine(target, report))


async def _examine(target: Target, report: Report) -> None:
    from aiortc import RTCConfiguration, RTCPeerConnection

    # No ICE servers: aiortc's default would ask a public one.
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    attempt = _Attempt(target, connection)
    steps = (attempt.offer, attempt.ice, attempt.dtls, attempt.media)
    try:
        for number, (name, step) in enumerate(zip(WEBRTC_LEGS, steps, strict=True), 1):
            try:
                report(Leg(name, OK, await step()))
            except LegFailed as error:
                state = MISSING if attempt.is_missing else FAILED
                report(Leg(name, state, error.seen, error.todo))
                skip(report, WEBRTC_LEGS[number:], f"needs {name}")
                return
    finally:
        await attempt.end()


class _Attempt:
    """One connection and what is known of it so far. Its steps raise LegFailed."""

    def __init__(self, target: Target, connection: RTCPeerConnection) -> None:
        self.is_missing = False  # the server has no WebRTC, which is no fault
        self._target = target
        self._connection = connection
        self._session = ""
        self._local: list[Candidate] = []
        self._remote: list[Candidate] = []
        self._sent = SentPictures()
        self._is_ready = False  # the data channel told of the stream
        self._results: list[dict[str, Any]] = []
        self._latencies_ms: list[float] = []
        self._error: str | None = None

    async def offer(self) -> str:
        """The offer sent, the answer taken."""
        from aiortc import RTCSessionDescription
        from aiortc.exceptions import InvalidStateError, OperationError

        connection = self._connection
        channel = connection.createDataChannel("detections")
        channel.on("message", self._hear)
        connection.addTransceiver(make_track(self._sent), direction="sendonly")
        await connection.setLocalDescription(await connection.createOffer())
        sdp = connection.localDescription.sdp
        self._local = read_candidates(sdp)
        body = json.dumps({"sdp": sdp, "type": "offer"}).encode()
        reply = await asyncio.to_thread(
            self._target.request, "POST", "/v1/webrtc/offer", body, "application/json"
        )
        if reply.status in (404, 405, 501):
            self.is_missing = True
            raise LegFailed(
                f"the server has no WebRTC ({reply.status})",
                "where it runs, pip install 'sightline[webrtc]' and start it again",
            )
        answer = reply.json()
        if reply.status != 200 or not isinstance(answer.get("sdp"), str):
            raise LegFailed(reply.told(), "see the server's log")
        self._session = str(answer.get("session", ""))
        self._remote = read_candidates(answer["sdp"])
        try:
            await connection.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
        except (ValueError, InvalidStateError, OperationError) as error:
            raise LegFailed(
                f"the answer cannot be used: {error}", "report it as a fault"
            ) from error
        return f"answered in {reply.took_ms:.0f} ms"

    async def ice(self) -> str:
        """Packets pass between one address of each side."""
        if not self._local or not self._remote:
            raise _no_candidates(self._local, self._remote)
        connection = self._connection
        await _until(lambda: connection.iceConnectionState in ("completed", "failed"), ICE_S)
        if connection.iceConnectionState != "completed":
            raise _no_path(self._target, self._local, self._remote)
        return f"{self._pair()}; offered: {_offers(self._local, self._remote)}"

    def _pair(self) -> str:
        assert self._connection.sctp is not None
        ice = self._connection.sctp.transport.transport
        # aiortc tells nobody which pair was chosen.
        chosen = getattr(getattr(ice, "_connection", None), "_nominated", {}).get(1)
        if chosen is None:
            return "connected"
        (here, port), (there, other) = chosen.local_addr, chosen.remote_addr
        return f"{_socket(here, port)} to {_socket(there, other)} over UDP"

    async def dtls(self) -> str:
        """Both sides have the keys."""
        assert self._connection.sctp is not None
        dtls = self._connection.sctp.transport
        await _until(lambda: dtls.state in ("connected", "failed", "closed"), DTLS_S)
        if dtls.state == "connected":
            return "the connection is encrypted, with the certificate of the answer"
        if dtls.state == "connecting":
            raise LegFailed(
                f"no handshake within {DTLS_S:g} s, though ICE's packets pass",
                "a firewall or VPN lets STUN through and drops DTLS or large packets: allow UDP "
                "between the two, and check the VPN's MTU (1,200 bytes must pass)",
            )
        raise LegFailed(
            f"the handshake {dtls.state}",
            "something between changes the connection, or one side's clock or OpenSSL is far off: "
            "see the server's log",
        )

    async def media(self) -> str:
        """Pictures sent, results come back."""
        await _until(lambda: len(self._results) >= ENOUGH_RESULTS, MEDIA_S)
        sent = f"{self._sent.count} pictures sent"
        if self._results:
            last = describe_answer(self._results[-1])
            took_ms = median(self._latencies_ms or [0.0])
            return (
                f"{sent}, {len(self._results)} results, median {took_ms:.0f} ms from sending to "
                f"result; last: {last}"
            )
        if self._error is not None:
            raise LegFailed(self._error, "see docs/serving.md for what is taken")
        if not self._is_ready:
            raise LegFailed(f"the data channel stayed silent; {sent}", "see the server's log")
        raise LegFailed(
            f"{sent}, and no result of one",
            "the server does not get the video whole: packets over the path's MTU are lost, or the "
            "server is too busy",
        )

    def _hear(self, text: object) -> None:
        try:
            message = json.loads(text) if isinstance(text, str) else None
        except ValueError:
            message = None
        if not isinstance(message, dict):
            return
        kind = message.get("type")
        if kind == "ready":
            self._is_ready = True
        elif kind == "error":
            self._error = str((message.get("error") or {}).get("detail"))
        elif kind == "detections" and len(self._results) < 10 * ENOUGH_RESULTS:
            self._results.append(message)
            age_ms = self._sent.age_ms(message.get("pts"))
            if age_ms is not None:
                self._latencies_ms.append(age_ms)

    async def end(self) -> None:
        """Close the connection, and have the server forget it."""
        if self._session:
            path = f"/v1/webrtc/{self._session}"
            with contextlib.suppress(LegFailed):  # it ends by itself when no packet comes any more
                await asyncio.to_thread(self._target.request, "DELETE", path)
        with contextlib.suppress(TimeoutError):  # the process ends soon
            await asyncio.wait_for(self._connection.close(), _CLOSE_S)


async def _until(condition: Callable[[], bool], timeout_s: float) -> None:
    """Return once it holds, or after the time."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + timeout_s
    while not condition() and loop.time() < end_s:
        await asyncio.sleep(0.02)


def read_candidates(sdp: str) -> list[Candidate]:
    """The candidates in an SDP, each once."""
    found = {}
    for line in sdp.splitlines():
        parts = line.removeprefix("a=candidate:").split()
        if line.startswith("a=candidate:") and len(parts) >= 8 and parts[5].isdecimal():
            found[parts[4], parts[5]] = Candidate(parts[4], int(parts[5]), parts[7])
    return list(found.values())


def _no_candidates(local: list[Candidate], remote: list[Candidate]) -> LegFailed:
    both = "neither side has" if not local and not remote else None
    who = both or ("this machine has" if not local else "the server has")
    where = "this machine" if not local else "the server's machine"
    return LegFailed(
        f"{who} no address to offer but loopback's, which ICE leaves out",
        f"connect {where} to a network; a container needs --network host",
    )


def _no_path(target: Target, local: list[Candidate], remote: list[Candidate]) -> LegFailed:
    """The likely cause, from which addresses were offered."""
    seen = f"no packet passed within {ICE_S:g} s; offered: {_offers(local, remote)}"
    routed = [each for each in remote if _has_route(each)]
    if not routed:
        todo = "there is no route from here to these: join the server's network or VPN"
    elif not target.is_loopback() and target.peer not in {each.address for each in remote}:
        todo = (
            f"the server answers HTTP at {target.peer} and does not offer that address: it is in a "
            "container or behind NAT; run it with --network host, or give it --ice-server turn:…"
        )
    elif target.is_loopback():
        todo = "a firewall or VPN on this machine drops UDP: allow it between its own addresses"
    else:
        todo = (
            "a firewall or VPN between drops UDP: allow UDP between the two machines, or start the "
            "server with --ice-server turn:…"
        )
    return LegFailed(seen, todo)


def _has_route(candidate: Candidate) -> bool:
    """Whether this machine knows a way. Connecting UDP sends nothing."""
    family = socket.AF_INET6 if ":" in candidate.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((candidate.address, candidate.port))
        except OSError:
            return False
    return True


def _offers(local: list[Candidate], remote: list[Candidate]) -> str:
    return f"{_listed(local)} here, {_listed(remote)} there"


def _listed(candidates: list[Candidate]) -> str:
    shown = [
        each.address if each.kind == "host" else f"{each.address} ({each.kind})"
        for each in candidates
    ]
    return ", ".join(dict.fromkeys(shown))


def _socket(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
