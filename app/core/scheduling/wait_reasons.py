"""Why a job that is not running waits, if there is more to say than that others are before it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from app.core.jobs.job import Job
from app.core.servers.able_servers import AbleServers
from app.core.servers.state import ServerState
from app.events import ServerName
from app.reasons.jobs import (
    HoursUsedUp,
    JobReason,
    NoRoom,
    SentAgain,
    ServersDrained,
    ServersOff,
    ServersOffline,
    ServersStarting,
)


def wait_reason(
    job: Job, servers: Mapping[ServerName, ServerState], able: AbleServers, now: float, *, has_room: bool
) -> JobReason | None:
    """What a job that is not running waits for, apart from its turn; None if there is nothing to say.

    `has_room` is whether our disk has room for results.
    """
    if job.attempt is not None:
        waits_for = [job.attempt.server]
    else:
        # Until somebody says what the servers can run, it waits for any.
        names = able.of(job.request) if able.offered is not None else list(servers)
        waits_for = [name for name in names if not servers[name].drained]
        if not waits_for:
            return ServersDrained(tuple(names))
    # A server that has a job runs it, even if it gets no further ones.
    has_it = job.attempt is not None and servers[job.attempt.server].reachable
    if not has_it and (reason := _power_reason([servers[name] for name in waits_for], now)) is not None:
        return reason
    if all(servers[name].away for name in waits_for):
        return ServersOffline(tuple(waits_for))
    if not has_room and job.attempt is None:
        return NoRoom()
    return SentAgain() if job.tries > 1 or job.worker_deaths else None


def _power_reason(states: Collection[ServerState], now: float) -> JobReason | None:
    """What a job waits for that only servers can run which are not on; None if one of them is."""
    if any(state.reachable and (state.takes_jobs or not state.off) for state in states if not _is_spent(state)):
        return None
    if starting := tuple(state.name for state in states if state.power is not None and state.power.phase == "starting"):
        return ServersStarting(starting)
    off = [state for state in states if state.off or _is_spent(state)]
    if not off:
        return None
    may_start = [state.name for state in off if state.power is not None and state.power.has_hours(now)]
    if may_start:
        return ServersOff(tuple(may_start))
    return HoursUsedUp(tuple(state.name for state in off))


def _is_spent(state: ServerState) -> bool:
    """Whether a server that is on gets no new jobs because it was on for too long, or is about to be stopped."""
    return state.power is not None and state.power.phase == "on" and not state.power.takes_jobs
