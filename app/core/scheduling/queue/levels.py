"""The level of each server: what newcomers start with, so that nobody saves up time in which they do not wait."""

from __future__ import annotations

from collections.abc import Mapping

from app.core.scheduling.queue.queued_job import EVERYWHERE, Servers
from app.events import ServerName

TOLERANCE = 60.0
"""Served seconds by which a person may be ahead of the least served and still be preferred for a loaded model: three
times what loading a checkpoint typically takes."""


class Levels:
    """Owns the levels of servers, and the largest charge of one job: together they limit how far people are apart."""

    def __init__(self) -> None:
        self._levels: dict[ServerName, float] = {}
        """For each server, the least served seconds of those who waited for it when it took its last job: what
        newcomers start with. Somebody who comes while a long job runs is thus ahead of that job's owner."""
        self._highest = 0.0
        """The highest of these levels."""
        self.largest = 0.0
        """The largest charge of one job so far, in seconds."""
        self._changed: dict[ServerName, None] = {}
        self._kept_largest = 0.0

    def copy(self) -> Levels:
        """A copy that can be changed independently."""
        other = Levels()
        other._levels, other._highest, other.largest = dict(self._levels), self._highest, self.largest
        return other

    def restore(self, levels: Mapping[ServerName, float], largest: float) -> None:
        """Take over what was kept."""
        self._levels = dict(levels)
        self._highest = max(self._levels.values(), default=0.0)
        self.largest = self._kept_largest = largest

    def changes(self) -> tuple[dict[ServerName, float], float]:
        """What is to be kept and has changed since the last call: levels, and the largest charge if it has grown."""
        levels = {server: self._levels[server] for server in self._changed}
        self._changed.clear()
        grown = self.largest if self.largest > self._kept_largest else 0.0
        self._kept_largest = self.largest
        return levels, grown

    def reach(self, server: ServerName, served: float) -> None:
        """Raise the level of a server that takes a job, to the least served seconds of those who wait for it."""
        self._levels[server] = max(self._levels.get(server, 0.0), served)
        self._highest = max(self._highest, served)
        self._changed[server] = None

    def charged(self, charge: float) -> None:
        """Know the charge of one job."""
        self.largest = max(self.largest, charge)

    def of(self, servers: Servers) -> float:
        """What newcomers start with whose jobs these servers can run."""
        if servers == EVERYWHERE:
            return self._highest
        return max((self._levels[server] for server in servers if server in self._levels), default=0.0)

    @property
    def lowest(self) -> float:
        """The least that anybody starts with."""
        return min(self._levels.values(), default=0.0)

    def start(self, served: float, servers: Servers) -> float:
        """What somebody starts with who waits for these servers alone, after having been served so many seconds."""
        level = self.of(servers)
        return min(max(served, level), level + TOLERANCE + self.largest)
