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
    QueryServer,
    ReadHistory,
    Reconnect,
    SaveInterrupted,
    ServerQueried,
    SubmitPrompt,
    SubmitUncertain,
    Tick,
    Unreachable,
)
from app.core.jobs.downloads import LONGEST, WAIT
from app.core.jobs.job import Attempt, Job, JobRequest, State
from app.core.jobs.results import streams
from app.core.jobs.table import JobTable
from app.core.servers.able_servers import AbleServers
from app.core.servers.state import FAILOVER_PAID, FAILOVER_RUNNING, RECHECK, ServerSettings, ServerState
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
from app.ports import History
from app.reasons import Reason
from app.reasons.alerts import DiskFull
from app.reasons.jobs import JobReason, NoProgress, PromptIdRepeated
from app.reasons.servers import NetworkReason

Message: TypeAlias = FrameReceived | Connected | Disconnected | EffectResult

NEVER = float("inf")

DEAD = 10
"""After this many times `JobRequest.silence`, the worker of the server may have died, and the note says so."""

UNREADABLE = History("unreadable")

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
        self._disk_is_full = False
        """Whether the disk was full for a result, and none has been saved since."""

    def adopt(self, job: Job, now: float) -> None:
        """Load an unfinished job from the journal, even if its servers are no longer configured."""
        attempt = job.attempt
        if attempt is None or job.terminal_update is not None or attempt.server in self.servers:
            self._job_table.adopt(job, now)
        else:
            self._job_table.adopt_leftovers(job)
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
                return None if isinstance(event, QueueChanged) else self._job_table.by_prompt.get(event.prompt)
            case Connected() | Disconnected() | Tick() | ServerQueried() | Unreachable() | CommandEnded():
                return None
            case _:
                return self._job_table.jobs.get(message.effect.job)

    def query_failed(self, server: ServerName, reason: Reason, now: float) -> None:
        """Record that a query failed: the server counts as unreachable, and the next query may start."""
        if server not in self.servers:
            return
        self._away(self.servers[server], reason, now)
        self._fail_over(self.servers[server], now)
        self._query_over(self.servers[server], now)

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
                elif (job := self._job_table.by_prompt.get(event.prompt)) is not None:
                    self._signal(job, event, now)
            case Connected(server=server):
                self.servers[server].connected(now)
                self._job_table.touch_server(server)
                self._job_table.tally.connections[server] += 1
                self._query(self.servers[server], now)
            case Disconnected(server=server, reason=reason):
                server_state = self.servers[server]
                server_state.reason, server_state.listening = reason, False
                if server_state.power is not None and server_state.power.phase not in {"off", "starting"}:
                    # Nobody may wait for it, and yet it must be known whether it is on.
                    self._query(server_state, now)
            case Tick():
                self._tick(now)
            case CommandEnded():
                # That is a matter of `PowerPlan`.
                pass
            case ServerQueried(effect=effect):
                self._job_table.tally.catch_ups[effect.server] += 1
                self._queried(self.servers[effect.server], message, now)
            case Unreachable(effect=effect, reason=reason, histories=histories):
                self._job_table.tally.failed_catch_ups[effect.server] += 1
                for prompt in effect.asked.keys() & histories.keys():
                    self._history_read(prompt, effect.asked[prompt], histories[prompt])
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
                self._query(self.servers[leftover.server], now)
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
                self._query(server_state, now)
            case SubmitUncertain(reason=reason, sent=sent):
                job_table.answered(attempt)
                attempt.never_ran = not sent
                self._away(server_state, reason, now)
                self._query(server_state, now)
            case HistoryRead(history=history):
                if history is None:
                    self._query(server_state, now)
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
                if ticket.prompt != attempt.prompt and ticket.prompt not in job_table.by_prompt:
                    job_table.rename(job, attempt, ticket.prompt)
                job_table.cancel_prompt(job, attempt)
            case PromptRefused(certain=True):
                job_table.answered(attempt)
                job_table.released(job, attempt)
            case PromptRefused() | SubmitUncertain():
                job_table.answered(attempt)
                self._query(server_state, now)
            case PromptCancelled(acknowledged=acknowledged):
                self._cancel_answered(attempt, server_state, now, acknowledged=acknowledged)
            case HistoryRead():
                self._query(server_state, now)
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
            self._query(server_state, now)
        else:
            server_state.recheck(now + CANCEL_PAUSE)

    def _take_id(self, job: Job, attempt: Attempt, prompt: PromptId) -> bool:
        """Take over the id that an old server chose itself; fail the job and return False if it is another job's."""
        if prompt == attempt.prompt:
            return True
        if prompt in self._job_table.by_prompt:
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
                self._query(server_state, now)
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

    def _query(self, server_state: ServerState, now: float) -> None:
        """Query the server. Rule 3: this one mechanism serves every catch-up.

        Only one query runs at a time; a request during a query starts another one after it.
        """
        if server_state.querying:
            server_state.query_again = True
            return
        asked = {a.prompt: job.version for job, a in self._job_table.occupying(server_state.name) if not a.posting}
        server_state.querying, server_state.query_again, server_state.queried_at = True, False, now
        server_state.recheck_at = NEVER
        self._job_table.effects.append(QueryServer(server_state.name, asked))

    def _query_over(self, server_state: ServerState, now: float) -> None:
        server_state.querying = False
        if server_state.query_again:
            self._query(server_state, now)

    def _queried(self, server_state: ServerState, seen: ServerQueried, now: float) -> None:
        """Apply a query's result. Rule 4: a prompt in neither queue nor history was forgotten.

        A result for another version of the job is stale and is ignored.
        """
        was_away = server_state.back()
        for prompt, version in seen.effect.asked.items():
            job = self._job_table.by_prompt.get(prompt)
            if job is None:
                continue
            with self._job_table.contain(job, "a query's result for a job could not be handled"):
                if (leftover := job.leftover(prompt)) is not None:
                    self._apply_query_to_leftover(job, leftover, server_state, seen, now)
                elif job.attempt is not None and job.version == version:
                    self._apply_query(job, job.attempt, server_state, seen, now)
        if was_away:
            self._back(server_state, now)
        self._query_over(server_state, now)

    def _history_read(self, prompt: PromptId, version: int, history: History) -> None:
        """Apply a history that was read although the server's queue cannot be."""
        job = self._job_table.by_prompt.get(prompt)
        if job is not None and job.attempt is not None and job.attempt.prompt == prompt and job.version == version:
            with self._job_table.contain(job, "a history could not be handled"):
                self._job_table.ended(job, history)

    def _apply_query(
        self, job: Job, attempt: Attempt, server_state: ServerState, seen: ServerQueried, now: float
    ) -> None:
        """Apply a query's result to one job."""
        prompt, pending = attempt.prompt, seen.queue.pending
        if prompt in seen.queue.running:
            if job.state < State.RUNNING:
                server_state.learned(now)
            self._job_table.running(job, server_state.name, now, "seen in the server's queue")
            self._quiet(job, server_state, now)
        elif prompt in pending:
            self._job_table.queued(job, "seen in the server's queue")
            before = pending[: pending.index(prompt)]
            ahead = (*seen.queue.running, *before)
            foreign = sum(other not in self._job_table.by_prompt for other in ahead)
            if foreign != attempt.foreign:
                attempt.foreign = foreign
                self._job_table.touch(job)
        elif (history := seen.histories.get(prompt)) is not None:
            server_state.learned(now)
            self._job_table.ended(job, history)
        elif (failure := seen.failures.get(prompt)) is not None:
            self._job_table.fail(job, failure)
        elif prompt in seen.unread:
            if not self._reads_again(attempt, server_state, now):
                self._job_table.ended(job, UNREADABLE)
        else:
            self._job_table.gone(job, attempt)
        if job.cancelling and job.in_flight and job.attempt and not job.attempt.cancel_acknowledged:
            self._job_table.cancel_prompt(job, job.attempt)

    def _apply_query_to_leftover(
        self, job: Job, attempt: Attempt, server_state: ServerState, seen: ServerQueried, now: float
    ) -> None:
        """Apply a query's result to an attempt that was given up.

        Rule 11: if its server comes back before another one was faster, the job continues with it.
        """
        job_table, prompt = self._job_table, attempt.prompt
        history = seen.histories.get(prompt)
        waits = job.terminal_update is None and job.state is State.ACCEPTED and not job.cancelling
        if prompt in seen.queue.running or prompt in seen.queue.pending:
            if waits and not server_state.leaving:
                job_table.take_back(job, attempt)
                self._apply_query(job, attempt, server_state, seen, now)
            elif not attempt.cancel_acknowledged:
                job_table.cancel_prompt(job, attempt)
        elif history is not None:
            undecided = job.terminal_update is None and job.history is None and not job.cancelling
            dropped = server_state.leaving and history.outcome == "interrupted"
            if (waits and not dropped) or (undecided and history.outcome == "success"):
                job_table.take_back(job, attempt)
                job_table.ended(job, history)
            else:
                job_table.released(job, attempt)
        elif prompt not in seen.unread or not self._reads_again(attempt, server_state, now):
            job_table.released(job, attempt)

    def _reads_again(self, attempt: Attempt, server_state: ServerState, now: float) -> bool:
        """Plan another reading of a history that could not be read; return False if it was read often enough."""
        if attempt.unread == len(RECHECK):
            return False
        server_state.recheck(now + RECHECK[attempt.unread])
        attempt.unread += 1
        return True

    def _quiet(self, job: Job, server_state: ServerState, now: float) -> None:
        """Rule 7: tell the user about a long silence; it never ends a job that the server is still running."""
        # A connection or a job that has just started may not have produced a frame yet.
        quiet = now - max(server_state.last_frame_at, self._job_table.trackers[job.id].since)
        if quiet >= job.request.silence:
            # The note changes only once per `silence` seconds, not with every query.
            length = quiet // job.request.silence * job.request.silence
            note = NoProgress(server_state.name, length, stuck=quiet >= job.request.silence * DEAD)
            self._job_table.tell(job, self._job_table.trackers[job.id].read(now, note))

    def _away(self, server_state: ServerState, reason: Reason, now: float) -> None:
        self._job_table.touch_server(server_state.name)
        for _, attempt in self._job_table.occupying(server_state.name):
            attempt.unread = 0
        if server_state.unreachable(reason, now):
            self._job_table.downloads.server_away(server_state.name)
            self._update_running(server_state, now)

    def _back(self, server_state: ServerState, now: float) -> None:
        """Continue what waited for this server, here and at servers that are away."""
        self._job_table.touch_server(server_state.name)
        self._job_table.downloads.server_back(server_state.name)
        self._update_running(server_state, now)
        for other in self.servers.values():
            self._fail_over(other, now)

    def _update_running(self, server_state: ServerState, now: float) -> None:
        """Queue an update for each running job that says whether its server is away."""
        for job, _ in self._job_table.in_flight(server_state.name):
            if (tracker := self._job_table.trackers.get(job.id)) is not None:
                self._job_table.tell(job, tracker.read(now, server_state.offline_note))

    def _fail_over(self, server_state: ServerState, now: float) -> None:
        """Rule 11: move the jobs of a server that does not come back to others that can run them."""
        away = now - server_state.away_since
        if server_state.reachable or away < server_state.failover_after:
            return
        running, name = FAILOVER_RUNNING * server_state.failover_after, server_state.name
        for job, attempt in [*self._job_table.in_flight(name), *self._job_table.fetching(name)]:
            patience = server_state.failover_after if job.state < State.RUNNING else running
            if job.may_cost_again:
                # It cannot go elsewhere, and what was paid for may still arrive.
                patience = FAILOVER_PAID
            others = (self.servers[other] for other in self.able.of(job.request) if other != name)
            is_over = job.may_cost_again or any(other.takes_jobs for other in others)
            if attempt.posting or job.cancelling or away < patience or not is_over:
                continue
            with self._job_table.contain(job, "a job could not be moved to another server"):
                self._job_table.move_on(job, f"{name} did not come back within {patience:.0f} s")

    def fail_over(self, now: float) -> None:
        """Move what can be moved from servers that do not come back, because jobs may run elsewhere now."""
        for server_state in self.servers.values():
            self._fail_over(server_state, now)

    def _tick(self, now: float) -> None:
        """Rule 5: query servers that are silent, and reconnect websockets that no longer deliver frames."""
        for server_state in self.servers.values():
            if server_state.deaf(now):
                self._job_table.effects.append(Reconnect(server_state.name))
            if now >= server_state.query_due() and self._watched(server_state):
                self._query(server_state, now)
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
        if any(not attempt.posting for _, attempt in self._job_table.occupying(server_state.name)):
            return True
        if server_state.reachable:
            return False
        waiting = any(job.state is State.ACCEPTED for job in self._job_table.jobs.values())
        return waiting or any(self._job_table.fetching(server_state.name))


def _server_of(message: Message) -> ServerName | None:
    """The server that a message is from, if it is about the server itself."""
    match message:
        case FrameReceived(server=server) | Connected(server=server) | Disconnected(server=server):
            return server
        case ServerQueried(effect=effect) | Unreachable(effect=effect) | CommandEnded(effect=effect):
            return effect.server
        case _:
            return None
