"""Rooms in which pages meet for a call: who is there, and messages between two of them.

Knows no sockets. What the pages tell each other (WebRTC's offers and answers) is passed on unread;
their pictures go from page to page and never come here. Everything is bounded: a room's members,
all members, and what waits for one of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from sightline.server.errors import RequestRefused
from sightline.server.live import Message

MOST_IN_ROOM = 4  # everybody sends to everybody: a phone's uplink carries no more
MOST_WAITING = 32  # messages for one member: an arrival is a handful


class Member:
    """One page in a room; `take` gives what it is to be told."""

    def __init__(self, number: str) -> None:
        self.number = number
        self._waiting: asyncio.Queue[Message | None] = asyncio.Queue(MOST_WAITING)
        self._is_ended = False

    def put(self, message: Message) -> None:
        """Have it told. One that does not read its messages is ended instead."""
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            self.end()

    def end(self) -> None:
        """Nothing more is told, not even what waits."""
        self._is_ended = True
        if self._waiting.empty():
            self._waiting.put_nowait(None)

    async def take(self) -> Message | None:
        """The next message; None once ended."""
        message = await self._waiting.get()
        return None if self._is_ended else message


class Rooms:
    """Rooms by name, each there as long as somebody is in it. Used in the event loop only."""

    def __init__(self, most_members: int) -> None:
        self._most_members = most_members
        self._rooms: dict[str, dict[str, Member]] = {}
        self._numbers = count(1)

    @contextmanager
    def join(self, name: str) -> Iterator[tuple[Member, Callable[[str, str], bool]]]:
        """A new member of the room, and what passes a message of its on to another member: False
        where that one is not there (any more). The others learn who comes and who has gone.

        Raises RequestRefused (busy) where the room, or the server, is full.
        """
        if sum(map(len, self._rooms.values())) >= self._most_members:
            raise RequestRefused("busy", "As many pages are in calls as this server takes.")
        room = self._rooms.setdefault(name, {})
        if len(room) >= MOST_IN_ROOM:
            raise RequestRefused("busy", f"{MOST_IN_ROOM} are in this call; no more fit.")
        me = Member(str(next(self._numbers)))

        def pass_on(to: str, data: str) -> bool:
            other = room.get(to)
            if other is None or other is me:
                return False
            other.put({"type": "signal", "from": me.number, "data": data})
            return True

        me.put({"type": "joined", "id": me.number, "peers": list(room)})
        _tell(room, {"type": "arrived", "id": me.number})
        room[me.number] = me
        try:
            yield me, pass_on
        finally:
            del room[me.number]
            _tell(room, {"type": "left", "id": me.number})
            if not room:
                del self._rooms[name]

    def close(self) -> None:
        """End every member, so that the server can close down."""
        for room in self._rooms.values():
            for member in room.values():
                member.end()


def _tell(room: dict[str, Member], message: Message) -> None:
    for member in room.values():
        member.put(message)
