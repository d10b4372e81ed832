"""Holds one front's shards of Discord's gateway, for as long as its process lives, and passes on what arrives there."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias, cast

import anyio
import hikari
from anyio.abc import TaskGroup
from hikari.impl import RESTClientImpl

from app.config.settings import Discord
from app.core.shards import GatewayEvent
from app.discord.bridge import NO_PAYLOAD, cancel_stray_tasks
from app.discord.gateway.bot import hikari_bot, intents_of
from app.discord.gateway.connection import WINDOW, Gateway, Part
from app.discord.gateway.outage import SetupError
from app.discord.gateway.relayed_events import lasts, relayed
from app.discord.gateway.rest.client import ENCODER
from app.discord.gateway.session_counter import count_sessions

logger = logging.getLogger("app.discord")

MOST_WAITING = 500
"""Events that wait here for the core's loop."""

LINGERING = 0.5
"""Seconds until a shard is closed that another front has connected: what was sent only here may still be on its way."""

USELESS = 60.0
"""Seconds until a shard is tried again that cannot be opened as Discord is set up."""

CLOSING = 1.0
"""Seconds for hikari to close its client."""

Turn: TypeAlias = Callable[[int, float], Awaitable[None]]
"""Waits until a session may be opened: gets the number of its queue, and the seconds that belong to it alone."""


class HeldShards:
    """Owns the connections of this front's shards; everything but the properties runs in hikari's loop.

    `pass_on` takes what arrives, and `turn` waits until a session may be opened; both are in another loop. With
    `deletions`, Discord also says which messages are deleted. Sessions are counted in `sessions`.
    """

    def __init__(
        self,
        token: str,
        config: Discord,
        pass_on: Callable[[Sequence[GatewayEvent]], Awaitable[None]],
        turn: Turn,
        sessions: Counter[str],
        *,
        deletions: bool,
    ) -> None:
        self._token = token
        self._pass_on = pass_on
        self._turn = turn
        self._sessions = sessions
        self._presence = config.presence, False
        self._rest_url = config.rest_url
        self._intents = intents_of(deletions=deletions)
        self._gateways: dict[int, Gateway] = {}
        self._scopes: dict[tuple[int, int], anyio.CancelScope] = {}
        self._wanted: tuple[int, frozenset[int]] = 0, frozenset()
        self._changed = asyncio.Event()
        self._waiting: list[GatewayEvent] = []
        self._arrived = asyncio.Event()

    @property
    def connected(self) -> frozenset[int]:
        """See `ShardHolder`; any thread may ask."""
        return frozenset(number for number, gateway in [*self._gateways.items()] if gateway.is_connected)

    @property
    def latency(self) -> float:
        """See `ShardHolder`; any thread may ask."""
        return next((gateway.latency for gateway in [*self._gateways.values()]), float("nan"))

    async def run(self) -> None:
        """Hold the shards until cancelled."""
        bot = hikari_bot(self._token, self._rest_url, self._intents)
        bot.subscribe(hikari.ShardPayloadEvent, self._take)
        count_sessions(bot, self._sessions)
        async with cancel_stray_tasks(_report, hikari):
            cast("RESTClientImpl", bot.rest).start()
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._send, name="events of shards")
                    while True:
                        self._changed = asyncio.Event()
                        self._open_and_close(bot, tasks)
                        await self._changed.wait()
            finally:
                with anyio.move_on_after(CLOSING, shield=True):
                    await bot.rest.close()

    async def hold(self, count: int, shards: frozenset[int]) -> None:
        """Hold these shards of so many from now on, and no others."""
        self._wanted = count, shards
        self._changed.set()

    async def show_presence(self, text: str, *, away: bool) -> None:
        """Set the status text of these shards, now and at each later connection; `away` if the bot cannot work."""
        self._presence = text, away
        for gateway in [*self._gateways.values()]:
            await gateway.show_presence(text, away=away)

    def _open_and_close(self, bot: hikari.GatewayBot, tasks: TaskGroup) -> None:
        count, shards = self._wanted
        for (number, of), scope in self._scopes.items():
            if of == count and number in shards:
                scope.deadline = math.inf
            elif scope.deadline == math.inf:
                scope.deadline = anyio.current_time() + LINGERING
        for number in sorted(shards):
            if (number, count) not in self._scopes:
                self._scopes[number, count] = scope = anyio.CancelScope()
                tasks.start_soon(self._hold, bot, number, count, scope, name=f"shard {number}")

    async def _hold(self, bot: hikari.GatewayBot, number: int, count: int, scope: anyio.CancelScope) -> None:
        """Hold one shard until its scope is cancelled."""

        async def turn(together: int) -> None:
            await self._turn(number % max(together, 1), WINDOW)

        async def connected() -> None:
            logger.info("shard %d of %d is connected", number, count)

        with scope:
            while True:
                gateway = Gateway(bot, self._token, ENCODER.encode, part=Part(number, count, turn))
                text, away = self._presence
                await gateway.show_presence(text, away=away)
                self._gateways[number] = gateway
                try:
                    await gateway.run(connected)
                except SetupError as error:
                    logger.error("a shard cannot be opened: %s", error)
                    await anyio.sleep(USELESS)
                finally:
                    if self._gateways.get(number) is gateway:
                        del self._gateways[number]
        # It may be wanted again meanwhile.
        del self._scopes[number, count]
        self._changed.set()

    async def _take(self, event: hikari.ShardPayloadEvent) -> None:
        payload = relayed(event.name, event.payload)
        if payload is None or len(self._waiting) >= MOST_WAITING:
            return
        shard = event.shard
        self._waiting.append(GatewayEvent(shard.id, shard.shard_count, event.name, payload, lasts(event.name)))
        self._arrived.set()

    async def _send(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived = asyncio.Event()
            events, self._waiting = self._waiting, []
            await self._pass_on(events)


def _report(message: str, error: BaseException | None, payload: object) -> None:
    """Handle an error of the loop that nothing waits for. What cannot be read is sent on as it is."""
    if payload is NO_PAYLOAD:
        # This includes the exception of a shard that ended, which its joiner receives anyway.
        level = logging.DEBUG if isinstance(error, hikari.GatewayError) else logging.ERROR
        logger.log(level, "%s", message, exc_info=error)
