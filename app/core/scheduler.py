"""Assigns waiting jobs to servers and computes queue positions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from app.core.job import Attempt, Job, State
from app.core.job_table import JobTable
from app.core.server_state import ServerState
from app.events import AnyUpdate, JobId, PromptId, Queued, ServerName, Started
from app.reasons.jobs import JobReason, SentAgain, ServersOffline


def choose(
    waiting: Sequence[tuple[JobId, Collection[ServerName]]], free: Mapping[ServerName, int]
) -> list[tuple[JobId, ServerName]]:
    """Pair waiting jobs with servers that have free slots: first come, first served, emptiest server first.

    `waiting` is in order of arrival, each job with the servers that can run it. `free` is the number of free slots of
    each server that accepts another job now. Each server gets at most one job: of two concurrent POSTs the later one
    could arrive first.
    """
    places = dict(free)
    pairs: list[tuple[JobId, ServerName]] = []
    for job, able in waiting:
        open_to_it = [name for name, left in places.items() if left > 0 and name in able]
        # A job that must wait for one server does not block jobs that can go to another.
        if open_to_it:
            server = max(open_to_it, key=lambda name: places[name])
            del places[server]
            pairs.append((job, server))
        if not places:
            break
    return pairs


def positions(
    at_server: Iterable[tuple[JobId, ServerName, int]],
    waiting: Iterable[JobId],
    load: Mapping[ServerName, int],
    leftovers: Mapping[ServerName, int],
) -> dict[JobId, int]:
    """The number of prompts ahead of each job that is not running, ours and other clients'; 0 is next.

    `at_server` are our prompts on servers, oldest first but running ones before the others, each with the number of
    foreign prompts ahead of it. `load` is everything that each server has or is being sent, from any client;
    `leftovers` are those of them that we gave up and that the server has not dropped yet.
    """
    ahead: dict[JobId, int] = {}
    ours = dict(leftovers)
    for job, server, foreign in at_server:
        ahead[job] = ours.get(server, 0) + foreign
        ours[server] = ours.get(server, 0) + 1
    base = sum(load.values())
    for place, job in enumerate(waiting):
        ahead[job] = base + place
    return ahead


class Scheduler:
    """Keeps at most `depth` of our jobs on a server; the rest wait here, where ordering and cancelling are instant.

    `new_prompt_id` creates prompt ids.
    """

    def __init__(
        self,
        job_table: JobTable,
        servers: Mapping[ServerName, ServerState],
        depth: int,
        new_prompt_id: Callable[[], PromptId],
    ) -> None:
        self._job_table = job_table
        self._servers = servers
        self._depth = depth
        self._new_prompt_id = new_prompt_id
        self._queued_updates: dict[JobId, Queued] = {}
        self.open = True
        """Whether waiting jobs are submitted; if False, only jobs that servers already have continue."""

    def plan(self, now: float) -> None:
        """Assign waiting jobs to servers and update the queue positions; called after each batch of messages."""
        if not self._job_table.positions_dirty:
            return
        load: dict[ServerName, int] = {}
        free: dict[ServerName, int] = {}
        for name, server_state in self._servers.items():
            attempts = [attempt for _, attempt in self._job_table.occupying(name)]
            load[name] = len(attempts)
            if any(attempt.posting for attempt in attempts):
                # Of two concurrent POSTs the later job's may arrive first.
                continue
            server_state.count_foreign(len(attempts))
            if self.open and server_state.reachable:
                free[name] = self._depth - load[name]
        waiting = [(job.id, job.request.able(self._servers.keys())) for job in self._job_table.waiting()]
        for job_id, server in choose(waiting, free):
            load[server] += 1
            self._servers[server].posted = now
            attempt = Attempt(self._new_prompt_id(), server, foreign=self._servers[server].foreign)
            self._job_table.submit(self._job_table.jobs[job_id], attempt)
        self._job_table.positions_dirty = False
        self._update_positions(load)

    def snapshot(self, job: Job, now: float) -> list[AnyUpdate]:
        """The updates that bring a new watcher of an unfinished job up to date."""
        if (queued := self._queued_updates.get(job.id)) is not None:
            return [queued]
        if (tracker := self._job_table.trackers.get(job.id)) is not None and job.attempt is not None:
            note = self._servers[job.attempt.server].offline_note
            return [Started(job=job.id, server=job.attempt.server), tracker.read(now, note)]
        return []

    def _update_positions(self, load: Mapping[ServerName, int]) -> None:
        job_table, previous = self._job_table, self._queued_updates
        placed: list[tuple[Job, Attempt]] = []
        for name, server_state in self._servers.items():
            ours = sorted(job_table.in_flight(name), key=lambda pair: pair[0].state < State.RUNNING)
            for job, attempt in ours:
                attempt.foreign = min(attempt.foreign, server_state.foreign)
                placed.append((job, attempt))
        waiting = job_table.waiting()
        ahead = positions(
            [(job.id, attempt.server, attempt.foreign) for job, attempt in placed],
            [job.id for job in waiting],
            {name: server_state.foreign + load[name] for name, server_state in self._servers.items()},
            {name: sum(1 for _ in job_table.left_at(name)) for name in self._servers},
        )
        self._queued_updates = {}
        for job, server in [*((job, a.server) for job, a in placed), *((job, None) for job in waiting)]:
            if job.state < State.RUNNING:
                update = Queued(job=job.id, position=ahead[job.id], server=server, note=self._wait_reason(job))
                self._queued_updates[job.id] = update
                if previous.get(job.id) != update:
                    job_table.updates.append(update)

    def _wait_reason(self, job: Job) -> JobReason | None:
        waits_for = [job.attempt.server] if job.attempt else job.request.able(self._servers.keys())
        if all(self._servers[name].away for name in waits_for):
            return ServersOffline(tuple(waits_for))
        return SentAgain() if job.tries > 1 or job.worker_deaths else None
