"""Merges websocket events, query results and effect results into the state of the jobs.

The websocket is only a hint and HTTP decides; the journal keeps what was learned. `Reconciler` handles every message
about a server, keeps the state of each server, and applies what happened to the job table. The rules and their numbers
are those of docs/DESIGN.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, assert_never

from app.core.effects import (
    EffectFailed,
    EffectResult,
    FileFetched,
    HistoryRead,
    ImageSaved,
    PromptCancelled,
    PromptRefused,
    PromptSubmitted,
    QueryServer,
    ReadHistory,
    Reconnect,
    ServerQueried,
    SubmitPrompt,
    SubmitUncertain,
    Tick,
    Unreachable,
)
from app.core.job import Attempt, Job, State
from app.core.job_table import JobTable
from app.core.results import streams
from app.core.server_state import ServerState
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
    QueueChanged,
    ServerName,
    Signal,
)
from app.reasons import Reason
from app.reasons.jobs import NoProgress

Message: TypeAlias = FrameReceived | Connected | Disconnected | EffectResult

NEVER = float("inf")

DEAD = 10
"""After this many times `JobRequest.silence`, the worker of the server may have died, and the note says so."""


class Reconciler:
    """Owns the state of each server; changes jobs mostly through the methods of the job table."""

    def __init__(self, job_table: JobTable, servers: Iterable[ServerName]) -> None:
        self.servers = {name: ServerState(name) for name in servers}
        self._job_table = job_table

    def adopt(self, job: Job, now: float) -> None:
        """Load an unfinished job from the journal, even if its server is no longer configured."""
        attempt = job.attempt
        if attempt is None or job.terminal_update is not None or attempt.server in self.servers:
            self._job_table.adopt(job, now)
        else:
            self._job_table.release(job, attempt)

    def job_of(self, message: Message) -> Job | None:
        """The job that a message is about; None if it is about a server or an unknown job."""
        match message:
            case FrameReceived(event=event):
                return None if isinstance(event, QueueChanged) else self._job_table.by_prompt.get(event.prompt)
            case Connected() | Disconnected() | Tick() | ServerQueried() | Unreachable():
                return None
            case _:
                return self._job_table.jobs.get(message.effect.job)

    def look_failed(self, server: ServerName, reason: Reason, now: float) -> None:
        """Record that a query failed: the server counts as unreachable, and the next query may start."""
        self._away(self.servers[server], reason)
        self._query_over(self.servers[server], now)

    def handle(self, message: Message, now: float) -> None:
        """Handle one message at `now`, in seconds of the application's clock."""
        match message:
            case FrameReceived(server=server, event=event):
                self.servers[server].frame(now)
                if isinstance(event, QueueChanged):
                    self._job_table.positions_dirty |= self.servers[server].status(now, event.remaining)
                elif (job := self._job_table.by_prompt.get(event.prompt)) is not None:
                    self._signal(job, event, now)
            case Connected(server=server):
                self.servers[server].connected(now)
                self._job_table.positions_dirty = True
                self._query(self.servers[server], now)
            case Disconnected(server=server, reason=reason):
                self.servers[server].reason = reason
            case Tick():
                self._tick(now)
            case ServerQueried(effect=effect):
                self._queried(self.servers[effect.server], message, now)
            case Unreachable(effect=effect, reason=reason):
                self.look_failed(effect.server, reason, now)
            case _:
                job = self.job_of(message)
                if job is not None and job.attempt is not None and job.attempt.prompt == message.effect.prompt:
                    self._answer(job, job.attempt, message, now)

    def _signal(self, job: Job, event: Signal, now: float) -> None:
        """Apply a signal to its job. Rule 2: `executing` with node null is the end; the history decides the outcome."""
        attempt = job.attempt
        if attempt is None or not job.in_flight:
            return
        if isinstance(event, ExecutionEnded):
            self._job_table.effects.append(ReadHistory(job.id, attempt.prompt, attempt.server))
            return
        self._job_table.running(job, attempt.server, now, "its websocket says so")
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
                    self._job_table.updates.append(Previewed(job=job.id, image=image, media_type=kind))
            case _:
                pass
        tracker = self._job_table.trackers[job.id]
        if tracker.handle(event, now):
            self._job_table.updates.append(tracker.read(now))

    def _answer(
        self,
        job: Job,
        attempt: Attempt,
        answer: PromptSubmitted
        | PromptRefused
        | SubmitUncertain
        | HistoryRead
        | PromptCancelled
        | FileFetched
        | ImageSaved
        | EffectFailed,
        now: float,
    ) -> None:
        job_table, server_state = self._job_table, self.servers[attempt.server]
        match answer:
            case PromptSubmitted(ticket=ticket):
                job_table.answered(attempt)
                server_state.answered_post(now)
                job.notes += ticket.dropped
                if ticket.prompt != attempt.prompt:
                    job_table.rename(job, attempt, ticket.prompt)
                job_table.queued(job, "its POST was answered")
                if job.cancelling:
                    job_table.cancel_prompt(job, attempt)
            case PromptRefused(reason=reason, certain=True):
                job_table.settle(job, State.FAILED, Failed(job=job.id, reason=reason))
            case PromptRefused(reason=reason):
                job_table.answered(attempt)
                job.refusals += 1
                job.notes = [reason]
                self._query(server_state, now)
            case SubmitUncertain(reason=reason):
                job_table.answered(attempt)
                self._away(server_state, reason)
                self._query(server_state, now)
            case HistoryRead(history=history):
                if history is None:
                    self._query(server_state, now)
                else:
                    job_table.ended(job, history)
            case PromptCancelled(acknowledged=acknowledged):
                attempt.cancel_acknowledged = acknowledged
                self._query(server_state, now)
            case FileFetched(effect=effect, problem=problem):
                job.files[effect.file] = effect.path if problem is None else ""
                job.notes += [] if problem is None else [problem]
                job_table.complete(job)
            case ImageSaved(effect=effect, problem=problem):
                job.streamed += [effect.path] if problem is None else []
                job.notes += [] if problem is None else [problem]
                job.saving -= 1
                job_table.complete(job)
            case EffectFailed(effect=effect, reason=reason):
                if isinstance(effect, SubmitPrompt):
                    job_table.answered(attempt)
                if job.terminal_update is None:
                    job_table.fail(job, reason)
            case _:
                assert_never(answer)

    def _query(self, server_state: ServerState, now: float) -> None:
        """Query the server. Rule 3: this one mechanism serves every catch-up.

        Only one query runs at a time; a request during a query starts another one after it.
        """
        if server_state.querying:
            server_state.query_again = True
            return
        asked = {a.prompt: job.version for job, a in self._job_table.in_flight(server_state.name) if not a.posting}
        server_state.querying, server_state.query_again, server_state.queried_at = True, False, now
        self._job_table.effects.append(QueryServer(server_state.name, asked))

    def _query_over(self, server_state: ServerState, now: float) -> None:
        server_state.querying = False
        if server_state.query_again:
            self._query(server_state, now)

    def _queried(self, server_state: ServerState, seen: ServerQueried, now: float) -> None:
        """Apply a query's result. Rule 4: a prompt in neither queue nor history was forgotten.

        A result for another version of the job is stale and is ignored.
        """
        if not server_state.reachable:
            server_state.reachable = self._job_table.positions_dirty = True
        for prompt, version in seen.effect.asked.items():
            job = self._job_table.by_prompt.get(prompt)
            if job is None or job.attempt is None or job.version != version:
                continue
            with self._job_table.contain(job, "what a look says of a job could not be handled"):
                self._found(job, job.attempt, server_state, seen, now)
        self._query_over(server_state, now)

    def _found(self, job: Job, attempt: Attempt, server_state: ServerState, seen: ServerQueried, now: float) -> None:
        """Apply a query's result to one job."""
        prompt, pending = attempt.prompt, seen.queue.pending
        if prompt in seen.queue.running:
            if job.state < State.RUNNING:
                server_state.learned(now)
            self._job_table.running(job, server_state.name, now, "a look at the queue")
            self._quiet(job, server_state, now)
        elif prompt in pending:
            self._job_table.queued(job, "a look at the queue")
            before = pending[: pending.index(prompt)]
            ahead = (*seen.queue.running, *before)
            foreign = sum(other not in self._job_table.by_prompt for other in ahead)
            self._job_table.positions_dirty |= foreign != attempt.foreign
            attempt.foreign = foreign
        elif (history := seen.histories.get(prompt)) is not None:
            server_state.learned(now)
            self._job_table.ended(job, history)
        elif (failure := seen.failures.get(prompt)) is not None:
            self._job_table.fail(job, failure)
        else:
            self._job_table.gone(job, attempt)
        if job.cancelling and job.in_flight and job.attempt and not job.attempt.cancel_acknowledged:
            self._job_table.cancel_prompt(job, job.attempt)

    def _quiet(self, job: Job, server_state: ServerState, now: float) -> None:
        """Rule 7: tell the user about a long silence; it never ends a job that the server is still running."""
        # A connection or a job that has just started may not have produced a frame yet.
        quiet = now - max(server_state.last_frame_at, self._job_table.trackers[job.id].since)
        if quiet >= job.request.silence:
            # The note changes only once per `silence` seconds, not with every query.
            length = quiet // job.request.silence * job.request.silence
            note = NoProgress(server_state.name, length, stuck=quiet >= job.request.silence * DEAD)
            self._job_table.updates.append(self._job_table.trackers[job.id].read(now, note))

    def _away(self, server_state: ServerState, reason: Reason) -> None:
        server_state.reachable, server_state.reason = False, reason
        self._job_table.positions_dirty = True

    def _tick(self, now: float) -> None:
        """Rule 5: query servers that are silent, and reconnect websockets that no longer deliver frames."""
        for server_state in self.servers.values():
            if server_state.deaf(now):
                self._job_table.effects.append(Reconnect(server_state.name))
            if now >= server_state.query_due() and self._watched(server_state):
                self._query(server_state, now)

    def due(self) -> float:
        """The time, in the application's clock, at which time alone requires action; `inf` if no job needs any."""
        return min(
            min(server_state.deaf_at, server_state.query_due() if self._watched(server_state) else NEVER)
            for server_state in self.servers.values()
        )

    def _watched(self, server_state: ServerState) -> bool:
        """Whether a job depends on this server: one that it has, or, while it is unreachable, one that waits."""
        if any(not attempt.posting for _, attempt in self._job_table.in_flight(server_state.name)):
            return True
        return not server_state.reachable and any(job.state is State.ACCEPTED for job in self._job_table.jobs.values())
