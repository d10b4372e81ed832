"""Where the bot answers requests about its health, and how it writes its log."""

from __future__ import annotations

import re

from app.config.settings import LOG_FORMATS, Http, Log
from app.config.toml_table import Table, short
from app.config.variables import Variables

ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})")


def read_http(table: Table, variables: Variables) -> Http:
    """The settings in `[http]`, or in ATELIER_HTTP. Raises `ConfigError` for an unknown key.

    A wrong address is kept as a problem: the bot runs without its health and metrics.
    """
    table.check_keys(("listen",))
    name, text = "ATELIER_HTTP", variables.text("ATELIER_HTTP")
    if not text:
        name, value = "“listen” in [http]", table.values().get("listen", "")
        text = value.strip() if isinstance(value, str) else repr(value)
    if not text:
        return Http()
    address = ADDRESS.fullmatch(text)
    if address is None or int(address["port"]) > 65535:
        return Http(problem=f"{name} is “{short(text)}”: write a host and a port, such as 127.0.0.1:8899.")
    return Http(host=address["host"].strip("[]"), port=int(address["port"]))


def read_log(table: Table, variables: Variables) -> Log:
    """The settings in `[log]`, or in ATELIER_LOG. Raises `ConfigError`."""
    table.check_keys(("format",))
    if text := variables.text("ATELIER_LOG"):
        if text not in LOG_FORMATS:
            raise variables.error("ATELIER_LOG")(f"ATELIER_LOG is “{short(text)}”: write one of {_formats()}.")
        return Log(format=text)
    chosen = table.text("format", Log().format)
    if chosen not in LOG_FORMATS:
        raise table.error("format", f"“{short(chosen)}” is no format of the log: write one of {_formats()}.")
    return Log(format=chosen)


def _formats() -> str:
    return ", ".join(LOG_FORMATS)
