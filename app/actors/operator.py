"""OperatorActor: carries out what an operator asks for in the journal.

That is to cancel or retry a job, and to drain, start or stop a server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from app.actors.handle import Registry
from app.core.jobs.job import Job, OperatorRequest
from app.core.journal_port import JobHistory
from app.entry_points import run_loop, run_request
from app.events import ServerName

logger = structlog.stdlib.get_logger(__name__)

ROUND = 1.0
"""Seconds between two readings: another process writes the requests, so nothing notifies this one."""


POWER_VERBS = frozenset({"start", "stop"})
"""The requests about a server, which is named in the place of a job."""


class OperatorActor:
    """Reads operator requests and carries them out, each exactly once while the bot runs.

    Which servers are drained is a state, and not a request: the registry reads it when it starts, and gets each change
    from here. `retry` submits a job's request again, in the frontend's own way.
    """

    def __init__(self, job_history: JobHistory, registry: Registry, retry: Callable[[Job], Awaitable[None]]) -> None:
        self._job_history = job_history
        self._registry = registry
        self._retry = retry
        self._done: set[int] = set()
        """The numbers of requests that were carried out but that the journal still has."""
        self._drained: frozenset[ServerName] | None = None
        """The servers that the registry knows as drained; None if that is not known."""

    async def run(self) -> None:
        """Run until cancelled. A request that fails is logged and not tried again: it would fail again."""
        await run_loop(self._process_requests, "an operator's requests could not be read")

    async def _process_requests(self) -> float:
        await self._drain()
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

    async def _drain(self) -> None:
        drained = frozenset(server.name for server in await self._job_history.drained())
        if drained != self._drained:
            if self._drained is not None:
                logger.info("an operator drains or resumes servers", drained=sorted(drained))
            await self._registry.drain_servers(drained)
            self._drained = drained

    async def _carry_out(self, request: OperatorRequest) -> None:
        if request.verb in POWER_VERBS:
            await self._registry.set_power(ServerName(request.job), on=request.verb == "start")
            return
        job = await self._job_history.find(request.job)
        if request.verb == "cancel":
            await self._registry.cancel(request.job)
        elif job is not None:
            await self._retry(job)
