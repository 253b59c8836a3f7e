"""Every leg of the way to a server, in their order."""

from __future__ import annotations

from sightline.workflow.doctor.http_legs import examine_http
from sightline.workflow.doctor.leg import Report, skip
from sightline.workflow.doctor.target import Target
from sightline.workflow.doctor.webrtc_legs import WEBRTC_LEGS, examine_webrtc
from sightline.workflow.doctor.websocket_leg import examine_websocket


def examine_server(
    url: str, report: Report, *, token: str | None = None, fingerprint: str | None = None
) -> None:
    """Report every leg to the server at `url`, http or https, with its token in it or apart.

    Takes seconds, at most half a minute. Raises UsageError for what is no such address.
    """
    target = Target(url, token)
    if failed := examine_http(target, fingerprint, report):
        skip(report, ("WebSocket", *WEBRTC_LEGS), f"needs {failed}")
        return
    examine_websocket(target, report)
    examine_webrtc(target, report)
