"""Loads the unfinished jobs of the journal into the table, at the start of a bot."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from app.core.jobs.ending import has_succeeded
from app.core.jobs.job import Job, State
from app.core.jobs.progress import ProgressTracker
from app.core.jobs.results import streams
from app.core.jobs.table import JobTable
from app.events import Finished
from app.reasons.jobs import HistoryUnreadable, PictureMissed, TooManyResults

UNTOLD = 10
"""How many results of a job a front may have kept of which the other fronts do not know: more than that is unlikely."""


def adopt(table: JobTable, job: Job, now: float) -> None:
    """Load an unfinished job from the journal; the next query of its server says what became of it."""
    table.jobs[job.id] = job
    table.touch(job)
    adopt_leftovers(table, job)
    if (attempt := job.attempt) is None or job.terminal_update is not None:
        return
    if job.cancelling:
        table.expect_cancel(job, now)
    attempt.posting = attempt.cancel_acknowledged = False
    table.prompts.add(job, attempt)
    if job.state is State.RUNNING:
        table.trackers[job.id] = ProgressTracker(job.id, job.request.graph, now)
        table.batches.started(job)
    job.saving = 0
    job.files = {file: path for file, path in job.files.items() if path is not None}
    if job.history is not None:
        table.gather(job, job.history)


def forget_absent(table: JobTable, jobs: Sequence[Job], absent: AbstractSet[str]) -> None:
    """Forget result files that are not on our disk, before these jobs are loaded from the journal.

    They may be on that of another front. What nobody has seen yet is then fetched again, or made again if it came
    over the websocket.
    """
    known = {job.id: job for job in jobs}
    for job in jobs:
        shown = known.get(job.request.lead, job)
        if job.notified or absent.isdisjoint(job.paths):
            continue
        if job.history is None and job.terminal_update is None:
            # Its run has not ended, as far as is known, and its history will name its files again.
            if not absent.isdisjoint(job.streamed):
                job.notes.append(PictureMissed())
            _forget_files(job, absent)
            continue
        if job.history is None or not _may_lack(job, shown):
            continue
        for each in {shown.id: shown, job.id: job}.values():
            each.terminal_update, each.gathered = None, False
            each.notes = [note for note in each.notes if not isinstance(note, (HistoryUnreadable, TooManyResults))]
        is_streamed = not absent.isdisjoint(job.streamed)
        _forget_files(job, absent)
        if is_streamed:
            job.worker_deaths += 1
            table.reset_for_retry(job, "its streamed picture is not on this disk")
        else:
            table.note(job, "its results are not on this disk")


def _forget_files(job: Job, absent: AbstractSet[str]) -> None:
    job.files = {file: path for file, path in job.files.items() if path is None or path not in absent}
    job.streamed = [path for path in job.streamed if path not in absent]
    job.version += 1


def skip_names(jobs: Sequence[Job]) -> None:
    """Leave out names that another front may have given to results of these jobs that the journal does not have.

    That front has other pictures under these names on its disk, and would take them for ours.
    """
    for job in jobs:
        if job.terminal_update is None:
            job.kept += UNTOLD


def adopt_leftovers(table: JobTable, job: Job) -> None:
    """Know the given up attempts of a job from the journal; the next queries say whether servers have them."""
    for leftover in job.leftovers:
        leftover.posting = leftover.cancel_acknowledged = False
        table.prompts.add(job, leftover)


def _may_lack(job: Job, shown: Job) -> bool:
    """Whether a job can get its files again. `shown` leads its batch, and has its end, or is the job itself.

    What the leading job had for itself is only known of one that succeeded.
    """
    is_streamed = bool(streams(job.request.graph))
    if is_streamed and (job.worker_deaths or job.may_cost_again):
        return False
    return all(
        each.terminal_update is None
        or (
            isinstance(each.terminal_update, Finished)
            and each.history is not None
            and has_succeeded(each, each.history)
        )
        for each in (job, shown)
    )
