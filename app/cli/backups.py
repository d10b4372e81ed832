"""The commands `backup` and `restore`."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from anyio import to_thread
from rich.console import Console

from app.backup.create import make_backup
from app.backup.daily import Breath
from app.backup.layout import Contents
from app.backup.restore import restore


async def back_up(console: Console, data: Path, folder: Path) -> int:
    """Make a backup of the data folder in `folder`; return the exit code."""
    make = partial(make_backup, data, folder, now=time.time(), breathe=Breath())
    backup = await to_thread.run_sync(make)
    _print(console, f"{backup.folder} has {_amount(backup.contents)}.")
    return 0


async def restore_backup(console: Console, backup: Path, data: Path, *, skip_damaged: bool) -> int:
    """Restore a backup into the data folder; return the exit code."""
    work = partial(restore, backup, data, breathe=Breath(), skip_damaged=skip_damaged)
    restored = await to_thread.run_sync(work)
    _print(console, f"{restored.data} has {_amount(restored.contents)} again.")
    if restored.left_out:
        _print(console, f"Left out, because they are damaged: {', '.join(restored.left_out)}")
    return 0


def _amount(contents: Contents) -> str:
    return f"{contents.jobs} jobs and {len(contents.files)} files, {contents.size / 2**20:.1f} MB"


def _print(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
