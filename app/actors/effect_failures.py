"""What the core gets to know of an effect that raised an unexpected exception."""

from __future__ import annotations

from functools import partial

from app.boundary import log_failure
from app.core.effects import (
    CommandEnded,
    DiscardFiles,
    Effect,
    EffectFailed,
    EffectResult,
    ExpectServer,
    QueryServer,
    Reconnect,
    RunCommand,
    Unreachable,
)
from app.reasons.jobs import InternalError


def result_of_failure(effect: Effect, error: Exception) -> EffectResult | None:
    """The result of an effect that raised an unexpected exception, which is logged; None if nobody waits for one.

    The job of the effect fails; a server that was being queried counts as unreachable.
    """
    log = partial(log_failure, error, "an effect broke", effect=type(effect).__name__)
    match effect:
        case QueryServer(server=server):
            return Unreachable(effect, InternalError(log(server=server)))
        case Reconnect(server=server):
            log(server=server)
            return None
        case DiscardFiles() | ExpectServer():
            log()
            return None
        case RunCommand(server=server):
            return CommandEnded(effect, InternalError(log(server=server)))
        case _:
            return EffectFailed(effect, InternalError(log(job=effect.job, prompt=effect.prompt)))
