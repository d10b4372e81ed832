"""OperatorActor: carries out operator requests from the journal (`python -m app jobs cancel`, `jobs retry`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from app.actors.handle import Registry
from app.core.job import Job, OperatorRequest
from app.core.journal_port import JobHistory
from app.entry_points import run_loop, run_request

logger = structlog.stdlib.get_logger(__name__)

ROUND = 1.0
"""Seconds between two readings: another process writes the requests, so nothing notifies this one."""


class OperatorActor:
    """Reads operator requests and carries them out, each exactly once while the bot runs.

    `retry` submits a job's request again, in the frontend's own way.
    """

    def __init__(self, job_history: JobHistory, registry: Registry, retry: Callable[[Job], Awaitable[None]]) -> None:
        self._job_history = job_history
        self._registry = registry
        self._retry = retry
        self._done: set[int] = set()
        """The numbers of requests that were carried out but that the journal still has."""

    async def run(self) -> None:
        """Run until cancelled. A request that fails is logged and not tried again: it would fail again."""
        await run_loop(self._process_requests, "an operator's requests could not be read")

    async def _process_requests(self) -> float:
        for request in await self._job_history.requests():
            if request.number not in self._done:
                logger.info("an operator asks", verb=request.verb, job=request.job)
                self._done.add(request.number)
                work = partial(self._carry_out, request)
                await run_request(work, "an operator's request failed", verb=request.verb, job=request.job)
            await self._job_history.done(request)
            # The journal gives the number of a deleted request to the next one.
            self._done.discard(request.number)
        return ROUND

    async def _carry_out(self, request: OperatorRequest) -> None:
        job = await self._job_history.find(request.job)
        if request.verb == "cancel":
            await self._registry.cancel(request.job)
        elif job is not None:
            await self._retry(job)
