"""Runs an entry point inside the error boundary: one request, or one background loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NoReturn

import anyio

from app.backoff import Pauses, backoff
from app.boundary import report_failure

UNTOLD = "a person could not be told of a failure"

slow = partial(backoff, 1.0, 60.0, 0.0)
"""Pauses between two attempts of a background loop: nobody waits for what it does."""


async def run_request(
    work: Callable[[], Awaitable[object]],
    what: str,
    tell: Callable[[str], Awaitable[object]] | None = None,
    **context: object,
) -> bool:
    """Run `work`, something that a user requested; return True if it succeeded.

    Any exception is logged as `what`, with `context`, and `tell` is called with the sentence for the user. Only
    cancellation leaves this function.
    """
    try:
        await work()
    except Exception as error:  # noqa: BLE001  this is the boundary
        sentence = report_failure(error, what, **context)
        if tell is not None:
            await run_request(partial(tell, sentence), UNTOLD, None, **context)
        return False
    return True


async def run_loop(step: Callable[[], Awaitable[float]], what: str, *, pauses: Pauses = slow) -> NoReturn:
    """Call `step` for as long as this task lives; it returns the seconds until its next call.

    An exception is logged as `what`, once for each cause in a row, and `step` is called again after a pause.
    """
    row, cause = pauses(), ""
    while True:
        try:
            pause = await step()
        except Exception as error:  # noqa: BLE001  this is the boundary
            if cause != (cause := f"{type(error).__name__}: {error}"):
                report_failure(error, what)
            pause = next(row)
        else:
            row, cause = pauses(), ""
        await anyio.sleep(pause)
