"""Sends input files to one server: each content once, under a name that is derived from it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from pathlib import Path

import anyio

from app.ports import Comfy, RunSync

MOST_REMEMBERED = 4096
"""Uploads that are remembered for each server, the most recently used ones: less than a megabyte."""

_EXTENSION = re.compile(r"\.[a-z0-9]{1,8}")


class Uploads:
    """Remembers what one server was sent, so that jobs with the same file send it once while the process lives.

    Servers never delete uploads, and keep one copy of the same content under the same name (measured, T03), so that a
    later process adds no copies either. Somebody else may delete them: then `forget` them.
    """

    def __init__(self, comfy: Comfy, run_sync: RunSync) -> None:
        self._comfy = comfy
        self._run_sync = run_sync
        self._values: dict[str, str] = {}
        """What the server calls each upload, by our name for it; the least recently used one first."""
        self._locks: dict[str, anyio.Lock] = {}
        """One for each upload in progress."""

    async def send(self, file: Path) -> str:
        """Upload a file unless the server has it; return what the server calls it.

        Whoever sends the same content meanwhile waits, and tries again if this fails. Raises `ConnectionLost`,
        `Refused`, and `OSError` for a file that cannot be read.
        """
        name = await self._run_sync(_name, file)
        lock = self._locks.setdefault(name, anyio.Lock())
        try:
            async with lock:
                # Taken out and put back, so that the least recently used ones stay in front.
                value = self._values.pop(name, None) or await self._comfy.upload(file, name)
                self._values[name] = value
                if len(self._values) > MOST_REMEMBERED:
                    del self._values[next(iter(self._values))]
                return value
        finally:
            if not lock.locked():
                self._locks.pop(name, None)

    def forget(self, values: Collection[str]) -> None:
        """Send these again when they are needed, because the server may not have them any more."""
        self._values = {name: value for name, value in self._values.items() if value not in values}


def _name(file: Path) -> str:
    """The name under which a file is uploaded: the hash of its content, with its extension if that is a plain one."""
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    suffix = file.suffix.lower()
    return f"atelier-{digest}{suffix if _EXTENSION.fullmatch(suffix) else ''}"
