"""What `check` says about the engine and the workers: whether it can be used, and what is unsafe about it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import anyio

from app.cli.workflows.commands import Verdict
from app.config.settings import Config
from app.ports import ConnectionLost
from app.texts.reasons.servers import network_reason_text
from app.texts.wording import listed

if TYPE_CHECKING:
    from app.engine.connection import Engine

PATIENCE = 10.0
"""Seconds for the engine to be reached."""

WRONG_CLOCK = 60.0
"""Seconds by which the clocks may differ: nothing depends on them, but logs are then hard to compare."""

WITHOUT_LIBRARY = "Its library is not installed: run “pip install atelier-bot[engine]”."


async def examine_engine(config: Config) -> list[Verdict]:
    """Check the engine, if one is configured."""
    if config.engine is None:
        return []
    if find_spec("coredis") is None:
        return [(False, "engine", WITHOUT_LIBRARY)]
    # Only here: nobody else needs the library of the engine.
    from app.engine.connection import open_engine

    async with open_engine(config.engine) as engine:
        with anyio.move_on_after(PATIENCE):
            await engine.ready()
        try:
            return [verdict async for verdict in _verdicts(engine, config.engine.address)]
        except ConnectionLost as error:
            return [(False, "engine", network_reason_text(error.reason, operator=True))]


async def _verdicts(engine: Engine, address: str) -> AsyncGenerator[Verdict]:
    from app.engine.keys import LEASES, worker_of

    server = await engine.information("server")
    version = server.get("valkey_version") or server.get("redis_version")
    yield (True, "engine", f"version {version} at {address}")
    if not _is_on(await engine.configuration("appendonly")) and not await engine.configuration("save"):
        yield (None, "", "It stores nothing: set “appendonly yes”, so that a restart costs less time.")
    if (policy := await engine.configuration("maxmemory-policy")) not in (None, "noeviction"):
        yield (
            False,
            "",
            f"It deletes what is needed when it is full ({policy}): set “maxmemory-policy noeviction”.",
        )
    if abs(ahead := await engine.time() - time.time()) > WRONG_CLOCK:
        yield (None, "", f"Its clock differs by {abs(ahead):.0f} s: let both systems set theirs by themselves.")
    workers = [name for key in await engine.keys(LEASES) if (name := worker_of(key))]
    yield (True, "workers", listed(workers)) if workers else (None, "workers", "none is there now")


def _is_on(value: str | None) -> bool:
    """Whether a setting is on, or may not be read."""
    return value in (None, "yes")
