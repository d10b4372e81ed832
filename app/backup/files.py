"""The files of a backup: linked where that is possible, otherwise copied, with the SHA-256 of each. Synchronous."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import structlog

from app.backup.layout import FileEntry
from app.journal.copies.copying import Breathe, sync
from app.retention.files import FOLDERS, PART

logger = structlog.stdlib.get_logger(__name__)

PIECE = 2**20
"""Bytes that are read at once."""

UNWRITTEN = 600.0
"""Seconds after which a file is on the disk by itself: systems write what is in memory only within a minute."""

CANNOT_LINK = {
    *(errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOSYS),
    *(errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL),
}
"""Why a file cannot get one more name: another file system, one without hard links, or a file of somebody else."""


def files_of(data: Path) -> Iterator[str]:
    """The paths of all complete files of a data folder, from there and with /, each folder in order of names."""
    for folder in FOLDERS:
        yield from _walk(data / folder, folder)


def _walk(folder: Path, path: str) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder / entry.name, f"{path}/{entry.name}")
        elif entry.is_file(follow_symlinks=False) and not entry.name.endswith(PART):
            yield f"{path}/{entry.name}"


def keep(
    path: str, data: Path, backup: Path, earlier: Path | None, known: FileEntry | None, breathe: Breathe
) -> FileEntry | None:
    """Put a file of the data folder into a backup; return None if it was deleted meanwhile. Raises `OSError`.

    It is linked, because a result never changes once it is complete. On another file system, it is linked to the
    backup `earlier` if that has the same file, which is then `known`, and copied otherwise.
    """
    source, target = data / path, backup / path
    try:
        path.encode()
        status = source.stat()
        target.parent.mkdir(parents=True, exist_ok=True)
        same = known is not None and (known.size, known.changed) == (status.st_size, status.st_mtime_ns)
        if link(source, target):
            status = target.stat()
            same = known is not None and (known.size, known.changed) == (status.st_size, status.st_mtime_ns)
            digest = known.sha256 if same and known is not None else _hash_new(target, breathe)
        elif known is not None and same and earlier is not None and link(earlier / path, target):
            digest = known.sha256
        else:
            digest = copy(source, target, breathe)
    except FileNotFoundError:
        if source.exists():
            raise
        return None
    except UnicodeEncodeError:
        logger.warning("a file is left out of the backup, because its name is not readable", path=ascii(path))
        return None
    return FileEntry(path, status.st_size, digest, status.st_mtime_ns)


def link(source: Path, target: Path) -> bool:
    """Give a file one more name; return whether that is possible. Raises `OSError` for another reason."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in CANNOT_LINK:
            raise
        return False
    return True


def copy(source: Path, target: Path, breathe: Breathe) -> str:
    """Copy a file with the time of its change, and read it back; return its SHA-256. Raises `OSError`."""
    digest = hashlib.sha256()
    with source.open("rb") as reading, target.open("xb") as writing:
        while piece := reading.read(PIECE):
            digest.update(piece)
            writing.write(piece)
            breathe()
        writing.flush()
        os.fsync(writing.fileno())
        status = os.fstat(reading.fileno())
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    if hash_of(target, breathe) != digest.hexdigest():
        raise OSError(errno.EIO, "it reads differently from what was written", str(target))
    return digest.hexdigest()


def hash_of(path: Path, breathe: Breathe) -> str:
    """The SHA-256 of a file. Raises `OSError`."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            breathe()
    return digest.hexdigest()


def _hash_new(path: Path, breathe: Breathe) -> str:
    """The same for a file that was just linked, and put it on the disk if it may not be there yet."""
    if path.stat().st_mtime > time.time() - UNWRITTEN:
        sync(path)
    return hash_of(path, breathe)
