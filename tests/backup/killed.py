"""A process that is killed in the middle of its work."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from app.journal.copies.copying import Breathe


def killed(work: Callable[[Breathe], object], breath: int) -> bool:
    """Do the work in a process that is killed, as by `kill -9`, when it breathes for this time; whether it was."""
    pid = os.fork()
    if not pid:
        left = breath

        def breathe() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            work(breathe)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])
