"""What health and metrics read. Each part of the bot puts itself here once it is open, and is only read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import anyio
from msgspec import Struct

from app.config.settings import Server
from app.core.work import Work
from app.events import ServerName
from app.histogram import Histogram

if TYPE_CHECKING:
    from app.http.page.parts import PageParts


class JournalSource(Protocol):
    """What is read of the journal."""

    @property
    def commits(self) -> Histogram:
        """Seconds that commits took."""
        ...

    @property
    def problem(self) -> str:
        """Why jobs cannot be recorded now, as a sentence; "" if nothing is known to be wrong."""
        ...

    async def check(self) -> str:
        """Try to write now; why that failed, as a sentence, or ""."""
        ...


class TrafficSource(Protocol):
    """What is counted of the exchange with Discord. Another thread may count while a counter is copied."""

    @property
    def requests(self) -> Counter[tuple[str, str]]:
        """Requests by method and status."""
        ...

    @property
    def sessions(self) -> Counter[str]:
        """Sessions of the gateway, by kind."""
        ...


class DiscordSource(Protocol):
    """What is read of the Discord frontend."""

    @property
    def has_opened(self) -> bool:
        """Whether Discord was reached and knows the commands."""
        ...

    @property
    def is_connected(self) -> bool:
        """Whether the gateway is connected now."""
        ...

    @property
    def latency(self) -> float:
        """Seconds to the gateway and back; NaN before it was measured."""
        ...

    @property
    def media_workers(self) -> frozenset[int]:
        """The process ids of the media workers."""
        ...

    @property
    def traffic(self) -> TrafficSource:
        """What is counted."""
        ...


class EngineSource(Protocol):
    """What is read of the engine."""

    @property
    def is_reachable(self) -> bool:
        """Whether it can be used now."""
        ...

    @property
    def round_trip(self) -> float | None:
        """Seconds to it and back; None if that is not known."""
        ...


class WorkersSource(Protocol):
    """What is read of the workers."""

    @property
    def here(self) -> int:
        """How many there are now."""
        ...

    @property
    def lags(self) -> Mapping[ServerName, tuple[str, float]]:
        """The worker of each server, and the seconds since its last sign."""
        ...


class FrontsSource(Protocol):
    """What is read of the fronts, of which this process is one."""

    @property
    def is_active(self) -> bool:
        """Whether this one is active."""
        ...

    @property
    def epoch(self) -> int | None:
        """How often a front has become active; None if that is not known."""
        ...

    @property
    def lease_left(self) -> float:
        """Seconds for which the lease of the active front lasts unless it is renewed."""
        ...

    @property
    def standbys(self) -> Mapping[str, tuple[int, float]]:
        """By how many batches and seconds each front on standby is behind, by its name."""
        ...

    @property
    def shards(self) -> Mapping[str, int]:
        """How many shards each front has connected, by its name; nothing while they are not shared."""
        ...

    @property
    def events(self) -> Mapping[str, int]:
        """How many events of this front's shards were "relayed" or "dropped", and how many came "late"."""
        ...


class Sources(Struct):
    """The parts of the bot that are open; None is not open yet. `draining` is set when no new job is submitted.

    `page` is what the web page shows and does. `on_standby` is whether the bot does not run here, because another front
    is active. Without an engine, `engine`, `workers` and `fronts` stay None.
    """

    journal: JournalSource | None = None
    discord: DiscordSource | None = None
    work: Work | None = None
    configured: Mapping[ServerName, Server] = {}
    draining: anyio.Event | None = None
    page: PageParts | None = None
    engine: EngineSource | None = None
    workers: WorkersSource | None = None
    fronts: FrontsSource | None = None
    on_standby: bool = False
