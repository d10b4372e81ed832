"""Polls whether the servers answer, and asks which nodes they have: at the start, and whenever one comes back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

import anyio
import structlog
from msgspec import Struct

from app.actors.alerts import Alerts, no_alerts
from app.core.alerts import Cause
from app.entry_points import run_request
from app.events import ServerName
from app.node_cache import NodeCache
from app.ports import Comfy, ConnectionLost, Refused, Stats
from app.reasons.alerts import NoServer, ServerAway

logger = structlog.stdlib.get_logger(__name__)

PATIENCE = 10.0
"""Seconds for a server to answer at all."""

PATIENCE_NODES = 30.0
"""Seconds for a server to list its nodes: it reads all its model folders for that, which may be on a slow disk."""

PATIENCE_STATUS = 2.0
"""Seconds for a server to report its status to a person who waits for it."""


ALERT_AFTER = 60.0
"""Seconds that a server must be away until the operator is alerted: a restart of ComfyUI takes up to a minute."""

ALL = Cause("servers")


class ServerStatus(Struct, frozen=True):
    """The state of one server just now; `stats` is None if it does not answer. Times in milliseconds."""

    name: ServerName
    stats: Stats | None = None
    running: int = 0
    pending: int = 0
    milliseconds: int = 0


class ServerMonitor:
    """Tracks which servers answer, and alerts the operator of those that do not.

    A server is asked for its nodes once each time it comes back. `servers` and `nodes` may change. Those that are `off`
    on purpose are not asked, and count as if they were not there.
    """

    def __init__(
        self,
        servers: Mapping[ServerName, Comfy],
        nodes: Mapping[ServerName, NodeCache],
        alerts: Alerts | None = None,
        off: Collection[ServerName] = (),
    ) -> None:
        self._off = off
        self._alerts = alerts or no_alerts()
        self._servers = servers
        self._nodes = nodes
        self._known: set[ServerName] = set()
        self._mute: set[ServerName] = set()
        self._away: set[ServerName] = set()
        self._asked: dict[ServerName, NodeCache | None] = {}
        """The servers that were asked to the end, and their caches of nodes: one that is added again has another."""

    @property
    def silent(self) -> frozenset[ServerName]:
        """The servers that did not say which nodes they have when they were asked last."""
        return frozenset(self._mute)

    @property
    def away(self) -> frozenset[ServerName]:
        """The servers that did not answer when they were asked last, although they are on."""
        return frozenset(self._away)

    async def poll(self) -> list[ServerName]:
        """Ask all servers at once; return those that do not answer, although they are on."""
        self._forget_removed()
        asked = {name: comfy for name, comfy in self._servers.items() if name not in self._off}
        for name in self._asked - asked.keys():
            # Its nodes may be others when it is on again.
            self._known.discard(name)
            self._away.discard(name)
            self._alerts.cleared(Cause("server", name), silently=True)
        away = await self._ask_all(asked)
        if len(away) == len(asked) > 1:
            # One server that is away alone has an alert of its own.
            self._alerts.raised(ALL, NoServer(tuple(asked)), after=ALERT_AFTER)
        else:
            # Those that are left may not answer either.
            self._alerts.cleared(ALL, silently=len(away) == len(asked))
        return [name for name in self._servers if name in away]

    async def ask_new(self) -> None:
        """Ask the servers that were added since the last poll, so that people need not wait for the next one."""
        self._forget_removed()
        unknown = self._servers.keys() - self._asked.keys() - set(self._off)
        if new := {name: comfy for name, comfy in self._servers.items() if name in unknown}:
            await self._ask_all(new)

    def _forget_removed(self) -> None:
        for name, nodes in list(self._asked.items()):
            if name in self._servers and nodes is self._nodes.get(name):
                continue
            self._alerts.cleared(Cause("server", name))
            del self._asked[name]
            for names in (self._known, self._mute, self._away):
                names.discard(name)

    async def _ask_all(self, servers: Mapping[ServerName, Comfy]) -> set[ServerName]:
        """Ask these servers at once; return those that do not answer."""
        away: set[ServerName] = set()
        async with anyio.create_task_group() as asking:
            for name, comfy in servers.items():
                away.add(name)
                asking.start_soon(self._ask_to_the_end, name, comfy, away, name=f"ask {name}")
        return away

    async def status(self) -> list[ServerStatus]:
        """Ask all servers at once how they are; takes `PATIENCE_STATUS` at most."""
        statuses = {name: ServerStatus(name) for name in self._servers}

        async def ask(name: ServerName, comfy: Comfy) -> None:
            before = anyio.current_time()
            try:
                stats = await comfy.stats()
                milliseconds = round((anyio.current_time() - before) * 1000)
                queue = await comfy.queue()
            except (ConnectionLost, Refused):
                return
            statuses[name] = ServerStatus(name, stats, len(queue.running), len(queue.pending), milliseconds)

        with anyio.move_on_after(PATIENCE_STATUS):
            async with anyio.create_task_group() as asking:
                for name, comfy in self._servers.items():
                    if name not in self._off:
                        asking.start_soon(ask, name, comfy, name=f"status of {name}")
        return list(statuses.values())

    async def _ask_to_the_end(self, name: ServerName, comfy: Comfy, away: set[ServerName]) -> None:
        nodes = self._nodes.get(name)
        ask = partial(self._ask, name, comfy, away)
        await run_request(ask, "a server could not be asked what it has", server=name)
        # Not if this was cancelled: then it is asked again.
        self._asked[name] = nodes

    async def _ask(self, name: ServerName, comfy: Comfy, away: set[ServerName]) -> None:
        try:
            with anyio.fail_after(PATIENCE):
                await comfy.queue()
        except (ConnectionLost, Refused, TimeoutError) as error:
            self._known.discard(name)
            self._away.add(name)
            why = None if isinstance(error, TimeoutError) else error.reason
            self._alerts.raised(Cause("server", name), ServerAway(name, why), after=ALERT_AFTER)
            return
        away.discard(name)
        self._away.discard(name)
        self._alerts.cleared(Cause("server", name))
        if name in self._known or (nodes := self._nodes.get(name)) is None:
            return
        try:
            with anyio.fail_after(PATIENCE_NODES):
                await nodes.read_all()
        except (ConnectionLost, Refused, TimeoutError) as error:
            if name not in self._mute:
                logger.warning("a server does not say which nodes it has", server=name, reason=str(error))
            self._mute.add(name)
        else:
            self._known.add(name)
            self._mute.discard(name)
