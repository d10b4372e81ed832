"""A stream of bytes onto the disk, whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import anyio

from app.ports import ConnectionLost, RunSync

CHUNK = 4 * 2**20
"""Bytes for each hop to the disk: most pictures take one, and a video does not fill the memory."""


ROOM = 16 * 2**20
"""Bytes of the disk that a download leaves free, so that the journal can still say what came of it."""


async def save(chunks: AsyncIterator[bytes], to: Path, run_sync: RunSync, *, expected: int | None = None) -> None:
    """Write the stream to `to`, by way of a neighbour that is renamed at the end.

    Raises `OSError`, also where the disk has not the room for `expected` bytes, and `ConnectionLost` where the stream
    has another length.
    """
    part = _Part(to)
    held: list[bytes] = []
    size = total = 0
    try:
        if expected:
            await run_sync(part.check_room, expected)
        async for chunk in chunks:
            held.append(chunk)
            size += len(chunk)
            if size >= CHUNK:
                await run_sync(part.write, held)
                total += size
                held, size = [], 0
        if expected not in {None, total + size}:
            raise ConnectionLost(f"a file broke off: {total + size} of {expected} bytes came")
        await run_sync(part.finish, held)
    except BaseException:
        # Also where it is cancelled: half a picture must not lie around.
        with anyio.CancelScope(shield=True):
            await run_sync(part.discard)
        raise


class _Part:
    """The unfinished file; touched only through `run_sync`, one call at a time."""

    def __init__(self, to: Path) -> None:
        self._to = to
        self._path = to.with_name(f"{to.name}.part")
        self._file: IO[bytes] | None = None

    def check_room(self, size: int) -> None:
        """Raise `OSError` where the disk cannot take so many bytes more."""
        folder = next((folder for folder in self._path.parents if folder.exists()), Path())
        if shutil.disk_usage(folder).free < size + ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._to))

    def write(self, held: list[bytes]) -> None:
        self.check_room(sum(map(len, held)))
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("wb")
        self._file.writelines(held)

    def finish(self, held: list[bytes]) -> None:
        self.write(held)
        self._close()
        self._path.replace(self._to)

    def discard(self) -> None:
        try:
            self._close()
        finally:
            self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()
