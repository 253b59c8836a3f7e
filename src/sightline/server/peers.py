"""WebRTC peers of one server: from offer to answer, then from their video to a live stream.

Knows neither how offers come in nor where results go. ICE opens UDP sockets on this machine's
addresses, whichever address the server listens on; who has not made an offer gets no answer there.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from starlette.requests import ClientDisconnect, Request

from sightline.errors import MissingExtra
from sightline.server.errors import RequestRefused, problem
from sightline.server.ice import IceServer
from sightline.server.live import LiveStream, Message
from sightline.server.offer import Offer
from sightline.server.options import Options
from sightline.server.service import Service
from sightline.server.video_feed import ReceivedFrame, VideoFeed

if TYPE_CHECKING:
    from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection

CONNECT_S = 15.0  # from the answer to the first frame
IDLE_S = 10.0  # without a frame: a peer that dies says nothing
MAX_NEGOTIATIONS = 8
_MAX_SOURCES = 8  # SSRCs of one peer; aiortc remembers each
_CODECS = "Video is taken as VP8, or as H.264 of the constrained baseline or baseline profile"
# FFmpeg 8 with GnuTLS makes one on the curve P-224, which OpenSSL 4 no longer knows for TLS.
_WHIP_HINT = (
    ": its certificate is most likely of a kind that is not taken; "
    "give FFmpeg one on the curve P-256 with -cert_file and -key_file"
)

log = logging.getLogger("sightline.server")


class Outlet(Protocol):
    """Where a peer's results go."""

    @property
    def is_wanted(self) -> bool:
        """Whether anybody gets them: otherwise nothing is detected."""

    def open(self, stream: LiveStream) -> None:
        """The stream that the results are of is there. Raises RequestRefused."""

    def add_channel(self, channel: RTCDataChannel) -> None:
        """The peer has opened a data channel."""

    def send(self, message: Message) -> None:
        """A result."""

    def close(self) -> None:
        """The stream has ended."""


class Peer:
    """One connection, from its offer on; closed from either side, or by its timer."""

    def __init__(self, service: Service, path: str, options: Options, outlet: Outlet) -> None:
        """Raises RequestRefused for options that do not fit, or when all places are taken."""
        self.session = secrets.token_urlsafe(18)
        self.path = path
        self._outlet = outlet
        self._loop = asyncio.get_running_loop()
        self._stream = service.open_stream(path, options, self._send)
        self._stream.when_closed(self.close)
        self._connection: RTCPeerConnection | None = None
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._closers: list[Callable[[], object]] = []

    async def answer(self, offer: Offer, configuration: RTCConfiguration) -> str:
        """The SDP that answers the offer. Raises RequestRefused."""
        from aiortc import RTCPeerConnection

        self._outlet.open(self._stream)
        connection = self._connection = RTCPeerConnection(configuration)
        connection.on("connectionstatechange", self._follow_state)
        connection.on("datachannel", self._outlet.add_channel)
        await _set_offer(connection, offer)
        for transceiver in connection.getTransceivers():
            if transceiver.mid == offer.video:
                transceiver.direction = "recvonly"
                VideoFeed(transceiver.receiver, self._take, self.close)
            else:
                transceiver.direction = "inactive"
        await _set_answer(connection)
        sdp: str = connection.localDescription.sdp
        if "a=candidate:" not in sdp:
            raise RequestRefused(
                "not-available",
                "This server has no network address that WebRTC can use: on 127.0.0.1 alone "
                "there is no connection. /v1/stream works without.",
            )
        self._wait_for(CONNECT_S)
        return sdp

    def when_closed(self, closer: Callable[[], object]) -> None:
        """Have `closer` called once when the peer is closed."""
        self._closers.append(closer)

    def close(self) -> None:
        """End the connection and its stream, in a task. May be called twice."""
        if self._closing is None:
            self._closing = self._loop.create_task(self._close())

    @property
    def is_closing(self) -> bool:
        return self._closing is not None

    async def closed(self) -> None:
        """Until all of it has ended; `close` comes before."""
        assert self._closing is not None
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._stream.close()
        self._outlet.close()
        try:
            if self._connection is not None:
                await asyncio.sleep(0)  # a last message is on its way once the loop has come round
                await self._connection.close()
        finally:
            for closer in self._closers:
                closer()

    def _follow_state(self) -> None:
        assert self._connection is not None
        log.debug("peer on %s: %s", self.path, self._connection.connectionState)
        if self._connection.connectionState == "failed":
            self._tell_failure(self._connection)
        if self._connection.connectionState in ("failed", "closed"):
            self.close()

    def _tell_failure(self, connection: RTCPeerConnection) -> None:
        transports = {receiver.transport for receiver in connection.getReceivers()}
        if any(transport.state == "failed" for transport in transports):
            hint = _WHIP_HINT if self.path == "whip" else ""
            log.warning("the encryption (DTLS) with a peer on %s failed%s", self.path, hint)

    def _wait_for(self, seconds: float) -> None:
        """Close the peer so long from now, unless this is called again before."""
        if self._closing is not None:
            return
        self._due_s = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._due_s:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._due_s, self._check)

    def _check(self) -> None:
        if self._loop.time() >= self._due_s:
            self._send({"type": "error", "error": _no_frame()})
            self.close()
            return
        if self._count_sources() > _MAX_SOURCES:
            log.warning("a peer on %s sent more than %d streams", self.path, _MAX_SOURCES)
            self.close()
            return
        self._set_timer()

    def _count_sources(self) -> int:
        assert self._connection is not None
        receivers = self._connection.getReceivers()
        return sum(len(receiver.getSynchronizationSources()) for receiver in receivers)

    def _take(self, frame: ReceivedFrame) -> None:
        self._wait_for(IDLE_S)
        if self._outlet.is_wanted:
            self._stream.offer(
                frame.open_picture,
                frame.time_s,
                frame=frame.number,
                pts=frame.pts,
                age_ms=frame.time_s,
            )

    def _send(self, message: Message) -> None:
        if "age_ms" in message:  # so far the time at which the frame came
            message["age_ms"] = round((time.perf_counter() - message["age_ms"]) * 1e3, 2)
        self._outlet.send(message)


class Peers:
    """The peers of a server by their session, which only they know."""

    def __init__(self, service: Service, ice_servers: Sequence[IceServer]) -> None:
        self.ice_servers = tuple(ice_servers)
        self._service = service
        self._peers: dict[str, Peer] = {}
        self._negotiating = 0

    def __len__(self) -> int:
        return len(self._peers)

    async def connect(
        self, path: str, offer: Offer, options: Options, outlet: Outlet
    ) -> tuple[Peer, str]:
        """A new peer, and the SDP that answers its offer. Raises RequestRefused."""
        if self._negotiating >= MAX_NEGOTIATIONS:
            raise RequestRefused(
                "busy", "Many peers are connecting just now.", {"Retry-After": "1"}
            )
        configuration = self._configuration()
        peer = Peer(self._service, path, options, outlet)
        self._peers[peer.session] = peer
        peer.when_closed(lambda: self._peers.pop(peer.session, None))
        self._negotiating += 1
        try:
            return peer, await peer.answer(offer, configuration)
        except BaseException:
            peer.close()
            await peer.closed()
            raise
        finally:
            self._negotiating -= 1

    def end(self, path: str, session: str) -> None:
        """End a peer that came by this path. Raises RequestRefused (not-found)."""
        peer = self._peers.get(session)
        if peer is None or peer.path != path or peer.is_closing:
            raise RequestRefused("not-found", "No such session: it has ended, or never was.")
        peer.close()

    async def close(self) -> None:
        """End them all."""
        peers = tuple(self._peers.values())
        for peer in peers:
            peer.close()
        await asyncio.gather(*(peer.closed() for peer in peers))

    def _configuration(self) -> RTCConfiguration:
        from aiortc import RTCConfiguration, RTCIceServer

        # An empty list, not None: by default aiortc asks a public STUN server.
        return RTCConfiguration(
            iceServers=[
                RTCIceServer(server.url, server.username, server.password)
                for server in self.ice_servers
            ]
        )


def check_installed() -> None:
    """Raises RequestRefused (not-available) without the [webrtc] extra."""
    try:
        import aiortc  # noqa: F401
    except ImportError:
        raise RequestRefused("not-available", str(MissingExtra("WebRTC", "webrtc"))) from None


async def read_text(request: Request, most: int) -> str:
    """A short body in UTF-8. Raises RequestRefused: body-too-large, malformed-request."""
    parts, size = [], 0
    try:
        async for part in request.stream():
            parts.append(part)
            size += len(part)
            if size > most:
                raise RequestRefused("body-too-large", f"At most {most} bytes are taken here.")
        return b"".join(parts).decode()
    except ClientDisconnect as error:
        raise RequestRefused("malformed-request", "The body ended early.") from error
    except UnicodeDecodeError as error:
        raise RequestRefused("malformed-request", "The body is no UTF-8 text.") from error


async def _set_offer(connection: RTCPeerConnection, offer: Offer) -> None:
    from aiortc import RTCSessionDescription
    from aiortc.exceptions import OperationError

    try:
        await connection.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
    except OperationError:  # no codec in common
        raise RequestRefused(
            "unsupported-media",
            f"sdp: {_CODECS}; audio, which is not used, as Opus, PCMU, PCMA or G.722.",
        ) from None
    except Exception as error:  # of many sorts: what it acts on is the offer, which is at fault
        log.info("an offer was refused", exc_info=error)
        raise RequestRefused("malformed-request", "sdp: it cannot be acted on") from error


async def _set_answer(connection: RTCPeerConnection) -> None:
    from aiortc import InvalidStateError

    try:
        await connection.setLocalDescription(await connection.createAnswer())
    except InvalidStateError:  # closed meanwhile
        raise RequestRefused("busy", "The server is stopping.", {"Retry-After": "5"}) from None


def _no_frame() -> Message:
    detail = (
        f"No frame for {IDLE_S:g} s that could be decoded. {_CODECS}, of at most 25 megapixels."
    )
    return problem("request-timeout", detail)
