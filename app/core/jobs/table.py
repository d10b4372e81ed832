"""All known jobs and the operations on them. No I/O, no clock, no tasks.

The methods of `JobTable` decide. Their consequences collect in `changed` and `transitions` (to be written to the
journal), `updates` (to be sent to watchers) and `effects` (to be run); the registry processes them in this order.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import PurePath

from app.boundary import log_failure
from app.core.alerts import Cause, Fact, Happened
from app.core.effects import CancelPrompt, DiscardFiles, Effect, FetchFile, JobEffect, SaveImage, SubmitPrompt
from app.core.jobs.batches import Batches, combined, requests_of
from app.core.jobs.cost import Run
from app.core.jobs.downloads import Downloads
from app.core.jobs.ending import (
    MOST_FILES,
    cause_of,
    ending,
    given_up,
    has_succeeded,
    notes_on_results,
    spent_on,
    state_of,
)
from app.core.jobs.job import Attempt, Job, JobRequest, State, Transition
from app.core.jobs.progress import ProgressTracker
from app.core.jobs.prompt_index import PromptIndex
from app.core.jobs.results import file_label, file_name, results, streams
from app.core.jobs.tally import Tally
from app.events import (
    AnyUpdate,
    Cancelled,
    Failed,
    FileRef,
    JobId,
    Lost,
    PromptId,
    ServerName,
    Started,
    TerminalUpdate,
)
from app.ports import History
from app.reasons.alerts import ResultsGivenUp
from app.reasons.jobs import (
    InternalError,
    JobReason,
    PaidRunLost,
    ResultNotFetched,
    kind_of,
)
from app.reasons.servers import ServerReason

CANCEL_PATIENCE = 5.0
"""Seconds that a server has to confirm that it dropped a job; then its user is told that it is cancelled anyway."""


class JobTable:
    """Owns all jobs, in the order in which they were accepted."""

    def __init__(self) -> None:
        self.jobs: dict[JobId, Job] = {}
        self.batches = Batches(self.jobs)
        self.prompts = PromptIndex()
        self.trackers: dict[JobId, ProgressTracker] = {}
        self.changed: dict[JobId, Job] = {}
        self.touched: dict[JobId, Job] = {}
        """Jobs that the scheduler has to look at: they began or ceased to wait, or their runs began or ended."""
        self.touched_servers: dict[ServerName, None] = {}
        """Servers that the scheduler has to look at: what they have of ours or whether they take jobs has changed."""
        self.runs: list[Run] = []
        """Measured runs, for the journal."""
        self.started: dict[JobId, float] = {}
        """When the current runs began, as far as that was seen."""
        self.transitions: list[Transition] = []
        self.updates: list[AnyUpdate] = []
        self.effects: list[Effect] = []
        self.endings: dict[JobId, tuple[Job, TerminalUpdate]] = {}
        """Jobs that have ended since the registry last looked, and how."""
        self.tally = Tally()
        self.alerts: list[Fact] = []
        """What the operator may have to know of; the registry passes it on."""
        self.downloads = Downloads()
        self.cancel_deadlines: dict[JobId, float] = {}
        """When jobs that are being cancelled end as cancelled, whatever their servers say."""

    def tell(self, job: Job, update: AnyUpdate) -> None:
        """Send an update to the watchers of a job, or of the batch that it belongs to."""
        lead = self.batches.lead_of(job)
        shown = update if lead is None else self.batches.merged(lead, job, update)
        if shown is not None:
            self.updates.append(shown)

    def touch(self, job: Job) -> None:
        """Have the scheduler look at a job, and at the servers that have it."""
        self.touched[job.id] = job
        for attempt in (job.attempt, *job.leftovers):
            if attempt is not None:
                self.touched_servers[attempt.server] = None

    def touch_server(self, *servers: ServerName) -> None:
        """Have the scheduler look at servers."""
        self.touched_servers |= dict.fromkeys(servers)

    def accept(self, request: JobRequest, place: str = "") -> None:
        """Accept a job request, and those of its batch."""
        requests = requests_of(request)
        self.batches.add(requests)
        for each in requests:
            self.accept_one(each, place)

    def accept_one(self, request: JobRequest, place: str) -> None:
        """Accept one job of a batch whose requests `batches` knows."""
        job = self.jobs.setdefault(request.job, Job(request=request, place=place))
        self.note(job, "accepted")
        if (earlier := request.refetch) is not None and job.attempt is None:
            job.attempt = Attempt(earlier.prompt, earlier.server, posting=False)
            if earlier.prompt not in self.prompts:
                self.prompts.add(job, job.attempt)
            job.files.update(earlier.files)
            job.move(State.FINISHED)
            job.history = earlier.history
            self.note(job, "its missing results are requested again")
            self.gather(job, earlier.history)

    def release(self, job: Job, attempt: Attempt) -> None:
        """Load an unfinished job from the journal whose server is no longer configured, so that it cannot be queried.

        It is retried on another server, unless the user cancelled it or all results that matter are already here.
        """
        self.jobs[job.id] = job
        history, job.saving = job.history, 0
        is_paid_for = job.may_cost_again and history is not None and history.outcome == "success"
        if history is not None and (job.request.refetch is not None or is_paid_for):
            job.files |= dict.fromkeys(file for file in results(job.request.graph, history) if not job.files.get(file))
            self.give_up_files(job)
            return
        if history is None:
            if job.cancelling:
                self.settle(job, Cancelled(job=job.id))
            else:
                self.reset_for_retry(job, f"{attempt.server} is no longer configured")
            return
        gone = [file for file in results(job.request.graph, history) if job.files.get(file) is None]
        pictures_missing = bool(streams(job.request.graph)) and not job.streamed
        if history.outcome == "success" and (gone or pictures_missing) and job.cancelling:
            job.end(State.CANCELLED)
            self._conclude(job, Cancelled(job=job.id))
        elif history.outcome == "success" and (gone or pictures_missing):
            self.reset_for_retry(job, f"{attempt.server} is no longer configured, and has not sent all results")
        else:
            job.files |= dict.fromkeys(gone, "")
            self.complete(job)

    def cancel(self, job: Job, now: float) -> None:
        """Cancel a job; does nothing if its user has seen the terminal update.

        A server that has the job gets `CANCEL_PATIENCE` to say what became of it: it may just have finished. Of a
        batch, what has not ended is cancelled.
        """
        unfinished = [each for each in self.batches.jobs_of(job) if each.terminal_update is None]
        for each in unfinished or [job]:
            self._cancel(each, now)

    def _cancel(self, job: Job, now: float) -> None:
        if job.cancelling or job.notified or isinstance(job.terminal_update, Cancelled):
            return
        job.cancelling = True
        self.note(job, "to be cancelled")
        if job.attempt is None or not job.in_flight:
            self.end_as_cancelled(job)
            return
        self.expect_cancel(job, now)
        if not job.attempt.posting:
            self.cancel_prompt(job, job.attempt)

    def expect_cancel(self, job: Job, now: float) -> None:
        """Give the server of a job that is being cancelled `CANCEL_PATIENCE` to say what became of it."""
        self.cancel_deadlines[job.id] = now + CANCEL_PATIENCE

    def end_as_cancelled(self, job: Job) -> None:
        """End a job as cancelled, whatever its state; its server is asked to drop it until it has done so."""
        self._leave_and_cancel(job)
        job.end(State.CANCELLED)
        self._conclude(job, Cancelled(job=job.id))

    def move_on(self, job: Job, cause: str) -> None:
        """Return a job to waiting because its server does not come back; it is cancelled there if it does."""
        if job.request.refetch is not None or (job.may_cost_again and job.history is not None):
            # Only this server has the files, or they were paid for.
            self.give_up_files(job)
            return
        self._leave(job)
        self.reset_for_retry(job, cause)

    def move_away(self, job: Job, cause: str) -> None:
        """Return a job that waits on a server to waiting here, and ask the server to drop it."""
        self._leave_and_cancel(job)
        self.reset_for_retry(job, cause)

    def give_up_files(self, job: Job) -> None:
        """End a job without the files that have not arrived."""
        self.downloads.drop(job.id)
        for file in [file for file, path in job.files.items() if path is None]:
            self.give_up(job, file)
        self.complete(job)

    def give_up(self, job: Job, file: FileRef, cause: ServerReason | None = None) -> None:
        """Record that a file will not arrive although the job's server has it, and alert the operator."""
        job.files[file] = ""
        job.notes.append(ResultNotFetched(file_label(file), cause))
        if (attempt := job.attempt) is not None:
            self.alerts.append(Happened(Cause("results", attempt.server), ResultsGivenUp(attempt.server)))

    def take_back(self, job: Job, attempt: Attempt) -> None:
        """Continue with an attempt that was given up: its server is back, and no other one was faster.

        What another one has produced meanwhile is deleted.
        """
        self._leave_and_cancel(job)
        self.touch(job)
        self._forget_progress(job)
        self._discard(job)
        job.take_back(attempt)
        self.touch(job)

    def released(self, job: Job, attempt: Attempt) -> None:
        """Record that a server no longer has the prompt of an attempt that was given up."""
        job.leftovers.remove(attempt)
        self.touch_server(attempt.server)
        self.prompts.remove(attempt.prompt)
        self.note(job, f"{attempt.server} no longer has it")
        if job.notified and not job.leftovers:
            self.batches.remove(job)
            del self.jobs[job.id]

    def place(self, job: Job, place: str) -> None:
        """Record where the job is shown from now on."""
        job.place = place
        self.changed[job.id] = job

    def delivered(self, job: Job, receipt: str = "", shown: TerminalUpdate | None = None) -> None:
        """Record that the user has seen the terminal update, and remove the job from the table.

        If the job was cancelled while another terminal update was being shown, then the one that was shown counts.
        """
        if self.final_update(job) is not None and not job.notified:
            if shown is not None and shown != job.terminal_update:
                job.terminal_update = shown
                job.end(state_of(shown))
            job.receipt = receipt
            for each in self.batches.jobs_of(job):
                each.notified = True
                each.move(State.DELIVERED)
                self.note(each, "the terminal update was shown")
                if not each.leftovers:
                    del self.jobs[each.id]
            self.batches.remove(job)

    def final_update(self, job: Job) -> TerminalUpdate | None:
        """The terminal update that people see of a job; None while something of its batch has not ended."""
        lead = self.batches.lead_of(job)
        return job.terminal_update if lead is not job or job.gathered else None

    def submit(self, job: Job, attempt: Attempt) -> None:
        """Start an attempt."""
        job.attempt = attempt
        job.tries += 1
        job.move(State.SUBMITTING)
        self.note(job, f"try {job.tries}")
        self.prompts.add(job, attempt)
        self.effects.append(SubmitPrompt(job.id, attempt.prompt, attempt.server, job.request))

    def answered(self, attempt: Attempt) -> None:
        """Record that the attempt's POST has been answered, so that the next one may be sent.

        This is needed even if the websocket reported the start of the job earlier.
        """
        attempt.posting = False
        self.touch_server(attempt.server)

    def rename(self, job: Job, attempt: Attempt, prompt: PromptId) -> None:
        """Record the prompt id that an old server chose itself."""
        known = self.prompts.remove(attempt.prompt)
        attempt.prompt = prompt
        if known:
            self.prompts.add(job, attempt)
        self.note(job, "the server chose its own prompt id")

    def cancel_prompt(self, job: Job, attempt: Attempt) -> None:
        """Ask the server to drop the prompt; what it reports next says whether it did."""
        self.effects.append(CancelPrompt(job.id, attempt.prompt, attempt.server))

    def queued(self, job: Job, cause: str) -> None:
        """Record that the server has the job in its queue."""
        if job.move(State.QUEUED):
            self.note(job, cause)

    def running(self, job: Job, server: ServerName, now: float, cause: str) -> None:
        """Record that the server is running the job."""
        if job.move(State.RUNNING):
            self.note(job, cause)
            self.trackers[job.id] = ProgressTracker(job.id, job.request.graph, now)
            self.started[job.id] = now
            self.tally.start(job.id, now)
            self.batches.started(job)
            self.tell(job, Started(job=job.id, server=server))

    def fetch_result(self, job: Job, attempt: Attempt, file: FileRef) -> None:
        """Download a result file that the server named, once."""
        if file not in job.files and len(job.files) < MOST_FILES:
            job.files[file] = None
            path = str(PurePath(job.request.folder) / file_name(job, file.filename))
            self.downloads.want(FetchFile(job.id, attempt.prompt, attempt.server, file, path), job.request.owner)

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
            lost = streams(job.request.graph) and not job.streamed and not job.saving
            if lost and job.cancelling:
                self.settle(job, Cancelled(job=job.id))
                return
            if lost and not job.worker_deaths and not job.may_cost_again:
                job.worker_deaths += 1
                self.reset_for_retry(job, "its streamed picture was not received")
                return
            job.move(State.FINISHED)
        self.note(job, f"its history says {history.outcome}")
        self.gather(job, history)

    def gone(self, job: Job, attempt: Attempt) -> None:
        """Retry a job that the server does not know, unless its retries are used up or it was cancelled."""
        job.worker_deaths += job.state is State.RUNNING
        if job.cancelling:
            # It was dropped before it ran.
            attempt.never_ran |= attempt.cancel_acknowledged and job.state is not State.RUNNING
        if (terminal_update := given_up(job, attempt)) is not None:
            self.settle(job, terminal_update)
        else:
            self.reset_for_retry(job, "the server does not know the prompt")

    def reset_for_retry(self, job: Job, cause: str) -> None:
        """Return the job to waiting, for another attempt, and delete what this one has produced.

        A job that may be paid for already is lost instead: another attempt could cost as much again.
        """
        if job.may_cost_again and job.attempt is not None:
            self.settle(job, Lost(job=job.id, reason=PaidRunLost(job.attempt.server)))
            return
        self.touch(job)
        self._forget_progress(job)
        self._discard(job)
        job.reset_for_retry()
        self.note(job, cause)

    def _discard(self, job: Job) -> None:
        """Delete what the current attempt has produced."""
        # What a job that fetches results again has may be another job's.
        if job.request.refetch is None and (paths := job.paths):
            self.effects.append(DiscardFiles(paths))

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
        self.touch(job)
        unsent = any(isinstance(effect, SubmitPrompt) and effect.job == job.id for effect in self.effects)
        self.effects = [e for e in self.effects if not isinstance(e, JobEffect) or e.job != job.id]
        self.updates = [update for update in self.updates if update.job != job.id]
        if job.terminal_update is None:
            if not unsent:
                self._leave_and_cancel(job)
            elif job.attempt is not None:
                job.attempt.never_ran = True
            job.end(State.FAILED)
            job.spent = spent_on(job)
            job.terminal_update = Failed(job=job.id, reason=reason, files=job.paths)
            self.endings[job.id] = job, job.terminal_update
            self.note(job, kind_of(reason))
        self._forget_progress(job)
        if not job.notified:
            self._tell_end(job, job.terminal_update)

    def strip(self, job: Job, reason: JobReason) -> None:
        """Fail a job that the journal cannot encode, and drop everything in it that a server or a frontend wrote."""
        if not job.notified:
            # It has not been shown to anyone: updates are sent only after the journal is written.
            job.terminal_update = None
        job.receipt = ""
        self.fail(job, reason)
        job.notes, job.blocked, job.files, job.streamed = [], [], {}, []
        job.attempt = job.history = None
        job.leftovers = []
        self.prompts.remove_job(job)
        self.changed[job.id] = job

    def forget(self, job: Job) -> None:
        """Remove a job that the journal cannot encode even after `strip`."""
        self.touch(job)
        self.prompts.remove_job(job)
        self.jobs.pop(job.id, None)

    def settle(self, job: Job, terminal_update: TerminalUpdate) -> None:
        """Send the terminal update, once. The job stays in the table until it is known to have been shown."""
        state = state_of(terminal_update)
        if job.terminal_update is not None or (state is not State.FINISHED and not job.move(state)):
            return
        self._conclude(job, terminal_update)

    def _conclude(self, job: Job, terminal_update: TerminalUpdate) -> None:
        job.terminal_update = terminal_update
        job.spent = spent_on(job)
        self.endings[job.id] = job, terminal_update
        self.note(job, cause_of(terminal_update))
        self._forget_progress(job)
        self._tell_end(job, terminal_update)

    def _tell_end(self, job: Job, terminal_update: TerminalUpdate) -> None:
        """Send a terminal update; of a batch, the combined one once all of it has ended."""
        lead = self.batches.lead_of(job)
        if lead is None or (lead is job and job.gathered):
            self.updates.append(terminal_update)
        elif lead.gathered:
            # What people see of it is in the combined one.
            pass
        elif self.batches.complete(lead):
            lead.terminal_update = combined(lead, self.batches.jobs_of(lead))
            lead.gathered = True
            lead.end(state_of(lead.terminal_update))
            self.note(lead, "the whole batch has ended")
            self.updates.append(lead.terminal_update)
        else:
            self.tell(job, terminal_update)

    def complete(self, job: Job) -> None:
        """End the job if its history is known and every file has arrived."""
        history, attempt = job.history, job.attempt
        if history is None or attempt is None or job.saving or None in job.files.values():
            return
        if has_succeeded(job, history):
            job.notes += notes_on_results(job, history)
            job.move(State.FINISHED)
        self.settle(job, ending(job, attempt, history))

    def gather(self, job: Job, history: History) -> None:
        """Fetch the results that a history names and that are not here; end the job if there are none."""
        if job.attempt is not None:
            for file in results(job.request.graph, history):
                self.fetch_result(job, job.attempt, file)
        self.complete(job)

    def _leave(self, job: Job) -> None:
        """Give up the current attempt; its server, which may have the prompt, is queried until it has not."""
        if (attempt := job.attempt) is not None and job.in_flight and job.leftover(attempt.prompt) is None:
            job.leftovers.append(attempt)
            self.touch(job)

    def _leave_and_cancel(self, job: Job) -> None:
        """Give up the current attempt, and ask its server to drop the prompt, as soon as it can be asked."""
        self._leave(job)
        attempt = job.attempt
        if attempt is not None and attempt in job.leftovers and not attempt.posting and not attempt.cancel_acknowledged:
            self.cancel_prompt(job, attempt)

    def _forget_progress(self, job: Job) -> None:
        """Forget what the table remembers about the current attempt of a job."""
        self.trackers.pop(job.id, None)
        self.cancel_deadlines.pop(job.id, None)
        self.downloads.drop(job.id)
        self.batches.reset(job)
        attempt = job.attempt
        if attempt is None or job.leftover(attempt.prompt) is not None:
            return
        # Two jobs that fetch the results of the same prompt again share its id.
        if self.prompts.get(attempt.prompt) is job:
            self.prompts.remove(attempt.prompt)

    def note(self, job: Job, cause: str) -> None:
        """Have the job's present state written to the journal, with the cause of the change."""
        attempt = job.attempt
        at = (attempt.server, attempt.prompt) if attempt else ()
        self.transitions.append(Transition(job.id, job.version, job.state.name.lower(), cause, *at))
        self.changed[job.id] = job
        self.touch(job)
