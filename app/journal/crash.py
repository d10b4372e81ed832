"""Dying on purpose: `ATELIER_CRASH=before:queued` ends the program like `kill -9` just before that is committed.

Only so can a test stand at every point between two commits, in a real process.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from app.jobs import Job, Transition

VARIABLE = "ATELIER_CRASH"


class Crash(Struct, frozen=True):
    """Die "before" or "after" the commit of a transition into this state."""

    when: str
    state: str

    def at(self, when: str, batches: Iterable[tuple[Sequence[Job], Sequence[Transition]]]) -> None:
        """Die here, if this is the point."""
        if when == self.when and any(step.state == self.state for _, story in batches for step in story):
            os.kill(os.getpid(), signal.SIGKILL)


def crash_point(environ: Mapping[str, str]) -> Crash | None:
    """The point that the environment names, if it names one."""
    when, _, state = environ.get(VARIABLE, "").partition(":")
    return Crash(when, state) if state else None
