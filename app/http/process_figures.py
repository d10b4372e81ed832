"""What the system says about processes: memory, open files. Only Linux says it in files; elsewhere it is not known."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")


def resident_bytes(process: int | str = "self", proc: Path = PROC) -> int | None:
    """The memory of a process that is in RAM; None if that is not known, or the process has ended."""
    try:
        pages = int((proc / str(process) / "statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def total_resident_bytes(processes: Iterable[int], proc: Path = PROC) -> int:
    """The memory of some processes together, of those that have not ended."""
    return sum(resident_bytes(process, proc) or 0 for process in processes)


def open_files(proc: Path = PROC) -> int | None:
    """How many files and sockets this process has open; None if that is not known."""
    try:
        return len(os.listdir(proc / "self" / "fd"))  # noqa: PTH208  no paths are needed
    except OSError:
        return None
