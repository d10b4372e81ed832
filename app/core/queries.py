"""Queries of servers, and what their results mean for the jobs (docs/DESIGN.md, rules 3, 4, 7 and 11)."""

from __future__ import annotations

from collections.abc import Mapping

from app.core.effects import QueryServer, ServerQueried
from app.core.failover import Failover
from app.core.jobs.job import Attempt, Job, State
from app.core.jobs.table import JobTable
from app.core.servers.state import RECHECK, ServerState
from app.events import PromptId, ServerName
from app.ports import History
from app.reasons import Reason
from app.reasons.jobs import NoProgress

DEAD = 10
"""After this many times `JobRequest.silence`, the worker of the server may have died, and the note says so."""

UNREADABLE = History("unreadable")


class Queries:
    """Asks each server what it has of ours, one query at a time, and applies the results to the jobs.

    `servers` and `failover` are the reconciler's.
    """

    def __init__(self, job_table: JobTable, servers: Mapping[ServerName, ServerState], failover: Failover) -> None:
        self._job_table = job_table
        self._servers = servers
        self._failover = failover

    def ask(self, server_state: ServerState, now: float) -> None:
        """Query a server. Rule 3: this one mechanism serves every catch-up.

        Only one query runs at a time; a request during a query starts another one after it.
        """
        if server_state.querying:
            server_state.query_again = True
            return
        asked = {
            a.prompt: job.version for job, a in self._job_table.prompts.occupying(server_state.name) if not a.posting
        }
        server_state.querying, server_state.query_again, server_state.queried_at = True, False, now
        server_state.recheck_at = float("inf")
        self._job_table.effects.append(QueryServer(server_state.name, asked))

    def succeeded(self, seen: ServerQueried, now: float) -> None:
        """Apply a query's result. Rule 4: a prompt in neither queue nor history was forgotten.

        A result for another version of the job is stale and is ignored.
        """
        server_state = self._servers[seen.effect.server]
        was_away = server_state.back()
        if server_state.queue_read(len(seen.queue.running) + len(seen.queue.pending)):
            self._job_table.touch_server(server_state.name)
        for prompt, version in seen.effect.asked.items():
            job = self._job_table.prompts.get(prompt)
            if job is None:
                continue
            with self._job_table.contain(job, "a query's result for a job could not be handled"):
                if (leftover := job.leftover(prompt)) is not None:
                    self._apply_query_to_leftover(job, leftover, server_state, seen, now)
                elif job.attempt is not None and job.version == version:
                    self._apply_query(job, job.attempt, server_state, seen, now)
        if was_away:
            self._failover.back(server_state, now)
        self._over(server_state, now)

    def failed(self, server: ServerName, reason: Reason, now: float) -> None:
        """Record that a query failed: the server counts as unreachable, and the next query may start."""
        server_state = self._servers[server]
        self._failover.away(server_state, reason, now)
        self._failover.move(server_state, now)
        self._over(server_state, now)

    def history_read(self, prompt: PromptId, version: int, history: History) -> None:
        """Apply a history that was read although the server's queue cannot be."""
        job = self._job_table.prompts.get(prompt)
        if job is not None and job.attempt is not None and job.attempt.prompt == prompt and job.version == version:
            with self._job_table.contain(job, "a history could not be handled"):
                self._job_table.ended(job, history)

    def _over(self, server_state: ServerState, now: float) -> None:
        server_state.querying = False
        if server_state.query_again:
            self.ask(server_state, now)

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
            foreign = sum(other not in self._job_table.prompts for other in ahead)
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
