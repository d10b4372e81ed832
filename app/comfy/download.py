"""Writes a stream of bytes to the disk, completely or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import anyio

from app.ports import ConnectionLost, RunSync
from app.reasons.servers import CutShort

CHUNK = 4 * 2**20
"""Bytes for each write to the disk: most images take one, and a video does not fill the memory."""


BUFFER = 2**16
"""Bytes of the file's buffer. With a size of our own, Python does not ask the system what the file is."""

ROOM = 16 * 2**20
"""Bytes that a download leaves free on the disk, so that the journal can still record its result."""


async def save(chunks: AsyncIterator[bytes], to: Path, run_sync: RunSync, *, expected: int | None = None) -> None:
    """Write the stream to a file beside `to`, which is renamed to `to` at the end.

    Raises `OSError`, also if the disk does not have room for `expected` bytes, and `ConnectionLost` if the stream has
    another length.
    """
    part = _Part(to)
    held: list[bytes] = []
    size = total = 0
    try:
        if expected and expected >= CHUNK:
            # Before it arrives; the only write of a smaller file checks this itself, without another thread.
            await run_sync(part.check_room, expected)
        async for chunk in chunks:
            held.append(chunk)
            size += len(chunk)
            if size >= CHUNK:
                await run_sync(part.write, held)
                total += size
                held, size = [], 0
        if expected is not None and expected != total + size:
            raise ConnectionLost(CutShort(total + size, expected))
        await run_sync(part.finish, held)
    except BaseException:
        # Also on cancellation: no partial file must remain.
        with anyio.CancelScope(shield=True):
            await run_sync(part.discard)
        raise


class _Part:
    """The unfinished file; used only through `run_sync`, one call at a time.

    It makes as few system calls as possible: after each one its thread waits until the event loop lets it run.
    """

    def __init__(self, to: Path) -> None:
        self._to = to
        self._path = to.with_name(f"{to.name}.part")
        self._file: IO[bytes] | None = None

    def check_room(self, size: int) -> None:
        """Raise `OSError` if the disk has no room for `size` more bytes."""
        if self._free() < size + ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._to))

    def write(self, held: list[bytes]) -> None:
        self.check_room(sum(map(len, held)))
        if self._file is None:
            self._file = self._opened()
        self._file.writelines(held)

    def finish(self, held: list[bytes]) -> None:
        self.write(held)
        self._close()
        self._path.replace(self._to)

    def _free(self) -> int:
        """The free bytes of the disk, whose folder may not exist yet."""
        try:
            return shutil.disk_usage(self._path.parent).free
        except OSError:
            folder = next((folder for folder in self._path.parents if folder.exists()), Path())
            return shutil.disk_usage(folder).free

    def _opened(self) -> IO[bytes]:
        """Open the file, in a folder that is made if there is none."""
        try:
            return self._path.open("wb", BUFFER)
        except FileNotFoundError:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return self._path.open("wb", BUFFER)

    def discard(self) -> None:
        try:
            self._close()
        finally:
            self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()
