"""The gateway of a bot whose shards are held by several fronts: what they receive is given to hikari here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import anyio
import hikari
import msgspec
from hikari.impl import GatewayShardImpl

from app.boundary import report_failure
from app.core.shards import GatewayEvent, SharedShards
from app.discord.bridge import CrossLoopCall


class DistantShard(GatewayShardImpl):
    """A shard that another loop or another process holds: hikari reads its number, and whose it is."""

    def __init__(self, bot: hikari.GatewayBot, own: hikari.Snowflake, number: int, count: int) -> None:
        """`own` is the bot's id as a person."""
        super().__init__(
            event_manager=bot.event_manager,
            event_factory=bot.event_factory,
            http_settings=bot.http_settings,
            proxy_settings=bot.proxy_settings,
            intents=bot.intents,
            shard_id=number,
            shard_count=count,
            token="",
            url="",
        )
        self._own = own

    def get_user_id(self) -> hikari.Snowflake:
        """The bot's id as a person; a shard of hikari knows it only while it is connected."""
        return self._own


class RelayedGateway:
    """Gives hikari what the fronts receive; everything here runs in hikari's loop.

    `into_core` calls the loop in which `shards` are, and `into_asyncio` calls back from there. `bot_id` is the bot's id
    as a person.
    """

    def __init__(
        self, shards: SharedShards, bot_id: int, into_core: CrossLoopCall, into_asyncio: CrossLoopCall
    ) -> None:
        self._shards = shards
        self._bot_id = hikari.Snowflake(bot_id)
        self._into_core = into_core
        self._into_asyncio = into_asyncio
        self._distant: dict[tuple[int, int], DistantShard] = {}

    @property
    def sessions(self) -> Counter[str]:
        """See `SharedShards`."""
        return self._shards.sessions

    async def open(self, count: int) -> bool:
        """Share so many shards among the fronts; False if there is only one, which the bot itself holds."""
        return await self._into_core(self._shards.settle, count)

    async def run(self, bot: hikari.GatewayBot, connected: Callable[[], Awaitable[None]]) -> None:
        """Give the bot what arrives at all shards, until cancelled; call `connected` once this front's shards are."""

        async def give(events: Sequence[GatewayEvent]) -> None:
            for event in events:
                self._give(bot, event)

        async with anyio.create_task_group() as tasks:
            receive = self._shards.receive
            tasks.start_soon(self._into_core, receive, partial(self._into_asyncio, give), name="events of shards")
            await self._into_core(self._shards.connected)
            await connected()

    async def show_presence(self, text: str, *, away: bool) -> None:
        """Set the status text of this front's shards; `away` if the bot cannot work just now."""
        if (holder := self._shards.holder) is not None:
            await self._into_core(partial(holder.show_presence, text, away=away))

    @property
    def latency(self) -> float:
        """Seconds to Discord's gateway and back; NaN if this front holds no shard."""
        return self._shards.holder.latency if self._shards.holder is not None else float("nan")

    @property
    def is_connected(self) -> bool:
        """Whether all shards of this front are connected."""
        return self._shards.is_connected

    def _give(self, bot: hikari.GatewayBot, event: GatewayEvent) -> None:
        try:
            payload = msgspec.json.decode(event.payload, type=dict[str, Any])
            bot.event_manager.consume_raw_event(event.name, self._shard(bot, event), payload)
        except Exception as error:  # noqa: BLE001  the boundary of one event
            report_failure(error, "an event of another front cannot be read")

    def _shard(self, bot: hikari.GatewayBot, event: GatewayEvent) -> DistantShard:
        key = event.shard, event.count
        if key not in self._distant:
            self._distant[key] = DistantShard(bot, self._bot_id, *key)
        return self._distant[key]
