"""Keeps in the engine who was told that the bot thinks, so that the next active front can answer them."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import msgspec
import structlog

from app.engine.connection import Engine
from app.ports import ConnectionLost, OpenRequest

logger = structlog.stdlib.get_logger(__name__)

OPEN = "atelier:open:"
"""The beginning of the keys of open requests; the front's id and the token of the interaction follow."""

SECONDS = 15 * 60.0
"""Seconds for which they are kept: then Discord takes no answer any more."""

MOST = 1_000
"""Changes that wait to be written, and requests of other fronts that are answered; the oldest ones are left out."""

LONGEST = 16 * 2**10
"""Bytes of the longest request that is read."""

WRITING = 0.5
"""Seconds that somebody waits at most until a request is written: Discord waits three for the first answer."""


class EngineOpenRequests:
    """See `app.ports.OpenRequestStore`. While the engine is away, changes wait."""

    def __init__(self, engine: Engine, front: str) -> None:
        """`front` is the id of this front."""
        self._engine = engine
        self._prefix = f"{OPEN}{front}:"
        self._changes: dict[str, OpenRequest | None] = {}
        """What is not written yet, by token: a request, or that one is over."""
        self._changed, self._settled = anyio.Event(), anyio.Event()
        self._settled.set()
        self._written: set[str] = set()
        self._left: dict[str, str] = {}
        """The keys of the requests that other fronts have left, by token."""
        self._awaited: dict[str, anyio.Event] = {}
        """Set once the request with this token is written."""

    def put(self, request: OpenRequest) -> None:
        """See `OpenRequestStore`."""
        self._change(request.token, request)

    async def kept(self, token: str) -> None:
        """See `OpenRequestStore`."""
        if token not in self._changes:
            return
        written = self._awaited[token] = anyio.Event()
        try:
            with anyio.move_on_after(WRITING):
                await written.wait()
        finally:
            del self._awaited[token]

    def remove(self, token: str) -> None:
        """See `OpenRequestStore`."""
        if token in self._written or token in self._left:
            self._change(token, None)
        else:
            self._changes.pop(token, None)

    def _change(self, token: str, request: OpenRequest | None) -> None:
        self._changes[token] = request
        while len(self._changes) > MOST:
            del self._changes[next(iter(self._changes))]
        self._changed.set()
        if self._settled.is_set():
            self._settled = anyio.Event()

    async def run(self) -> None:
        """Write changes until cancelled."""
        while True:
            await self._changed.wait()
            self._changed = anyio.Event()
            await self._write_changes()

    async def _write_changes(self) -> None:
        while True:
            await self._engine.ready()
            # Only now: what waited may be over since.
            if not self._changes:
                self._settled.set()
                return
            token, request = next(iter(self._changes.items()))
            del self._changes[token]
            try:
                await self._write(token, request)
            except ConnectionLost:
                # It may have been written; a newer change of the same request counts more.
                self._changes.setdefault(token, request)

    async def _write(self, token: str, request: OpenRequest | None) -> None:
        if request is None:
            await self._engine.delete(self._left.get(token, self._prefix + token))
            self._written.discard(token)
            self._left.pop(token, None)
        else:
            # Before it is written: from here on it may be there.
            self._written.add(token)
            await self._engine.set(self._prefix + token, msgspec.json.encode(request), SECONDS)
            if (awaited := self._awaited.get(token)) is not None:
                awaited.set()

    async def settled(self) -> None:
        """Wait until everything is written. `run` must be running."""
        await self._settled.wait()

    async def left(self) -> Sequence[OpenRequest]:
        """See `OpenRequestStore`."""
        try:
            keys = [key for key in await self._engine.keys(f"{OPEN}*") if not key.startswith(self._prefix)][:MOST]
            read = {key: _read(value) for key, value in zip(keys, await self._engine.values(keys), strict=True)}
            if unreadable := [key for key, request in read.items() if request is None]:
                await self._engine.delete(*unreadable)
        except ConnectionLost as loss:
            logger.warning("requests of other fronts cannot be read", reason=str(loss))
            return []
        self._left = {request.token: key for key, request in read.items() if request is not None}
        return [request for request in read.values() if request is not None]


def _read(value: bytes | None) -> OpenRequest | None:
    """A request; None if it is none of ours."""
    if value is None or len(value) > LONGEST:
        return None
    try:
        return msgspec.json.decode(value, type=OpenRequest)
    except msgspec.MsgspecError:
        return None
