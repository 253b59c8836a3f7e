"""WS /v1/call/{room} with real clients: who is there, what is passed on, what is bounded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
from tests.server.conftest import Start
from tests.server.test_websocket import close_code, receive, settled
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from sightline.server import call, rooms


@contextmanager
def joined(
    client: httpx.Client, room: str = "kitchen", query: str = "", **settings: Any
) -> Iterator[ClientConnection]:
    url = str(client.base_url).replace("http", "ws", 1).rstrip("/")
    with connect(f"{url}/v1/call/{room}{query}", proxy=None, **settings) as member:
        yield member


def send(member: ClientConnection, **message: Any) -> None:
    member.send(json.dumps(message))


def open_rooms(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.app.state.service.rooms._rooms  # type: ignore[attr-defined]
    return found


def test_members_learn_of_each_other_and_pass_messages_on(client: httpx.Client) -> None:
    with joined(client) as first, joined(client, "cellar") as elsewhere:
        me = receive(first)
        assert (me["type"], me["peers"]) == ("joined", [])
        assert receive(elsewhere)["peers"] == []
        with joined(client) as second:
            other = receive(second)
            assert other["peers"] == [me["id"]]
            assert receive(first) == {"type": "arrived", "id": other["id"]}
            send(second, type="signal", to=me["id"], data="an offer \ud83d")
            assert receive(first) == {
                "type": "signal",
                "from": other["id"],
                "data": "an offer \ud83d",
            }
            send(first, type="signal", to=other["id"], data="an answer")
            assert receive(second)["data"] == "an answer"
        assert receive(first) == {"type": "left", "id": other["id"]}
        send(first, type="signal", to=other["id"], data="too late")
        assert receive(first)["error"]["code"] == "not-found"
        with pytest.raises(TimeoutError):
            elsewhere.recv(timeout=0.2)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"\0", "malformed-request"),
        ("hello", "malformed-request"),
        ("[" * 10_000, "malformed-request"),
        ("[]", "invalid-request"),
        ('{"type": "signal", "to": "1"}', "invalid-request"),
        ('{"type": "signal", "to": 1, "data": ""}', "invalid-request"),
        ('{"type": "signal", "to": "1", "data": {}}', "invalid-request"),
        ('{"type": "signal", "to": "nobody", "data": ""}', "not-found"),
        ('{"type": "signal", "to": "1", "data": "' + "x" * 40_000 + '"}', "body-too-large"),
    ],
)
def test_a_bad_message_is_answered_and_changes_nothing(
    client: httpx.Client, message: str | bytes, code: str
) -> None:
    with joined(client) as member:
        receive(member)
        member.send(message)
        assert receive(member)["error"]["code"] == code
        send(member, type="ping")
        member.send("hello")
        assert receive(member)["error"]["code"] == "malformed-request"


@pytest.mark.parametrize("room", ["abc", "x" * 65, "with.dot", "%C3%A4%C3%A4%C3%A4%C3%A4"])
def test_a_room_has_a_plain_name(client: httpx.Client, room: str) -> None:
    with pytest.raises(InvalidStatus) as refused, joined(client, room):
        pass
    assert refused.value.response.status_code == 422


def test_a_room_and_the_server_take_so_many(start: Start) -> None:
    with start(max_sessions=6) as client:
        with joined(client), joined(client), joined(client), joined(client):
            with joined(client) as fifth:
                assert receive(fifth)["error"]["code"] == "busy"
                assert close_code(fifth) == 1013
            with joined(client, "cellar"), joined(client, "attic"), joined(client, "roof") as last:
                assert receive(last)["error"]["code"] == "busy"
        assert settled(lambda: open_rooms(client), {}) == {}
        with joined(client) as again:
            assert receive(again)["peers"] == []


def test_who_sends_too_much_says_nothing_or_reads_nothing_is_cut(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with joined(client) as member:
        receive(member)
        for _ in range(30):
            send(member, type="ping")
        assert receive(member)["error"]["code"] == "rate-limited"
        assert close_code(member) == 1008
    monkeypatch.setattr(call, "IDLE_S", 0.2)
    with joined(client) as member:
        receive(member)
        assert receive(member)["error"]["code"] == "request-timeout"
    monkeypatch.setattr(rooms, "MOST_WAITING", 2)
    member_to_be = rooms.Member("1")
    for _ in range(3):
        member_to_be.put({"type": "arrived"})
    assert member_to_be._is_ended


def test_the_door_is_the_servers(start: Start) -> None:
    foreign = {"Origin": "https://example.org"}
    with start(token="open-sesame") as client:
        with pytest.raises(InvalidStatus) as refused, joined(client):
            pass
        assert refused.value.response.status_code == 401
        with pytest.raises(InvalidStatus) as refused, joined(client, additional_headers=foreign):
            pass
        assert refused.value.response.status_code == 403
        with joined(client, query="?token=open-sesame") as member:
            assert receive(member)["type"] == "joined"


def test_the_servers_stop_is_told(start: Start) -> None:
    with ExitStack() as stack:
        with start() as client:
            member = stack.enter_context(joined(client))
            receive(member)
        assert close_code(member) == 1012
