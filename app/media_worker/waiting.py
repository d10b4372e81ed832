"""Whose file is next: in turn between people, one of each at a time, and only one large one at a time."""

from __future__ import annotations

from collections import deque
from typing import Generic, Protocol, TypeVar

from app.media_worker.protocol import Lane


class Waiter(Protocol):
    """Something that waits for a process."""

    @property
    def person(self) -> str:
        """Who it is for."""
        ...

    @property
    def lane(self) -> Lane:
        """Where it may be served."""
        ...


W = TypeVar("W", bound=Waiter)


class FairQueue(Generic[W]):
    """Owns the order of everything that waits, and knows whom the processes work for. Pure.

    One person's files are served one at a time, so the other process stays free for other people. Large files
    are served one at a time as well, so a small one never waits longer than another small one takes.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[W]] = {}
        """In the order of turns."""
        self._served: list[W] = []

    def put(self, waiter: W, *, first: bool = False) -> None:
        """Let one wait, behind what its person waits for already, or in front of that if `first`."""
        line = self._waiting.setdefault(waiter.person, deque[W]())
        if first:
            line.appendleft(waiter)
        else:
            line.append(waiter)

    def take(self, lanes: frozenset[Lane]) -> W | None:
        """The next one that a process for these lanes may serve now; call `release` afterwards."""
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
        """A process has finished with this one: whoever waits has a turn before its person has another."""
        self._served.remove(waiter)
        if line := self._waiting.pop(waiter.person, None):
            self._waiting[waiter.person] = line

    def discard(self, waiter: W) -> None:
        """Forget one that waits, if it still does."""
        line = self._waiting.get(waiter.person, deque[W]())
        if waiter in line:
            line.remove(waiter)
            if not line:
                del self._waiting[waiter.person]

    def drain(self) -> list[W]:
        """Everything that waits or is served; afterwards nothing is."""
        everything = [*self._served, *(waiter for line in self._waiting.values() for waiter in line)]
        self._waiting.clear()
        self._served.clear()
        return everything

    def _may(self, waiter: W) -> bool:
        for other in self._served:
            if waiter.lane == other.lane == "heavy":
                return False
            if other.person == waiter.person and "video" not in (waiter.lane, other.lane):
                return False
        return True
