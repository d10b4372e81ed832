"""A stream of bytes onto the disk, whole or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import anyio

from app.ports import RunSync

CHUNK = 4 * 2**20
"""Bytes for each hop to the disk: most pictures take one, and a video does not fill the memory."""


async def save(chunks: AsyncIterator[bytes], to: Path, run_sync: RunSync) -> None:
    """Write the stream to `to`, by way of a neighbour that is renamed at the end. Raises `OSError`."""
    part = to.with_name(f"{to.name}.part")
    held: list[bytes] = []
    size = 0
    file: IO[bytes] | None = None
    try:
        async for chunk in chunks:
            held.append(chunk)
            size += len(chunk)
            if size >= CHUNK:
                file = await run_sync(_write, part, file, held)
                held, size = [], 0
        await run_sync(_finish, part, file, held, to)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await run_sync(_discard, part, file)
        raise


def _write(part: Path, file: IO[bytes] | None, held: list[bytes]) -> IO[bytes]:
    if file is None:
        part.parent.mkdir(parents=True, exist_ok=True)
        file = part.open("wb")
    file.writelines(held)
    return file


def _finish(part: Path, file: IO[bytes] | None, held: list[bytes], to: Path) -> None:
    with _write(part, file, held):
        pass
    part.replace(to)


def _discard(part: Path, file: IO[bytes] | None) -> None:
    if file is not None:
        file.close()
    part.unlink(missing_ok=True)
