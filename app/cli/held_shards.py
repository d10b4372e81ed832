"""Holds a front's shards of Discord's gateway for as long as its process lives."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskStatus

from app.config.settings import Config
from app.entry_points import run_loop

if TYPE_CHECKING:
    from app.engine.connection import Engine
    from app.engine.replication.front_shards import FrontShards
    from app.engine.replication.messages import Front


@asynccontextmanager
async def holding_shards(engine: Engine, front: Front, config: Config) -> AsyncGenerator[FrontShards]:
    """Hold this front's shards within the block; at its end, others may take them first."""
    from app.engine.connection import open_engine
    from app.engine.replication.front_shards import FrontShards

    async def hold(shards: FrontShards) -> float:
        # Only here: hikari alone takes half a second.
        from app.discord.held_shards import hold_shards

        await hold_shards(config, shards)
        return 0.0

    async def run(*, task_status: TaskStatus[FrontShards]) -> None:
        # A signal cancels everything else at once, so it has its own client of the engine, which says what is wrong.
        with until_left:
            async with open_engine(engine.settings, quiet=True) as own, anyio.create_task_group() as tasks:
                shards = FrontShards(own, front)
                tasks.start_soon(shards.run, name="table of shards")
                tasks.start_soon(run_loop, partial(hold, shards), "shards could not be held", name="held shards")
                task_status.started(shards)

    until_left = anyio.CancelScope(shield=True)
    async with anyio.create_task_group() as tasks:
        shards = await tasks.start(run, name="shards")
        try:
            yield shards
        finally:
            with anyio.CancelScope(shield=True):
                await shards.leave()
            until_left.cancel()
