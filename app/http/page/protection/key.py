"""The key that the page signs with. It is kept in the data folder, so that sessions outlive a restart of the bot."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

FILE = "page.key"

LENGTH = 32
"""Bytes."""


def read_key(data: Path) -> bytes:
    """The key in a data folder, which only this user can read; a new one if there is none. Raises `OSError`.

    Whoever deletes the file ends all sessions and makes all links worthless.
    """
    path = data / FILE
    with suppress(FileNotFoundError):
        key = path.read_bytes()
        if len(key) == LENGTH:
            path.chmod(0o600)
            return key
        # Written only in part, as on a full disk.
        path.unlink()
    data.mkdir(parents=True, exist_ok=True)
    key = secrets.token_bytes(LENGTH)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(file, key)
        os.fsync(file)
    finally:
        os.close(file)
    return key
