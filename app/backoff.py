"""How long to wait before trying again."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import TypeAlias

Pauses: TypeAlias = Callable[[], Iterator[float]]
"""Begin a new, endless row of pauses, in seconds."""


def backoff(first: float = 0.1, ceiling: float = 2.0) -> Iterator[float]:
    """Yield doubling pauses in seconds, jittered to between half and whole, for ever.

    The ceiling is low because the other side is usually on our own network, and the promise to
    people is that a job whose server returned is known to be so within a second or two.
    """
    pause = first
    while True:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311  no secret: it only spreads the crowd
        pause = min(pause * 2, ceiling)
