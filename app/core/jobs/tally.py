"""What the registry has done since the bot started, in numbers, for those who operate it."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from app.core.jobs.cost import Run
from app.core.jobs.job import Job
from app.events import JobId, ServerName
from app.histogram import Histogram

MOST_WORKFLOWS = 200
"""Names of workflows that are counted apart; later ones are counted together."""

OUTCOMES = ("finished", "failed", "cancelled", "lost")
"""How a job may end."""

OTHERS = "others"
"""What all further workflows are counted as."""

WAITS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0)
"""Seconds: from a free server to a long evening."""

ERRORS = (1.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0)
"""Seconds by which an expected start was wrong."""


class Ending(Struct, frozen=True):
    """What is known of a job that has ended: `seconds` are those for which servers ran it, as far as measured."""

    outcome: str
    workflow: str
    seconds: float


class _Open(Struct):
    """A job that has not ended: since when it is known, whether it has started, and for how long it ran."""

    since: float
    started: bool = False
    seconds: float = 0.0


class Tally:
    """Counts jobs, runs and connections. It knows no person, no prompt and no address; times are those of the loop.

    Each number only grows, and begins at 0 when the bot starts. There are at most `MOST_WORKFLOWS` workflows.
    """

    def __init__(self) -> None:
        self.accepted = 0
        self.ended: Counter[tuple[str, str]] = Counter()
        """Jobs that have ended, by outcome and workflow."""
        self.waits = Histogram(WAITS)
        """Seconds from when jobs were accepted until a server started them."""
        self.runs: Counter[ServerName] = Counter()
        """Measured runs of each server."""
        self.run_seconds: dict[ServerName, dict[str, float]] = {}
        """How long these took, by server and then by workflow."""
        self.expected_seconds: dict[str, float] = {}
        """How long the runs of each workflow were expected to take when they were sent to a server."""
        self.measured_seconds: dict[str, float] = {}
        """How long the same runs took."""
        self.start_errors = Histogram(ERRORS)
        """Seconds by which the first expected start of a job was too early or too late."""
        self.overtaken = 0
        """Jobs that started after one that was accepted later, so that their start could not be known."""
        self.model_loads: Counter[ServerName] = Counter()
        """Jobs that were sent to a server which had to load other models first."""
        self.connections: Counter[ServerName] = Counter()
        """Websockets that were opened."""
        self.catch_ups: Counter[ServerName] = Counter()
        """Queries of a server's queue and histories that were answered."""
        self.failed_catch_ups: Counter[ServerName] = Counter()
        """Those that failed."""
        self._open: dict[JobId, _Open] = {}
        self._workflows: set[str] = set()

    def accept(self, job: JobId, workflow: str, now: float, *, makes: bool = True) -> None:
        """Count a job that was accepted, once; one that makes nothing only downloads, and does not wait to start."""
        if job not in self._open:
            self.accepted += 1
            # Prometheus sees that a number grew only if it was there before.
            for outcome in OUTCOMES:
                self.ended.setdefault((outcome, self._workflow(workflow)), 0)
            self._open[job] = _Open(now, started=not makes)

    def adopt(self, job: Job, now: float, *, started: bool) -> None:
        """Take over a job from before the bot started; it counts as waiting since now."""
        self._open[job.id] = _Open(now, started)

    def start(self, job: JobId, now: float) -> None:
        """Count how long a job has waited, at its first start."""
        if (known := self._open.get(job)) is not None and not known.started:
            known.started = True
            self.waits.observe(max(0.0, now - known.since))

    def run(self, run: Run, expected: float | None) -> None:
        """Count a measured run, which was expected to take so many seconds; None if that was not known."""
        workflow = self._workflow(run.workflow)
        self.runs[run.server] += 1
        of_server = self.run_seconds.setdefault(run.server, {})
        of_server[workflow] = of_server.get(workflow, 0.0) + run.seconds
        if expected is not None and run.completed:
            self.expected_seconds[workflow] = self.expected_seconds.get(workflow, 0.0) + expected
            self.measured_seconds[workflow] = self.measured_seconds.get(workflow, 0.0) + run.seconds
        if run.overtaken:
            self.overtaken += 1
        elif run.waited is not None and run.expected_wait is not None:
            self.start_errors.observe(abs(run.waited - run.expected_wait))
        if (known := self._open.get(run.job)) is not None:
            known.seconds += run.seconds

    def end(self, job: Job, outcome: str) -> Ending | None:
        """Count a job that has ended; None if it had ended before: a result may be cancelled until it is shown."""
        if (known := self._open.pop(job.id, None)) is None:
            return None
        self.ended[outcome, self._workflow(job.request.workflow)] += 1
        return Ending(outcome, job.request.workflow, known.seconds)

    def longest_wait(self, now: float) -> float:
        """For how many seconds the job that waits for its first start has waited that was accepted first."""
        since = next((known.since for known in self._open.values() if not known.started), now)
        return max(0.0, now - since)

    def _workflow(self, name: str) -> str:
        if name in self._workflows:
            return name
        if len(self._workflows) >= MOST_WORKFLOWS:
            return OTHERS
        self._workflows.add(name)
        return name
