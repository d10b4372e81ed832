"""What arrives at the shards of a front on its way to the active front: through one bounded stream of the engine."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias, cast

import anyio
import msgspec
import structlog
from msgspec import Struct

from app.core.shards import GatewayEvent
from app.engine.connection import FIRST, Argument, Engine, Entry
from app.engine.replication.lease import FrontLease
from app.engine.replication.messages import LEASE
from app.entry_points import run_loop
from app.ports import ConnectionLost

logger = structlog.stdlib.get_logger(__name__)

EVENTS = "atelier:gateway:events"
"""The stream of what arrives at shards. It has tokens with which one can answer, so no worker may read it."""

MOST_EVENTS = 500
"""Events that are kept in the stream, and in the memory of a front that cannot send them."""

LARGEST_EVENT = 128 * 2**10
"""Bytes of an event; larger ones are dropped."""

KEPT = 60.0
"""Seconds after the last event after which the engine forgets the stream."""

PATIENCE = 3.0
"""Seconds for which an event waits for the engine."""

AGAIN = 0.1
"""Seconds until something is tried again."""

BLOCK = 5.0
"""Seconds for which a read waits in the engine."""

AT_ONCE = 100
"""Events that are sent or read at once."""

ADD = """
for index = 3, #ARGV do
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'm', ARGV[index])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""
"""Add events to the stream, which keeps about so many and expires if nothing is added for so long."""

CLAIM = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {} end
local now = redis.call('TIME')
local claimed = {math.floor(now[1] * 1000 + now[2] / 1000)}
for index = 2, #ARGV do
    if redis.call('XDEL', KEYS[2], ARGV[index]) == 1 then claimed[#claimed + 1] = ARGV[index] end
end
return claimed
"""
"""Take entries out of the stream (2), each once, if the lease (1) is this; the engine's clock and those taken."""

Deliver: TypeAlias = Callable[[Sequence[GatewayEvent]], Awaitable[None]]


class _Sent(Struct, frozen=True, array_like=True):
    """An event in the stream; `waited` are the seconds that it waited before it was sent."""

    event: GatewayEvent
    waited: float


class Here(Struct, frozen=True):
    """What takes events in this process while its bot runs, and the lease with which it does."""

    deliver: Deliver
    lease: FrontLease


class EventSender:
    """Sends what arrives at this front's shards, in order, or hands it over here while this front is active.

    `counts` has how many were "relayed" and "dropped".
    """

    def __init__(self, engine: Engine, counts: Counter[str]) -> None:
        self.here: Here | None = None
        """Set while the bot runs in this process."""
        self._engine = engine
        self._counts = counts
        self._waiting: deque[tuple[float, GatewayEvent]] = deque()
        self._arrived = anyio.Event()
        self._is_logged = False
        self._is_sending = False

    async def take(self, events: Sequence[GatewayEvent]) -> None:
        """Take what has just arrived."""
        now = anyio.current_time()
        self._waiting += [(now, event) for event in events if len(event.payload) <= LARGEST_EVENT]
        self._drop(sum(len(event.payload) > LARGEST_EVENT for event in events), "it is too large")
        while len(self._waiting) > MOST_EVENTS:
            self._waiting.popleft()
            self._drop(1, "too many wait")
        self._arrived.set()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, and nothing is on its way."""
        return not self._waiting and not self._is_sending

    async def run(self) -> None:
        """Send until cancelled."""
        await run_loop(self._step, "events of shards could not be sent")

    async def _step(self) -> float:
        """Send what waits, or wait for it; return the seconds until the next step."""
        self._is_sending = False
        while not self._waiting:
            self._arrived = anyio.Event()
            await self._arrived.wait()
        self._is_sending = True
        first = [self._waiting.popleft() for _ in range(min(len(self._waiting), AT_ONCE))]
        now = anyio.current_time()
        batch = [(at, event) for at, event in first if now - at <= PATIENCE]
        self._drop(len(first) - len(batch), "the engine cannot be used")
        if not batch or await self._send(batch, now):
            return 0.0
        self._waiting.extendleft(reversed(batch))
        return AGAIN

    async def _send(self, batch: Sequence[tuple[float, GatewayEvent]], now: float) -> bool:
        """Send events; False if they must be sent again, which may send them twice."""
        events = [event for _, event in batch]
        here = self.here
        if here is not None and here.lease.is_held:
            return await _handed_over(here, events)
        sent = [msgspec.msgpack.encode(_Sent(event, now - at)) for at, event in batch]
        limits: list[Argument] = [MOST_EVENTS, round(KEPT * 1000)]
        try:
            await self._engine.script(ADD, [EVENTS], [*limits, *sent])
        except ConnectionLost:
            # Whether or not this front is still active, its bot can say that nothing can be saved now.
            return here is not None and not here.lease.lost.is_set() and await _handed_over(here, events)
        self._counts["relayed"] += len(events)
        self._is_logged = False
        return True

    def _drop(self, number: int, reason: str) -> None:
        self._counts["dropped"] += number
        if number and not self._is_logged:
            self._is_logged = True
            logger.warning("what Discord sends does not reach the active front", reason=reason)


async def _handed_over(here: Here, events: Sequence[GatewayEvent]) -> bool:
    """Hand events over in this process; False if its bot has just ended."""
    try:
        await here.deliver(events)
    except anyio.ClosedResourceError:
        return False
    return True


async def receive_events(engine: Engine, lease: bytes, deliver: Deliver, counts: Counter[str]) -> None:
    """Hand over what the fronts send, each event once, for as long as this lease is held, until cancelled.

    What nobody waits for any more is counted as "late". `engine` should have no other user, because its client is built
    again at the end.
    """
    position = FIRST
    while True:
        try:
            await engine.ready()
            entries = (await engine.read({EVENTS: position}, block=BLOCK, most=AT_ONCE)).get(EVENTS, [])
            claimed = await _claim(engine, lease, entries) if entries else []
        except ConnectionLost:
            await anyio.sleep(AGAIN)
            continue
        if claimed is None:
            # Another front is active now, or the engine has forgotten the lease, which is soon taken again.
            await anyio.sleep(AGAIN)
        elif entries:
            position = entries[-1].id
            counts["late"] += sum(event is None for event in claimed)
            if events := [event for event in claimed if event is not None]:
                await deliver(events)


async def _claim(engine: Engine, lease: bytes, entries: Sequence[Entry]) -> list[GatewayEvent | None] | None:
    """The events of those entries that nobody else took, None for each too old one; None if the lease is not held."""
    arguments: list[Argument] = [lease, *(entry.id for entry in entries)]
    answer = cast("list[int | bytes]", await engine.script(CLAIM, [LEASE, EVENTS], arguments))
    if not answer:
        return None
    now, taken = cast("int", answer[0]), {cast("bytes", each).decode() for each in answer[1:]}
    return [_event(entry, now) for entry in entries if entry.id in taken]


def _event(entry: Entry, now: int) -> GatewayEvent | None:
    """The event of an entry; None if it is too old at this time of the engine, or none of ours."""
    try:
        sent = msgspec.msgpack.decode(entry.data, type=_Sent)
    except msgspec.MsgspecError:
        return None
    age = (now - int(entry.id.partition("-")[0])) / 1000 + sent.waited
    return sent.event if not sent.event.lasts or age <= sent.event.lasts else None
