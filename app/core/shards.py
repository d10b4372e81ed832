"""Which front holds which shard: a part of what one peer sends, by a connection of its own.

The peer decides how many shards there are, and which of them an event belongs to. What the fronts receive goes to the
active one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct


class ShardTable(Struct, frozen=True):
    """The id of the front that is to hold each shard, and the epoch of the lease of the front that decided it."""

    epoch: int
    fronts: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many shards there are."""
        return len(self.fronts)

    def shards_of(self, front: str) -> frozenset[int]:
        """What a front is to hold. A single shard is not shared: it belongs to the bot of the active front."""
        return frozenset(shard for shard, holder in enumerate(self.fronts) if holder == front and self.count > 1)


class GatewayEvent(Struct, frozen=True):
    """What arrived at a shard, one of `count`. After `lasts` seconds nobody waits for it any more; 0 is without end."""

    shard: int
    count: int
    name: str
    payload: bytes
    lasts: float = 0.0


class ShardHolder(Protocol):
    """Holds the connections of this front's shards. It may run in another event loop."""

    @property
    def connected(self) -> frozenset[int]:
        """The shards that are connected now."""
        ...

    @property
    def latency(self) -> float:
        """Seconds to the peer and back by one of them; NaN if that is not known."""
        ...

    async def show_presence(self, text: str, *, away: bool) -> None:
        """Show this text by these shards, now and at each later connection; `away` if the bot cannot work just now."""
        ...


class SharedShards(Protocol):
    """What the bot of the active front needs of the shards that fronts share."""

    sessions: Counter[str]
    """The sessions of this front's shards: "new" ones, and those that were "resumed" after a loss."""

    @property
    def holder(self) -> ShardHolder | None:
        """What holds this front's shards; None as long as it has not had any."""
        ...

    @property
    def is_connected(self) -> bool:
        """Whether all shards that this front is to hold are connected."""
        ...

    async def settle(self, count: int) -> bool:
        """Share so many shards from now on; False if there is nothing to share, because it is a single one."""
        ...

    async def connected(self) -> None:
        """Wait until all shards that this front is to hold are connected."""
        ...

    async def receive(self, deliver: Callable[[Sequence[GatewayEvent]], Awaitable[None]]) -> None:
        """Hand over what arrives at any shard, until cancelled."""
        ...


def assign(count: int, fronts: Sequence[str], before: Sequence[str] = ()) -> tuple[str, ...]:
    """The front for each of `count` shards: evenly, and as few as possible elsewhere than `before`.

    The first of the fronts is the active one. It holds a single shard, and where the shards cannot be divided evenly,
    the others get one more, because it has everything else to do.
    """
    if count == 1:
        return (fronts[0],)
    known = before if len(before) == count else ()
    held = Counter(known)
    least, more = divmod(count, len(fronts))
    by_held = sorted([*fronts[1:], fronts[0]], key=lambda front: -held[front])
    places = {front: least + (number < more) for number, front in enumerate(by_held)}
    table = dict[int, str]()
    for shard, front in enumerate(known):
        if places.get(front, 0) > 0:
            table[shard] = front
            places[front] -= 1
    free = iter([front for front in fronts for _ in range(places[front])])
    return tuple(table.get(shard) or next(free) for shard in range(count))


def may_release(shard: int, table: ShardTable, connected: Mapping[str, frozenset[int]]) -> bool:
    """Whether the front that is to hold a shard has connected it, so that the one that held it may close it."""
    return shard < table.count and shard in connected.get(table.fronts[shard], frozenset())
