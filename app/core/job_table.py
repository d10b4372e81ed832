"""All known jobs and the operations on them. No I/O, no clock, no tasks.

The methods of `JobTable` decide. Their consequences collect in `changed` and `transitions` (to be written to the
journal), `updates` (to be sent to watchers) and `effects` (to be run); the registry processes them in this order.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import PurePath

from app.boundary import log_failure
from app.core.effects import CancelPrompt, Effect, FetchFile, QueryServer, Reconnect, SaveImage, SubmitPrompt
from app.core.job import Attempt, Job, JobRequest, State, Transition
from app.core.progress import ProgressTracker
from app.core.results import failure, file_name, remarks, results, streams, texts
from app.events import (
    AnyUpdate,
    Cancelled,
    Failed,
    FileRef,
    Finished,
    JobId,
    Lost,
    PromptId,
    ServerName,
    Started,
    TerminalUpdate,
)
from app.ports import History
from app.reasons.jobs import ForgottenByServer, InternalError, JobReason, StoppedOnServer, kind_of

MOST_WORKER_DEATHS = 2
"""If a server died twice while running the same job, the job may be what kills it (docs/DESIGN.md, rule 4)."""

MOST_REFUSALS = 3
"""One 5xx may be temporary; three for the same job are final."""


class JobTable:
    """Owns all jobs, in the order in which they were accepted."""

    def __init__(self) -> None:
        self.jobs: dict[JobId, Job] = {}
        self.by_prompt: dict[PromptId, Job] = {}
        self.trackers: dict[JobId, ProgressTracker] = {}
        self.changed: dict[JobId, Job] = {}
        self.transitions: list[Transition] = []
        self.updates: list[AnyUpdate] = []
        self.effects: list[Effect] = []
        self.positions_dirty = False
        """Whether free slots or queue positions may have changed since the scheduler last ran."""

    def in_flight(self, server: ServerName) -> Iterator[tuple[Job, Attempt]]:
        """Yield our jobs that occupy a slot of a server, oldest attempt first."""
        for job in self.by_prompt.values():
            if job.in_flight and job.attempt is not None and job.attempt.server == server:
                yield job, job.attempt

    def waiting(self) -> list[Job]:
        """The jobs that no server has yet, oldest first."""
        return [job for job in self.jobs.values() if job.state is State.ACCEPTED]

    def accept(self, request: JobRequest, place: str = "") -> None:
        """Accept a job request."""
        self._note(self.jobs.setdefault(request.job, Job(request=request, place=place)), "accepted")

    def adopt(self, job: Job, now: float) -> None:
        """Load an unfinished job from the journal; the next query of its server says what became of it."""
        self.jobs[job.id] = job
        self.positions_dirty = True
        if (attempt := job.attempt) is None or job.terminal_update is not None:
            return
        attempt.posting = attempt.cancel_acknowledged = False
        self.by_prompt[attempt.prompt] = job
        if job.state is State.RUNNING:
            self.trackers[job.id] = ProgressTracker(job.id, job.request.graph, now)
        job.saving = 0
        job.files = {file: path for file, path in job.files.items() if path is not None}
        if job.history is not None:
            self._gather(job, job.history)

    def release(self, job: Job, attempt: Attempt) -> None:
        """Load an unfinished job from the journal whose server is no longer configured, so that it cannot be queried.

        It is retried on another server, unless the user cancelled it or all results that matter are already here.
        """
        self.jobs[job.id] = job
        history, job.saving = job.history, 0
        if history is None:
            if job.cancelling:
                self.settle(job, State.CANCELLED, Cancelled(job=job.id))
            else:
                self.reset_for_retry(job, f"{attempt.server} is no longer configured")
            return
        gone = [file for file in results(history) if job.files.get(file) is None]
        unheard = bool(streams(job.request.graph)) and not job.streamed
        if history.outcome == "success" and (gone or unheard):
            self.reset_for_retry(job, f"{attempt.server} is no longer configured, and has not sent all results")
        else:
            job.files |= dict.fromkeys(gone, "")
            self.complete(job)

    def cancel(self, job: Job) -> None:
        """Cancel a job; does nothing if it has ended."""
        if job.cancelling or job.history is not None or job.state.settled:
            return
        job.cancelling = True
        self._note(job, "to be cancelled")
        if job.attempt is None:
            self.settle(job, State.CANCELLED, Cancelled(job=job.id))
        elif not job.attempt.posting:
            self.cancel_prompt(job, job.attempt)

    def place(self, job: Job, place: str) -> None:
        """Record where the job is shown from now on."""
        job.place = place
        self.changed[job.id] = job

    def delivered(self, job: Job, receipt: str = "") -> None:
        """Record that the user has seen the terminal update, and remove the job from the table."""
        if job.terminal_update is not None and not job.notified:
            job.notified, job.receipt = True, receipt
            job.move(State.DELIVERED)
            self._note(job, "its person has had the last word")
            del self.jobs[job.id]

    def submit(self, job: Job, attempt: Attempt) -> None:
        """Start an attempt."""
        job.attempt = attempt
        job.tries += 1
        job.move(State.SUBMITTING)
        self._note(job, f"try {job.tries}")
        self.by_prompt[attempt.prompt] = job
        self.effects.append(SubmitPrompt(job.id, attempt.prompt, attempt.server, job.request))

    def answered(self, attempt: Attempt) -> None:
        """Record that the attempt's POST has been answered, so that the next one may be sent.

        This is needed even if the websocket reported the start of the job earlier.
        """
        attempt.posting = False
        self.positions_dirty = True

    def rename(self, job: Job, attempt: Attempt, prompt: PromptId) -> None:
        """Record the prompt id that an old server chose itself."""
        if self.by_prompt.pop(attempt.prompt, None) is not None:
            self.by_prompt[prompt] = job
        attempt.prompt = prompt
        self._note(job, "the server chose an id of its own")

    def cancel_prompt(self, job: Job, attempt: Attempt) -> None:
        """Ask the server to drop the prompt; what it reports next says whether it did."""
        self.effects.append(CancelPrompt(job.id, attempt.prompt, attempt.server))

    def queued(self, job: Job, cause: str) -> None:
        """Record that the server has the job in its queue."""
        if job.move(State.QUEUED):
            self._note(job, cause)

    def running(self, job: Job, server: ServerName, now: float, cause: str) -> None:
        """Record that the server is running the job."""
        if job.move(State.RUNNING):
            self._note(job, cause)
            self.trackers[job.id] = ProgressTracker(job.id, job.request.graph, now)
            self.updates.append(Started(job=job.id, server=server))

    def fetch_result(self, job: Job, attempt: Attempt, file: FileRef) -> None:
        """Download a result file that the server named, once."""
        if file not in job.files:
            job.files[file] = None
            path = str(PurePath(job.request.folder) / file_name(job, file.filename))
            self.effects.append(FetchFile(job.id, attempt.prompt, attempt.server, file, path))

    def save_image(self, job: Job, attempt: Attempt, image: bytes, media_type: str) -> None:
        """Write a result that arrived over the websocket to disk."""
        job.saving += 1
        path = str(PurePath(job.request.folder) / file_name(job, media_type.replace("/", ".")))
        self.effects.append(SaveImage(job.id, attempt.prompt, image, path))

    def ended(self, job: Job, history: History) -> None:
        """Record how the server says the attempt ended."""
        if not job.ended(history):
            return
        if history.outcome == "success":
            if streams(job.request.graph) and not job.streamed and not job.saving and not job.worker_deaths:
                job.worker_deaths += 1
                self.reset_for_retry(job, "its picture went by while nobody listened")
                return
            job.move(State.FINISHED)
        self._note(job, f"its history says {history.outcome}")
        self._gather(job, history)

    def gone(self, job: Job, attempt: Attempt) -> None:
        """Retry a job that the server does not know, unless its retries are used up or it was cancelled."""
        job.worker_deaths += job.state is State.RUNNING
        if job.cancelling:
            self.settle(job, State.CANCELLED, Cancelled(job=job.id))
        elif job.worker_deaths >= MOST_WORKER_DEATHS:
            reason = ForgottenByServer(attempt.server, job.worker_deaths)
            self.settle(job, State.LOST, Lost(job=job.id, reason=reason))
        elif job.refusals >= MOST_REFUSALS:
            self.settle(job, State.FAILED, Failed(job=job.id, reason=job.notes[0]))
        else:
            self.reset_for_retry(job, "the server knows nothing of it")

    def reset_for_retry(self, job: Job, cause: str) -> None:
        """Return the job to waiting, for another attempt."""
        if job.attempt is not None:
            self.by_prompt.pop(job.attempt.prompt, None)
        self.trackers.pop(job.id, None)
        job.reset_for_retry()
        self._note(job, cause)

    @contextmanager
    def contain(self, job: Job, what: str) -> Generator[None]:
        """Run the part of a registry turn that concerns one job: an exception in it fails only this job."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  the boundary of one job
            self.fail(job, InternalError(log_failure(error, what, job=job.id)))

    def fail(self, job: Job, reason: JobReason) -> None:
        """Fail a job after an exception, wherever in the turn it was raised.

        The updates and effects that this turn collected for the job are dropped. A job that has already ended keeps its
        outcome.
        """
        unsent = any(isinstance(effect, SubmitPrompt) and effect.job == job.id for effect in self.effects)
        self.effects = [e for e in self.effects if isinstance(e, (QueryServer, Reconnect)) or e.job != job.id]
        self.updates = [update for update in self.updates if update.job != job.id]
        self.by_prompt = {prompt: other for prompt, other in self.by_prompt.items() if other is not job}
        self.trackers.pop(job.id, None)
        if job.terminal_update is None:
            if job.in_flight and job.attempt is not None and not unsent:
                # A prompt whose POST is still unanswered is cancelled once the answer arrives.
                job.cancelling = True
                if not job.attempt.posting:
                    self.cancel_prompt(job, job.attempt)
            job.fail()
            files = tuple(path for path in (*job.files.values(), *job.streamed) if path)
            job.terminal_update = Failed(job=job.id, reason=reason, files=files)
            self._note(job, kind_of(reason))
        if not job.notified:
            self.updates.append(job.terminal_update)

    def strip(self, job: Job, reason: JobReason) -> None:
        """Fail a job that the journal cannot encode, and drop everything in it that a server or a frontend wrote."""
        if not job.notified:
            # It has not been shown to anyone: updates are sent only after the journal is written.
            job.terminal_update = None
        job.receipt = ""
        self.fail(job, reason)
        job.notes, job.blocked, job.files, job.streamed = [], [], {}, []
        job.attempt = job.history = None
        self.changed[job.id] = job

    def forget(self, job: Job) -> None:
        """Remove a job that the journal cannot encode even after `strip`."""
        self.jobs.pop(job.id, None)

    def settle(self, job: Job, state: State, terminal_update: TerminalUpdate) -> None:
        """Send the terminal update, once. The job stays in the table until it is known to have been shown."""
        if job.terminal_update is not None or (state is not State.FINISHED and not job.move(state)):
            return
        job.terminal_update = terminal_update
        self._note(job, _cause(terminal_update))
        self.trackers.pop(job.id, None)
        if job.attempt is not None:
            self.by_prompt.pop(job.attempt.prompt, None)
        self.updates.append(terminal_update)

    def complete(self, job: Job) -> None:
        """End the job if its history is known and every file has arrived."""
        history, attempt = job.history, job.attempt
        if history is None or attempt is None or job.saving or None in job.files.values():
            return
        paths = [path for file in results(history) if (path := job.files[file])] + job.streamed
        if history.outcome == "success":
            found = (tuple(paths), texts(history), remarks(job, history, paths))
            terminal_update = Finished(attempt.server, *found, job.request.seed, job=job.id)
            self.settle(job, State.FINISHED, terminal_update)
        elif history.outcome == "interrupted":
            reason = "" if job.cancelling else StoppedOnServer()
            self.settle(job, State.CANCELLED, Cancelled(job=job.id, reason=reason))
        else:
            reason = failure(job.request.graph, history)
            self.settle(job, State.FAILED, Failed(job=job.id, reason=reason, files=tuple(paths)))

    def _gather(self, job: Job, history: History) -> None:
        if job.attempt is not None:
            for file in results(history):
                self.fetch_result(job, job.attempt, file)
        self.complete(job)

    def _note(self, job: Job, cause: str) -> None:
        attempt = job.attempt
        at = (attempt.server, attempt.prompt) if attempt else ()
        self.transitions.append(Transition(job.id, job.version, job.state.name.lower(), cause, *at))
        self.changed[job.id] = job
        self.positions_dirty = True


def _cause(terminal_update: TerminalUpdate) -> str:
    """The cause of the last transition: the kind of the reason, if there is one."""
    match terminal_update:
        case Finished():
            return "all is here"
        case Failed(reason=reason) | Cancelled(reason=reason) | Lost(reason=reason):
            return (reason if isinstance(reason, str) else kind_of(reason)) or "as requested"
