"""The commands `backup` and `restore`."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

from anyio import to_thread
from rich.console import Console

from app.backup.create import make_backup
from app.backup.daily import Breath
from app.backup.layout import Contents
from app.backup.restore import restore
from app.cli.arguments.commands import BackupCommand, MakeBackup
from app.cli.data_folder import journal_path
from app.config.settings import Config


async def back_up_or_restore(command: BackupCommand, config: Config, console: Console) -> int:
    """Run a command of backups; return the exit code. Raises `BackupError` and `ConfigError`."""
    # As for the bot: only this user reads what is created from here on.
    os.umask(0o077)
    if isinstance(command, MakeBackup):
        return await _back_up(console, journal_path(config).parent, command.to or config.backups)
    target = command.to or config.data
    return await _restore(console, command.backup, target, skip_damaged=command.skip_damaged)


async def _back_up(console: Console, data: Path, folder: Path) -> int:
    make = partial(make_backup, data, folder, now=time.time(), breathe=Breath())
    backup = await to_thread.run_sync(make)
    _print(console, f"{backup.folder} has {_amount(backup.contents)}.")
    return 0


async def _restore(console: Console, backup: Path, data: Path, *, skip_damaged: bool) -> int:
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
