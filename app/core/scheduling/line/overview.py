"""Reads what runs and what waits, as people see it: a batch is one request. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat

from msgspec import Struct

from app.core.jobs.job import Job, State
from app.core.jobs.table import JobTable
from app.core.scheduling.line.ahead import Ahead
from app.core.scheduling.line.line import Line
from app.core.scheduling.queue.queued_job import QueuedJob
from app.core.servers.state import ServerState
from app.events import Progressed, Queued, ServerName

BATCH_PARTS = 4
"""Jobs that are looked at for each request that is asked for: a batch has several."""


class RunningRequest(Struct, frozen=True):
    """A request of which a server runs a job, or has results that are not all here.

    `job` is its leading job and `server` has the first of its jobs. `ends_in` is in seconds, None if that is not known.
    `ready` of its pictures have arrived.
    """

    job: Job
    server: ServerName
    progress: Progressed | None
    ends_in: float | None
    ready: int = 0


class WaitingRequest(Struct, frozen=True):
    """A request of which nothing runs: its leading job, and what its person is told of the one that is next.

    `ahead` is None if a server has it already, or if its start is not known. `ready` of its pictures have arrived,
    and `jobs` of its jobs wait here.
    """

    job: Job
    update: Queued
    ahead: Ahead | None
    ready: int = 0
    jobs: int = 0


class Overview:
    """Reads the job table, the servers and the line, in the registry's event loop and without waiting in between.

    It tells nobody anything: what is read here does not count as told to the people who wait.
    """

    def __init__(self, job_table: JobTable, servers: Mapping[ServerName, ServerState], line: Line) -> None:
        self._job_table = job_table
        self._servers = servers
        self._line = line

    @property
    def turn(self) -> int:
        """A number that changes whenever jobs or servers have changed; not with progress."""
        return self._line.turn

    @property
    def waiting_jobs(self) -> int:
        """How many jobs wait here; each picture of a batch is one."""
        return self._line.waiting

    def running(self, now: float) -> list[RunningRequest]:
        """The requests that run, by server."""
        batches, requests = self._job_table.batches, dict[str, RunningRequest]()
        for server in self._servers:
            for job in self._on(server):
                lead = batches.lead_of(job) or job
                if lead.id not in requests:
                    requests[lead.id] = self._running(lead, job, server, now)
        return list(requests.values())

    def waiting(self, most: int, now: float) -> list[WaitingRequest]:
        """The requests that wait and are next, at most so many, in order: first those that servers have already."""
        at_servers = self._at_servers(now)[:most]
        order = self._line.first(BATCH_PARTS * most, now)
        return at_servers + self._here(order, self._line.ahead_of_each(order), most - len(at_servers), now)

    def waiting_of(self, person: str, most: int, now: float) -> list[WaitingRequest]:
        """The oldest of a person's requests that wait here, at most so many, without what is ahead of them."""
        order = self._line.first_of(person, BATCH_PARTS * most)
        return self._here(order, repeat(None), most, now)

    def _on(self, server: ServerName) -> Iterator[Job]:
        """The jobs that a server runs or has run."""
        for job, _ in self._job_table.prompts.in_flight(server):
            if job.state is State.RUNNING:
                yield job
        for job, _ in self._job_table.prompts.fetching(server):
            yield job

    def _running(self, lead: Job, job: Job, server: ServerName, now: float) -> RunningRequest:
        batches, tracker = self._job_table.batches, self._job_table.trackers.get(job.id)
        if batches.lead_of(job) is not None:
            progress = batches.progress(lead)
            ends_in = progress.remaining if progress is not None else None
            return RunningRequest(lead, server, progress, ends_in, len(batches.arrived(lead).files))
        progress = tracker.read(now, self._servers[server].offline_note) if tracker is not None else None
        return RunningRequest(lead, server, progress, self._line.ends_in(job, server, now))

    def _at_servers(self, now: float) -> list[WaitingRequest]:
        """Those that servers have but do not run yet."""
        requests: dict[str, WaitingRequest] = {}
        for server in self._servers:
            for job, _ in self._job_table.prompts.in_flight(server):
                if job.state < State.RUNNING and (shown := self._shown(job)) is not None and shown.id not in requests:
                    requests[shown.id] = WaitingRequest(shown, self._line.look(job, now), None, self._ready(shown))
        return sorted(requests.values(), key=lambda each: (each.update.starts_in or 0.0, each.update.position))

    def _here(
        self, order: Sequence[QueuedJob], ahead: Iterable[Ahead | None], most: int, now: float
    ) -> list[WaitingRequest]:
        """The requests of these jobs, which wait here, at most so many."""
        requests: dict[str, WaitingRequest] = {}
        for queued, before in zip(order, ahead, strict=False):
            if len(requests) >= most:
                break
            job = self._job_table.jobs[queued.job]
            if (shown := self._shown(job)) is not None and shown.id not in requests:
                update = self._line.look(job, now)
                known = before if update.starts_in is not None else None
                jobs = sum(each.waits for each in self._job_table.batches.jobs_of(shown))
                requests[shown.id] = WaitingRequest(shown, update, known, self._ready(shown), jobs)
        return list(requests.values())

    def _shown(self, job: Job) -> Job | None:
        """The leading job of the request of a waiting job; None if people see another job of it."""
        batches = self._job_table.batches
        if (lead := batches.lead_of(job)) is None:
            return job
        first = batches.first_waiting(lead)
        return lead if first is job else None

    def _ready(self, lead: Job) -> int:
        batches = self._job_table.batches
        return len(batches.arrived(lead).files) if batches.lead_of(lead) is lead else 0
