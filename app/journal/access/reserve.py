"""A file that holds room on the journal's disk, so that what has ended can be recorded when others filled the disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

SIZE = 16 * 2**20
"""Bytes: the terminal updates of some thousand jobs, and the pages that SQLite needs to write them."""

FREE = 4 * SIZE
"""Bytes that must be free before the reserve is made again, so that it is not what fills the disk."""


class Reserve:
    """Owns the file. Synchronous; each method may be called from any thread, one at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def make(self) -> bool:
        """Make the file, if the disk has much more room than it takes; return whether it is there."""
        try:
            if self._path.is_file() and self._path.stat().st_size == SIZE:
                return True
            if shutil.disk_usage(self._path.parent).free < FREE:
                return False
            with self._path.open("wb") as file:
                # Written, because a file system does not reserve room for a hole.
                for _ in range(SIZE // 2**20):
                    file.write(bytes(2**20))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            self.release()
            return False
        return True

    def release(self) -> bool:
        """Delete the file; return whether it was there."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
