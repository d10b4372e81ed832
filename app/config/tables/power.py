"""The keys of a server that the bot starts and stops by commands."""

from __future__ import annotations

from pathlib import Path

from app.config.settings import Power
from app.config.toml_table import Table, path_from, short

KEYS = tuple(Power.__struct_fields__)

COMMANDS = "start_command", "stop_command"

LONGEST_COMMAND = 64
"""Arguments of a command."""

IDLE = 1, 1440
"""Minutes without jobs after which a server is stopped, at least and at most."""

START = 1, 3600
"""Seconds of a start, at least and at most."""


def read_power(table: Table, base: Path) -> Power | None:
    """How a server is started and stopped; None if it is not. Raises `ConfigError`.

    A program that is given with a folder is looked for at `base` if its path is relative, else on the PATH.
    """
    given = [key for key in KEYS if key in table.values()]
    if not given:
        return None
    for key in COMMANDS:
        if key not in given:
            sentence = f"“{given[0]}” needs “{key}” as well: add it, or remove this line."
            raise table.error(given[0], sentence)
    start, stop = (_command(table, key, base) for key in COMMANDS)
    return Power(
        start_command=start,
        stop_command=stop,
        idle_minutes=table.whole("idle_minutes", 10, *IDLE),
        start_seconds=table.whole("start_seconds", 120, *START),
        most_hours_per_day=table.whole("most_hours_per_day", 0, 0, 24),
        stop_if_started_by_hand=table.flag("stop_if_started_by_hand", default=False),
    )


def _command(table: Table, key: str, base: Path) -> tuple[str, ...]:
    example = '["wakeonlan", "00:11:22:33:44:55"]'
    value = table.values()[key]
    if not isinstance(value, (list, tuple)) or not value:
        raise table.error(key, f"“{key}” must be a list of a program and its arguments, such as {example}.")
    if len(items := table.items(key, ())) > LONGEST_COMMAND:
        raise table.error(key, f"“{key}” may have at most {LONGEST_COMMAND} parts: put them into a script.")
    parts: list[str] = []
    for number, part in enumerate(items):
        if not isinstance(part, str):
            raise table.error(key, f"each part of “{key}” must be a text in double quotes, such as {example}.", number)
        if "\0" in part:
            raise table.error(key, f"“{short(part)}” has a character that no argument can have: remove it.", number)
        parts.append(part)
    program = parts[0].strip()
    if not program:
        raise table.error(key, f"“{key}” must begin with the name of a program, such as {example}.", 0)
    if "/" in program or program.startswith("~"):
        program = str(path_from(program, base))
    return program, *parts[1:]
