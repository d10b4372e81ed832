"""How long servers are expected to run jobs, and how long they still need for those that they have."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from app.core.jobs.cost import Estimates, models_of, work_of
from app.core.jobs.job import Job, JobRequest
from app.core.jobs.table import JobTable
from app.events import JobId, ServerName

NEARLY_DONE = 0.1
"""The share of the expected seconds that a run still needs at least: one that takes longer than expected is not done at
once. `python -m bench starts` has the most right starts with it."""


class KnownRequest(Struct, frozen=True):
    """What is computed once for each request: its place in the order of acceptance, and what its graph says."""

    request: JobRequest
    number: int
    models: str
    work: float


class RunTimes:
    """Owns what is known of each request that waits or runs.

    `loading` says whether a server had to load the models of a job that it has.
    """

    def __init__(self, job_table: JobTable, estimates: Estimates, loading: Callable[[JobId], bool]) -> None:
        self._job_table = job_table
        self._loading = loading
        self._known: dict[JobId, KnownRequest] = {}
        self.estimates = estimates
        self.accepted = 0
        """How many jobs were accepted so far."""

    def known(self, job: Job) -> KnownRequest:
        """What is known of the request of a job."""
        known, request = self._known.get(job.id), job.request
        if known is None or known.request is not request:
            if known is None:
                self.accepted += 1
            # A job that was edited keeps its place.
            number = self.accepted if known is None else known.number
            known = KnownRequest(request, number, models_of(request.graph, request.choices), work_of(request.graph))
            self._known[job.id] = known
        return known

    def is_edited(self, job: Job) -> bool:
        """Whether the request of a job is another one than that which is known."""
        return self._known[job.id].request is not job.request

    def forget(self, job: JobId) -> None:
        """Forget a job that neither waits nor runs."""
        self._known.pop(job, None)

    def expected(self, job: Job, server: ServerName) -> float:
        """How many seconds a server is expected to run a job, without loading its models."""
        request = job.request
        return self.estimates.seconds(request.workflow, self.known(job).work, request.cost, server)

    def expected_use(self, request: JobRequest, work: float) -> float:
        """How many seconds some server is expected to run a request; none if it only downloads results."""
        return self.estimates.seconds(request.workflow, work, request.cost) if request.refetch is None else 0.0

    def remaining_at(self, server: ServerName, now: float) -> list[float]:
        """How many seconds a server is expected to need for each job that it has, in order."""
        return [self.remaining(job, server, now) for job, _ in self._job_table.prompts.in_flight(server)]

    def remaining(self, job: Job, server: ServerName, now: float) -> float:
        """How many seconds a server is expected to need for a job that it has."""
        if (tracker := self._job_table.trackers.get(job.id)) is not None:
            if (remaining := tracker.read(now).remaining) is not None:
                return remaining
            elapsed = now - tracker.since
        else:
            elapsed = 0.0
        loading = self.estimates.loading_seconds(server) if self._loading(job.id) else 0.0
        expected = self.expected(job, server)
        return max(NEARLY_DONE * expected if elapsed else 0.0, expected + loading - elapsed)
