"""STUN and TURN servers as settings say them, and machines that ICE cannot work on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tests.server.rtc_network import loopback_only

from sightline.errors import ConfigError
from sightline.server.app import create_app
from sightline.server.config import ServeConfig
from sightline.server.ice import IceServer, read_ice_servers
from sightline.server.served import ModelStore


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("stun:stun.example.org", IceServer("stun:stun.example.org")),
        ("stun:[2001:db8::1]:3479", IceServer("stun:[2001:db8::1]:3479")),
        ("turn:me:secret@turn.example:3478", IceServer("turn:turn.example:3478", "me", "secret")),
        (
            "turn:me:p@ss:w%rd@192.0.2.7?transport=tcp",
            IceServer("turn:192.0.2.7?transport=tcp", "me", "p@ss:w%rd"),
        ),
        ("turns:me:x@turn.example", IceServer("turns:turn.example", "me", "x")),
    ],
)
def test_servers(text: str, server: IceServer) -> None:
    assert read_ice_servers([text]) == (server,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "stun.example.org",
        "http://stun.example.org",
        "stun:",
        "stun:host:0",
        "stun:host:65536",
        "stun:host:port",
        "stun:host?transport=tcp",
        "turn:host",
        "turn:user@host",
        "turn::password@host",
        "turn:user:pass word@host",
        "turn:user:password@host?transport=sctp",
        "turns:user:password@host?transport=udp",
        "stun:host\r\nX: y",
    ],
)
def test_what_is_no_server(text: str) -> None:
    with pytest.raises(ConfigError, match="--ice-server"):
        read_ice_servers([text])


def test_one_of_each_kind() -> None:
    assert len(read_ice_servers(["stun:a", "turn:u:p@a"])) == 2
    with pytest.raises(ConfigError, match="two turn:"):
        read_ice_servers(["turn:u:p@a", "turns:u:p@b"])


def test_passwords_are_not_shown() -> None:
    (server,) = read_ice_servers(["turn:me:hush-hush@host"])
    assert "hush" not in repr(server)
    with pytest.raises(ConfigError) as caught:
        read_ice_servers(["turn:me:hush-hush@host:99999"])
    assert "hush" not in str(caught.value)


def test_links_quote_what_needs_it() -> None:
    (server,) = read_ice_servers(['turn:me:a"b\\c@host'])
    assert server.link() == (
        '<turn:host>; rel="ice-server"; username="me"; credential="a\\"b\\\\c"; '
        'credential-type="password"'
    )


def test_the_server_does_not_start_with_a_wrong_one(atto: ModelStore) -> None:
    with pytest.raises(ConfigError, match="--ice-server"):
        create_app(atto, ServeConfig(ice_server=("stun:",)))


_OFFERING = """
import asyncio, sys
from pathlib import Path
import httpx
from aiortc import RTCPeerConnection, RTCConfiguration, VideoStreamTrack
from tests.server.conftest import running, PLAN
from sightline.server.app import create_app
from sightline.server.config import ServeConfig
from sightline.server.served import ModelStore

async def main():
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.createDataChannel("results")
    peer.addTrack(VideoStreamTrack())
    await peer.setLocalDescription(await peer.createOffer())
    offer = {"sdp": peer.localDescription.sdp, "type": "offer"}
    app = create_app(ModelStore.load([Path(sys.argv[1])], PLAN), ServeConfig())
    with running(app) as url:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            response = await client.post(url + "/v1/webrtc/offer", json=offer)
            health = await client.get(url + "/healthz")
    print(response.status_code, health.status_code)
    print(response.text)
    await peer.close()

asyncio.run(main())
"""


def test_a_machine_with_loopback_alone_is_told_so(tiny_bundle: Path) -> None:
    done = loopback_only(sys.executable, "-c", _OFFERING, str(tiny_bundle))
    assert done.returncode == 0, done.stderr
    statuses, body = done.stdout.splitlines()
    assert statuses == "501 200"
    problem = json.loads(body)
    assert problem["code"] == "not-available"
    assert "no network address" in problem["detail"]
