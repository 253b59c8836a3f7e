"""What the routes of one server share: models, scheduler, numbers, settings, open streams."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from PIL import Image
from starlette.requests import HTTPConnection

from sightline.server.config import ServeConfig
from sightline.server.errors import RequestRefused
from sightline.server.job import Answer, Job
from sightline.server.live import LiveStream, Message
from sightline.server.metrics import Metrics
from sightline.server.options import Options
from sightline.server.rooms import Rooms
from sightline.server.scheduler import Scheduler
from sightline.server.security import Access
from sightline.server.served import ModelStore
from sightline.server.streams import StreamBoard


class Service:
    """Made with the application, closed with it."""

    def __init__(self, store: ModelStore, config: ServeConfig, access: Access) -> None:
        self.store = store
        self.config = config
        self.access = access
        self.metrics = Metrics()
        self.scheduler = Scheduler(
            store.plan,
            self.metrics,
            max_waiting=config.max_waiting,
            max_sessions=config.max_sessions,
        )
        self.board = StreamBoard()
        self.rooms = Rooms(config.max_sessions)
        self.is_stopping = False
        self._streams: set[LiveStream] = set()

    async def detect(
        self, options: Options, open_picture: Callable[[], Image.Image], caller: str
    ) -> Answer:
        """One image's answer. caller: who asks, by address: callers take turns.

        Raises RequestRefused for options that do not fit or a full line, ImageError for the image.
        """
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Answer] = loop.create_future()

        def settle(answer: Answer | Exception) -> None:
            if answered.done():  # the caller has gone
                return
            if isinstance(answer, Exception):
                answered.set_exception(answer)
            else:
                answered.set_result(answer)

        model = options.check(self.store)

        def done(answer: Answer | Exception) -> None:
            loop.call_soon_threadsafe(settle, answer)

        self.scheduler.submit(caller, Job(model, options, open_picture, done))
        return await answered

    def open_stream(
        self, path: str, options: Options, send: Callable[[Message], None]
    ) -> LiveStream:
        """A stream of frames; `send` gets each message, in the event loop.

        Raises RequestRefused for options that do not fit, or when as many are open as are taken.
        """
        self.check_ready()
        stream = LiveStream(self.scheduler, self.store, path, options, send)
        self._streams.add(stream)
        stream.when_closed(lambda: self._streams.discard(stream))
        return stream

    def check_ready(self) -> None:
        """Raises RequestRefused (busy) once the server takes no more work."""
        if self.is_stopping:
            raise RequestRefused("busy", "The server is stopping.", {"Retry-After": "5"})

    def stop_streams(self) -> None:
        """End every stream, so that the server can close down; no new one is opened."""
        self.is_stopping = True
        for stream in tuple(self._streams):
            stream.close()
        self.board.close()
        self.rooms.close()

    async def close(self) -> None:
        """End the streams, finish what is worked on, refuse what waits."""
        self.stop_streams()
        # In a thread: the answers of what still runs are delivered by this loop.
        await asyncio.to_thread(self.scheduler.close)


def caller(connection: HTTPConnection) -> str:
    """Who asks, for taking turns and for rates: the address of the other end."""
    return connection.client.host if connection.client else ""
