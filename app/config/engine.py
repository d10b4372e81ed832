"""The engine, Valkey or Redis, through which several processes work together: its address and login."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from msgspec import Struct

SCHEMES = {"valkey": False, "redis": False, "valkeys": True, "rediss": True}
"""The beginnings of an engine's address, and whether they mean TLS."""

PORT = 6379
"""The port at which Valkey and Redis listen by default."""


class EngineSettings(Struct, frozen=True, kw_only=True):
    """How to reach the engine. `database` is its number; `ca_file` is a PEM file to trust, "" for the system's."""

    host: str
    port: int = PORT
    tls: bool = False
    database: int = 0
    username: str = ""
    password: str = ""
    ca_file: str = ""

    @property
    def address(self) -> str:
        """Its address without the login, as people read it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'valkeys' if self.tls else 'valkey'}://{host}:{self.port}/{self.database}"

    def __repr__(self) -> str:
        """Omits the password."""
        return f"EngineSettings({self.address!r}, username={self.username!r})"


def engine_of(url: str, *, username: str = "", password: str = "", ca_file: str = "") -> EngineSettings:
    """The engine at an address; a login in the address counts unless another one is given.

    Raises `ValueError` with the rest of a sentence that begins with the address.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise ValueError("is not an address: write valkey://host:6379.") from None
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise ValueError("is not an engine's address: write valkey://host:6379, or valkeys://host:6379 with TLS.")
    path = parts.path.strip("/")
    if not re.fullmatch(r"\d{0,5}", path) or parts.query or parts.fragment:
        raise ValueError("has more than the number of a database behind the port: write valkey://host:6379/0.")
    return EngineSettings(
        host=parts.hostname,
        port=PORT if port is None else port,
        tls=SCHEMES[parts.scheme],
        database=int(path or 0),
        username=username or unquote(parts.username or ""),
        password=password or unquote(parts.password or ""),
        ca_file=ca_file,
    )
