"""Steering: does what an operator asked for through the journal (`python -m app jobs cancel`, `jobs retry`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import structlog

from app.actors.handle import Registry
from app.archive import Archive
from app.jobs import Job

logger = structlog.stdlib.get_logger(__name__)

ROUND = 1.0
"""Seconds between two looks: another process wrote the request, so nobody can wake us."""


class SteeringActor:
    """Looks for requests, and carries them out, each exactly once as long as the bot lives.

    `retry` hands a job's wish in again, in the door's own way.
    """

    def __init__(self, archive: Archive, registry: Registry, retry: Callable[[Job], Awaitable[None]]) -> None:
        self._archive = archive
        self._registry = registry
        self._retry = retry

    async def run(self) -> None:
        """Live."""
        while True:
            for request in await self._archive.requests():
                logger.info("an operator asks", verb=request.verb, job=request.job)
                job = await self._archive.find(request.job)
                if request.verb == "cancel":
                    await self._registry.cancel(request.job)
                elif job is not None:
                    await self._retry(job)
                await self._archive.done(request)
            await anyio.sleep(ROUND)
