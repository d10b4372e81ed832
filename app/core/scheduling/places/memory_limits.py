"""Which servers ran out of memory with how much work of which workflow."""

from __future__ import annotations

from app.events import ServerName

MOST_REMEMBERED = 1000
"""Limits that are remembered; the oldest is forgotten."""


class MemoryLimits:
    """Owns what is known about the memory of servers, for the life of the process.

    `work` is that of `app.core.jobs.cost.work_of`.
    """

    def __init__(self) -> None:
        self._limits: dict[tuple[str, ServerName], float] = {}
        """The least work with which a workflow ran out of memory on a server."""

    def __bool__(self) -> bool:
        return bool(self._limits)

    def exhausted(self, workflow: str, server: ServerName, work: float) -> None:
        """Record that a job ran out of memory."""
        known = self._limits.pop((workflow, server), work)
        self._limits[workflow, server] = min(known, work)
        if len(self._limits) > MOST_REMEMBERED:
            del self._limits[next(iter(self._limits))]

    def succeeded(self, workflow: str, server: ServerName, work: float) -> None:
        """Record that a job had enough memory: a limit that is no higher is forgotten."""
        if not self.fits(workflow, server, work):
            del self._limits[workflow, server]

    def fits(self, workflow: str, server: ServerName, work: float) -> bool:
        """Whether no job of this workflow with as much work or less ran out of memory on the server."""
        return work < self._limits.get((workflow, server), float("inf"))
