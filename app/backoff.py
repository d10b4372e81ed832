"""Pauses between retries."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import TypeAlias

Pauses: TypeAlias = Callable[[], Iterator[float]]
"""Starts a new, endless sequence of pauses, in seconds."""


def backoff(first: float = 0.05, ceiling: float = 2.0, patience: float = 10.0) -> Iterator[float]:
    """Yield pauses in seconds without end, each jittered to between half and all of its nominal length.

    For about `patience` seconds they stay as short as the first, because most outages are a restart and people wait for
    its end: a result is promised within a tenth of a second of it, and catching up takes the other half of that. Then
    they double up to `ceiling`, which is low because the other side is usually on our own network.
    """
    pause, waited = first, 0.0
    while True:
        jittered = pause * random.uniform(0.5, 1.0)  # noqa: S311  no secret: it only spreads the crowd
        yield jittered
        waited += jittered
        if waited >= patience:
            pause = min(pause * 2, ceiling)
