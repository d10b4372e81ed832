"""What to believe: the websocket is a hint, HTTP is the truth, the journal is the memory.

`Reconciler` takes every message about the servers, keeps what is known of each, and tells the ledger what
happened to which job. The rules and their numbers are those of the section "The truth" in docs/DESIGN.md.
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

Message: TypeAlias = FrameReceived | Connected | Disconnected | EffectResult

NEVER = float("inf")

DEAD = 10
"""After so many times its usual silence, a job's server may have lost its worker, and we say that, too."""


class Reconciler:
    """Owns what is known of each server; changes jobs only through the ledger's verbs."""

    def __init__(self, job_table: JobTable, servers: Iterable[ServerName]) -> None:
        self.servers = {name: ServerState(name) for name in servers}
        self._job_table = job_table

    def adopt(self, job: Job, now: float) -> None:
        """Take in a job from an earlier life, also one whose server is no longer configured."""
        attempt = job.attempt
        if attempt is None or job.terminal_update is not None or attempt.server in self.servers:
            self._job_table.adopt(job, now)
        else:
            self._job_table.release(job, attempt)

    def job_of(self, message: Message) -> Job | None:
        """The job that a message is about; None where it is about a server, or about no job that we know."""
        match message:
            case FrameReceived(event=event):
                return None if isinstance(event, QueueChanged) else self._job_table.by_prompt.get(event.prompt)
            case Connected() | Disconnected() | Tick() | ServerQueried() | Unreachable():
                return None
            case _:
                return self._job_table.jobs.get(message.effect.job)

    def look_failed(self, server: ServerName, reason: str, now: float) -> None:
        """A look brought no answer, for whatever reason: the server counts as away, and may be looked at again."""
        self._away(self.servers[server], reason)
        self._query_over(self.servers[server], now)

    def handle(self, message: Message, now: float) -> None:
        """Take in one message at `now`, seconds of the house's clock."""
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
        """Rule 2: the end is `executing` with node null, and history decides what it was."""
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
                job.files[effect.file] = "" if problem else effect.path
                job.notes += [problem] if problem else []
                job_table.complete(job)
            case ImageSaved(effect=effect, problem=problem):
                job.streamed += [] if problem else [effect.path]
                job.notes += [problem] if problem else []
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
        """Rule 3: one mechanism for every catch-up; one look at a time; who asks meanwhile gets the next."""
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
        """Rule 4: in neither queue nor history means forgotten; a reading of another version is stale."""
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
        """What a look says of one job."""
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
        """Rule 7: silence is looked into, and told; it ends nothing that the server still works on."""
        # After a start the server may not have spoken to us yet, nor we have listened for long.
        quiet = now - max(server_state.last_frame_at, self._job_table.trackers[job.id].since)
        if quiet >= job.request.silence:
            # Told anew each time that it lasts as long again, and not after every look.
            length = quiet // job.request.silence * job.request.silence
            note = f"{server_state.name} still works on it, without a word for {length:.0f} s"
            if quiet >= job.request.silence * DEAD:
                note += "; it may hang: whoever runs it should look, or you can cancel"
            self._job_table.updates.append(self._job_table.trackers[job.id].read(now, note))

    def _away(self, server_state: ServerState, reason: str) -> None:
        server_state.reachable, server_state.reason = False, reason
        self._job_table.positions_dirty = True

    def _tick(self, now: float) -> None:
        """Rule 5: silence is looked into, and a deaf socket is replaced."""
        for server_state in self.servers.values():
            if server_state.deaf(now):
                self._job_table.effects.append(Reconnect(server_state.name))
            if now >= server_state.query_due() and self._watched(server_state):
                self._query(server_state, now)

    def due(self) -> float:
        """When, in the house's clock, time alone will change something: `inf` while nothing of ours is anywhere."""
        return min(
            min(server_state.deaf_at, server_state.query_due() if self._watched(server_state) else NEVER)
            for server_state in self.servers.values()
        )

    def _watched(self, server_state: ServerState) -> bool:
        """Whether anything of ours hangs on this server: a job that it has, or, while it is away, one that waits."""
        if any(not attempt.posting for _, attempt in self._job_table.in_flight(server_state.name)):
            return True
        return not server_state.reachable and any(job.state is State.ACCEPTED for job in self._job_table.jobs.values())
