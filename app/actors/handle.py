"""The registry's handle: all that one may ask of it, and the words that carry it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager
from typing import TypeAlias

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from msgspec import Struct

from app.core.job import JobRequest
from app.core.reconciler import Message
from app.events import AnyUpdate, JobId, Previewed, Progressed, Queued
from app.mailbox import Mailbox

TELLING = 60.0
"""Seconds for everybody to hear the last word when the bot is drained: a result is uploaded in less, unless Discord is
away, or its display failed."""


def _slot(update: AnyUpdate) -> Hashable | None:
    return type(update) if isinstance(update, (Queued, Progressed, Previewed)) else None


Updates: TypeAlias = Mailbox[AnyUpdate]


class Submit(Struct, frozen=True):
    """Make this, and tell me what becomes of it."""

    request: JobRequest
    place: str
    updates: Updates


class Watch(Struct, frozen=True):
    """Tell me, too, what becomes of this job."""

    job: JobId
    updates: Updates


class Cancel(Struct, frozen=True):
    """Drop this job."""

    job: JobId


class Delivered(Struct, frozen=True):
    """The person has had the last word on this job."""

    job: JobId
    receipt: str


class Place(Struct, frozen=True):
    """This job is shown there from now on."""

    job: JobId
    place: str


class Drain(Struct, frozen=True):
    """Send nothing more to the servers, say when all that was there has `ended`, and when everybody was `told`."""

    ended: anyio.Event
    told: anyio.Event


Command: TypeAlias = Submit | Watch | Cancel | Delivered | Place | Drain


class Registry(Struct, frozen=True):
    """The handle: all that other tasks may ask of the registry."""

    inbox: MemoryObjectSendStream[Command | Message]

    @asynccontextmanager
    async def submit(self, request: JobRequest, place: str = "") -> AsyncGenerator[Updates]:
        """Hand in a wish and follow it; leaving the block stops following, not the job.

        The first word is `Queued`, and it is not said before the job is in the journal. `place` is where it
        is shown, in the door's own words.
        """
        async with Mailbox(_slot) as updates:
            await self.inbox.send(Submit(request, place, updates))
            yield updates

    @asynccontextmanager
    async def watch(self, job: JobId) -> AsyncGenerator[Updates]:
        """Follow a job that was handed in earlier; ends at once if nobody knows it."""
        async with Mailbox(_slot) as updates:
            await self.inbox.send(Watch(job, updates))
            yield updates

    async def cancel(self, job: JobId) -> None:
        """Take a wish back; what comes of it is told to whoever follows."""
        await self.inbox.send(Cancel(job))

    async def place(self, job: JobId, place: str) -> None:
        """Say where a job is shown from now on."""
        await self.inbox.send(Place(job, place))

    async def drain(self) -> None:
        """Have nothing more sent to the servers, and wait until what they had has ended and was told.

        Once all of it has ended, the telling has `TELLING` seconds; the journal keeps the rest for the next life.
        """
        ended, told = anyio.Event(), anyio.Event()
        await self.inbox.send(Drain(ended, told))
        await ended.wait()
        with anyio.move_on_after(TELLING):
            await told.wait()

    async def delivered(self, job: JobId, receipt: str = "") -> None:
        """Say that the last word on a job was heard, so that the house may forget it."""
        await self.inbox.send(Delivered(job, receipt))
