"""The one owner of the client of the engine, which builds the client again after each loss.

Everything else sees `ConnectionLost`, whatever the cause, and tries again when it likes: while the engine is away, each
command fails at once.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias, TypeVar, cast

import anyio
import structlog
from coredis import Redis
from coredis.exceptions import AuthenticationError, ResponseError
from coredis.response.types import StreamEntry
from coredis.tokens import PureToken
from msgspec import Struct

from app.backoff import Pauses, backoff
from app.config.engine import EngineSettings
from app.engine import scripts
from app.engine.client import CONNECT_SECONDS, new_client, tls_of
from app.engine.errors import EngineReason, engine_reason
from app.ports import ConnectionLost
from app.reasons.jobs import log_fields
from app.reasons.servers import EngineAway, EngineRefuses

logger = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")

Argument: TypeAlias = str | bytes | int

ANSWER_SECONDS = 5.0
"""Seconds for the answer to a command; an engine that needs longer counts as away."""

FIRST = "0-0"
"""The position before the first entry of a stream."""

CANCELLED = EngineAway("a blocking command was cancelled")
"""Why a client is built again that is not broken. Nobody needs to read this."""

LARGEST_LEASE = 64 * 2**10
"""Bytes of a lease that are read; the workers that write them are other people's."""

NEWEST = "$"
"""The position behind the last entry of a stream, whatever that is."""


class Entry(Struct, frozen=True):
    """One entry of a stream. Its id begins with the milliseconds of the engine's clock."""

    id: str
    data: bytes


@asynccontextmanager
async def open_engine(
    settings: EngineSettings, *, pauses: Pauses = backoff, quiet: bool = False
) -> AsyncGenerator[Engine]:
    """Keep a client of the engine within the block; entering does not wait until it is connected.

    If `quiet`, outages are not logged: whoever uses it says what is wrong. Raises `OSError` for a CA file that
    cannot be read.
    """
    engine = Engine(settings, tls_of(settings), pauses, quiet=quiet)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(engine.keep, name="engine")
        try:
            yield engine
        finally:
            tasks.cancel_scope.cancel()


class Engine:
    """The commands that we use. Each raises `ConnectionLost`; the engine may have done it nevertheless.

    Keys and ids of entries are texts, values are bytes.
    """

    def __init__(
        self, settings: EngineSettings, tls: ssl.SSLContext | None, pauses: Pauses, *, quiet: bool = False
    ) -> None:
        self.settings = settings
        self.reason: EngineReason | None = EngineAway("not tried yet")
        """Why the engine cannot be used; None while it can."""
        self.round_trip: float | None = None
        """Seconds to the engine and back when that was measured last; None if it cannot be used."""
        self._tls = tls
        self._pauses = pauses
        self._quiet = quiet
        self._client: Redis[bytes] | None = None
        self._ready = anyio.Event()
        self._tried = anyio.Event()
        self._lost = anyio.Event()

    @property
    def is_reachable(self) -> bool:
        """Whether the engine can be used now."""
        return self.reason is None

    async def ready(self) -> None:
        """Wait until the engine can be used."""
        await self._ready.wait()

    async def reach(self) -> None:
        """Wait for the first attempt to connect. Raises `ConnectionLost` if it fails."""
        await self._tried.wait()
        if self.reason is not None:
            raise ConnectionLost(self.reason)

    async def keep(self) -> None:
        """Build the client, and again after each loss, until cancelled. Each kind of outage is logged once."""
        logged: EngineReason | None = None
        pauses = self._pauses()
        while True:
            try:
                async with new_client(self.settings, self._tls) as client:
                    with anyio.fail_after(CONNECT_SECONDS):
                        await client.ping()
                    if logged is not None:
                        logger.warning("the engine is back", engine=self.settings.address)
                    logged, pauses = None, self._pauses()
                    await self._use(client)
            except Exception as error:  # noqa: BLE001  the library raises groups, and errors of many kinds
                self.reason = engine_reason(error)
                self._tried.set()
            # One outage is first a lost connection and then a refused one.
            if self.reason not in (None, CANCELLED) and type(self.reason) is not type(logged):
                logged = self.reason
                if not self._quiet:
                    logger.warning("the engine cannot be used", engine=self.settings.address, **log_fields(logged))
            await anyio.sleep(next(pauses))

    async def _use(self, client: Redis[bytes]) -> None:
        """Let the commands use the client until one of them finds it lost."""
        self._client, self.reason, self._lost = client, None, anyio.Event()
        self._ready.set()
        self._tried.set()
        try:
            await self._lost.wait()
        finally:
            self._lose(client, self.reason or EngineAway("connection lost"))

    def _lose(self, client: Redis[bytes], reason: EngineReason) -> None:
        """Have the client built again, unless that has happened since the command began."""
        if self._client is client:
            self._client, self.reason, self._ready = None, reason, anyio.Event()
            self.round_trip = None
            self._lost.set()

    async def _call(self, command: Callable[[Redis[bytes]], Awaitable[T]], blocking: float | None = None) -> T:
        """Run a command, which may block for so many seconds in the engine."""
        client = self._client
        if client is None:
            raise ConnectionLost(self.reason or EngineAway("connection lost"))
        finished = False
        try:
            with anyio.fail_after(ANSWER_SECONDS + (blocking or 0.0)):
                answer = await command(client)
            finished = True
            return answer
        except ResponseError as error:
            finished = not isinstance(error, AuthenticationError)
            raise ConnectionLost(engine_reason(error)) from error
        except Exception as error:
            self._lose(client, reason := engine_reason(error))
            raise ConnectionLost(reason) from error
        finally:
            if blocking is not None and not finished:
                # coredis 6.9: a blocking command that is cancelled never gives back its place among the connections.
                self._lose(client, CANCELLED)

    async def measure(self) -> None:
        """Measure the time to the engine and back."""
        began = anyio.current_time()
        await self._call(lambda client: client.ping())
        self.round_trip = anyio.current_time() - began

    async def set(self, key: str, value: bytes, seconds: float, *, only_new: bool = False) -> bool:
        """Set a value that expires after so many seconds; False if `only_new` and there is one."""
        condition = PureToken.NX if only_new else None
        return await self._call(lambda client: client.set(key, value, px=_milliseconds(seconds), condition=condition))

    async def get(self, key: str) -> bytes | None:
        """The value of a key."""
        return await self._call(lambda client: client.get(key))

    async def take(self, key: str) -> bytes | None:
        """The value of a key, which is deleted."""
        return await self._call(lambda client: client.getdel(key))

    async def values(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values of several keys."""
        return list(await self._call(lambda client: client.mget(keys))) if keys else []

    async def leases(self, keys: Sequence[str]) -> list[tuple[bytes, float] | None]:
        """The values of several leases, each with the seconds for which it lasts; None for one that has ended."""
        if not keys:
            return []
        answer = cast("list[bytes | int]", await self.script(scripts.LEASES, keys, [LARGEST_LEASE]))
        pairs = zip(cast("list[bytes]", answer[::2]), cast("list[int]", answer[1::2]), strict=True)
        return [None if left == -2 else (value, left / 1000) for value, left in pairs]

    async def delete(self, *keys: str) -> int:
        """Delete keys; how many there were."""
        return await self._call(lambda client: client.delete(keys))

    async def expire(self, key: str, seconds: float) -> bool:
        """Have a key expire after so many seconds; False if it is not there."""
        return await self._call(lambda client: client.pexpire(key, _milliseconds(seconds)))

    async def keys(self, pattern: str) -> list[str]:
        """The keys that match a pattern such as "atelier:*"."""
        keys: set[str] = set()
        cursor = 0
        while True:
            position = cursor
            cursor, page = await self._call(lambda client: client.scan(position, match=pattern, count=1000))  # noqa: B023
            keys.update(key.decode() for key in page)
            if not cursor:
                return sorted(keys)

    async def renew(self, key: str, value: bytes, seconds: float) -> bool:
        """Have a lease end after so many seconds from now; False if it does not have this value any more."""
        return await self.script(scripts.RENEW, [key], [value, _milliseconds(seconds)]) == 1

    async def release(self, key: str, value: bytes) -> bool:
        """Delete a lease; False if it does not have this value any more."""
        return await self.script(scripts.RELEASE, [key], [value]) == 1

    async def script(self, source: str, keys: Sequence[str], arguments: Sequence[Argument]) -> object:
        """Run a script as one step; its answer is an integer, bytes, None, or a list of these."""
        return await self._call(lambda client: client.eval(source, keys, arguments))

    async def add(self, stream: str, data: bytes, *, longest: int, seconds: float = 0.0) -> str:
        """Add an entry to a stream that keeps about the `longest` newest ones; its id.

        The stream expires if nothing is added for so many seconds, 0 for never.
        """
        answer = await self.script(scripts.ADD, [stream], [longest, _milliseconds(seconds), data])
        return cast("bytes", answer).decode()

    async def read(self, positions: Mapping[str, str], *, block: float, most: int = 100) -> dict[str, list[Entry]]:
        """The entries of each stream behind its position, at most so many of each; waits up to `block` seconds for one.

        It has a connection of its own while it waits. Do not cancel it but at the end: the client is then built again.
        """
        answer = await self._call(
            lambda client: client.xread(dict(positions), count=most, block=_milliseconds(block)), blocking=block
        )
        return {key.decode(): [_entry(each) for each in entries] for key, entries in (answer or {}).items()}

    async def range(self, stream: str, start: str = "-", end: str = "+", most: int | None = None) -> list[Entry]:
        """The entries from one id to another, both included unless written with "(" in front."""
        return [_entry(each) for each in await self._call(lambda client: client.xrange(stream, start, end, most))]

    async def remove(self, stream: str, *entries: str) -> int:
        """Delete entries of a stream; how many were there."""
        return await self._call(lambda client: client.xdel(stream, entries))

    async def time(self) -> float:
        """Seconds since the epoch, by the engine's clock."""
        return (await self._call(lambda client: client.time())).timestamp()

    async def information(self, section: str) -> dict[str, object]:
        """A section of INFO."""
        return dict(await self._call(lambda client: client.info(section)))

    async def logins(self) -> list[str]:
        """Each login as a line of its rules, with the hashes of its passwords."""
        return [line.decode() for line in await self._call(lambda client: client.acl_list())]

    async def set_login(self, name: str, rules: Sequence[str]) -> None:
        """Create a login, or change it."""
        await self._call(lambda client: client.acl_setuser(name, *rules))

    async def delete_login(self, name: str) -> None:
        """Delete a login; the engine closes its connections."""
        await self._call(lambda client: client.acl_deluser([name]))

    async def save_logins(self) -> bool:
        """Write all logins to the engine's aclfile; False if it has none."""
        try:
            return await self._call(lambda client: client.acl_save())
        except ConnectionLost as loss:
            if isinstance(loss.reason, EngineRefuses) and "ACL file" in loss.reason.message:
                return False
            raise

    async def configuration(self, name: str) -> str | None:
        """A setting of the engine, None if it has none of this name."""
        values = await self._call(lambda client: client.config_get([name]))
        return next((value.decode() for key, value in values.items() if key.decode() == name), None)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _entry(entry: StreamEntry) -> Entry:
    """Convert the library's entry; one that somebody else wrote without our field has no data."""
    identifier, fields = entry.identifier, cast("Mapping[bytes, bytes]", entry.field_values)
    return Entry(identifier if isinstance(identifier, str) else identifier.decode(), fields.get(b"m", b""))
