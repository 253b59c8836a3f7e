"""The SDP that a peer offers: bounded and checked before WebRTC's own parser acts on it.

What is kept is what aiortc can follow: everything in one BUNDLE, candidates that are UDP addresses.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from sightline.server.errors import RequestRefused

if TYPE_CHECKING:
    from aiortc.sdp import MediaDescription, SessionDescription

MAX_SDP_BYTES = 64 * 1024
# A browser's offer of one video has some 200 lines; parsing takes time by lines times formats.
_MAX_LINES = 1000
_MAX_SECTIONS = 8
_MAX_FORMATS = 128  # payload types have 7 bits (RFC 3550, 5.1)
_MAX_CANDIDATES = 32
_LEAST_MESSAGE = 65536  # RFC 8841, 6.1: what a peer that says nothing takes
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")  # RFC 8839, 5.4
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}")
_FINGERPRINTS = frozenset({"sha-256", "sha-384", "sha-512"})
_SENDS = frozenset({"sendonly", "sendrecv"})
_DIRECTIONS = _SENDS | {"recvonly", "inactive"}
_KINDS = frozenset({"video", "audio", "application"})


@dataclass(frozen=True)
class Offer:
    """sdp: what is left of the text. video: the mid of the video that is used."""

    sdp: str
    video: str
    has_data: bool


def read_offer(text: str) -> Offer:
    """The offer in an SDP. Raises RequestRefused: malformed-request, invalid-request,
    unsupported-media.
    """
    sdp = _clean(text)
    description = _parse(sdp)
    sections = description.media
    if not sections or len(sections) > _MAX_SECTIONS:
        raise _invalid(f"1 to {_MAX_SECTIONS} media sections are expected, not {len(sections)}")
    kinds = Counter(section.kind for section in sections)
    if not kinds.keys() <= _KINDS:
        raise RequestRefused("unsupported-media", "sdp: only video, audio and data are taken")
    _check_bundle(description)
    for section in sections:
        _check_transport(section)
    if kinds["application"] > 1:
        raise _invalid("one data section (m=application) is enough")
    videos = [each for each in sections if each.kind == "video" and each.direction in _SENDS]
    if not videos:
        raise _invalid("the offer sends no video: add a video track to the connection")
    return Offer(sdp, str(videos[0].rtp.muxId), bool(kinds["application"]))


def _clean(text: str) -> str:
    """Without candidates that lead nowhere.

    Names under .local (mDNS) take a second each to look up; without them, or any, the peer's own
    checks tell its address. So no list of candidates is taken as complete, either.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can hold
        raise RequestRefused("malformed-request", "sdp: this is no text") from None
    lines = text.splitlines()
    if size > MAX_SDP_BYTES or len(lines) > _MAX_LINES:
        raise RequestRefused(
            "body-too-large",
            f"An SDP may have {MAX_SDP_BYTES} bytes in {_MAX_LINES} lines.",
        )
    if not text.startswith("v=0"):
        raise RequestRefused("malformed-request", "sdp: this is no SDP, which begins with v=0")
    kept, candidates = [], 0
    for line in lines:
        if line.startswith("a=end-of-candidates"):
            continue
        if line.startswith("a=candidate:"):
            candidates += 1
            if candidates > _MAX_CANDIDATES or not _is_reachable(line):
                continue
        kept.append(line)
    return "\r\n".join(kept) + "\r\n"


def _is_reachable(line: str) -> bool:
    """Whether a candidate (RFC 8839, 5.1) is the address of a UDP socket."""
    parts = line.removeprefix("a=candidate:").split()
    if len(parts) < 8 or parts[1] != "1" or parts[2].lower() != "udp":
        return False
    is_port = parts[5].isdecimal() and parts[5].isascii() and 0 < int(parts[5][:6]) < 65536
    try:
        address = ip_address(parts[4])
    except ValueError:
        return False
    return is_port and "%" not in parts[4] and not (address.is_multicast or address.is_unspecified)


def _parse(sdp: str) -> SessionDescription:
    from aiortc.sdp import SessionDescription

    formats = 0
    for line in sdp.splitlines():
        formats = 0 if line.startswith("m=") else formats + line.startswith("a=rtpmap:")
        if formats > _MAX_FORMATS:
            raise _invalid(f"a media section may have {_MAX_FORMATS} formats (a=rtpmap)")
    try:
        return SessionDescription.parse(sdp)
    # The parser trusts its input and fails at text that is no SDP in any way that Python can.
    except Exception as error:
        raise RequestRefused("malformed-request", "sdp: it cannot be parsed") from error


def _check_bundle(description: SessionDescription) -> None:
    mids = [section.rtp.muxId for section in description.media]
    if not all(mids) or len(set(mids)) != len(mids):
        raise _invalid("each media section needs a mid of its own (a=mid)")
    bundles = [group.items for group in description.group if group.semantic == "BUNDLE"]
    if (len(mids) > 1 or bundles) and bundles != [mids]:
        raise _invalid("all media sections, in their order, must be in one BUNDLE group")


def _check_transport(section: MediaDescription) -> None:
    """What the connection is built on; aiortc would notice only once it connects."""
    where = f"mid {section.rtp.muxId[:20]}: "
    ice, dtls = section.ice, section.dtls
    if ice is None or not (
        _UFRAG.fullmatch(ice.usernameFragment or "") and _PASSWORD.fullmatch(ice.password or "")
    ):
        raise _invalid(where + "a=ice-ufrag and a=ice-pwd of RFC 8839 are missing")
    algorithms = {each.algorithm.lower() for each in dtls.fingerprints} if dtls else set()
    if not algorithms & _FINGERPRINTS:
        raise _invalid(where + "a=setup and an a=fingerprint of sha-256 or longer are missing")
    if section.kind == "application":
        if section.profile != "UDP/DTLS/SCTP" or not 0 < (section.sctp_port or 0) < 65536:
            raise _invalid(where + "data goes over UDP/DTLS/SCTP, with a=sctp-port")
        most = section.sctpCapabilities.maxMessageSize if section.sctpCapabilities else 0
        if most < 0 or 0 < most < _LEAST_MESSAGE:
            raise _invalid(where + f"a=max-message-size must be {_LEAST_MESSAGE} or more")
    elif section.direction not in _DIRECTIONS:
        raise _invalid(where + "a=sendrecv, a=sendonly, a=recvonly or a=inactive is missing")
    elif not section.rtcp_mux:
        raise _invalid(where + "a=rtcp-mux is missing: RTP and RTCP share one port here")


def _invalid(detail: str) -> RequestRefused:
    return RequestRefused("invalid-request", f"sdp: {detail}")
