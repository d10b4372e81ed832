"""Until when a request to Discord may begin: after that, another front may have shown something newer.

A request may wait for minutes for its turn within Discord's rate limits, so whoever lets it pass looks again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_DEADLINE: ContextVar[float] = ContextVar("request_deadline", default=math.inf)
"""By `time.monotonic`, because the core and hikari's loop have different clocks of their own."""


@contextmanager
def begins_within(seconds: float) -> Generator[None]:
    """Let the requests of the block begin within so many seconds, and not later."""
    token = _DEADLINE.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _DEADLINE.reset(token)


def may_begin() -> bool:
    """Whether the request of this task may begin now."""
    return time.monotonic() < _DEADLINE.get()
