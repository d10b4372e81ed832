"""Why a job waits for the servers that can run it."""

from __future__ import annotations

from collections.abc import Collection

from app.core.servers.state import ServerState
from app.reasons.jobs import HoursUsedUp, JobReason, ServersOff, ServersOffline, ServersStarting


def wait_reason(states: Collection[ServerState], now: float, *, has_it: bool) -> JobReason | None:
    """Why a job waits that only these servers can run, or of which one `has_it`; None if nothing is wrong with them."""
    # A server that has a job runs it, even if it gets no further ones.
    if not has_it and (reason := _power_reason(states, now)) is not None:
        return reason
    if all(state.away for state in states):
        return ServersOffline(tuple(state.name for state in states))
    return None


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
