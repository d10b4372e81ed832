"""A stream of bytes onto the disk, whole or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import IO

import anyio

from app.ports import ConnectionLost, RunSync

CHUNK = 4 * 2**20
"""Bytes for each hop to the disk: most pictures take one, and a video does not fill the memory."""


def length(headers: Mapping[str, str]) -> int | None:
    """How many bytes the body has, where the header means just that."""
    told = headers.get("content-length", "")
    return int(told) if told.isascii() and told.isdigit() and "content-encoding" not in headers else None


async def save(chunks: AsyncIterator[bytes], to: Path, run_sync: RunSync, *, expected: int | None = None) -> None:
    """Write the stream to `to`, by way of a neighbour that is renamed at the end.

    Raises `OSError`, and `ConnectionLost` where it has another length than `expected`, in bytes.
    """
    part = _Part(to)
    held: list[bytes] = []
    size = total = 0
    try:
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

    def write(self, held: list[bytes]) -> None:
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
