"""Pauses between retries."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import TypeAlias

Pauses: TypeAlias = Callable[[], Iterator[float]]
"""Starts a new, endless sequence of pauses, in seconds."""


def backoff(first: float = 0.05, ceiling: float = 2.0, patience: float = 10.0, spread: float = 0.5) -> Iterator[float]:
    """Yield pauses in seconds without end, each shortened by a random part of it, at most by the share `spread`.

    For about `patience` seconds they stay as short as the first, because most outages are a restart and people wait for
    its end: a result is promised within a tenth of a second of it, and catching up takes the other half of that. Then
    they double up to `ceiling`, which is low because the other side is usually on our own network.
    """
    pause, waited = first, 0.0
    while True:
        jittered = pause * random.uniform(1.0 - spread, 1.0)  # noqa: S311  no secret: it only spreads the crowd
        yield jittered
        waited += jittered
        if waited >= patience:
            pause = min(pause * 2, ceiling)


def handshake_pauses() -> Iterator[float]:
    """Yield the pauses, in seconds, between handshakes that fail although the server's port answers.

    The port of a proxy answers for a server that is away, and each handshake is a request in the proxy's log. The first
    two pauses are short, because a server that has just started may answer a moment later. For the next ten seconds the
    pauses stay below half a second, within which the connection must be back; then they double up to 5 s.
    """
    yield 0.1
    yield 0.3
    yield from backoff(first=0.45, ceiling=5.0, patience=10.0, spread=0.1)
