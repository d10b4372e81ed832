"""The folder into which a command writes files."""

from __future__ import annotations

import os
from pathlib import Path

from app.config.toml_table import ConfigError


def make_writable(folder: Path) -> None:
    """Create the output folder before any job is submitted. Raises `ConfigError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        usable = os.access(folder, os.W_OK)
    except OSError as error:
        raise ConfigError(f"--out {folder} cannot be made: {error.strerror}.") from error
    if not usable:
        raise ConfigError(f"--out {folder} cannot be written to.")
