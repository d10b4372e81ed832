"""The settings of how much people may ask for."""

from __future__ import annotations

import math
from collections.abc import Mapping

from app.config.settings import Allowed, Limits, RoleLimits
from app.config.toml_table import Table, discord_id

MOST_JOBS = 1_000_000
MOST_SECONDS = 1_000_000_000
"""More than any bot can have: a larger number is a typing error."""

MOST_WEIGHT = 1000.0
"""The largest weight; the smallest is one part of it. Beyond that somebody would wait for ever."""


def read_limits(table: Table) -> Limits:
    """The settings in `[limits]`. Raises `ConfigError`."""
    table.check_keys(Limits.__struct_fields__)
    general = _allowed(table, Limits())
    return Limits(
        jobs=general.jobs,
        seconds=general.seconds,
        roles={name: _role(entry, general) for name, entry in _by_id(table, "roles").items()},
        channels={name: _total(entry) for name, entry in _by_id(table, "channels").items()},
        guilds={name: _total(entry) for name, entry in _by_id(table, "guilds").items()},
    )


def _by_id(table: Table, key: str) -> Mapping[str, Table]:
    """The tables under a key, by their ids. Raises `ConfigError` for a wrong id, or one that is there twice."""
    entries: dict[str, Table] = {}
    for entry in table.tables(key):
        number = discord_id(entry.values().get("id"))
        if not number:
            raise entry.error("id", f"each of “{key}” needs the id of one, such as id = 123456789012345678.")
        if (before := entries.get(str(number))) is not None:
            raise entry.error("id", f"this id is in line {before.line('id')} too: remove one of them.")
        entries[str(number)] = entry
    return entries


def _role(table: Table, general: Allowed) -> RoleLimits:
    table.check_keys(("id", *RoleLimits.__struct_fields__))
    allowed = _allowed(table, general)
    return RoleLimits(jobs=allowed.jobs, seconds=allowed.seconds, weight=_weight(table))


def _total(table: Table) -> Allowed:
    table.check_keys(("id", *Allowed.__struct_fields__))
    return _allowed(table, Allowed())


def _allowed(table: Table, default: Allowed) -> Allowed:
    return Allowed(
        jobs=table.whole("jobs", default.jobs, 0, MOST_JOBS),
        seconds=table.whole("seconds", default.seconds, 0, MOST_SECONDS),
    )


def _weight(table: Table) -> float:
    value = table.values().get("weight", 1.0)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise table.error("weight", "“weight” must be a number, such as 2.0.")
    if not 1 / MOST_WEIGHT <= value <= MOST_WEIGHT:
        raise table.error("weight", f"“weight” must be between {1 / MOST_WEIGHT} and {MOST_WEIGHT:g}.")
    return float(value)
