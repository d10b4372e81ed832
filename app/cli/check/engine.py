"""What `check` says about the engine and the workers: whether it can be used, and what is unsafe about it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from app.cli.engine_loss import engine_loss_text
from app.cli.engine_safety import unsafe
from app.cli.workflows.commands import Verdict
from app.config.settings import Config
from app.ports import ConnectionLost
from app.reasons.servers import EngineRefuses
from app.texts.wording import ended, listed

if TYPE_CHECKING:
    from app.engine.connection import Engine
    from app.engine.replication.status import Fronts

WRONG_CLOCK = 60.0
"""Seconds by which the clocks may differ: nothing depends on them, but logs are then hard to compare."""

FAR_BEHIND = 100
"""Batches that a front on standby may lack at a moment: it reads so many at once."""

WITHOUT_LIBRARY = "Its library is not installed: run “pip install atelier-bot[engine]”."


async def examine_engine(config: Config) -> list[Verdict]:
    """Check the engine, if one is configured."""
    if config.engine is None:
        return []
    if find_spec("coredis") is None:
        return [(False, "engine", WITHOUT_LIBRARY)]
    # Only here: nobody else needs the library of the engine.
    from app.engine.connection import open_engine

    async with open_engine(config.engine, quiet=True) as engine:
        try:
            await engine.reach()
            return [verdict async for verdict in _verdicts(engine, config.engine.address)]
        except ConnectionLost as error:
            return [(False, "engine", engine_loss_text(error.reason, config.engine))]


async def _verdicts(engine: Engine, address: str) -> AsyncGenerator[Verdict]:
    from app.engine.replication.status import fronts_of

    fronts = await fronts_of(engine)
    try:
        for verdict in await _safety(engine, address, has_fronts=bool(fronts.active or fronts.standbys)):
            yield verdict
    except ConnectionLost as loss:
        if not isinstance(loss.reason, EngineRefuses):
            raise
        yield (None, "engine", "Its login may not ask what is unsafe about it: allow “+info +config|get”.")
    if abs(ahead := await engine.time() - time.time()) > WRONG_CLOCK:
        yield (None, "", f"Its clock differs by {abs(ahead):.0f} s: let both systems set theirs by themselves.")
    for verdict in _fronts(fronts):
        yield verdict
    for verdict in await _workers(engine):
        yield verdict


async def _safety(engine: Engine, address: str, *, has_fronts: bool) -> list[Verdict]:
    """Whether what the engine has is safe there. Raises `ConnectionLost`."""
    from app.engine.replication.status import safety_of

    safety = await safety_of(engine)
    lines: list[Verdict] = [(True, "engine", f"{safety.program} {safety.version} at {address}")]
    if not safety.writes_to_disk and (has_fronts or not await engine.configuration("save")):
        lines.append((None, "", "It stores nothing: set “appendonly yes”, so that a restart costs less time."))
    return [*lines, *((good, "", sentence) for good, sentence in unsafe(safety))]


def _fronts(fronts: Fronts) -> Iterator[Verdict]:
    """Which front is active, and whether the others could take over; nothing if there are none."""
    from app.cli.front_status import lines_of

    if fronts.active is None and not fronts.standbys:
        return
    for number, line in enumerate(lines_of(fronts)):
        yield (True, "" if number else "fronts", line)
    if fronts.active is None:
        yield (False, "", "No front is active: look into the log of those that wait.")
        return
    if not fronts.standbys:
        yield (None, "", "No front is on standby: start one on another machine.")
    _, active = fronts.active
    for standby in fronts.standbys:
        if standby.front.version != active.version:
            yield (None, standby.front.name, f"It is not of the version of {active.name}: update the older one.")
        if fronts.head is not None and fronts.head.number - standby.number > FAR_BEHIND:
            yield (None, standby.front.name, "It does not keep up with the journal: look into its log.")


async def _workers(engine: Engine) -> list[Verdict]:
    """Which workers are there, and what keeps one from being used. Raises `ConnectionLost`."""
    from app.engine.registrations import refused_names, registered

    workers = await registered(engine)
    if not workers:
        return [(None, "workers", "none is there now")]
    lines: list[Verdict] = [(True, "workers", listed(sorted(workers)))]
    for name, worker in workers.items():
        if worker.problem:
            lines.append((False, name, f"It cannot be used: {ended(worker.problem)}"))
        ahead = worker.registration.ahead if worker.registration is not None else 0
        if abs(ahead) > WRONG_CLOCK:
            direction = "ahead" if ahead > 0 else "behind"
            lines.append((None, name, f"Its clock is {abs(ahead)} s {direction}: let its system set it by itself."))
    twice = "A second worker wanted this name lately: stop it, or give it another --name."
    return [*lines, *((None, name, twice) for name in await refused_names(engine, sorted(workers)))]
