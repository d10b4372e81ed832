"""What to believe: the websocket is a hint, HTTP is the truth, the journal is the memory.

`Truth` takes every message about the servers, keeps what is known of each, and tells the ledger what
happened to which job. The rules and their numbers are those of the section "The truth" in docs/DESIGN.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, assert_never

from app.core.effects import (
    Answer,
    EffectFailed,
    Fetched,
    Kept,
    Look,
    Looked,
    Post,
    Posted,
    PostRefused,
    PostUnsure,
    Read,
    ReadDone,
    Redial,
    Tick,
    Unreachable,
    Withdrawn,
)
from app.core.job import Attempt, Job, State
from app.core.job_table import Ledger
from app.core.results import streams
from app.core.server_state import Machine
from app.events import (
    Connected,
    Disconnected,
    ExecutionBlocked,
    ExecutionEnded,
    Failed,
    Heard,
    ImageStreamed,
    NodeFinished,
    Previewed,
    QueueChanged,
    ServerName,
    Signal,
)

Message: TypeAlias = Heard | Connected | Disconnected | Answer

NEVER = float("inf")

DEAD = 10
"""After so many times its usual silence, a job's server may have lost its worker, and we say that, too."""


class Truth:
    """Owns what is known of each server; changes jobs only through the ledger's verbs."""

    def __init__(self, ledger: Ledger, servers: Iterable[ServerName]) -> None:
        self.machines = {name: Machine(name) for name in servers}
        self._ledger = ledger

    def adopt(self, job: Job, now: float) -> None:
        """Take in a job from an earlier life, also one whose server is no longer configured."""
        attempt = job.attempt
        if attempt is None or job.last_word is not None or attempt.server in self.machines:
            self._ledger.adopt(job, now)
        else:
            self._ledger.release(job, attempt)

    def job_of(self, message: Message) -> Job | None:
        """The job that a message is about; None where it is about a server, or about no job that we know."""
        match message:
            case Heard(what=what):
                return None if isinstance(what, QueueChanged) else self._ledger.by_prompt.get(what.prompt)
            case Connected() | Disconnected() | Tick() | Looked() | Unreachable():
                return None
            case _:
                return self._ledger.jobs.get(message.errand.job)

    def look_failed(self, server: ServerName, reason: str, now: float) -> None:
        """A look brought no answer, for whatever reason: the server counts as away, and may be looked at again."""
        self._away(self.machines[server], reason)
        self._look_over(self.machines[server], now)

    def hear(self, message: Message, now: float) -> None:
        """Take in one message at `now`, seconds of the house's clock."""
        match message:
            case Heard(server=server, what=what):
                self.machines[server].frame(now)
                if isinstance(what, QueueChanged):
                    self._ledger.moved |= self.machines[server].status(now, what.remaining)
                elif (job := self._ledger.by_prompt.get(what.prompt)) is not None:
                    self._signal(job, what, now)
            case Connected(server=server):
                self.machines[server].connected(now)
                self._ledger.moved = True
                self._look(self.machines[server], now)
            case Disconnected(server=server, reason=reason):
                self.machines[server].reason = reason
            case Tick():
                self._tick(now)
            case Looked(errand=errand):
                self._looked(self.machines[errand.server], message, now)
            case Unreachable(errand=errand, reason=reason):
                self.look_failed(errand.server, reason, now)
            case _:
                job = self.job_of(message)
                if job is not None and job.attempt is not None and job.attempt.prompt == message.errand.prompt:
                    self._answer(job, job.attempt, message, now)

    def _signal(self, job: Job, what: Signal, now: float) -> None:
        """Rule 2: the end is `executing` with node null, and history decides what it was."""
        attempt = job.attempt
        if attempt is None or not job.in_flight:
            return
        if isinstance(what, ExecutionEnded):
            self._ledger.errands.append(Read(job.id, attempt.prompt, attempt.server))
            return
        self._ledger.running(job, attempt.server, now, "its websocket says so")
        match what:
            case ExecutionBlocked(node=node):
                job.blocked.append(node)
            case NodeFinished(output=output):
                for file in output.files:
                    if file.type == "output":
                        self._ledger.want(job, attempt, file)
            case ImageStreamed(display=display, image=image, media_type=kind):
                if display in streams(job.wish.graph):
                    self._ledger.keep(job, attempt, image, kind)
                else:
                    self._ledger.news.append(Previewed(job=job.id, image=image, media_type=kind))
            case _:
                pass
        meter = self._ledger.meters[job.id]
        if meter.hear(what, now):
            self._ledger.news.append(meter.read(now))

    def _answer(
        self,
        job: Job,
        attempt: Attempt,
        answer: Posted | PostRefused | PostUnsure | ReadDone | Withdrawn | Fetched | Kept | EffectFailed,
        now: float,
    ) -> None:
        ledger, machine = self._ledger, self.machines[attempt.server]
        match answer:
            case Posted(ticket=ticket):
                ledger.answered(attempt)
                machine.answered_post(now)
                job.notes += ticket.dropped
                if ticket.prompt != attempt.prompt:
                    ledger.rename(job, attempt, ticket.prompt)
                ledger.queued(job, "its POST was answered")
                if job.cancelling:
                    ledger.withdraw(job, attempt)
            case PostRefused(reason=reason, certain=True):
                ledger.settle(job, State.FAILED, Failed(job=job.id, reason=reason))
            case PostRefused(reason=reason):
                ledger.answered(attempt)
                job.refusals += 1
                job.notes = [reason]
                self._look(machine, now)
            case PostUnsure(reason=reason):
                ledger.answered(attempt)
                self._away(machine, reason)
                self._look(machine, now)
            case ReadDone(history=history):
                if history is None:
                    self._look(machine, now)
                else:
                    ledger.ended(job, history)
            case Withdrawn(heard=heard):
                attempt.withdrawn = heard
                self._look(machine, now)
            case Fetched(errand=errand, problem=problem):
                job.files[errand.file] = "" if problem else errand.path
                job.notes += [problem] if problem else []
                ledger.complete(job)
            case Kept(errand=errand, problem=problem):
                job.streamed += [] if problem else [errand.path]
                job.notes += [problem] if problem else []
                job.saving -= 1
                ledger.complete(job)
            case EffectFailed(errand=errand, reason=reason):
                if isinstance(errand, Post):
                    ledger.answered(attempt)
                if job.last_word is None:
                    ledger.fail(job, reason)
            case _:
                assert_never(answer)

    def _look(self, machine: Machine, now: float) -> None:
        """Rule 3: one mechanism for every catch-up; one look at a time; who asks meanwhile gets the next."""
        if machine.looking:
            machine.look_again = True
            return
        asked = {a.prompt: job.version for job, a in self._ledger.in_flight(machine.name) if not a.posting}
        machine.looking, machine.look_again, machine.looked = True, False, now
        self._ledger.errands.append(Look(machine.name, asked))

    def _look_over(self, machine: Machine, now: float) -> None:
        machine.looking = False
        if machine.look_again:
            self._look(machine, now)

    def _looked(self, machine: Machine, seen: Looked, now: float) -> None:
        """Rule 4: in neither queue nor history means forgotten; a reading of another version is stale."""
        if not machine.reachable:
            machine.reachable = self._ledger.moved = True
        for prompt, version in seen.errand.asked.items():
            job = self._ledger.by_prompt.get(prompt)
            if job is None or job.attempt is None or job.version != version:
                continue
            with self._ledger.contain(job, "what a look says of a job could not be handled"):
                self._found(job, job.attempt, machine, seen, now)
        self._look_over(machine, now)

    def _found(self, job: Job, attempt: Attempt, machine: Machine, seen: Looked, now: float) -> None:
        """What a look says of one job."""
        prompt, pending = attempt.prompt, seen.queue.pending
        if prompt in seen.queue.running:
            if job.state < State.RUNNING:
                machine.learned(now)
            self._ledger.running(job, machine.name, now, "a look at the queue")
            self._quiet(job, machine, now)
        elif prompt in pending:
            self._ledger.queued(job, "a look at the queue")
            before = pending[: pending.index(prompt)]
            ahead = (*seen.queue.running, *before)
            foreign = sum(other not in self._ledger.by_prompt for other in ahead)
            self._ledger.moved |= foreign != attempt.foreign
            attempt.foreign = foreign
        elif (history := seen.histories.get(prompt)) is not None:
            machine.learned(now)
            self._ledger.ended(job, history)
        elif (failure := seen.failures.get(prompt)) is not None:
            self._ledger.fail(job, failure)
        else:
            self._ledger.gone(job, attempt)
        if job.cancelling and job.in_flight and job.attempt and not job.attempt.withdrawn:
            self._ledger.withdraw(job, job.attempt)

    def _quiet(self, job: Job, machine: Machine, now: float) -> None:
        """Rule 7: silence is looked into, and told; it ends nothing that the server still works on."""
        # After a start the server may not have spoken to us yet, nor we have listened for long.
        quiet = now - max(machine.spoke, self._ledger.meters[job.id].since)
        if quiet >= job.wish.silence:
            # Told anew each time that it lasts as long again, and not after every look.
            length = quiet // job.wish.silence * job.wish.silence
            note = f"{machine.name} still works on it, without a word for {length:.0f} s"
            if quiet >= job.wish.silence * DEAD:
                note += "; it may hang: whoever runs it should look, or you can cancel"
            self._ledger.news.append(self._ledger.meters[job.id].read(now, note))

    def _away(self, machine: Machine, reason: str) -> None:
        machine.reachable, machine.reason = False, reason
        self._ledger.moved = True

    def _tick(self, now: float) -> None:
        """Rule 5: silence is looked into, and a deaf socket is replaced."""
        for machine in self.machines.values():
            if machine.deaf(now):
                self._ledger.errands.append(Redial(machine.name))
            if now >= machine.look_due() and self._watched(machine):
                self._look(machine, now)

    def due(self) -> float:
        """When, in the house's clock, time alone will change something: `inf` while nothing of ours is anywhere."""
        return min(
            min(machine.deaf_at, machine.look_due() if self._watched(machine) else NEVER)
            for machine in self.machines.values()
        )

    def _watched(self, machine: Machine) -> bool:
        """Whether anything of ours hangs on this server: a job that it has, or, while it is away, one that waits."""
        if any(not attempt.posting for _, attempt in self._ledger.in_flight(machine.name)):
            return True
        return not machine.reachable and any(job.state is State.ACCEPTED for job in self._ledger.jobs.values())
