"""Calls the journal again while its disk is full or another program holds it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar, TypeVarTuple, Unpack

import anyio
import structlog

from app.actors.alerts import Alerts
from app.backoff import Pauses, backoff
from app.core.alerts import Cause
from app.core.journal_port import JournalUnavailable
from app.reasons.alerts import JournalWaits

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

PATIENCE = 2.0
"""Seconds for which the journal is retried for one user's request: Discord gives up after three."""

ALERT_AFTER = 10.0
"""Seconds that the journal must wait until the operator is alerted: a backup holds it for a moment only."""

WAITS = Cause("journal")

retry_pauses = partial(backoff, 0.1, 5.0, 1.0)
"""Pauses between two attempts to write: short at first, because most programs hold a journal only for a moment."""

logger = structlog.stdlib.get_logger(__name__)


async def wait_out(pauses: Pauses, alerts: Alerts, function: Callable[[Unpack[Ts]], Awaitable[T]], *args: *Ts) -> T:
    """Call `function` until the journal can be used, however long its disk is full or another program holds it.

    Raises other errors at once. Each cause is logged once, and so is its end; a long wait alerts the operator.
    """
    logged = ""
    for pause in pauses():
        try:
            result = await function(*args)
        except JournalUnavailable as error:
            alerts.raised(WAITS, JournalWaits(str(error)), after=ALERT_AFTER)
            if (reason := str(error)) != logged:
                logger.error("the journal cannot be used; nothing is accepted until it can", reason=reason)
                logged = reason
            await anyio.sleep(pause)
        else:
            if logged:
                alerts.cleared(WAITS)
                logger.warning("the journal can be used again")
            return result
    raise AssertionError("the pauses ended")


async def wait_patiently(pauses: Pauses, function: Callable[[Unpack[Ts]], Awaitable[T]], *args: *Ts) -> T:
    """Retry for as long as one user waits, then raise `JournalUnavailable`; raises any other error at once."""
    end = anyio.current_time() + PATIENCE
    for pause in pauses():
        try:
            return await function(*args)
        except JournalUnavailable:
            if anyio.current_time() + pause > end:
                raise
        await anyio.sleep(pause)
    raise AssertionError("the pauses ended")
