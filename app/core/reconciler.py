"""Merges websocket events, query results and effect results into the state of the jobs.

The websocket is only a hint and HTTP decides; the journal keeps what was learned. `Reconciler` handles every message
about a server, keeps the state of each server, and applies what happened to the job table. The rules and their numbers
are those of docs/DESIGN.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import TypeAlias, assert_never

from msgspec.structs import replace

from app.core.alerts import Cause, Cleared, Raised
from app.core.effects import (
    CommandEnded,
    DiscardFiles,
    EffectFailed,
    EffectResult,
    FetchFile,
    FetchInterrupted,
    FileFetched,
    HistoryRead,
    ImageSaved,
    PromptCancelled,
    PromptRefused,
    PromptSubmitted,
    ReadHistory,
    Reconnect,
    SaveInterrupted,
    ServerQueried,
    SubmitPrompt,
    SubmitUncertain,
    Tick,
    Unreachable,
)
from app.core.failover import Failover
from app.core.jobs import loading
from app.core.jobs.downloads import LONGEST, WAIT
from app.core.jobs.job import Attempt, Job, JobRequest, State
from app.core.jobs.results import streams
from app.core.jobs.table import JobTable
from app.core.queries import Queries
from app.core.servers.able_servers import AbleServers
from app.core.servers.state import ServerSettings, ServerState
from app.events import (
    Connected,
    Disconnected,
    ExecutionBlocked,
    ExecutionEnded,
    Failed,
    FrameReceived,
    ImageStreamed,
    NodeFinished,
    Previewed,
    PromptId,
    QueueChanged,
    ServerName,
    Signal,
)
from app.reasons import Reason
from app.reasons.alerts import DiskFull
from app.reasons.jobs import JobReason, PromptIdRepeated
from app.reasons.servers import NetworkReason

Message: TypeAlias = FrameReceived | Connected | Disconnected | EffectResult

NEVER = float("inf")

DISK = Cause("disk")

MOST_SAVES = int(LONGEST / WAIT)
"""Tries to write a streamed image to a full disk: for as long as a download is tried."""

CANCEL_PAUSE = 1.0
"""Seconds before a cancel request is repeated that a server did not acknowledge."""

Answer: TypeAlias = (
    PromptSubmitted
    | PromptRefused
    | SubmitUncertain
    | HistoryRead
    | PromptCancelled
    | FileFetched
    | FetchInterrupted
    | ImageSaved
    | SaveInterrupted
    | EffectFailed
)
"""The result of an effect for one job."""


class Reconciler:
    """Owns the state of each server; changes jobs mostly through the methods of the job table.

    `asked` is that of `AbleServers`.
    """

    def __init__(
        self, job_table: JobTable, servers: Mapping[ServerName, ServerSettings], *, asked: bool = False
    ) -> None:
        self.servers = {name: ServerState(name) for name in servers}
        self.able = AbleServers(self.servers, asked=asked)
        for name, settings in servers.items():
            self.servers[name].configure(settings)
        self._job_table = job_table
        self._failover = Failover(job_table, self.servers, self.able)
        self._queries = Queries(job_table, self.servers, self._failover)
        self._disk_is_full = False
        """Whether the disk was full for a result, and none has been saved since."""

    def adopt(self, job: Job, now: float) -> None:
        """Load an unfinished job from the journal, even if its servers are no longer configured."""
        attempt = job.attempt
        if attempt is None or job.terminal_update is not None or attempt.server in self.servers:
            loading.adopt(self._job_table, job, now)
        else:
            loading.adopt_leftovers(self._job_table, job)
            self._job_table.release(job, attempt)
        for leftover in [leftover for leftover in job.leftovers if leftover.server not in self.servers]:
            self._job_table.released(job, leftover)

    def accept(self, request: JobRequest, place: str) -> None:
        """Accept a job request."""
        self._job_table.accept(request, place)
        for job in self._job_table.batches.jobs_of(self._job_table.jobs[request.job]):
            if (attempt := job.attempt) is not None and attempt.server not in self.servers:
                self._job_table.release(job, attempt)

    def job_of(self, message: Message) -> Job | None:
        """The job that a message is about; None if it is about a server or an unknown job."""
        match message:
            case FrameReceived(event=event):
                return None if isinstance(event, QueueChanged) else self._job_table.prompts.get(event.prompt)
            case Connected() | Disconnected() | Tick() | ServerQueried() | Unreachable() | CommandEnded():
                return None
            case _:
                return self._job_table.jobs.get(message.effect.job)

    def query_failed(self, server: ServerName, reason: Reason, now: float) -> None:
        """Record that a query failed: the server counts as unreachable, and the next query may start."""
        if server in self.servers:
            self._queries.failed(server, reason, now)

    def fail_over(self, now: float) -> None:
        """Move what can be moved from servers that do not come back, because jobs may run elsewhere now."""
        self._failover.move_all(now)

    def start_downloads(self, now: float) -> None:
        """Start the downloads that are due and have a lane; called after each batch of messages."""
        answering = {name for name, server_state in self.servers.items() if server_state.answers}
        self._job_table.effects += self._job_table.downloads.start(now, answering)

    def handle(self, message: Message, now: float) -> None:
        """Handle one message at `now`, in seconds of the application's clock."""
        if _server_of(message) not in {None, *self.servers}:
            # It was sent before the server was removed.
            return
        match message:
            case FrameReceived(server=server, event=event):
                self.servers[server].frame(now)
                if isinstance(event, QueueChanged):
                    if self.servers[server].status(now, event.remaining):
                        self._job_table.touch_server(server)
                elif (job := self._job_table.prompts.get(event.prompt)) is not None:
                    self._signal(job, event, now)
            case Connected(server=server):
                self.servers[server].connected(now)
                self._job_table.touch_server(server)
                self._job_table.tally.connections[server] += 1
                self._queries.ask(self.servers[server], now)
            case Disconnected(server=server, reason=reason):
                server_state = self.servers[server]
                server_state.reason, server_state.listening = reason, False
                if server_state.power is not None and server_state.power.phase not in {"off", "starting"}:
                    # Nobody may wait for it, and yet it must be known whether it is on.
                    self._queries.ask(server_state, now)
            case Tick():
                self._tick(now)
            case CommandEnded():
                # That is a matter of `PowerPlan`.
                pass
            case ServerQueried(effect=effect):
                self._job_table.tally.catch_ups[effect.server] += 1
                self._queries.succeeded(message, now)
            case Unreachable(effect=effect, reason=reason, histories=histories):
                self._job_table.tally.failed_catch_ups[effect.server] += 1
                for prompt in effect.asked.keys() & histories.keys():
                    self._queries.history_read(prompt, effect.asked[prompt], histories[prompt])
                self.query_failed(effect.server, reason, now)
            case _:
                self._answered(message, now)

    def _answered(self, answer: Answer, now: float) -> None:
        """Apply the result of an effect to its job, unless the job has another attempt or is gone."""
        if isinstance(effect := answer.effect, FetchFile):
            self._job_table.downloads.over(effect)
        job = self.job_of(answer)
        if job is None:
            self._discard(answer)
            return
        if (leftover := job.leftover(effect.prompt)) is not None:
            self._answer_leftover(job, leftover, answer, now)
        elif job.attempt is not None and job.attempt.prompt == effect.prompt and job.terminal_update is None:
            self._answer(job, job.attempt, answer, now)
        else:
            self._discard(answer)

    def _discard(self, answer: Answer) -> None:
        """Delete the file that arrived for an attempt that was given up."""
        if isinstance(answer, (FileFetched, ImageSaved)) and answer.problem is None:
            self._job_table.effects.append(DiscardFiles((answer.effect.path,)))

    def _signal(self, job: Job, event: Signal, now: float) -> None:
        """Apply a signal to its job. Rule 2: `executing` with node null is the end; the history decides the outcome."""
        attempt = job.attempt
        if (leftover := job.leftover(event.prompt)) is not None:
            if isinstance(event, ExecutionEnded):
                self._queries.ask(self.servers[leftover.server], now)
            return
        if attempt is None or not job.in_flight:
            return
        if isinstance(event, ExecutionEnded):
            self._job_table.effects.append(ReadHistory(job.id, attempt.prompt, attempt.server))
            return
        self._job_table.running(job, attempt.server, now, "reported by the websocket")
        match event:
            case ExecutionBlocked(node=node):
                job.blocked.append(node)
            case NodeFinished(output=output):
                for file in output.files:
                    if file.type == "output":
                        self._job_table.fetch_result(job, attempt, file)
            case ImageStreamed(display=display, image=image, media_type=kind):
                if display in streams(job.request.graph):
                    self._job_table.save_image(job, attempt, image, kind)
                else:
                    self._job_table.tell(job, Previewed(job=job.id, image=image, media_type=kind))
            case _:
                pass
        tracker = self._job_table.trackers[job.id]
        if tracker.handle(event, now):
            self._job_table.tell(job, tracker.read(now))

    def _answer(self, job: Job, attempt: Attempt, answer: Answer, now: float) -> None:
        job_table, server_state = self._job_table, self.servers[attempt.server]
        match answer:
            case PromptSubmitted(ticket=ticket, chosen=chosen):
                job_table.answered(attempt)
                server_state.answered_post(now)
                job.notes += ticket.dropped
                job.chosen = chosen
                if not self._take_id(job, attempt, ticket.prompt):
                    return
                job_table.queued(job, "the server accepted the prompt")
                if job.cancelling:
                    job_table.cancel_prompt(job, attempt)
            case PromptRefused(reason=reason, certain=True):
                attempt.never_ran = True
                job_table.settle(job, Failed(job=job.id, reason=reason))
            case PromptRefused(reason=reason, sent=sent):
                job_table.answered(attempt)
                attempt.never_ran = not sent
                job.refusals += 1
                job.notes = [reason]
                self._queries.ask(server_state, now)
            case SubmitUncertain(reason=reason, sent=sent):
                job_table.answered(attempt)
                attempt.never_ran = not sent
                self._failover.away(server_state, reason, now)
                self._queries.ask(server_state, now)
            case HistoryRead(history=history):
                if history is None:
                    self._queries.ask(server_state, now)
                else:
                    job_table.ended(job, history)
            case PromptCancelled(acknowledged=acknowledged):
                self._cancel_answered(attempt, server_state, now, acknowledged=acknowledged)
            case FileFetched(effect=effect, problem=problem):
                job_table.downloads.done(effect)
                self._written(problem)
                job.files[effect.file] = effect.path if problem is None else ""
                job.notes += [] if problem is None else [problem]
                job_table.complete(job)
            case FetchInterrupted():
                self._fetch_interrupted(job, answer, server_state, now)
            case SaveInterrupted(effect=effect) if effect.tries < MOST_SAVES:
                self._disk_full(effect.path)
                job_table.effects.append(replace(effect, pause=WAIT, tries=effect.tries + 1))
            case ImageSaved(effect=effect, problem=problem) | SaveInterrupted(effect=effect, problem=problem):
                self._written(problem)
                job.streamed += [effect.path] if problem is None else []
                job.notes += [] if problem is None else [problem]
                job.saving -= 1
                job_table.complete(job)
            case EffectFailed(effect=effect, reason=reason):
                if isinstance(effect, SubmitPrompt):
                    job_table.answered(attempt)
                job_table.fail(job, reason)
            case _:
                assert_never(answer)

    def _answer_leftover(self, job: Job, attempt: Attempt, answer: Answer, now: float) -> None:
        """Apply the result of an effect for an attempt that was given up: only whether its server has it matters."""
        job_table, server_state = self._job_table, self.servers[attempt.server]
        match answer:
            case PromptSubmitted(ticket=ticket):
                job_table.answered(attempt)
                server_state.answered_post(now)
                if ticket.prompt != attempt.prompt and ticket.prompt not in job_table.prompts:
                    job_table.rename(job, attempt, ticket.prompt)
                job_table.cancel_prompt(job, attempt)
            case PromptRefused(certain=True):
                job_table.answered(attempt)
                job_table.released(job, attempt)
            case PromptRefused() | SubmitUncertain():
                job_table.answered(attempt)
                self._queries.ask(server_state, now)
            case PromptCancelled(acknowledged=acknowledged):
                self._cancel_answered(attempt, server_state, now, acknowledged=acknowledged)
            case HistoryRead():
                self._queries.ask(server_state, now)
            case EffectFailed(effect=effect):
                if isinstance(effect, SubmitPrompt):
                    job_table.answered(attempt)
                self._cancel_answered(attempt, server_state, now, acknowledged=False)
            case FileFetched() | FetchInterrupted() | ImageSaved() | SaveInterrupted():
                self._discard(answer)
            case _:
                assert_never(answer)

    def _cancel_answered(self, attempt: Attempt, server_state: ServerState, now: float, *, acknowledged: bool) -> None:
        """See whether the server dropped the prompt; at once only if it said so."""
        attempt.cancel_acknowledged = acknowledged
        if acknowledged:
            self._queries.ask(server_state, now)
        else:
            server_state.recheck(now + CANCEL_PAUSE)

    def _take_id(self, job: Job, attempt: Attempt, prompt: PromptId) -> bool:
        """Take over the id that an old server chose itself; fail the job and return False if it is another job's."""
        if prompt == attempt.prompt:
            return True
        if prompt in self._job_table.prompts:
            self._job_table.fail(job, PromptIdRepeated(attempt.server))
            return False
        self._job_table.rename(job, attempt, prompt)
        return True

    def _fetch_interrupted(self, job: Job, answer: FetchInterrupted, server_state: ServerState, now: float) -> None:
        """Try a file again, unless its server, which answers queries, has failed to send it too often."""
        job_table, effect = self._job_table, answer.effect
        counts = server_state.answers and not answer.disk_full
        job_table.downloads.no_room(effect, is_full=answer.disk_full)
        if answer.disk_full:
            self._disk_full(effect.path)
        if job_table.downloads.failed(effect, now, counts=counts):
            if isinstance(answer.reason, NetworkReason):
                self._queries.ask(server_state, now)
            return
        job_table.downloads.done(effect)
        job_table.give_up(job, effect.file, answer.reason)
        job_table.complete(job)

    def _disk_full(self, path: str) -> None:
        """Alert the operator that there is no room for a result at `path`."""
        self._disk_is_full = True
        self._job_table.alerts.append(Raised(DISK, DiskFull(str(PurePath(path).parent))))

    def _written(self, problem: JobReason | None) -> None:
        """Report the end of a full disk once a result was written."""
        if problem is None and self._disk_is_full:
            self._disk_is_full = False
            self._job_table.alerts.append(Cleared(DISK))

    def _tick(self, now: float) -> None:
        """Rule 5: query servers that are silent, and reconnect websockets that no longer deliver frames."""
        for server_state in self.servers.values():
            if server_state.deaf(now):
                self._job_table.effects.append(Reconnect(server_state.name))
            if now >= server_state.query_due() and self._watched(server_state):
                self._queries.ask(server_state, now)
        for job_id in [job_id for job_id, deadline in self._job_table.cancel_deadlines.items() if now >= deadline]:
            job = self._job_table.jobs[job_id]
            with self._job_table.contain(job, "a job could not be cancelled"):
                self._job_table.end_as_cancelled(job)

    def due(self) -> float:
        """The time, in the application's clock, at which time alone requires action; `inf` if no job needs any."""
        return min(
            min(self._job_table.cancel_deadlines.values(), default=NEVER),
            self._job_table.downloads.due,
            *(
                min(
                    server_state.deaf_at,
                    # The scheduler ends a rest in the turn of the tick.
                    server_state.rest.ends,
                    server_state.query_due() if self._watched(server_state) else NEVER,
                )
                for server_state in self.servers.values()
            ),
        )

    def _watched(self, server_state: ServerState) -> bool:
        """Whether a job depends on this server: one that it has, or, while it is unreachable, one that waits.

        A server that is off is not asked until it has been started; one that is being stopped is, until it is gone.
        """
        if server_state.off:
            return server_state.reachable
        if any(not attempt.posting for _, attempt in self._job_table.prompts.occupying(server_state.name)):
            return True
        if server_state.reachable:
            return False
        waiting = any(job.state is State.ACCEPTED for job in self._job_table.jobs.values())
        return waiting or any(self._job_table.prompts.fetching(server_state.name))


def _server_of(message: Message) -> ServerName | None:
    """The server that a message is from, if it is about the server itself."""
    match message:
        case FrameReceived(server=server) | Connected(server=server) | Disconnected(server=server):
            return server
        case ServerQueried(effect=effect) | Unreachable(effect=effect) | CommandEnded(effect=effect):
            return effect.server
        case _:
            return None
