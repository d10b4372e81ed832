"""Changes that remove one rule of the core: the simulation must find each."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from typing import TypeAlias
from unittest.mock import patch

from anyio.abc import TaskGroup
from msgspec.structs import force_setattr, replace

from app.actors.interaction import InteractionActor
from app.actors.registry import PromptRegistry
from app.core.effects import (
    FileFetched,
    HistoryRead,
    ImageSaved,
    PromptCancelled,
    PromptRefused,
    PromptSubmitted,
    QueryServer,
    ServerQueried,
    SubmitUncertain,
)
from app.core.jobs.cost import Run
from app.core.jobs.job import Attempt, Job, State, Transition
from app.core.jobs.table import JobTable
from app.core.journal_port import DrainedServer
from app.core.limits.spending import Spent
from app.core.limits.usage import Use
from app.core.queries import Queries
from app.core.reconciler import Message, Reconciler
from app.core.scheduling.queue.fair_queue import NOTHING_SERVED, Choice, FairQueue, Served, together
from app.core.servers.power import OnPeriod, PowerRecord
from app.core.servers.state import ServerState
from app.events import AnyUpdate, ServerName
from app.ports import ConnectionLost

# pyright: reportPrivateUsage=false

Tooth: TypeAlias = Callable[[], AbstractContextManager[None]]


@contextmanager
def without_catching_up() -> Generator[None]:
    """Never query a server, so that missed frames stay missed."""

    def look(self: Queries, server_state: ServerState, now: float) -> None:
        server_state.back()
        server_state.queried_at = now

    with patch.object(Queries, "ask", look):
        yield


@contextmanager
def without_fences() -> Generator[None]:
    """Apply every result, even if it is stale or about another attempt."""
    real, hear = Queries.succeeded, Reconciler.handle

    def heard(self: Reconciler, message: Message, now: float) -> None:
        match message:
            case (
                PromptSubmitted()
                | PromptRefused()
                | SubmitUncertain()
                | HistoryRead()
                | PromptCancelled()
                | FileFetched()
                | ImageSaved()
            ):
                job = self._job_table.jobs.get(message.effect.job)
                if job is not None and job.attempt is not None:
                    force_setattr(message.effect, "prompt", job.attempt.prompt)
            case _:
                pass
        hear(self, message, now)

    def looked(self: Queries, seen: ServerQueried, now: float) -> None:
        jobs = self._job_table.prompts
        asked = {prompt: jobs[prompt].version for prompt in seen.effect.asked if prompt in jobs}
        real(self, replace(seen, effect=replace(seen.effect, asked=asked)), now)

    with patch.object(Queries, "succeeded", looked), patch.object(Reconciler, "handle", heard):
        yield


@contextmanager
def without_ranks() -> Generator[None]:
    """Apply every state, even one of a lower rank or a second outcome."""

    def move(self: Job, state: State) -> bool:
        self.state = state
        self.version += 1
        return True

    with patch.object(Job, "move", move):
        yield


@contextmanager
def with_looks_while_posting() -> Generator[None]:
    """Apply a query also to a prompt whose POST has not been answered."""

    def look(self: Queries, server_state: ServerState, now: float) -> None:
        if server_state.querying:
            server_state.query_again = True
            return
        asked = {attempt.prompt: job.version for job, attempt in self._job_table.prompts.occupying(server_state.name)}
        server_state.querying, server_state.query_again, server_state.queried_at = True, False, now
        self._job_table.effects.append(QueryServer(server_state.name, asked))

    with patch.object(Queries, "ask", look):
        yield


class _Later:
    """A journal that keeps its records in memory."""

    is_suspended = False

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.transitions: list[Transition] = []
        self.measured: list[Run] = []
        self.sums = NOTHING_SERVED

    async def record(
        self,
        jobs: Sequence[Job],
        transitions: Sequence[Transition],
        runs: Sequence[Run] = (),
        served: Served = NOTHING_SERVED,
    ) -> None:
        self.jobs += jobs
        self.transitions += transitions
        self.measured += runs
        self.sums = together(self.sums, served)

    async def served(self) -> Served:
        return self.sums

    async def unfinished(self) -> Sequence[Job]:
        return self.jobs

    async def runs(self) -> Sequence[Run]:
        return self.measured

    async def drained(self) -> Sequence[DrainedServer]:
        return ()

    async def on_periods(self) -> Sequence[OnPeriod]:
        return ()

    async def record_power(self, records: Sequence[PowerRecord]) -> None:
        pass

    async def uses(self) -> Sequence[Use]:
        return []

    async def spent(self) -> Sequence[Spent]:
        return []


@contextmanager
def with_the_journal_after_the_post() -> Generator[None]:
    """Run effects and send updates first, record later."""
    real = PromptRegistry._act

    async def act(self: PromptRegistry, helpers: TaskGroup) -> None:
        journal, later = self._journal, _Later()
        self._journal = later
        await real(self, helpers)
        self._journal = journal
        if later.jobs or later.measured:
            await journal.record(later.jobs, later.transitions, later.measured, later.sums)

    with patch.object(PromptRegistry, "_act", act):
        yield


@contextmanager
def without_withdrawing() -> Generator[None]:
    """Cancel a job without telling its server."""

    def withdraw(self: JobTable, job: Job, attempt: Attempt) -> None:
        pass

    with patch.object(JobTable, "cancel_prompt", withdraw):
        yield


@contextmanager
def without_insisting() -> Generator[None]:
    """Send a terminal update once, whether it is shown or not."""

    async def insist(self: InteractionActor, terminal_update: AnyUpdate) -> None:
        try:
            await self._reply.show(terminal_update)
        except ConnectionLost:
            return

    with patch.object(InteractionActor, "_deliver_with_retry", insist):
        yield


@contextmanager
def without_nonces() -> Generator[None]:
    """Use a new nonce for each post, so that a repeated post makes a second message."""
    numbers = count()

    def another(*_: object) -> str:
        return str(next(numbers))

    with patch("app.discord.messages.delivery.nonce", another):
        yield


@contextmanager
def first_come_first_served() -> Generator[None]:
    """Give every server the oldest job that it can run, whoever asked for it."""

    def oldest(self: FairQueue, server: ServerName, loaded: str) -> Choice | None:
        jobs = [job for person in self._people.values() for job in self._on(server, person)]
        job = min(jobs, key=lambda job: job.number, default=None)
        return Choice(job, loaded=job.models == loaded) if job is not None else None

    with patch.object(FairQueue, "next", oldest):
        yield


TEETH: tuple[Tooth, ...] = (
    without_catching_up,
    without_fences,
    without_ranks,
    with_looks_while_posting,
    with_the_journal_after_the_post,
    without_withdrawing,
    without_insisting,
    without_nonces,
)
