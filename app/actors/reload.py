"""ReloadActor: loads the configuration again when its file changes or somebody asks, and applies what can change."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import anyio
import structlog
from anyio import to_thread
from anyio.abc import TaskStatus

from app.actors.servers import ConfiguredServer, Servers
from app.config.settings import Config, Server
from app.config.toml_table import ConfigError
from app.core.servers.state import ServerSettings
from app.entry_points import run_request
from app.events import ServerName
from app.mailbox import Mailbox

logger = structlog.stdlib.get_logger(__name__)

LOOK = 2.0
"""Seconds between two looks at the file: whoever saves it looks at the log next."""

FIXED = {
    "data": "data",
    "workflows": "workflows",
    "included": "included_workflows",
    "depth": "depth",
    "largest_result": "largest_result",
    "discord_token": "DISCORD_TOKEN",
    "api_key": "COMFYUI_API_KEY",
    "discord": "[discord]",
    "alerts": "[alerts]",
    "http": "[http]",
    "log": "[log]",
    "retention": "[retention]",
    "backup": "[backup]",
    "engine": "[engine]",
}
"""The settings that only a restart changes, and what people call them."""


def ignore(_: Config) -> None:
    """Change nothing after the configuration was loaded again."""


def settings_of(config: Config, server: Server) -> ServerSettings:
    """What the configuration says about a server that the registry needs to know."""
    return ServerSettings(
        failover_after=config.failover_of(server),
        weight=server.weight,
        workflows=None if server.workflows is None else frozenset(server.workflows),
        power=server.power,
        pays=config.pays_on(server),
    )


def configured_servers(config: Config) -> dict[ServerName, ConfiguredServer]:
    """The servers of a configuration, by name."""
    return {server.label: ConfiguredServer(server, settings_of(config, server)) for server in config.servers}


class ReloadActor:
    """Applies a changed configuration to the servers and, by `reloaded`, to the frontend. A wrong one changes nothing.

    `config` is what the application started with, and `load` loads it again: it raises `ConfigError`. Each time, that
    and all that follows happens in a block of `reloading`.
    """

    def __init__(
        self,
        config: Config,
        load: Callable[[], Config],
        servers: Servers,
        reloaded: Callable[[Config], None] = ignore,
        reloading: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._config = config
        self._load = load
        self._servers = servers
        self._reloaded = reloaded
        self._reloading = reloading
        self._requests = Mailbox[None](lambda _: "reload")

    def reload(self) -> None:
        """Load the configuration soon, even if its file has not changed."""
        self._requests.put(None)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Look at the file every `LOOK` seconds until cancelled; report itself started after the first look."""
        async with self._requests:
            seen = await self._stamp()
            task_status.started()
            while True:
                requested = False
                with anyio.move_on_after(LOOK):
                    await self._requests.receive()
                    requested = True
                stamp = await self._stamp()
                if requested or stamp != seen:
                    seen = stamp
                    with self._reloading():
                        await run_request(self._reload, "the configuration could not be loaded again")

    async def _stamp(self) -> tuple[int, int, int] | None:
        """What differs whenever the file was written; None if it cannot be looked at."""
        if not (source := self._config.source):
            return None
        try:
            status = await to_thread.run_sync(Path(source).stat)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    async def _reload(self) -> None:
        try:
            config = await to_thread.run_sync(self._load)
        except ConfigError as error:
            logger.error("the configuration is wrong, and nothing changes", reason=str(error))
            return
        if fixed := [name for field, name in FIXED.items() if getattr(config, field) != getattr(self._config, field)]:
            logger.warning("restart the bot to apply changed settings", settings=fixed)
        self._servers.configure(configured_servers(config))
        self._reloaded(config)
        logger.info("the configuration was loaded again", servers=[server.label for server in config.servers])
