"""Decides how a job ends: by its history and its files, or because no server keeps it. Pure."""

from __future__ import annotations

from app.core.jobs.job import Attempt, Job, State
from app.core.jobs.results import failure, remarks, results, texts
from app.core.limits.spending import Money
from app.events import Cancelled, Failed, FileRef, Finished, Lost, TerminalUpdate
from app.ports import History
from app.reasons.jobs import (
    ForgottenByServer,
    HistoryUnreadable,
    JobReason,
    NeverKept,
    StoppedOnServer,
    TooManyResults,
    kind_of,
)

MOST_WORKER_DEATHS = 2
"""If a server died twice while running the same job, the job may be what kills it (docs/DESIGN.md, rule 4)."""

MOST_REFUSALS = 3
"""One 5xx may be temporary; three for the same job are final."""

MOST_TRIES = 20
"""Attempts at one job. Restarts and failovers need a few; a server that accepts everything and keeps nothing needs a
limit."""

MOST_FILES = 200
"""Result files of one job. More are a mistake in the workflow, or a server that is wrong."""

_STATES: dict[type[TerminalUpdate], State] = {
    Finished: State.FINISHED,
    Failed: State.FAILED,
    Cancelled: State.CANCELLED,
    Lost: State.LOST,
}


def ending(job: Job, attempt: Attempt, history: History) -> TerminalUpdate:
    """How a job ends whose history is known and whose files are all here or given up."""
    files = _expected(job, history)
    paths = [path for file in files if (path := job.files.get(file))] + job.streamed
    if has_succeeded(job, history):
        return Finished(
            job=job.id,
            server=attempt.server,
            files=tuple(paths),
            texts=texts(history),
            notes=remarks(job, history, paths),
            seed=job.request.seed,
            seconds=history.seconds or 0.0,
            chosen=job.chosen,
        )
    if history.outcome == "interrupted":
        return Cancelled(job=job.id, reason="" if job.cancelling else StoppedOnServer())
    return Failed(job=job.id, reason=failure(job.request.graph, history), files=tuple(paths))


def notes_on_results(job: Job, history: History) -> list[JobReason]:
    """What people are to know about the results of a job that has succeeded, beyond what its notes say already."""
    count = len(_expected(job, history))
    return [
        *([] if history.outcome == "success" else [HistoryUnreadable()]),
        *([TooManyResults(count, MOST_FILES)] if count > MOST_FILES else []),
    ]


def has_succeeded(job: Job, history: History) -> bool:
    """Whether a job has what it was for, once its files are here: also if its history cannot be read."""
    has_files = any(job.files.values()) or bool(job.streamed)
    return history.outcome == "success" or (history.outcome == "unreadable" and has_files)


def _expected(job: Job, history: History) -> list[FileRef]:
    # Files that the websocket announced are results even if the history that lists them cannot be read.
    return list(job.files) if history.outcome == "unreadable" else results(job.request.graph, history)


def given_up(job: Job, attempt: Attempt) -> TerminalUpdate | None:
    """How a job ends that its server does not know; None if it is tried again."""
    if job.cancelling:
        return Cancelled(job=job.id)
    if job.worker_deaths >= MOST_WORKER_DEATHS:
        return Lost(job=job.id, reason=ForgottenByServer(attempt.server, job.worker_deaths))
    if job.tries >= MOST_TRIES:
        return Lost(job=job.id, reason=NeverKept(job.tries))
    if job.refusals >= MOST_REFUSALS:
        return Failed(job=job.id, reason=job.notes[0])
    return None


def state_of(terminal_update: TerminalUpdate) -> State:
    """The state of a job that ends like this."""
    return _STATES[type(terminal_update)]


def spent_on(job: Job) -> Money:
    """What counts as spent for a job that ends now: nothing unless an attempt may have run."""
    payment = job.request.payment
    return payment.due(job.history) if payment is not None and job.may_cost_again else 0


def cause_of(terminal_update: TerminalUpdate) -> str:
    """The cause of the last transition: the kind of the reason, if there is one."""
    match terminal_update:
        case Finished():
            return "all results have arrived"
        case Failed(reason=reason) | Cancelled(reason=reason) | Lost(reason=reason):
            return (reason if isinstance(reason, str) else kind_of(reason)) or "as requested"
