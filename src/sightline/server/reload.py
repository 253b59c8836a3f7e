"""Looks for models that were replaced on disk, and has them exchanged while requests go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sightline.server.service import Service

EVERY_S = 2.0

log = logging.getLogger("sightline.server")


@asynccontextmanager
async def fresh_models(service: Service) -> AsyncIterator[None]:
    """Keep the service's models as they are on disk while the block runs."""
    task = asyncio.create_task(_refresh_for_ever(service))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _refresh_for_ever(service: Service) -> None:
    while True:
        await asyncio.sleep(EVERY_S)
        try:
            # In a thread: loading takes seconds, and requests go on meanwhile.
            exchanged = await asyncio.to_thread(service.store.refresh)
        except Exception:
            log.exception("looking for replaced models failed; it is tried again")
            continue
        for name in exchanged:
            service.metrics.reloads.labels(name).inc()
            log.info("%s was replaced on disk: the new version is served", name)
