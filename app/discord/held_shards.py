"""Holds this front's shards of Discord's gateway in an event loop of their own, beside the bot or without one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Protocol

import anyio

from app.config.settings import Config
from app.core.shards import GatewayEvent, ShardHolder
from app.discord.bridge import CrossLoopCall, loop_bridge
from app.discord.gateway.bot import check_token
from app.discord.gateway.shard_holder import HeldShards


class ShareSource(Protocol):
    """Says which shards this front is to hold, and takes what arrives there."""

    sessions: Counter[str]
    """Counts the sessions."""

    def held_by(self, holder: ShardHolder | None) -> None:
        """Learn what holds the shards, None for nothing."""
        ...

    async def next_share(self) -> tuple[int, frozenset[int]]:
        """Wait until this front is to hold other shards, of how many; at first, until it is to hold any."""
        ...

    async def take(self, events: Sequence[GatewayEvent]) -> None:
        """Take what has just arrived."""
        ...

    def turn(self, number: int, seconds: float) -> Awaitable[None]:
        """Wait until a session may be opened that belongs to this queue."""
        ...


class _Holder:
    """See `ShardHolder`: the shards, as they are seen from the core's loop."""

    def __init__(self, held: HeldShards, into_asyncio: CrossLoopCall) -> None:
        self._held = held
        self._into_asyncio = into_asyncio

    @property
    def connected(self) -> frozenset[int]:
        """See `ShardHolder`."""
        return self._held.connected

    @property
    def latency(self) -> float:
        """See `ShardHolder`."""
        return self._held.latency

    async def show_presence(self, text: str, *, away: bool) -> None:
        """See `ShardHolder`."""
        await self._into_asyncio(partial(self._held.show_presence, text, away=away))


async def hold_shards(config: Config, source: ShareSource) -> None:
    """Hold what this front is to hold, until cancelled. Without shards to share, nothing runs. Raises `SetupError`."""
    count, shards = await source.next_share()
    check_token(config.discord_token)
    async with loop_bridge(apart=True) as (into_asyncio, into_core), anyio.create_task_group() as tasks:
        held = HeldShards(
            config.discord_token,
            config.discord,
            partial(into_core, source.take),
            partial(into_core, source.turn),
            source.sessions,
            deletions=config.page.enabled,
        )
        tasks.start_soon(into_asyncio, held.run, name="shards")
        source.held_by(_Holder(held, into_asyncio))
        try:
            while True:
                await into_asyncio(held.hold, count, shards)
                count, shards = await source.next_share()
        finally:
            source.held_by(None)
