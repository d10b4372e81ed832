"""The connection to Discord's gateway: opened, watched, and reopened for as long as the bot runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn

import anyio
import hikari
import msgspec
from hikari.impl import GatewayShardImpl, shard
from msgspec import Struct

from app.boundary import report_failure
from app.discord.bridge import ending_tasks_of
from app.discord.gateway.outage import Outage

HANDSHAKE = 30.0
"""Seconds for the handshake of a new connection: hikari alone would wait for it without limit."""

SILENCE = 150.0
"""Seconds without a working connection until it is reopened; hikari pauses up to 60 between its own tries."""

LOOK = 5.0
"""Seconds between two checks of whether the connection works."""

WINDOW = 5.0
"""Seconds between two groups of shards (https://discord.com/developers/docs/events/gateway#rate-limiting)."""

CLOSING = 1.0
"""Seconds for hikari to close its connection to Discord."""

STEADY = 60.0
"""Seconds after which a connection counts as stable, so that its loss restarts the series of pauses."""

DISPATCH, INVALID_SESSION, IGNORED = 0, 9, -1
"""Gateway opcodes; `IGNORED` is the bot's own, and hikari ignores it like any that it does not know."""

Encode = Callable[[Any], bytes]


class Part(Struct, frozen=True):
    """One shard of `count`, if the others are somewhere else. `turn` waits until it may open a new session.

    `turn` gets the number of those that may do so at the same time.
    """

    shard: int
    count: int
    turn: Callable[[int], Awaitable[None]]


class SilenceError(Exception):
    """The connection has not worked for too long; the text is a sentence for the log."""


class Gateway:
    """Owns the shards. hikari itself reconnects and resumes after most losses; this class reopens after all others.

    A hikari bot that runs its shards itself stops for good when the first shard ends, and it treats a payload that is
    not JSON as the end of a shard. So the shards run here, and the bot only ties hikari's parts together.
    """

    def __init__(
        self, bot: hikari.GatewayBot, token: str, encode: Encode, *, count: int = 0, part: Part | None = None
    ) -> None:
        """`count` is the number of shards, 0 for what Discord recommends; all of them are here, or only a `part`."""
        self._bot = bot
        self._part = part
        self._count = part.count if part is not None else count
        self._token = token
        self._encode = encode
        self._shards: Sequence[GatewayShardImpl] = ()
        self._status = hikari.Status.ONLINE
        self._activity: hikari.Activity | None = None

    async def run(self, connected: Callable[[], Awaitable[None]]) -> NoReturn:
        """Keep the connection open for as long as this task runs; call `connected` each time it is open again.

        Raises `SetupError` where waiting does not help.
        """
        outage = Outage("Discord's gateway is not connected")
        while True:
            since: list[float] = []

            async def ready(since: list[float] = since) -> None:
                since.append(anyio.current_time())
                await connected()

            try:
                await self._live(ready)
            except Exception as error:  # noqa: BLE001  the boundary of the connection
                if since and anyio.current_time() - since[0] >= STEADY:
                    outage.over()
                await outage.wait(error)

    async def show_presence(self, text: str, *, away: bool) -> None:
        """Set the bot's status text, now or at the next connection; `away` if it cannot work just now."""
        self._status = hikari.Status.IDLE if away else hikari.Status.ONLINE
        self._activity = hikari.Activity(name=text, state=text, type=hikari.ActivityType.CUSTOM)
        for gateway_shard in self._shards:
            if gateway_shard.is_connected:
                await gateway_shard.update_presence(status=self._status, activity=self._activity)

    @property
    def latency(self) -> float:
        """Seconds to Discord's gateway and back; NaN before the first heartbeat."""
        return self._shards[0].heartbeat_latency if self._shards else float("nan")

    @property
    def is_connected(self) -> bool:
        """Whether there are shards, and all of them are connected."""
        return bool(self._shards) and all(gateway_shard.is_connected for gateway_shard in self._shards)

    async def _live(self, ready: Callable[[], Awaitable[None]]) -> NoReturn:
        """Run one connection until it ends with an exception."""
        info = await self._bot.rest.fetch_gateway_bot_info()
        limit = info.session_start_limit
        count = self._count or info.shard_count
        numbers = range(count) if self._part is None else (self._part.shard,)
        if limit.remaining < len(numbers):
            raise SilenceError(f"Discord allows no new session before {limit.reset_at:%H:%M}")
        shards = [self._shard(number, count, info.url) for number in numbers]
        # hikari names the tasks of a shard by its number.
        named = f"(shard {self._part.shard})" if self._part is not None else ""
        async with ending_tasks_of(shard, named=named):
            try:
                if self._part is not None:
                    await self._part.turn(limit.max_concurrency)
                await self._start(shards, limit.max_concurrency)
                self._shards = shards
                await ready()
                await _follow(shards)
            finally:
                self._shards = ()
                with anyio.move_on_after(CLOSING, shield=True):
                    await asyncio.gather(*(gateway_shard.close() for gateway_shard in shards), return_exceptions=True)

    async def _start(self, shards: Sequence[GatewayShardImpl], together: int) -> None:
        for first in range(0, len(shards), together):
            if first:
                await anyio.sleep(WINDOW)
            with anyio.fail_after(HANDSHAKE):
                await asyncio.gather(*(gateway_shard.start() for gateway_shard in shards[first : first + together]))

    def _shard(self, number: int, count: int, url: str) -> GatewayShardImpl:
        return GatewayShardImpl(
            event_manager=self._bot.event_manager,
            event_factory=self._bot.event_factory,
            http_settings=self._bot.http_settings,
            proxy_settings=self._bot.proxy_settings,
            intents=self._bot.intents,
            initial_activity=self._activity,
            initial_status=self._status,
            shard_id=number,
            shard_count=count,
            token=self._token,
            url=url,
            loads=decode,
            dumps=self._encode,
        )


async def _follow(shards: Sequence[GatewayShardImpl]) -> NoReturn:
    """Wait until a shard ends, and raise its error; or `SilenceError` if the shards have not worked for too long."""
    joins = [asyncio.ensure_future(gateway_shard.join()) for gateway_shard in shards]
    worked = anyio.current_time()
    try:
        while anyio.current_time() - worked < SILENCE:
            ended, _ = await asyncio.wait(joins, timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
            for join in ended:
                await join
                raise SilenceError("Discord's gateway was closed")
            if all(gateway_shard.is_connected for gateway_shard in shards):
                worked = anyio.current_time()
    finally:
        for join in joins:
            join.cancel()
    raise SilenceError("Discord's gateway does not answer")


def decode(raw: str | bytes) -> dict[str, Any]:
    """Decode one gateway payload. An invalid one is logged and replaced by one that hikari ignores.

    hikari reads the fields of the envelope without a check, and a shard ends at the first that is missing.
    https://discord.com/developers/docs/events/gateway-events#payload-structure
    """
    try:
        payload = msgspec.json.decode(raw, type=dict[str, Any])
        _check(payload)
    except Exception as error:  # noqa: BLE001  the boundary of one payload
        report_failure(error, "a payload of Discord's gateway cannot be read")
        return {"op": IGNORED}
    if payload["op"] == DISPATCH and not isinstance(payload["d"], dict):
        # hikari makes an event of every payload that somebody listens to, and the shard ends if it is no object.
        payload["d"] = {}
    return payload


def _check(payload: dict[str, Any]) -> None:
    op = payload.get("op")
    known = isinstance(op, int)
    if op == DISPATCH:
        known = isinstance(payload.get("t"), str) and isinstance(payload.get("s"), int) and "d" in payload
    elif op == INVALID_SESSION:
        known = "d" in payload
    if not known:
        raise msgspec.ValidationError("a payload lacks a field of its envelope")
