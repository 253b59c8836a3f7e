"""Bodies: requests' held so that many slow uploads do not fill the memory, answers' as JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from tempfile import TemporaryFile
from typing import IO, Any

import msgspec
from fastapi.responses import Response
from starlette.requests import Request

from sightline.server.errors import RequestRefused

_IN_MEMORY = 2**20  # a frame of a camera fits; of photos only those worked on are in memory


class Body:
    """`size` bytes in memory, or in a file if there are many."""

    def __init__(self, size: int, content: bytes, file: IO[bytes] | None) -> None:
        self.size = size
        self._content = content
        self._file = file

    def read(self, start: int = 0, size: int | None = None) -> bytes:
        """All of it, or a part. What lies in memory is not copied to be read as a whole."""
        if self._file is None:
            return self._content[start : None if size is None else start + size]
        self._file.seek(start)
        return self._file.read(-1 if size is None else size)


@asynccontextmanager
async def received(request: Request) -> AsyncIterator[Body]:
    """The whole body, as long as the block runs.

    Raises RequestRefused (unsupported-media) for a compressed one, ClientDisconnect for one that
    ends early.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RequestRefused("unsupported-media", "Send the body without Content-Encoding.")
    parts: list[bytes] = []
    size, file = 0, None
    try:
        async for part in request.stream():
            size += len(part)
            if file is not None:
                file.write(part)
                continue
            parts.append(part)
            if size > _IN_MEMORY:
                file = TemporaryFile()  # noqa: SIM115 - closed below, in every case
                file.writelines(parts)
                parts.clear()
        yield Body(size, b"".join(parts), file)
    finally:
        if file is not None:
            file.close()


def json_response(value: Any, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON value as a response, without FastAPI's walk over it."""
    return Response(msgspec.json.encode(value), 200, headers, "application/json")
