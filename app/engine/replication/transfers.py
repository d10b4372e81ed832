"""Files on their way from one front to another, in chunks, of which only a few are in the engine at a time."""

from __future__ import annotations

import hashlib
from pathlib import Path

import anyio
from anyio import to_thread

from app.engine.chunks import WINDOW, chunks_of
from app.engine.connection import Engine
from app.engine.messages import CHUNK
from app.engine.replication import scripts

KEPT = 60.0
"""Seconds after which the engine forgets what nobody takes."""

PATIENCE = 20.0
"""Seconds after which a transfer is given up in which nothing happens."""

LOOK = 0.01
"""Seconds between two looks whether the other side has done something."""


class TransferFailed(Exception):
    """A file did not arrive as it was sent, or nobody sends it any more. The text is for logs."""


def chunk_key(transfer: str, number: int) -> str:
    """One chunk of a file on its way."""
    return f"atelier:copy:{transfer}:{number}"


async def send_file(engine: Engine, transfer: str, file: Path, size: int) -> bool:
    """Send the first `size` bytes of a file; False if nobody takes them.

    Raises `ConnectionLost`, and `OSError` for a file that cannot be read.
    """
    waiting: list[str] = []
    last = anyio.current_time()
    with file.open("rb") as opened:
        for number in range(chunks_of(size)):
            while len(waiting) >= WINDOW:
                left = await engine.script(scripts.WAITING, waiting, [])
                if isinstance(left, int) and left < len(waiting):
                    # They are taken in order.
                    waiting, last = waiting[len(waiting) - left :], anyio.current_time()
                elif anyio.current_time() > last + PATIENCE:
                    return False
                else:
                    await anyio.sleep(LOOK)
            chunk = await to_thread.run_sync(opened.read, CHUNK)
            waiting.append(chunk_key(transfer, number))
            await engine.set(waiting[-1], chunk, KEPT)
    return True


async def receive_file(engine: Engine, transfer: str, size: int, sha256: str, target: Path) -> None:
    """Write a file that is being sent. Raises `TransferFailed`, `ConnectionLost`, and `OSError` of the disk."""
    digest, received = hashlib.sha256(), 0
    with target.open("wb") as opened:
        for number in range(chunks_of(size)):
            with anyio.move_on_after(PATIENCE):
                while (chunk := await engine.take(chunk_key(transfer, number))) is None:  # noqa: ASYNC110  another process
                    await anyio.sleep(LOOK)
                received += len(chunk)
                if len(chunk) > CHUNK:
                    break
                digest.update(chunk)
                await to_thread.run_sync(opened.write, chunk)
                continue
            raise TransferFailed(f"chunk {number} did not arrive")
    if received != size or digest.hexdigest() != sha256:
        raise TransferFailed("what arrived is not what was sent")
