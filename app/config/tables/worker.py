"""The tables `[engine]` and `[worker]`: how several processes work together."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec import Struct

from app.config.engine import EngineSettings, engine_of
from app.config.settings import Worker
from app.config.tables.servers import ca_file_of
from app.config.toml_table import ConfigError, Table, short
from app.config.variables import Variables

WORKER_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
"""A valid name of a worker: it is part of addresses and keys."""

HOURS = re.compile(r"([01]?\d|2[0-4])(?::([0-5]\d))?\s*[-–]\s*([01]?\d|2[0-4])(?::([0-5]\d))?")
"""Hours of the day, such as 22-8 or 22:30-08:00."""


class EngineTable(Struct, frozen=True, kw_only=True):
    """The keys of `[engine]`."""

    url: str = ""
    username: str = ""
    ca_file: str = ""


class WorkerTable(Struct, frozen=True, kw_only=True):
    """The keys of `[worker]`; `workflows` is None for all."""

    name: str = ""
    workflows: tuple[str, ...] | None = None
    hours: str = ""


def read_engine(table: Table, variables: Variables, base: Path, option: str) -> EngineSettings | None:
    """The engine of the command line, else of ATELIER_ENGINE, else of `[engine]`, whose paths start at `base`.

    None if there is none. Raises `ConfigError`.
    """
    table.check_keys(EngineTable.__struct_fields__)
    password = variables.text("ATELIER_ENGINE_PASSWORD")
    username, ca_file = table.text("username", ""), ca_file_of(table, base)
    for origin, url in (("--engine", option), ("ATELIER_ENGINE", variables.text("ATELIER_ENGINE"))):
        if url:
            try:
                return engine_of(url, username=username, password=password, ca_file=ca_file)
            except ValueError as wrong:
                raise ConfigError(f"{origin}: “{_shown(url)}” {wrong}") from None
    if url := table.text("url", ""):
        try:
            return engine_of(url, username=username, password=password, ca_file=ca_file)
        except ValueError as wrong:
            raise table.error("url", f"“{_shown(url)}” {wrong}") from None
    return None


def _shown(url: str) -> str:
    """An address without the login that it may contain."""
    return short(re.sub(r"//[^/]*@", "//", url))


def worker_name_problem(name: str) -> str:
    """Why a worker cannot have this name, as a sentence; "" if it can."""
    if WORKER_NAME.fullmatch(name):
        return ""
    return f"a worker cannot be called “{short(name)}”: use small letters, digits, - and _, at most 40."


def read_worker(table: Table, option: str) -> Worker:
    """The worker of the command line, else of `[worker]`. Raises `ConfigError`."""
    table.check_keys(WorkerTable.__struct_fields__)
    name = option or table.text("name", "")
    if name and (sentence := worker_name_problem(name)):
        raise ConfigError(f"--name: {sentence}") if option else table.error("name", sentence)
    workflows: tuple[str, ...] | None = None
    if "workflows" in table.values():
        items = table.items("workflows", ())
        if not all(isinstance(item, str) and item.strip() for item in items):
            raise table.error("workflows", '“workflows” must be names of workflows, such as ["txt2img"].')
        workflows = tuple(str(item).strip() for item in items)
    return Worker(name=name, workflows=workflows, hours=_hours(table))


def _hours(table: Table) -> tuple[int, int] | None:
    if not (text := table.text("hours", "")):
        return None
    if (match := HOURS.fullmatch(text.strip())) is None:
        raise table.error("hours", f"“{short(text)}” is not a part of the day: write “22-8”, or “22:30-8:00”.")
    first, first_minute, last, last_minute = (int(part or 0) for part in match.groups())
    return (first * 60 + first_minute) % 1440, (last * 60 + last_minute) % 1440
