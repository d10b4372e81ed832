"""Discord's rate limits as hikari keeps them, except that nobody waits for a request of somebody else.

Discord counts requests for each route and its major parameter: a channel or an interaction's token. hikari 2.6 learns a
limit from the headers of a response. Until then it puts all requests of a route, whatever their channel or token, into
one placeholder bucket, and sends one of them at a time. Everybody's first message is such a request: if each takes two
seconds, the fiftieth person waits for more than a minute, and one that hangs stops all others.

hikari identifies a placeholder by the route and by the authentication of the request. `SeparateBuckets` adds the major
parameter to the authentication, which hikari uses for nothing else there, so each channel and token gets a placeholder
of its own. Nothing changes for limits that are known: hikari identifies those by the major parameter anyway.

This relies on internals of hikari: tests/discord/gateway/rest/test_buckets.py fails if an upgrade changes them. Without
them the bot still works, but people wait for each other.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import hikari
import structlog
from hikari.impl.buckets import RESTBucket, RESTBucketManager

from app.discord.messages.ports import Away
from app.discord.request_deadline import may_begin

if TYPE_CHECKING:
    from hikari.internal.routes import CompiledRoute

logger = structlog.stdlib.get_logger(__name__)

FIRST = 3
"""Requests for one channel or token that are sent at once while its limit is unknown: one slow upload delays nobody
else in the channel, and Discord's limits are not smaller on the routes that the bot uses."""

MOST = 40
WINDOW = 1.2
"""Requests as the bot in so many seconds. Discord allows fifty a second, but they may arrive closer together than sent.
https://discord.com/developers/docs/topics/rate-limits#global-rate-limit"""


class GlobalLimit:
    """Discord's limit on all requests as the bot together. hikari does not count them; it only reacts to a 429."""

    def __init__(self) -> None:
        self._turn = anyio.Lock()
        self._began: deque[float] = deque(maxlen=MOST)
        self._free_at = 0.0

    async def wait(self) -> None:
        """Wait, in order of arrival, until one more request may be sent."""
        async with self._turn:
            while (pause := self._pause()) > 0:  # noqa: ASYNC110  it may grow meanwhile
                await anyio.sleep(pause)
            self._began.append(anyio.current_time())

    def stop(self, seconds: float) -> None:
        """Let no request pass for so many seconds."""
        self._free_at = anyio.current_time() + seconds

    def _pause(self) -> float:
        free_at = self._free_at
        if len(self._began) == MOST:
            free_at = max(free_at, self._began[0] + WINDOW)
        return free_at - anyio.current_time()


class SeparateBuckets(RESTBucketManager):
    """hikari's rate limiter with a placeholder bucket for each channel and token, and with the global limit.

    A request that has waited for too long to begin raises `Away`.
    """

    def __init__(self, max_rate_limit: float) -> None:
        super().__init__(max_rate_limit)
        self._global = GlobalLimit()
        self._under_way: Counter[RESTBucket] = Counter()

    def acquire_bucket(
        self, compiled_route: CompiledRoute, authentication: str | None
    ) -> AbstractAsyncContextManager[None]:
        """Return the block in which to send a request; entering it waits until the request may be sent."""
        bucket = super().acquire_bucket(compiled_route, _with_major_parameter(compiled_route, authentication))
        # Discord's global limit does not apply to an interaction's requests; hikari sends them without authentication.
        return self._passing(bucket, is_bot=authentication is not None)

    def update_rate_limits(
        self,
        compiled_route: CompiledRoute,
        authentication: str | None,
        bucket_header: str,
        remaining_header: int,
        limit_header: int,
        reset_at: float,
        reset_after: float,
    ) -> None:
        """Learn a limit from the headers of a response."""
        super().update_rate_limits(
            compiled_route,
            _with_major_parameter(compiled_route, authentication),
            bucket_header,
            remaining_header,
            limit_header,
            reset_at,
            reset_after,
        )

    def throttle(self, retry_after: float) -> None:
        """Stop all requests as the bot for so many seconds: Discord says that they are too many."""
        super().throttle(retry_after)
        # hikari would go on to send what is in placeholder buckets.
        self._global.stop(retry_after)

    @asynccontextmanager
    async def _passing(self, bucket: AbstractAsyncContextManager[None], *, is_bot: bool) -> AsyncGenerator[None]:
        if not isinstance(bucket, RESTBucket):
            raise TypeError(f"hikari limits requests with a {type(bucket).__name__}")
        if was_unknown := bucket.is_unknown:
            bucket.limit = FIRST
        async with bucket:
            self._under_way[bucket] += 1
            try:
                if is_bot:
                    await self._global.wait()
                if not may_begin():
                    raise Away("inactive")
                yield
            finally:
                self._under_way[bucket] -= 1
                others = self._under_way[bucket]
                if not others:
                    del self._under_way[bucket]
                if was_unknown and not bucket.is_unknown:
                    # The response that made the limit known may not count those that are still under way.
                    bucket.remaining = max(0, bucket.remaining - others)


def _with_major_parameter(route: CompiledRoute, authentication: str | None) -> str:
    return f"{authentication} {route.major_param_hash}"


def separate_buckets(rest: hikari.api.RESTClient) -> None:
    """Give a client that was not started its `SeparateBuckets`."""
    before = getattr(rest, "_bucket_manager", None)
    if type(before) is not RESTBucketManager:
        logger.warning("hikari limits requests in a way that is unknown here: people may wait for each other")
        return
    rest._bucket_manager = SeparateBuckets(before.max_rate_limit)  # type: ignore # noqa: SLF001
