"""Where the journal is, for every command that reads it."""

from __future__ import annotations

from pathlib import Path

from app.cli.arguments.program import PROGRAM
from app.config.settings import Config
from app.config.toml_table import ConfigError
from app.core.journal_port import JournalError


def journal_path(config: Config) -> Path:
    """The path of the journal. Raises `ConfigError` if version 0.2 left one in another folder, or if it is incomplete.

    A second journal would start empty, and the jobs in the first one would be lost without a word.
    """
    from app.journal.opening import JOURNAL, RESTORING

    former = config.former_data
    if former is not None and former.resolve() != config.data.resolve() and (former / JOURNAL).exists():
        raise ConfigError(
            f"the journal is in {former}, where an earlier version put it, but the data folder is now {config.data}:"
            f" move the folder there, or set ATELIER_DATA={former}."
        )
    if (config.data / RESTORING).exists():
        raise ConfigError(f"{config.data} was not restored completely: run “{PROGRAM} restore” again with that backup.")
    return config.data / JOURNAL


def journal_or_error(config: Config) -> Path | JournalError:
    """The path of the journal, or why there is none."""
    try:
        return journal_path(config)
    except ConfigError as error:
        return JournalError(str(error))
