"""What goes wrong with backups, in one sentence for the operator."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from app.core.journal_port import DiskFull, JournalError

NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class BackupError(Exception):
    """No backup was made or restored; the text is a sentence that says what to do."""


@contextmanager
def writing_to(folder: Path, kind: str) -> Generator[None]:
    """Translate errors within the block, which writes to this folder; `kind` is what it is called in sentences.

    Raises `BackupError`, or `JournalError` if it is about the journal itself.
    """
    full = f"The disk of the {kind} {folder} is full: make room, or name another folder."
    try:
        yield
    except DiskFull as error:
        raise BackupError(full) from error
    except OSError as error:
        if error.errno in NO_ROOM:
            raise BackupError(full) from error
        reason = error.strerror or str(error)
        if error.filename is not None and not _is_in(Path(os.fsdecode(error.filename)), folder):
            raise BackupError(f"{os.fsdecode(error.filename)} cannot be read: {reason}.") from error
        advice = "change its permissions, or name another folder"
        raise BackupError(f"The {kind} {folder} cannot be written ({reason}): {advice}.") from error
    except JournalError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        with writing_to(folder, kind):
            raise error.__cause__ from None


def _is_in(path: Path, folder: Path) -> bool:
    """Whether a path is this folder, in it, or one of the folders that it is in."""
    return path.is_relative_to(folder) or folder.is_relative_to(path)
