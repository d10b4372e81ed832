"""Starts the media workers of a bot in this process by a fork; each would import Pillow again otherwise."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from unittest import mock

from app.media_worker.client import BOOT
from tests.process.launcher import Forked

WORKER = [sys.executable, "-I", "-S", "-c", BOOT]
"""What the command line of a media worker begins with; the next word is the path for its imports."""


class _ForkedWorker(Forked):
    module = "app.media_worker"

    def words(self, command: list[str]) -> list[str] | None:
        return command[len(WORKER) + 1 :] if command[: len(WORKER)] == WORKER else None


@contextmanager
def forking_media_workers() -> Generator[None]:
    """In the block, start media workers by a fork, where the system can.

    They differ from real ones in what happens before the first request, such as their isolated imports, and in the
    memory that they begin with.
    """
    if sys.platform == "linux":
        with mock.patch.object(subprocess, "Popen", _ForkedWorker):
            yield
    else:
        yield
