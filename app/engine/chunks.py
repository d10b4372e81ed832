"""Files as chunks: their number, their content, and the hash by which both sides know that nothing is missing."""

from __future__ import annotations

import hashlib
from pathlib import Path

from app.engine.messages import CHUNK

WINDOW = 4
"""Chunks of one transfer that are on their way at once."""

CHUNK_SECONDS = 30.0
"""Seconds for one chunk, and after which the engine forgets it."""


def chunks_of(size: int) -> int:
    """How many chunks a value of so many bytes has."""
    return -(-size // CHUNK)


def read_chunk(file: Path, number: int) -> bytes:
    """One chunk of a file. Raises `OSError`."""
    with file.open("rb") as opened:
        opened.seek(number * CHUNK)
        return opened.read(CHUNK)


def measure(file: Path) -> tuple[int, str]:
    """The size of a file in bytes, and its SHA-256 in hexadecimal digits. Raises `OSError`."""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
        return opened.tell(), digest


def measure_and_read(file: Path, most: int) -> tuple[int, str, list[bytes]]:
    """What `measure` says, and the first chunks, at most so many. Raises `OSError`."""
    size, digest = measure(file)
    return size, digest, [read_chunk(file, number) for number in range(min(most, chunks_of(size)))]


def write_chunk(file: Path, number: int, chunk: bytes) -> None:
    """Write one chunk of a file, whose others may come in any order. Raises `OSError`."""
    file.touch()
    with file.open("r+b") as opened:
        opened.seek(number * CHUNK)
        opened.write(chunk)
