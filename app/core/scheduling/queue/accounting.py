"""What people are charged for their jobs: first the expected seconds, and the measured ones once a job has ended."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from app.core.jobs.cost import Estimates, Run
from app.core.jobs.job import Job, State
from app.core.scheduling.queue.fair_queue import FairQueue
from app.core.scheduling.queue.queued_job import QueuedJob
from app.events import JobId, ServerName


class Charge(Struct, frozen=True, kw_only=True):
    """What was charged for a job: the `seconds` that it was expected to run on the server, for so much `work`.

    `loading` says that its models have to be loaded first. `adopted` says that the server had it when the bot started,
    so that its start may not have been seen.
    """

    person: str
    weight: float
    seconds: float
    server: ServerName
    work: float
    loading: bool = False
    adopted: bool = False


class Accounting:
    """Charges people in the queue, and measures runs.

    Only the last attempt at a job is charged, because it is not the person's fault that there were others. Nobody is
    charged for loading models: whoever comes second to a model would get it for nothing.
    """

    def __init__(self, queue: FairQueue, estimates: Estimates) -> None:
        self._queue = queue
        self._estimates = estimates
        self._charges: dict[JobId, Charge] = {}

    def dispatched(self, queued: QueuedJob, charge: Charge) -> None:
        """Take a job from the queue because a server gets it, and charge its person."""
        self._charges[queued.job] = charge
        self._queue.take(queued, charge.server, charge.seconds / charge.weight)

    def restored(self, job: JobId, charge: Charge) -> None:
        """Remember what was charged before the bot started, for a job that a server may have."""
        self._charges[job] = replace(charge, adopted=True)

    def continued(self, job: JobId, charge: Charge) -> None:
        """Charge a job that continues with an attempt that was given up."""
        self._charges[job] = charge
        self._queue.adopt(charge.person, charge.seconds / charge.weight)

    def returned(self, job: JobId) -> None:
        """Take back the charge of a job that waits for another attempt, so that it does not lose its turn."""
        if (charge := self._charges.pop(job, None)) is not None:
            self._queue.charge(charge.person, -charge.seconds / charge.weight)

    def loading(self, job: JobId) -> bool:
        """Whether the models of a dispatched job had to be loaded."""
        charge = self._charges.get(job)
        return charge is not None and charge.loading

    def expected(self, job: JobId) -> float | None:
        """How many seconds the run of a dispatched job was expected to take, loading included; None if unknown."""
        if (charge := self._charges.get(job)) is None:
            return None
        return charge.seconds + (self._estimates.loading_seconds(charge.server) if charge.loading else 0.0)

    def charged(self, job: JobId) -> bool:
        """Whether a charge for this job has not been settled."""
        return job in self._charges

    def over(self, job: Job, started: float | None, now: float) -> Run | None:
        """Settle the charge for a job that its server is done with; returns the run if its time was measured.

        `started` is None if its start was not seen; then what the server says counts. A job that a server never had
        takes no time. What is unknown counts as expected.
        """
        if (charge := self._charges.pop(job.id, None)) is None:
            return None
        measured = None if started is None else max(0.0, now - started)
        if job.history is not None and (measured is None or charge.adopted):
            measured = measured if job.history.seconds is None else job.history.seconds
        elif measured is None:
            if job.state is not State.LOST:
                self._correct(charge, -charge.seconds)
            return None
        used = seconds = charge.seconds if measured is None else measured
        if charge.loading and measured is not None:
            used = max(0.0, seconds - self._estimates.loading_seconds(charge.server))
            if self._estimates.knows(job.request.workflow):
                used = min(used, charge.seconds)
        self._correct(charge, used - charge.seconds)
        run = Run(
            job=job.id,
            person=charge.person,
            workflow=job.request.workflow,
            server=charge.server,
            work=charge.work,
            seconds=seconds,
            loading=charge.loading,
            completed=measured is not None and _completed(job),
            guild=job.request.guild,
            channel=job.request.channel,
        )
        self._estimates.learn(run)
        return run

    def _correct(self, charge: Charge, seconds: float) -> None:
        self._queue.correct(charge.person, seconds / charge.weight)


def _completed(job: Job) -> bool:
    return job.history is not None and job.history.outcome == "success" and not _skipped_steps(job)


def _skipped_steps(job: Job) -> bool:
    """Whether the server had the result of a sampler from an earlier run: nothing can be learned from such a run."""
    cached = job.history.cached if job.history is not None else frozenset[str]()
    for node in cached:
        inputs = job.request.graph.get(node, {}).get("inputs")
        if isinstance(inputs, dict) and "steps" in inputs:
            return True
    return False
