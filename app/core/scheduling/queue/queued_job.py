"""A waiting job, as the queue sees it. Plain data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from app.events import JobId, ServerName

Servers: TypeAlias = frozenset[ServerName]
"""The servers that can run a job; empty means all."""

EVERYWHERE: Servers = frozenset()

NOWHERE: Servers = frozenset({ServerName("")})
"""No server: none has this name."""


class QueuedJob(Struct, frozen=True, kw_only=True):
    """What the queue needs to know of a waiting job.

    `number` is the order of acceptance, `models` identifies the models that must be loaded ("" if there are none), and
    `seconds` is how long it is expected to run. Jobs with the same `batch` stay in order.
    """

    job: JobId
    number: int
    person: str
    servers: Servers = EVERYWHERE
    models: str = ""
    seconds: float = 1.0
    weight: float = 1.0
    batch: str = ""

    def runs_on(self, server: ServerName) -> bool:
        """Whether this server can run it."""
        return not self.servers or server in self.servers

    @property
    def charge(self) -> float:
        """What its person is charged for the expected seconds."""
        return self.seconds / self.weight


Admits: TypeAlias = Callable[[QueuedJob, ServerName], bool]
"""Whether a server that can run a waiting job may take it at present."""
