"""The application on real sockets with a real journal; records its transitions, updates and lost connections."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import anyio
import anyio.lowlevel

from app.actors.interaction import InteractionActor
from app.actors.registry import Registry, new_prompt_id
from app.application import ServerClients, open_clients, open_services
from app.config.settings import Config, Server
from app.core.jobs.cost import Run
from app.core.jobs.job import Job, JobRequest, Transition
from app.core.journal_port import DrainedServer, Journal
from app.core.limits.spending import Spent
from app.core.limits.usage import Use
from app.core.scheduling.queue.fair_queue import NOTHING_SERVED, Served
from app.core.servers.power import OnPeriod, PowerRecord
from app.events import TERMINAL_UPDATES, AnyUpdate, Finished, JobId, ServerEvent
from app.journal.opening import JOURNAL
from app.journal.sqlite import open_journal
from app.ports import Connect, ConnectionLost, Graph, Json
from bench.lag import graph

SIDE = 64
"""Width and height in pixels: small, because the image itself is not measured."""


def small(seed: int) -> Graph:
    made = graph(seed)
    cast("dict[str, Json]", made["4"]["inputs"]).update(width=SIDE, height=SIDE)
    return made


class Noted:
    """A journal that also notes when each job first reached each state, at the time when that was on the disk."""

    def __init__(self, journal: Journal) -> None:
        self.jobs: dict[str, JobId] = {}
        """The job of each prompt."""
        self._journal = journal
        self._since: dict[str, dict[JobId, float]] = {}
        self._more = anyio.Event()

    @property
    def is_suspended(self) -> bool:
        """See `Journal`."""
        return self._journal.is_suspended

    async def record(
        self,
        jobs: Sequence[Job],
        transitions: Sequence[Transition],
        runs: Sequence[Run] = (),
        served: Served = NOTHING_SERVED,
    ) -> None:
        await self._journal.record(jobs, transitions, runs, served)
        now = time.monotonic()
        for step in transitions:
            self._since.setdefault(step.state, {}).setdefault(step.job, now)
            self.jobs[step.prompt] = step.job
        self._more.set()

    async def unfinished(self) -> Sequence[Job]:
        return await self._journal.unfinished()

    async def runs(self) -> Sequence[Run]:
        return await self._journal.runs()

    async def served(self) -> Served:
        return await self._journal.served()

    async def drained(self) -> Sequence[DrainedServer]:
        return await self._journal.drained()

    async def on_periods(self) -> Sequence[OnPeriod]:
        return await self._journal.on_periods()

    async def record_power(self, records: Sequence[PowerRecord]) -> None:
        await self._journal.record_power(records)

    async def uses(self) -> Sequence[Use]:
        return await self._journal.uses()

    async def spent(self) -> Sequence[Spent]:
        return await self._journal.spent()

    async def reach(self, states: Sequence[str], count: int) -> float:
        """Wait until `count` jobs have reached one of these states; returns the time of the last of them."""
        while len(times := {job: at for state in states for job, at in self._since.get(state, {}).items()}) < count:
            self._more = anyio.Event()
            await self._more.wait()
        return max(times.values())


class Told:
    """A `Reply` that notes the terminal update of each job and its time; all files are on the disk by then."""

    pause = 0.0
    receipt = ""

    def __init__(self) -> None:
        self.words: dict[JobId, AnyUpdate] = {}
        self.at: dict[JobId, float] = {}

    async def show(self, update: AnyUpdate) -> None:
        await anyio.lowlevel.checkpoint()
        if isinstance(update, TERMINAL_UPDATES):
            self.words[update.job], self.at[update.job] = update, time.monotonic()


class Losses:
    """Connects as the given function does, and also notes when an open websocket is lost."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._lost = anyio.Event()

    @asynccontextmanager
    async def dial(self) -> AsyncGenerator[AsyncIterator[ServerEvent]]:
        async with self._connect() as spoken:
            try:
                yield spoken
            except ConnectionLost:
                self._lost.set()
                raise

    async def next(self) -> float:
        """Wait for the next lost websocket; returns when the loss was noticed."""
        self._lost = anyio.Event()
        await self._lost.wait()
        return time.monotonic()


class ClientProcess:
    """The running application, and what was recorded of it."""

    def __init__(self, registry: Registry, journal: Noted, losses: Losses, folder: Path) -> None:
        self.journal = journal
        self.losses = losses
        self._told = Told()
        self._registry = registry
        self._folder = folder

    async def make(self, seeds: Sequence[int], then: Callable[[], Awaitable[None]]) -> None:
        """Submit a job request per seed, call `then` once the server has all, and wait for all terminal updates."""
        before = len(self._told.words)
        async with anyio.create_task_group() as tasks:
            for seed in seeds:
                request = JobRequest(
                    job=JobId(new_prompt_id()), workflow="bench", graph=small(seed), folder=str(self._folder)
                )
                await tasks.start(InteractionActor(request, self._registry, self._told).run)
            await self.journal.reach(["queued", "running"], before + len(seeds))
            await then()

    def late(self, ended: Mapping[str, float], back: float = 0.0) -> list[float]:
        """Return the seconds from each prompt's end, or from `back` if that is later, to its job's terminal update."""
        return [self._told.at[self.journal.jobs[prompt]] - max(at, back) for prompt, at in ended.items()]

    @property
    def unfinished(self) -> int:
        """The number of jobs whose terminal update is not `Finished`."""
        return sum(not isinstance(update, Finished) for update in self._told.words.values())


@asynccontextmanager
async def client_process(url: str, *, depth: int) -> AsyncGenerator[ClientProcess]:
    """Run the application for the duration of the block; it gives its server up to `depth` jobs."""
    with TemporaryDirectory(dir=Path.cwd()) as temporary:
        folder = Path(temporary)
        config = Config(servers=(Server(url=url),), data=folder, workflows=folder)
        async with open_clients(config) as clients, open_journal(folder / JOURNAL) as journal:
            ((name, link),) = clients.items()
            noted, losses = Noted(journal), Losses(link.connect)
            recorded = {name: ServerClients(link.comfy, losses.dial, link.probe)}
            async with open_services(recorded, noted, depth=depth) as services:
                yield ClientProcess(services.registry, noted, losses, folder)
