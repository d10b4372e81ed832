"""Crashes on purpose: `ATELIER_CRASH=before:queued` kills the process as `kill -9` does, just before that commit.

This lets tests stop a real process at every point between two commits. A third part is the number of the occurrence:
`after:finished:2` is after the commit of the second job's end.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from app.core.jobs.job import Job, Transition

VARIABLE = "ATELIER_CRASH"


class Crash(Struct):
    """Crash "before" or "after" the commit of a transition into this state, at the `left`th such transition."""

    when: str
    state: str
    left: int = 1

    def at(self, when: str, batches: Iterable[tuple[Sequence[Job], Sequence[Transition]]]) -> None:
        """Kill this process if this is the crash point."""
        if when == self.when:
            self.left -= sum(step.state == self.state for _, transitions in batches for step in transitions)
            if self.left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


def crash_point(environ: Mapping[str, str]) -> Crash | None:
    """The crash point that the environment names; None if it names none."""
    when, _, point = environ.get(VARIABLE, "").partition(":")
    state, _, left = point.partition(":")
    return Crash(when, state, int(left or 1)) if state else None
