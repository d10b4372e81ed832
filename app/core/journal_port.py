"""What the house needs of its memory: a journal of jobs, and for the door an archive of all there ever were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from app.core.job import Job, OperatorRequest, Transition
from app.events import JobId
from app.ports import Json


class JournalError(Exception):
    """The journal cannot be read or written; the text is a sentence that says what to do.

    Nothing can be promised without it, so it ends the bot.
    """


class JournalUnavailable(JournalError):
    """The journal cannot be used for the moment: its disk is full, or another program holds it.

    Only the one request that raised it fails. The journal itself waits this out before it records anything.
    """


class RecordDamaged(JournalError):
    """One record of the journal cannot be read. It belongs to the one request or job that needs it."""


class UnwritableRecords(Exception):
    """Some jobs cannot be written down, for what is in them; all others of the same call were recorded.

    `jobs` maps each of them to the exception.
    """

    def __init__(self, jobs: Mapping[JobId, Exception]) -> None:
        super().__init__(", ".join(jobs))
        self.jobs = jobs


class Journal(Protocol):
    """The memory of the house: every job that was accepted, until its person has had the last word."""

    async def record(self, jobs: Sequence[Job], transitions: Sequence[Transition]) -> None:
        """Keep these jobs as they are now, and what happened to them; all or nothing.

        Returns when it would survive a crash; while the disk is full or another program holds the journal, that takes
        as long as it takes. Raises `JournalError`, and `UnwritableRecords` for jobs that cannot be encoded.
        """
        ...

    async def unfinished(self) -> Sequence[Job]:
        """All jobs whose last word nobody heard yet, oldest first.

        A job whose record is damaged comes as failed, if it is still known where to say so; otherwise it is skipped.
        """
        ...


class JobHistory(Journal, Protocol):
    """A journal that outlives the process, and forgets nothing.

    Every method may raise `JournalUnavailable`, and `RecordDamaged` where one record is asked for.
    """

    async def find(self, told: str) -> Job | None:
        """A job of any age by its id, or by a beginning of it that fits no other."""
        ...

    async def jobs_of(self, owner: str, limit: int) -> Sequence[Job]:
        """Somebody's jobs, newest first."""
        ...

    async def requests(self) -> Sequence[OperatorRequest]:
        """What an operator asked for through the journal and was not done yet, oldest first."""
        ...

    async def done(self, request: OperatorRequest) -> None:
        """Forget a request."""
        ...

    async def preferences(self, owner: str) -> Mapping[str, Mapping[str, Json]]:
        """Somebody's own settings, by workflow and slot."""
        ...

    async def prefer(self, owner: str, workflow: str, values: Mapping[str, Json]) -> None:
        """Make these somebody's own settings for a workflow; none are forgotten."""
        ...
