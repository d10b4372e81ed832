"""What operators do to servers while the bot runs: they drain, resume, add, change and remove them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup
from msgspec.structs import replace

from app.config.settings import Server
from app.events import ServerName
from tests.simulation.network import Network
from tests.simulation.plan import Fault

if TYPE_CHECKING:
    from tests.simulation.bot import Bot
    from tests.simulation.recorder import Recorder

CHANGES: tuple[dict[str, object], ...] = (
    {"weight": 3.0},
    {"weight": 0.5, "failover_after": 120},
    {"failover_after": 20},
    {"workflows": ()},
    {"workflows": ("well-one", "well-two", "well-streamed")},
)
"""What the configuration may say of a server for a while."""


class Operators:
    """Owns what operators have changed. `say` is for the trace."""

    def __init__(self, networks: Sequence[Network], recorder: Recorder, say: Callable[[str], None]) -> None:
        self._networks = networks
        self._recorder = recorder
        self._say = say
        self._drains = Counter[ServerName]()
        self._removals = Counter[ServerName]()
        self._settings: dict[ServerName, Server] = {}
        """What the configuration's file says of each server, whether it names it or not."""
        self._calm = False
        self._bot: Bot
        self._tasks: TaskGroup

    def meet(self, bot: Bot, tasks: TaskGroup) -> None:
        """From now on they can act."""
        self._bot, self._tasks = bot, tasks
        self._settings = dict(bot.configured)

    def act(self, fault: Fault, seconds: float) -> None:
        """Change a server, or all, for so many seconds."""
        one = self._networks[fault.which % len(self._networks)].name
        match fault.kind:
            case "drain_server":
                self._drain([one], seconds)
            case "drain_all":
                self._drain(list(self._settings), seconds)
            case "remove_server":
                self._remove([one], seconds)
            case "remove_all":
                self._remove(list(self._settings), seconds)
            case "change_server":
                before = self._settings[one]
                change = CHANGES[fault.which // len(self._networks) % len(CHANGES)]
                self._set(one, replace(before, **change))
                self._later(seconds, partial(self._set, one, before))
            case "move_server":
                self._set(one, replace(self._settings[one], headers={"X-Gate": str(fault.which)}))
            case kind:
                raise AssertionError(kind)

    def calm(self) -> None:
        """Resume and add all servers again, with the settings that they had first."""
        self._calm = True
        for name in [name for name, count in self._drains.items() if count]:
            self._recorder.drain(name, drained=False)
        for name, server in self._settings.items():
            self._settings[name] = replace(server, weight=1.0, failover_after=None, workflows=None)
        self._drains.clear()
        self._removals.clear()
        self._write()

    def _drain(self, servers: Sequence[ServerName], seconds: float) -> None:
        self._drains.update(servers)
        for name in servers:
            self._recorder.drain(name, drained=True)
        self._later(seconds, partial(self._resume, servers))

    def _resume(self, servers: Sequence[ServerName]) -> None:
        self._drains.subtract(servers)
        for name in servers:
            if not self._drains[name]:
                self._recorder.drain(name, drained=False)

    def _remove(self, servers: Sequence[ServerName], seconds: float) -> None:
        self._removals.update(servers)
        self._write()
        self._later(seconds, partial(self._add, servers))

    def _add(self, servers: Sequence[ServerName]) -> None:
        self._removals.subtract(servers)
        self._write()

    def _set(self, name: ServerName, server: Server) -> None:
        self._settings[name] = server
        self._write()

    def _write(self) -> None:
        """Write the configuration's file, and have the bot load it."""
        gone = {network.name for network in self._networks if network.gone}
        configured = {
            name: server for name, server in self._settings.items() if not self._removals[name] and name not in gone
        }
        if configured != self._bot.configured:
            self._say(f"the configuration has {', '.join(configured) or 'no server'}")
            self._bot.configured = configured
            self._recorder.servers.configured = configured
            self._bot.reload()

    def _later(self, seconds: float, undo: Callable[[], None]) -> None:
        async def end() -> None:
            await anyio.sleep(seconds)
            if not self._calm:
                undo()

        self._tasks.start_soon(end, name="operators")
