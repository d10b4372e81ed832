"""Whether one more request is within the limits, and what accepted ones are expected to use of them."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from app.core.jobs.batches import requests_of
from app.core.jobs.cost import Run, work_of
from app.core.jobs.job import Job, JobRequest
from app.core.jobs.table import JobTable
from app.core.limits.spending import Spending
from app.core.limits.usage import Origin, Usage, Use
from app.core.scheduling.line.line import Line
from app.core.scheduling.run_times import RunTimes
from app.reasons.limits import JobsReached, LimitReason, NoRoomForResults


class Admission:
    """Owns what people use of their limits and budgets: reserved when a job is accepted, settled when it ends."""

    def __init__(self, job_table: JobTable, times: RunTimes, line: Line) -> None:
        self._job_table = job_table
        self._times = times
        self._line = line
        self.usage = Usage()
        self.spending = Spending()

    def refusal(self, request: JobRequest, now: float) -> LimitReason | None:
        """Why a request is not accepted: the limit that it would exceed; None if there is none."""
        if request.job in self._job_table.jobs:
            return None
        if not self._line.has_room and request.refetch is None:
            return NoRoomForResults()
        requests = requests_of(request)
        if (over_budget := self._over_budget(request, requests, now)) is not None or not request.allowances:
            return over_budget
        seconds = sum(self._times.expected_use(each, work_of(each.graph)) for each in requests)
        reason = self.usage.refusal(request.origin, request.allowances, seconds, now)
        if isinstance(reason, JobsReached):
            return replace(reason, free_in=self._line.next_end(request, reason.whom, now))
        return reason

    def edit_refusal(self, job: Job, request: JobRequest, now: float) -> LimitReason | None:
        """Why a job that waits may not become this request: the limit that it would exceed; None if there is none.

        The limits are those under which the job was accepted. Pictures that it would have more must be paid for.
        """
        requests, jobs = requests_of(request), self._job_table.batches.jobs_of(job)
        if (over_budget := self._over_budget(request, requests[len(jobs) :], now)) is not None:
            return over_budget
        seconds = sum(self._times.expected_use(each, work_of(each.graph)) for each in requests)
        ids = [each.id for each in jobs]
        return self.usage.edit_refusal(ids, job.request.origin, job.request.allowances, seconds, now)

    def _over_budget(self, request: JobRequest, requests: Iterable[JobRequest], now: float) -> LimitReason | None:
        if request.payment is None or not (needed := sum(each.price for each in requests)):
            return None
        return self.spending.refusal(request.payment, request.owner, needed, now)

    def accepted(self, job: Job) -> None:
        """Count a job that was accepted, now or before the bot started, until it has ended.

        A batch counts as one job.
        """
        if job.terminal_update is None and job.id in self._job_table.jobs:
            self.spending.reserve(job.id, job.request.owner, job.request.price)
            seconds = self._times.expected_use(job.request, self._times.known(job).work)
            self.usage.accept(job.id, job.request.origin, seconds, counts=not job.request.lead)

    def edited(self, job: Job) -> None:
        """Reserve what a job, or each of a batch, is expected to run and costs now that it was edited."""
        for each in self._job_table.batches.jobs_of(job):
            request = each.request
            self.spending.reserve(each.id, request.owner, request.price)
            seconds = self._times.expected_use(request, work_of(request.graph))
            self.usage.accept(each.id, request.origin, seconds, counts=not request.lead)
            self.usage.edited(each.id, request.origin, seconds)

    def used(self, run: Run, now: float) -> None:
        """Count a measured run."""
        self.usage.spend([Use(Origin(run.person, run.guild, run.channel), run.seconds)], now)

    def over(self, job: Job, now: float) -> None:
        """Release what was reserved for a job that no server has any more, and settle its price once it has ended."""
        self.usage.server_done(job.id, job.request.origin)
        if job.terminal_update is not None or job.id not in self._job_table.jobs:
            self.usage.ended(job.id, job.request.origin)
            self.spending.settle(job.id, job.spent, now)
