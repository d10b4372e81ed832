"""Dying on purpose: `ATELIER_CRASH=before:queued` ends the program like `kill -9` just before that is committed.

Only so can a test stand at every point between two commits, in a real process. A third word is which time:
`after:finished:2` is after the second job's end.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from app.core.job import Job, Transition

VARIABLE = "ATELIER_CRASH"


class Crash(Struct):
    """Die "before" or "after" the commit of a transition into this state, at the `left`th of them."""

    when: str
    state: str
    left: int = 1

    def at(self, when: str, batches: Iterable[tuple[Sequence[Job], Sequence[Transition]]]) -> None:
        """Die here, if this is the point."""
        if when == self.when:
            self.left -= sum(step.state == self.state for _, transitions in batches for step in transitions)
            if self.left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


def crash_point(environ: Mapping[str, str]) -> Crash | None:
    """The point that the environment names, if it names one."""
    when, _, point = environ.get(VARIABLE, "").partition(":")
    state, _, left = point.partition(":")
    return Crash(when, state, int(left or 1)) if state else None
