"""Requests for several pictures: each is a job of its own, so that several servers can share them.

The first job of a batch leads it: people see only that one, with one message, the progress of all, and one terminal
update. The others are its parts; each waits, runs and ends like any other job.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import NAMESPACE_OID, uuid5

from msgspec.structs import replace

from app.core.jobs.job import Batch, Job, JobRequest, State
from app.events import (
    AnyUpdate,
    Arrived,
    Cancelled,
    Failed,
    Finished,
    JobId,
    Lost,
    Previewed,
    Progressed,
    Queued,
    Started,
    TerminalUpdate,
)
from app.reasons.jobs import BatchIncomplete, JobReason, ResultsMissing


def requests_of(request: JobRequest) -> list[JobRequest]:
    """The requests of a batch, that of the leading job first; only the request itself if it is no batch.

    Each further one has the next seeds, and an id that depends only on that of the first and on the edit that added it:
    a picture that an edit drops and a later one adds again is another job.
    """
    batch = request.batch
    if batch is None:
        return [request]
    return [request, *(_part(request, batch, number) for number in range(1, batch.size))]


def edited(job: Job, members: int, request: JobRequest) -> JobRequest:
    """The request that replaces that of the leading job of so many, with which pictures this edit adds."""
    if request.batch is None:
        return request
    known = job.request.batch.edits if job.request.batch is not None else ()
    added = request.batch.size - members
    edits = [*known, *[0] * (members - 1 - len(known)), *[job.edits + 1] * added][: request.batch.size - 1]
    return replace(request, batch=replace(request.batch, edits=tuple(edits) if any(edits) else ()))


def _part(request: JobRequest, batch: Batch, number: int) -> JobRequest:
    edit = batch.edits[number - 1] if batch.edits else 0
    graph = dict(request.graph)
    for seed in batch.seeds:
        entry = dict(graph[seed.node])
        inputs = entry["inputs"]
        if isinstance(inputs, dict) and isinstance(value := inputs[seed.input], int):
            entry["inputs"] = {**inputs, seed.input: value + number}
            graph[seed.node] = entry
    return replace(
        request,
        job=JobId(str(uuid5(NAMESPACE_OID, f"{request.job} {number}" + f" {edit}" * (edit > 0)))),
        graph=graph,
        seed=None if request.seed is None else request.seed + number,
        batch=None,
        lead=request.job,
        part=number,
        refetch=batch.refetch[number - 1] if batch.refetch else None,
    )


def without_parts(jobs: Sequence[Job]) -> list[Job]:
    """The jobs that people see: without the parts of batches whose leading job is among them."""
    leads = {job.id for job in jobs if job.request.batch is not None}
    return [job for job in jobs if job.request.lead not in leads]


class Batches:
    """Owns which jobs belong together, and makes the updates of a batch from those of its jobs."""

    def __init__(self, jobs: Mapping[JobId, Job]) -> None:
        self._jobs = jobs
        """The job table's."""
        self._members: dict[JobId, list[JobId]] = {}
        """The jobs of each batch, by its leading job and in order."""
        self._progress: dict[JobId, Progressed] = {}
        """The last progress of each running job of a batch."""

    def add(self, requests: Iterable[JobRequest]) -> None:
        """Know the batches among these requests; each leading one comes before its parts.

        A part whose leading job is unknown, because its record is damaged, counts as a job like any other.
        """
        for request in requests:
            if request.batch is not None:
                self._members.setdefault(request.job, [request.job])
            elif request.lead in self._members and request.job not in self._members[request.lead]:
                self._members[request.lead].append(request.job)

    def lead_of(self, job: Job) -> Job | None:
        """The leading job of the batch that a job belongs to; None if it belongs to none."""
        lead = job.request.lead or job.id
        return self._jobs.get(lead) if lead in self._members else None

    def jobs_of(self, lead: Job) -> list[Job]:
        """The jobs of a batch in order, without any that are no longer in the table; the job itself if it is none."""
        return [self._jobs[job] for job in self._members.get(lead.id, [lead.id]) if job in self._jobs]

    def remove(self, lead: Job) -> None:
        """Forget a batch, because everything about it was shown."""
        for job in self._members.pop(lead.id, ()):
            self._progress.pop(job, None)

    def drop(self, lead: Job, job: Job) -> None:
        """Remove a job from its batch."""
        self._members[lead.id].remove(job.id)
        self.reset(job)

    def started(self, job: Job) -> None:
        """Know that a server runs a job, if it belongs to a batch."""
        if self.lead_of(job) is not None:
            self._progress.setdefault(job.id, Progressed(job=job.id, fraction=0.0))

    def reset(self, job: Job) -> None:
        """Forget the progress of a job, because its run ended or is repeated."""
        self._progress.pop(job.id, None)

    def complete(self, lead: Job) -> bool:
        """Whether every job of a batch has ended."""
        members = self._members[lead.id]
        return all(job in self._jobs and self._jobs[job].terminal_update is not None for job in members)

    def first_waiting(self, lead: Job) -> Job | None:
        """The job of a batch whose place in line people see; None while one of them runs."""
        if self._running(lead):
            return None
        return next((job for job in self.jobs_of(lead) if job.terminal_update is None), None)

    def merged(self, lead: Job, job: Job, update: AnyUpdate) -> AnyUpdate | None:
        """What a watcher of the batch is told when one of its jobs gets an update; None if that is nothing."""
        match update:
            case Queued():
                first = self.first_waiting(lead)
                return replace(update, job=lead.id) if first is job else None
            case Started():
                return replace(update, job=lead.id) if self._running(lead) == [job] else None
            case Progressed():
                self._progress[job.id] = update
                return self.progress(lead)
            case Previewed():
                # Pictures that take turns would flicker.
                return replace(update, job=lead.id) if self._running(lead)[:1] == [job] else None
            case Finished() | Failed() | Cancelled() | Lost():
                self.reset(job)
                return self.arrived(lead)
            case _:
                return replace(update, job=lead.id)

    def progress(self, lead: Job) -> Progressed | None:
        """The progress of a whole batch; None if nothing of it runs."""
        if not (running := self._running(lead)):
            return None
        shown = self._progress[running[0].id]
        # A server makes one at a time. Of the others, the end or the files are on the way.
        being_made = len({job.attempt.server for job in running if job.state is State.RUNNING and job.attempt})
        members = self.jobs_of(lead)
        fractions = sum(self._progress[job.id].fraction for job in running)
        ended = sum(job.terminal_update is not None for job in members)
        remaining = [self._progress[job.id].remaining for job in running]
        known = [seconds for seconds in remaining if seconds is not None]
        # When a batch ends is only known once nothing of it waits.
        end = max(known) if ended + len(running) == len(members) and len(known) == len(running) else None
        fraction = (ended + fractions) / len(members)
        return replace(shown, job=lead.id, fraction=fraction, remaining=end, running=being_made)

    def arrived(self, lead: Job) -> Arrived:
        """The pictures of a batch that have arrived."""
        members = self.jobs_of(lead)
        files = tuple(file for job in members for file in _files(job))
        return Arrived(job=lead.id, files=files, total=lead.request.pictures)

    def _running(self, lead: Job) -> list[Job]:
        return [job for job in self.jobs_of(lead) if job.id in self._progress and job.terminal_update is None]


def _files(job: Job) -> tuple[str, ...]:
    return job.terminal_update.files if isinstance(job.terminal_update, Finished) else ()


def combined(lead: Job, members: list[Job]) -> TerminalUpdate:
    """The terminal update of a batch all of whose jobs have ended.

    It is finished if one of them is; otherwise it ended like the first that failed, or was cancelled.
    """
    updates = [job.terminal_update for job in members if job.terminal_update is not None]
    finished = [update for update in updates if isinstance(update, Finished)]
    failed = [update for update in updates if isinstance(update, (Failed, Lost))]
    if not finished:
        return replace((failed or updates)[0], job=lead.id)
    files = tuple(file for update in finished for file in update.files)
    notes = dict.fromkeys(note for update in finished for note in update.notes)
    combined_notes: list[JobReason | str] = [note for note in notes if not isinstance(note, ResultsMissing)]
    if missing := sum(
        note.total - note.arrived for update in finished for note in update.notes if isinstance(note, ResultsMissing)
    ):
        combined_notes.insert(0, ResultsMissing(len(files), len(files) + missing))
    if len(finished) < lead.request.pictures:
        stopped = not failed and any(isinstance(update, Cancelled) for update in updates)
        reasons = [failed[0].reason] if failed else []
        incomplete = BatchIncomplete(len(finished), lead.request.pictures, stopped)
        combined_notes = [incomplete, *reasons, *combined_notes]
    return Finished(
        job=lead.id,
        server=finished[0].server,
        files=files,
        texts=tuple(text for update in finished for text in update.texts),
        notes=tuple(combined_notes),
        seed=lead.request.seed,
        seconds=sum(update.seconds for update in finished),
        chosen=finished[0].chosen,
    )
