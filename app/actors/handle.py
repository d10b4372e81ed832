"""The registry's handle: every command that other tasks may send to the registry."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Hashable
from contextlib import asynccontextmanager
from typing import TypeAlias

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from msgspec import Struct

from app.core.jobs.job import Job, JobRequest
from app.core.limits.spending import SpendingLimit, SpendingUsed
from app.core.limits.usage import Allowance, Origin, Used
from app.core.reconciler import Message
from app.core.servers.able_servers import Offered
from app.core.servers.state import ServerSettings
from app.events import AnyUpdate, Edited, JobId, Previewed, Progressed, Queued, ServerName, TerminalUpdate
from app.mailbox import Mailbox
from app.reasons.limits import LimitReason

SHOWING = 60.0
"""Seconds for all terminal updates to be shown when the bot is drained.

Uploading a result takes less, unless Discord cannot be reached or showing it failed.
"""


def _slot(update: AnyUpdate) -> Hashable | None:
    return type(update) if isinstance(update, (Queued, Edited, Progressed, Previewed)) else None


class UpdateOfJob(Struct, frozen=True):
    """An update, and its job, which may be forgotten once its end was shown."""

    update: AnyUpdate
    job: Job


def _slot_of_job(each: UpdateOfJob) -> Hashable | None:
    return (type(each.update), each.update.job) if _slot(each.update) is not None else None


Updates: TypeAlias = Mailbox[AnyUpdate]
UpdatesOfJobs: TypeAlias = Mailbox[UpdateOfJob]


class Submit(Struct, frozen=True):
    """Accept this job request and send its updates to `updates`."""

    request: JobRequest
    place: str
    updates: Updates


class Watch(Struct, frozen=True):
    """Send the updates of this job to `updates` as well."""

    job: JobId
    updates: Updates


class WatchAll(Struct, frozen=True):
    """Send the updates of all jobs to `updates` as well."""

    updates: UpdatesOfJobs


class Refresh(Struct, frozen=True):
    """Send the watchers of this job where it is in line now, if that has changed."""

    job: JobId


class Cancel(Struct, frozen=True):
    """Cancel this job."""

    job: JobId


class EditAnswer(Struct, frozen=True):
    """Whether a job was edited; if not, it does not wait any more, or a limit would be exceeded."""

    done: bool
    limit: LimitReason | None = None


class Edit(Struct, frozen=True):
    """Replace the request of this job while it waits; `answer` gets whether that was done, once it is recorded."""

    job: JobId
    request: JobRequest
    answer: Mailbox[EditAnswer]


class Delivered(Struct, frozen=True):
    """The user has seen the terminal update of this job: `shown`, or the latest one if that is None."""

    job: JobId
    receipt: str
    shown: TerminalUpdate | None = None


class Place(Struct, frozen=True):
    """This job is shown at `place` from now on; `recorded` is set once the journal has it."""

    job: JobId
    place: str
    recorded: anyio.Event


class ReadUsage(Struct, frozen=True):
    """Append what is used of each of these allowances to `used`, and of the `budget` to `spent`, and set `ready`."""

    origin: Origin
    allowances: tuple[Allowance, ...]
    budget: tuple[SpendingLimit, ...]
    used: list[Used]
    spent: list[SpendingUsed]
    ready: anyio.Event


class Drain(Struct, frozen=True):
    """Submit nothing more to the servers.

    `ended` is set when every job that a server had has ended, `shown` when all their terminal updates have been shown.
    """

    ended: anyio.Event
    shown: anyio.Event


class DrainServers(Struct, frozen=True):
    """Give these servers no new jobs, and all others again."""

    servers: frozenset[ServerName]


class SetServer(Struct, frozen=True):
    """Add a server, whose client and connection are there, or change the settings of one."""

    server: ServerName
    settings: ServerSettings


class RemoveServer(Struct, frozen=True):
    """Give a server no new jobs, let what waits there go elsewhere, and forget it.

    `removed` is set once nothing is left there and nothing is being done there.
    """

    server: ServerName
    removed: anyio.Event


class Offer(Struct, frozen=True):
    """Let jobs go to the servers that can run their workflows now; None if no server has said what it can run."""

    able: Offered | None


class SetPower(Struct, frozen=True):
    """Start this server as soon as possible, or stop it as soon as it has no job."""

    server: ServerName
    on: bool


ServerCommand: TypeAlias = DrainServers | SetServer | RemoveServer | Offer | SetPower
Command: TypeAlias = (
    Submit | Watch | WatchAll | Refresh | Cancel | Edit | Delivered | Place | ReadUsage | Drain | ServerCommand
)


class Registry(Struct, frozen=True):
    """The registry's handle: everything that other tasks may request from it."""

    inbox: MemoryObjectSendStream[Command | Message]

    @asynccontextmanager
    async def submit(self, request: JobRequest, place: str = "") -> AsyncGenerator[Updates]:
        """Submit a job request and follow its updates; leaving the block stops following, not the job.

        The first update is `Queued`, and it is sent only after the job is in the journal. `place` is where the job is
        shown, in the frontend's format.
        """
        async with Mailbox(_slot) as updates:
            await self.inbox.send(Submit(request, place, updates))
            yield updates

    @asynccontextmanager
    async def watch(self, job: JobId) -> AsyncGenerator[Updates]:
        """Follow a job that was submitted earlier; ends at once if the registry does not know it."""
        async with Mailbox(_slot) as updates:
            await self.inbox.send(Watch(job, updates))
            yield updates

    @asynccontextmanager
    async def watch_all(self) -> AsyncGenerator[UpdatesOfJobs]:
        """Follow all jobs from now on. Of updates that newer ones replace, the newest of each job is kept."""
        async with Mailbox(_slot_of_job) as updates:
            await self.inbox.send(WatchAll(updates))
            yield updates

    async def refresh(self, job: JobId) -> None:
        """Ask where a waiting job is in line now; its followers get it as an update if it has changed."""
        await self.inbox.send(Refresh(job))

    async def cancel(self, job: JobId) -> None:
        """Cancel a job; its followers get the outcome as an update."""
        await self.inbox.send(Cancel(job))

    async def edit(self, job: JobId, request: JobRequest) -> EditAnswer:
        """Replace the request of a job that waits here, within the limits of its person.

        The job keeps its id, its place in line and its person. `request.owner` is who edits it.
        """
        async with Mailbox[EditAnswer](lambda _: None) as answer:
            await self.inbox.send(Edit(job, request, answer))
            return await answer.receive()

    async def place(self, job: JobId, place: str) -> None:
        """Record where a job is shown from now on; returns once the journal has it."""
        recorded = anyio.Event()
        await self.inbox.send(Place(job, place, recorded))
        await recorded.wait()

    async def usage(
        self, origin: Origin, allowances: tuple[Allowance, ...], budget: tuple[SpendingLimit, ...] = ()
    ) -> tuple[list[Used], list[SpendingUsed]]:
        """What is used of each of a person's allowances, and of each limit of what they may spend, now."""
        used, spent, ready = list[Used](), list[SpendingUsed](), anyio.Event()
        await self.inbox.send(ReadUsage(origin, allowances, budget, used, spent, ready))
        await ready.wait()
        return used, spent

    async def drain(self) -> None:
        """Submit nothing more to the servers, and wait until what they had has ended and has been shown.

        Once all of it has ended, showing it gets `SHOWING` seconds; the journal keeps the rest for the next start.
        """
        ended, shown = anyio.Event(), anyio.Event()
        await self.inbox.send(Drain(ended, shown))
        await ended.wait()
        with anyio.move_on_after(SHOWING):
            await shown.wait()

    async def drain_servers(self, servers: Collection[ServerName]) -> None:
        """Give these servers no new jobs, whether they are configured or not, and all others again."""
        await self.inbox.send(DrainServers(frozenset(servers)))

    async def set_power(self, server: ServerName, *, on: bool) -> None:
        """Start a server as soon as possible, or stop it as soon as it has no job; without commands it stays."""
        await self.inbox.send(SetPower(server, on))

    async def set_server(self, server: ServerName, settings: ServerSettings) -> None:
        """Add a server, whose client and connection must be there, or change the settings of one."""
        await self.inbox.send(SetServer(server, settings))

    async def remove_server(self, server: ServerName) -> None:
        """Give a server no new jobs, and wait until nothing is left there. It is unknown then.

        What waits there goes to other servers. What it runs, runs to its end, and its results are downloaded; if it
        cannot be reached, that goes to other servers as well after some time.
        """
        removed = anyio.Event()
        await self.inbox.send(RemoveServer(server, removed))
        await removed.wait()

    async def offer(self, able: Offered | None) -> None:
        """Let jobs go to the servers that can run their workflows now; None if no server has said what it can run."""
        await self.inbox.send(Offer(able))

    async def delivered(self, job: JobId, receipt: str = "", shown: TerminalUpdate | None = None) -> None:
        """Record that the terminal update of a job was shown, so that the registry may forget the job.

        `shown` is what was shown, if a later one may have replaced it meanwhile.
        """
        await self.inbox.send(Delivered(job, receipt, shown))
