"""The settings of workflows that cost money: the key of the account that pays, and the budget."""

from __future__ import annotations

import math
import re

from app.config.settings import Budget
from app.config.toml_table import Table
from app.config.variables import Variables

API_KEY = "COMFYUI_API_KEY"
"""The variable with the key of the account at Comfy that pays."""

MOST_DOLLARS = 1_000_000
"""More than anybody spends: a larger number is a typing error."""


def api_key_of(variables: Variables) -> str:
    """The key of the account that pays, "" if there is none. Raises `ConfigError`, without the key."""
    key = variables.text(API_KEY)
    if not re.fullmatch(r"[A-Za-z0-9_.~+/=-]*", key):
        raise variables.error(API_KEY)(f"{API_KEY} is not a key of platform.comfy.org: copy it again, without spaces.")
    return key


def read_budget(table: Table) -> Budget:
    """The settings in `[paid_nodes]`. Raises `ConfigError`."""
    if "api_key" in table.values():
        # Its value is a secret, so it is not repeated.
        raise table.error("api_key", f"the key belongs into the environment or the .env, as {API_KEY}: move it there.")
    table.check_keys(Budget.__struct_fields__)
    budget = Budget(**{name: _dollars(table, name) for name in Budget.__struct_fields__})
    if budget.person_day and not (budget.day or budget.month):
        raise table.error("person_day", "“person_day” alone allows nothing: write “day” or “month” as well.")
    return budget


def _dollars(table: Table, key: str) -> float:
    value = table.values().get(key, 0.0)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise table.error(key, f"“{key}” must be an amount in US dollars, such as 5.00.")
    if not 0 <= value <= MOST_DOLLARS:
        raise table.error(key, f"“{key}” must be between 0 and {MOST_DOLLARS}.")
    return float(value)
