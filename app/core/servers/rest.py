"""When a server rests because jobs fail there: it is always free, so it would get everybody's jobs and fail them."""

from __future__ import annotations

from msgspec import Struct

FAILURES = 3
"""Failures in a row, of at least two people or two workflows, after which a server rests."""

FIRST_REST = 30.0
"""Seconds of the first rest; each failure after a rest doubles the next one."""

LONGEST_REST = 900.0
"""Seconds of the longest rest."""

NEVER = float("inf")


class ServerRest(Struct):
    """The failures in a row of one server, and its rests.

    A server in trouble has rested, and no job has succeeded there since. Between two rests it gets one job as a probe.
    Times are in seconds of the application's clock.
    """

    failures: int = 0
    rests: int = 0
    """How many rests there have been since the last success."""
    ends: float = NEVER
    """When the present rest ends; `NEVER` if there is none."""
    _first: tuple[str, str] | None = None
    """The person and the workflow of the first failure."""
    _mixed: bool = False
    """Whether another failure was of another person or workflow."""

    @property
    def in_trouble(self) -> bool:
        """Whether the server has rested since the last success."""
        return self.rests > 0

    @property
    def resting(self) -> bool:
        """Whether it rests now."""
        return self.ends < NEVER

    def failed(self, person: str, workflow: str, now: float) -> bool:
        """Record that a job failed; return whether the server begins to be in trouble.

        One person's broken workflow says nothing about the server. Nor does a failure during a rest: the job was sent
        earlier, or no other server can run it.
        """
        if self.resting:
            return False
        self._mixed |= self._first not in {None, (person, workflow)}
        self._first = self._first or (person, workflow)
        self.failures += 1
        if self.failures < FAILURES or not self._mixed:
            return False
        self.ends = now + rest_seconds(self.rests)
        self.rests += 1
        return self.rests == 1

    def succeeded(self) -> bool:
        """Record that a job succeeded; return whether the server was in trouble."""
        was_in_trouble, self.rests, self.ends = self.in_trouble, 0, NEVER
        self.failures, self._first, self._mixed = 0, None, False
        return was_in_trouble

    def over(self, now: float) -> bool:
        """End a rest whose time is over; return whether there was one."""
        if now < self.ends:
            return False
        self.ends = NEVER
        return True


def rest_seconds(rests: int) -> float:
    """How long a server rests that has rested so many times without a success since."""
    return min(LONGEST_REST, FIRST_REST * 2 ** min(rests, 10))
