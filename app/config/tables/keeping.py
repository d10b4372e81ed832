"""The settings of what is deleted once it is old, and of backups."""

from __future__ import annotations

from pathlib import Path

from app.config.settings import BackupSettings, Retention
from app.config.toml_table import Table, path_from

MOST_DAYS = 36_500
"""A hundred years, in days: beyond that, dates cannot be calculated."""

MOST_SIZE = 1_000_000_000
"""MB: a petabyte. A larger number is a typing error."""

MOST_BACKUPS = 1000

KEEP_DAYS = "keep_days"
"""What `files` was called in version 0.2, in `[discord]`."""


def read_retention(table: Table, discord: Table) -> Retention:
    """The settings in `[retention]`, one of which may be in `[discord]` as `KEEP_DAYS`. Raises `ConfigError`."""
    table.check_keys(Retention.__struct_fields__)
    former = discord.whole(KEEP_DAYS, 0, 0, MOST_DAYS)
    if former and "files" in table.values():
        raise discord.error(KEEP_DAYS, f"remove “{KEEP_DAYS}”: “files” in [retention] is its new name.")
    return Retention(
        jobs=table.whole("jobs", 0, 0, MOST_DAYS),
        files=table.whole("files", former, 0, MOST_DAYS),
        size=table.whole("size", 0, 0, MOST_SIZE),
    )


def read_backup(table: Table, base: Path) -> BackupSettings:
    """The settings in `[backup]`; a relative folder starts at `base`. Raises `ConfigError`."""
    table.check_keys(BackupSettings.__struct_fields__)
    folder = table.text("folder", "")
    return BackupSettings(
        folder=path_from(folder, base) if folder else None,
        hour=table.whole("hour", BackupSettings().hour, 0, 23),
        keep=table.whole("keep", BackupSettings().keep, 1, MOST_BACKUPS),
    )
