"""Whether the bot can do its work: `/healthz` and `/readyz`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from app.boundary import report_failure
from app.http.sources import JournalSource, Sources
from app.texts.health import JOURNAL_NOT_OPEN, JOURNAL_SILENT, ON_STANDBY, STARTING, STOPPING

FRESH = 5.0
"""Seconds for which the last check of the journal counts: each check writes to the disk."""

PATIENCE = 2.0
"""Seconds that a request waits for a check."""

NEVER = float("-inf")

NO_STORE = {"Cache-Control": "no-store"}


class JournalCheck:
    """Checks the journal when somebody asks, at most once in `FRESH` seconds, however many ask."""

    def __init__(self, sources: Sources, tasks: TaskGroup) -> None:
        self._sources = sources
        self._tasks = tasks
        self._checked_at = NEVER
        self._problem = ""
        self._over: anyio.Event | None = None
        """Set when the check that runs now is over; None if none runs."""

    async def problem(self) -> str:
        """Why the journal cannot be written, as a sentence; "" if it can."""
        if (journal := self._sources.journal) is None:
            return JOURNAL_NOT_OPEN
        if self._over is None and anyio.current_time() >= self._checked_at + FRESH:
            self._over = anyio.Event()
            self._tasks.start_soon(self._check, journal, self._over, name="check of the journal")
        if (over := self._over) is not None:
            with anyio.move_on_after(PATIENCE):
                await over.wait()
            if not over.is_set():
                return JOURNAL_SILENT
        return self._problem

    async def _check(self, journal: JournalSource, over: anyio.Event) -> None:
        try:
            self._problem = await journal.check()
        except Exception as error:  # noqa: BLE001  the boundary of a check
            self._problem = report_failure(error, "the journal could not be checked")
        self._checked_at, self._over = anyio.current_time(), None
        over.set()


class Readiness(Struct, frozen=True):
    """Whether the bot takes jobs and keeps them: `missing` is a sentence on what it lacks, "" if nothing.

    `discord` is "connected", "reconnecting", "starting" until Discord was reached for the first time, or "standby"
    where the bot does not run. A GPU that is away is missing nothing here: its jobs wait, and starting the bot again
    would not help.
    """

    ready: bool
    missing: str
    discord: str


class Health:
    """Answers whether the bot lives and is ready."""

    def __init__(self, sources: Sources, tasks: TaskGroup) -> None:
        self._sources = sources
        self._journal = JournalCheck(sources, tasks)

    async def readiness(self) -> Readiness:
        """Whether the bot is ready now; takes at most `PATIENCE` seconds."""
        sources = self._sources
        if sources.on_standby:
            return Readiness(ready=False, missing=ON_STANDBY, discord="standby")
        missing, discord = await self._journal.problem(), self._discord()
        if not missing and sources.draining is not None and sources.draining.is_set():
            missing = STOPPING
        if not missing and discord == "starting":
            missing = STARTING
        return Readiness(not missing, missing, discord)

    def _discord(self) -> str:
        discord = self._sources.discord
        if discord is None or not discord.has_opened:
            return "starting"
        return "connected" if discord.is_connected else "reconnecting"

    def routes(self) -> Sequence[BaseRoute]:
        """The routes of health."""
        return [Route("/healthz", _alive), Route("/readyz", self._ready)]

    async def _ready(self, _: Request) -> Response:
        state = await self.readiness()
        content = {"ready": state.ready, "missing": state.missing, "discord": state.discord}
        return JSONResponse(content, 200 if state.ready else 503, NO_STORE)


async def _alive(_: Request) -> Response:
    """Answer: that this runs shows that the event loop does."""
    return JSONResponse({"alive": True}, headers=NO_STORE)


@asynccontextmanager
async def open_health(sources: Sources) -> AsyncGenerator[Health]:
    """Answer within the block; what is being checked at its end is no longer waited for."""
    async with anyio.create_task_group() as tasks:
        try:
            yield Health(sources, tasks)
        finally:
            tasks.cancel_scope.cancel()
