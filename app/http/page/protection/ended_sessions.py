"""The sessions that were ended, so that a copy of their cookie is worth nothing, also after a restart of the bot."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

logger = structlog.stdlib.get_logger(__name__)

FILE = "page.ended"

MOST = 10_000
"""Sessions that are remembered; then the ones that were ended first are forgotten."""


class EndedSessions:
    """Remembers the ids of sessions until they would have ended by themselves, in memory and in a file.

    Without a `path`, only in memory. `clock` returns the seconds since 1970.
    """

    def __init__(self, path: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._until: OrderedDict[str, float] = OrderedDict()

    def __contains__(self, ident: object) -> bool:
        return ident in self._until

    def read(self) -> None:
        """Read the file, and write it anew without what is over. Raises `OSError`."""
        if self._path is None:
            return
        with suppress(FileNotFoundError):
            for line in self._path.read_text(encoding="ascii", errors="replace").splitlines():
                ident, _, until = line.partition(" ")
                if until.isdecimal() and len(until) < 18 and int(until) > self._clock():
                    self._remember(ident, int(until))
            lines = [_line(ident, until) for ident, until in self._until.items()]
            unfinished = self._path.with_name(f"{self._path.name}.part")
            with open(unfinished, "w", encoding="ascii", opener=_private) as file:
                file.writelines(lines)
            unfinished.replace(self._path)

    def add(self, ident: str, until: float, *, in_memory: bool = False) -> None:
        """Remember a session that would have lasted until then; one that matters little only `in_memory`.

        The line that is written is too short to be worth a thread.
        """
        self._remember(ident, until)
        if self._path is None or in_memory:
            return
        try:
            with open(self._path, "a", encoding="ascii", opener=_private) as file:
                file.write(_line(ident, until))
        except OSError as error:
            logger.warning("a session that was ended is forgotten when the bot restarts", reason=error.strerror)

    def _remember(self, ident: str, until: float) -> None:
        self._until[ident] = until
        while len(self._until) > MOST:
            self._until.popitem(last=False)


def _line(ident: str, until: float) -> str:
    return f"{ident} {until:.0f}\n"


def _private(path: str, flags: int) -> int:
    """Open a file that only this user can read."""
    return os.open(path, flags, 0o600)
