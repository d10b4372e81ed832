"""Decides which file is next: in turn between people, one at a time for each, and only one large file at a time."""

from __future__ import annotations

from collections import deque
from typing import Generic, Protocol, TypeVar

from app.media_worker.protocol import Lane


class Waiter(Protocol):
    """A request that waits for a process."""

    @property
    def person(self) -> str:
        """The person whose request it is."""
        ...

    @property
    def lane(self) -> Lane:
        """The lane it may be served in."""
        ...


OWN_PROCESSES: frozenset[Lane] = frozenset({"video", "thumbnail"})
"""Lanes with a process of their own, which take none from other requests of their person."""

W = TypeVar("W", bound=Waiter)


class FairQueue(Generic[W]):
    """Owns the order of all waiting requests, and knows which are being served. Pure.

    One person's files are served one at a time, so the other process stays free for other people. Large files are also
    served one at a time, so a small one never waits longer than another small one takes.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[W]] = {}
        """By person, in the order of turns."""
        self._served: list[W] = []

    def put(self, waiter: W, *, first: bool = False) -> None:
        """Add a request, behind its person's other requests, or in front of them if `first`."""
        line = self._waiting.setdefault(waiter.person, deque[W]())
        if first:
            line.appendleft(waiter)
        else:
            line.append(waiter)

    def take(self, lanes: frozenset[Lane]) -> W | None:
        """Take the next request that a process for these lanes may serve now; call `release` afterwards."""
        for person, line in self._waiting.items():
            for waiter in line:
                if waiter.lane in lanes and self._may(waiter):
                    line.remove(waiter)
                    if not line:
                        del self._waiting[person]
                    self._served.append(waiter)
                    return waiter
        return None

    def release(self, waiter: W) -> None:
        """Record that a request is finished; its person's next turn comes after everybody else's."""
        self._served.remove(waiter)
        if line := self._waiting.pop(waiter.person, None):
            self._waiting[waiter.person] = line

    def discard(self, waiter: W) -> None:
        """Remove a request if it is still waiting."""
        line = self._waiting.get(waiter.person, deque[W]())
        if waiter in line:
            line.remove(waiter)
            if not line:
                del self._waiting[waiter.person]

    def drain(self) -> list[W]:
        """Remove and return all requests that are waiting or being served."""
        everything = [*self._served, *(waiter for line in self._waiting.values() for waiter in line)]
        self._waiting.clear()
        self._served.clear()
        return everything

    def _may(self, waiter: W) -> bool:
        for other in self._served:
            if waiter.lane == other.lane == "heavy":
                return False
            if other.person == waiter.person and OWN_PROCESSES.isdisjoint({waiter.lane, other.lane}):
                return False
        return True
