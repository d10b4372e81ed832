"""Changes what a job asks for while it waits here: a batch as a whole, which may get more or fewer jobs by that."""

from __future__ import annotations

from app.core.jobs.batches import edited, requests_of
from app.core.jobs.job import Job, JobRequest, State
from app.core.jobs.table import JobTable
from app.events import Cancelled, Edited


def waits(table: JobTable, job: Job) -> bool:
    """Whether a job, or all of a batch, waits here, so that it may be edited.

    While a server may still have an attempt that was given up, a job counts as sent: that attempt may yet be its
    result.
    """
    return not job.request.lead and all(each.waits and not each.leftovers for each in table.batches.jobs_of(job))


def edit(table: JobTable, job: Job, request: JobRequest) -> bool:
    """Replace the request of a job that waits here; return False and change nothing if it does not.

    Its new owner is who edits it; the job itself stays its owner's. A batch is edited as a whole.
    """
    if not waits(table, job):
        return False
    members = table.batches.jobs_of(job)
    request = edited(job, len(members), request)
    requests = requests_of(request)
    cause = "edited by its owner" if request.owner == job.request.owner else "edited by a moderator"
    for each, new in zip(members, requests, strict=False):
        each.edit(new)
        table.note(each, cause)
    for each in members[len(requests) :]:
        table.batches.drop(job, each)
        each.end(State.CANCELLED)
        each.terminal_update, each.notified = Cancelled(job=each.id), True
        table.endings[each.id] = each, each.terminal_update
        table.note(each, cause)
        del table.jobs[each.id]
    table.batches.add(requests)
    for new in requests[len(members) :]:
        table.accept_one(job.adapted(new), job.place)
    table.updates.append(edited_update(job))
    return True


def edited_update(job: Job) -> Edited:
    """The update that says what a job that was edited is to show."""
    request = job.request
    return Edited(job=job.id, values=request.values, seed=request.seed, pictures=request.pictures)
