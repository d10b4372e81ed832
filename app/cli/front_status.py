"""The option `front --status`: which front is active, how far the others are, and what is unsafe."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
from rich.console import Console

from app.cli.engine_safety import unsafe
from app.config.engine import EngineSettings
from app.engine.connection import open_engine
from app.engine.replication.status import Fronts, Safety, fronts_of, safety_of
from app.ports import ConnectionLost
from app.system.standard_streams import complain

PATIENCE = 5.0
"""Seconds for the engine to answer."""


async def show_status(settings: EngineSettings, console: Console) -> int:
    """Print the fronts; return 0 if one is active and nothing is unsafe, else 1."""
    try:
        async with open_engine(settings, quiet=True) as engine:
            with anyio.fail_after(PATIENCE):
                await engine.ready()
                fronts, safety = await fronts_of(engine), await safety_of(engine)
    except* (ConnectionLost, TimeoutError):
        fronts = safety = None
    if fronts is None or safety is None:
        complain(f"the engine {settings.address} does not answer: look whether it runs and can be reached.")
        return 1
    for line in lines_of(fronts):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    problems = [*problems_of(fronts, safety)]
    for problem in problems:
        complain(problem)
    return 1 if problems else 0


def lines_of(fronts: Fronts) -> Iterator[str]:
    """What stands there of each front."""
    number = fronts.head.number if fronts.head is not None else 0
    if fronts.active is not None:
        epoch, front = fronts.active
        shards = _shards(fronts, front.id)
        yield f"{front.name} is active (Atelier {front.version}, turn {epoch}, batch {number}{shards})"
    for standby in fronts.standbys:
        behind = max(number - standby.number, 0)
        shards = _shards(fronts, standby.front.id)
        yield f"{standby.front.name} is on standby (Atelier {standby.front.version}, {behind} batches behind{shards})"


def _shards(fronts: Fronts, front: str) -> str:
    """The shards of a front; "" if there is nothing to share."""
    connected, count = fronts.shards.get(front, ((), 0))
    return f", shards {' '.join(map(str, connected)) or 'none'} of {count}" if count else ""


def problems_of(fronts: Fronts, safety: Safety) -> Iterator[str]:
    """What somebody has to do, one sentence each."""
    if fronts.active is None:
        yield "no front is active: start one, and look into the log of those that wait."
    if not fronts.standbys:
        yield "no front is on standby: start one on another machine."
    if not safety.writes_to_disk:
        yield f"the engine (version {safety.version}) keeps nothing over a restart: set appendonly yes."
    for _, sentence in unsafe(safety):
        yield sentence
