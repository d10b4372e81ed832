"""The interfaces to the journal: `Journal` is what the registry needs, `JobHistory` what the frontend needs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

from app.core.drafts import DraftRecords
from app.core.gallery import GalleryRecords
from app.core.jobs.cost import Run
from app.core.jobs.job import Entry, Job, OperatorRequest, State, Transition
from app.core.limits.moderation import Decision, Decisions
from app.core.limits.spending import Spent
from app.core.limits.usage import Use
from app.core.scheduling.queue.fair_queue import NOTHING_SERVED, Served
from app.core.servers.power import OnPeriod, PowerRecord
from app.events import JobId, ServerName
from app.ports import Json

MOST_RUNS = 5_000
"""Runs that are read at the start: enough for `app.core.jobs.cost.REMEMBERED` of each of 300 pairs of a workflow and a
server."""


class JournalError(Exception):
    """The journal cannot be read or written; the text is a sentence that says what to do.

    The bot ends, because it cannot promise anything without the journal.
    """


class JournalUnavailable(JournalError):
    """The journal cannot be used for the moment: its disk is full, or another program holds it.

    Only the request that raised it fails. When recording, the journal itself waits until it can be used again.
    """


class DiskFull(JournalUnavailable):
    """The journal cannot be written because its disk is full."""


class RecordDamaged(JournalError):
    """One record of the journal cannot be read. The error concerns only the request or job that needs it."""


class UnwritableRecords(Exception):
    """Some jobs cannot be encoded; all others of the same call were recorded.

    `jobs` maps each of them to the exception.
    """

    def __init__(self, jobs: Mapping[JobId, Exception]) -> None:
        super().__init__(", ".join(jobs))
        self.jobs = jobs


Notice: TypeAlias = Literal["hint", "welcome"]
"""What is said only once: a hint to a person, a welcome to a Discord server."""


class DrainedServer(Struct, frozen=True):
    """A server that gets no new jobs: since when, in seconds since 1970, and who wants that."""

    name: ServerName
    since: float
    person: str


class JobPage(Struct, frozen=True):
    """Some of a person's jobs, newest first.

    `older` and `newer` are the keys of the pages beside this one, None if there is none. A key stays valid when jobs
    are added or removed.
    """

    entries: tuple[Entry, ...] = ()
    older: int | None = None
    newer: int | None = None


class Journal(Protocol):
    """Keeps every accepted job until its terminal update has been shown."""

    @property
    def is_suspended(self) -> bool:
        """Whether nothing may be written now, because another process may write the journal and continue its jobs."""
        ...

    async def record(
        self,
        jobs: Sequence[Job],
        transitions: Sequence[Transition],
        runs: Sequence[Run] = (),
        served: Served = NOTHING_SERVED,
    ) -> None:
        """Record the current state of these jobs, these transitions, these measured runs and what people were served.

        All or nothing.

        Returns once the records would survive a crash. While the disk is full or another program holds the journal, it
        waits without a limit. Raises `JournalError`, and `UnwritableRecords` for jobs that cannot be encoded. A run
        that cannot be encoded is left out and logged, and so is what such a person was served, because no job depends
        on it.
        """
        ...

    async def unfinished(self) -> Sequence[Job]:
        """All jobs whose terminal update nobody has seen, or whose prompt a server may still have, oldest first.

        A job whose record is damaged is returned as failed if it is still known where to show that; otherwise it is
        skipped.
        """
        ...

    async def runs(self) -> Sequence[Run]:
        """The most recent measured runs, oldest first, at most `MOST_RUNS`."""
        ...

    async def served(self) -> Served:
        """What people were served, as far as it changed within the last day."""
        ...

    async def drained(self) -> Sequence[DrainedServer]:
        """The servers that an operator has drained, configured or not."""
        ...

    async def on_periods(self) -> Sequence[OnPeriod]:
        """When servers that the bot starts and stops were on, oldest first: at least those of the last day."""
        ...

    async def record_power(self, records: Sequence[PowerRecord]) -> None:
        """Record that servers were started or stopped; waits as `record` does."""
        ...

    async def uses(self) -> Sequence[Use]:
        """The GPU seconds that were measured within the last `app.core.limits.DAY`, oldest first."""
        ...

    async def spent(self) -> Sequence[Spent]:
        """What was spent within the last 30 days, oldest first."""
        ...


class RemovedJobs(Struct, frozen=True):
    """How many jobs a step removed, and where the next one begins; None if nothing is left to look at."""

    removed: int
    position: int | None


class KeptAbout(Struct, frozen=True, kw_only=True):
    """How many rows of each kind the journal keeps about one person; `unfinished` of the `jobs` have not ended.

    `bans` are theirs; `decisions` are those that they made as a moderator.
    """

    jobs: int
    unfinished: int
    settings: int
    drafts: int
    hints: int
    runs: int
    payments: int
    bans: int
    decisions: int


class OldJobs(Protocol):
    """What the retention needs of a journal. Every method may raise `JournalUnavailable`."""

    async def unfinished(self) -> Sequence[Job]:
        """See `Journal`."""
        ...

    async def remove_jobs(self, before: float, position: int, limit: int) -> RemovedJobs:
        """Remove jobs that have not changed since `before`, in seconds since 1970, without those that are unfinished.

        Looks at `limit` jobs from `position` on, which is 0 for the first step. A batch stays as long as one of its
        jobs is unfinished.
        """
        ...

    async def give_back(self, pages: int) -> bool:
        """Give this many unused pages of the file back to the disk; return whether there are more to give."""
        ...


class PersonRecords(Protocol):
    """What is needed of a journal to remove what it keeps about one person. Every method may raise `JournalError`."""

    def kept_about(self, owner: str) -> KeptAbout:
        """How much is kept about a person."""
        ...

    def jobs_since(self, owner: str, position: int, limit: int) -> Sequence[tuple[int, JobId, Job | None]]:
        """The owner's jobs with numbers above `position`, oldest first: number, id, and None for a damaged record."""
        ...

    def is_known(self, job: str) -> bool:
        """Whether there is a job with this id, whoever asked for it."""
        ...

    def unfinished(self) -> Sequence[Job]:
        """See `Journal`."""
        ...

    def forget_jobs(self, owner: str, limit: int) -> int:
        """Remove at most `limit` jobs of a person, without those that are unfinished; return how many."""
        ...

    def forget_person(self, owner: str) -> None:
        """Remove a person's settings, and their id from what was measured and paid.

        The sums stay: expected times, the limits of Discord servers and the budgets of all people depend on them.
        """
        ...

    def give_back(self, pages: int) -> bool:
        """See `OldJobs`."""
        ...


class JobHistory(Journal, DraftRecords, GalleryRecords, Protocol):
    """A journal that outlives the process and keeps every job.

    Every method may raise `JournalUnavailable`, and `RecordDamaged` if one record is asked for.
    """

    async def client_id(self) -> str:
        """The id under which servers know the bot, the same after a restart; waits until the journal can be used.

        Only the process that has the lock of the journal may use it.
        """
        ...

    async def find(self, id_or_prefix: str) -> Job | None:
        """A job of any age, by its id or by a prefix of it that matches no other job; None if there is none."""
        ...

    async def jobs_of(self, owner: str, limit: int) -> Sequence[Job]:
        """The owner's jobs, newest first, at most `limit`, without parts of batches."""
        ...

    async def page_of(
        self, owner: str, limit: int, states: Collection[State] = (), *, key: int | None = None, newer: bool = False
    ) -> JobPage:
        """At most `limit` of the owner's jobs in these states, in any if there are none, without parts of batches.

        With a `key` from another page: those older than that, or `newer`; without one, the newest.
        """
        ...

    async def made_from(self, job: JobId, limit: int) -> Sequence[Job]:
        """The jobs that were made from this one, newest first, at most `limit`, without parts of batches."""
        ...

    async def requests(self) -> Sequence[OperatorRequest]:
        """The operator requests in the journal that have not been carried out, oldest first."""
        ...

    async def done(self, request: OperatorRequest) -> None:
        """Delete a request."""
        ...

    async def preferences(self, owner: str) -> Mapping[str, Mapping[str, Json]]:
        """The owner's preferences, by workflow and slot."""
        ...

    async def prefer(self, owner: str, workflow: str, values: Mapping[str, Json]) -> None:
        """Replace the owner's preferences for a workflow; empty `values` delete them."""
        ...

    async def say_once(self, notice: Notice, subject: str) -> bool:
        """Record that this is being said to a person or a Discord server; False if it was said before."""
        ...

    async def expect_late_edits(self, jobs: Sequence[JobId]) -> None:
        """Record that something older may still be shown over the results of these jobs."""
        ...

    async def late_edits(self) -> Sequence[JobId]:
        """The jobs over whose results something older may still be shown."""
        ...

    async def expect_no_late_edit(self, job: JobId) -> None:
        """Record that nothing older can be shown over the result of this job any more."""
        ...

    async def decisions(self) -> Decisions:
        """What moderators have decided for their Discord servers, as far as it is not over."""
        ...

    async def decide(self, decision: Decision, person: str) -> None:
        """Record the decision of a person, and a row of the audit."""
        ...
