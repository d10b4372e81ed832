"""What an unfinished job waits for that does not come by itself. Pure."""

from __future__ import annotations

from collections.abc import Collection

from app.core.jobs.job import Entry, Job, State
from app.core.jobs.results import results
from app.events import ServerName
from app.reasons.waits import (
    LeftAtServer,
    NoServerListed,
    NotShown,
    ServerRemoved,
    WaitReason,
    WaitsForResults,
    WaitsForResume,
    WaitsForServers,
)

SOON = 60.0
"""Seconds within which results are usually fetched and shown."""


def waits_of(
    entry: Entry,
    configured: Collection[ServerName],
    away: Collection[ServerName],
    now: float,
    drained: Collection[ServerName] = (),
) -> list[WaitReason]:
    """What this unfinished job waits for; nothing if it only needs time. `now` is in seconds since 1970.

    `configured` are all servers, `away` those that do not answer, and `drained` those that get no new jobs.
    """
    job, is_old = entry.job, now - entry.changed >= SOON
    if job.terminal_update is None:
        return _waits_to_end(job, configured, away, drained, is_old=is_old)
    waits: list[WaitReason] = [NotShown()] if is_old and not job.notified else []
    servers = [leftover.server for leftover in job.leftovers]
    return waits + [LeftAtServer(server) for server in servers if server in away or server not in configured]


def _waits_to_end(
    job: Job,
    configured: Collection[ServerName],
    away: Collection[ServerName],
    drained: Collection[ServerName],
    *,
    is_old: bool,
) -> list[WaitReason]:
    attempt, history = job.attempt, job.history
    if job.state is State.ACCEPTED or attempt is None:
        if job.request.servers and not set(job.request.servers) & set(configured):
            return [NoServerListed(job.request.servers)]
        able = [server for server in configured if server in job.request.servers] or configured
        if not (open_servers := [server for server in able if server not in drained]):
            return [WaitsForResume(tuple(able))]
        return [WaitsForServers(tuple(open_servers))] if all(server in away for server in open_servers) else []
    if attempt.server not in configured:
        return [ServerRemoved(attempt.server)]
    is_away = attempt.server in away
    if history is not None:
        missing = sum(job.files.get(file) is None for file in results(job.request.graph, history))
        return [WaitsForResults(attempt.server, missing, is_away)] if missing and (is_away or is_old) else []
    return [WaitsForServers((attempt.server,))] if is_away else []
