"""The way to a server by HTTP: its address, certificate, health, access, one detection."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from sightline.server.sample_picture import draw_sample_picture
from sightline.workflow.doctor.leg import FAILED, OK, Leg, LegFailed, Report
from sightline.workflow.doctor.target import TIMEOUT_S, Reply, Target, examine_certificate


def examine_http(target: Target, fingerprint: str | None, report: Report) -> str | None:
    """Report the legs up to the first that fails, whose name this gives; None: others may go on."""
    steps: dict[str, Callable[[Target], str]] = {"address": _address}
    if target.is_encrypted:
        steps["certificate"] = partial(examine_certificate, fingerprint=fingerprint)
    steps |= {"HTTP": _health, "ready": _readiness, "access": _access, "detection": _detection}
    for name, step in steps.items():
        try:
            report(Leg(name, OK, step(target)))
        except LegFailed as error:
            report(Leg(name, FAILED, error.seen, error.todo))
            # A server that is not ready, or fails at one picture, may still be reached live.
            if name not in ("ready", "detection"):
                return name
    return None


def sample_jpeg() -> bytes:
    """The drawn picture that is sent."""
    encoded = io.BytesIO()
    draw_sample_picture().save(encoded, "JPEG", quality=90)
    return encoded.getvalue()


def describe_answer(answer: dict[str, Any]) -> str:
    """What one answer says was found."""
    found = [str(each.get("label")) for each in answer.get("detections") or []]
    return ", ".join(found) if found else "no objects"


def _address(target: Target) -> str:
    try:
        target.connect().close()
    except socket.gaierror as error:
        raise LegFailed(
            f"no machine is called {target.host} here ({error.strerror})",
            "check the name, or give the server's IP address",
        ) from error
    except ConnectionRefusedError as error:
        raise LegFailed(
            f"{target.host} is there, and nothing listens on port {target.port}",
            "start the server, check the port; for other machines it needs --host 0.0.0.0, in a "
            "container -p 8000:8000 as well",
        ) from error
    except TimeoutError as error:
        raise LegFailed(
            f"{target.place} did not answer within {TIMEOUT_S:g} s",
            "a firewall drops the packets, or the machine is off or in another network",
        ) from error
    except OSError as error:
        raise LegFailed(
            f"{target.place} cannot be reached: {error.strerror or error}",
            "check the address, and that this machine is in the same network or VPN",
        ) from error
    return f"{target.place} takes connections" + (
        "" if target.peer == target.host else f" (as {target.peer})"
    )


def _health(target: Target) -> str:
    reply = target.request("GET", "/healthz")
    if reply.status == 200 and reply.json().get("status") == "ok":
        return f"a Sightline server, {reply.took_ms:.0f} ms"
    raise _not_ours(target, reply)


def _not_ours(target: Target, reply: Reply) -> LegFailed:
    if 300 <= reply.status < 400:
        place = reply.headers.get("location", "nowhere")[:200]
        return LegFailed(f"it leads elsewhere ({reply.told()})", f"ask there: {place}")
    if reply.json().get("code") == "origin-refused":
        return LegFailed(reply.told(), "start the server with --token, or ask it by its own name")
    if reply.json().get("code") in ("token-required", "not-found"):
        return LegFailed(
            f"a Sightline server, but not under {target.path or '/'}: {reply.told()}",
            f"leave the path out: {target.place}",
        )
    if reply.status in (502, 503, 504):
        return LegFailed(
            f"a proxy answers {reply.told()}", "start the server behind it, check the proxy's port"
        )
    if reply.status >= 500:
        return LegFailed(f"/healthz fails: {reply.told()}", "see the server's log")
    server = reply.headers.get("server")
    seen = f"/healthz gives {reply.status}" + (f", from {server[:60]}" if server else "")
    return LegFailed(
        f"a web server, but not Sightline's: {seen}", f"check port {target.port} and the path"
    )


def _readiness(target: Target) -> str:
    reply = target.request("GET", "/readyz")
    if reply.status == 200:
        return "it takes work"
    raise LegFailed(reply.told(), "wait for it; if it stays so, see its log")


def _access(target: Target) -> str:
    reply = target.request("GET", "/v1/models")
    if reply.status == 401:
        sent = "the token is wrong" if target.token else "a token is asked for"
        raise LegFailed(sent, "add --token TOKEN: the server printed it when it started")
    if reply.status != 200:
        raise LegFailed(reply.told(), "see the server's log")
    names = [str(model.get("name")) for model in reply.json().get("models") or []]
    how = "with the token" if target.token else "without a token"
    return f"{how}; models: {', '.join(names)}"


def _detection(target: Target) -> str:
    picture = sample_jpeg()
    target.request("POST", "/v1/detect", picture, "image/jpeg")  # the first one warms up
    reply = target.request("POST", "/v1/detect", picture, "image/jpeg")
    if reply.status != 200:
        todo = "try again later" if reply.status in (429, 503) else "see the server's log"
        raise LegFailed(reply.told(), todo)
    answer = reply.json()
    inside = (answer.get("timing") or {}).get("total_ms", 0.0)
    return (
        f"{describe_answer(answer)} in the drawn picture, {reply.took_ms:.0f} ms, "
        f"{inside:.0f} of them in the server"
    )
