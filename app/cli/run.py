"""The command `run`: the bot, with its journal, its alerts and the service manager."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import structlog
from anyio import to_thread
from msgspec import Struct

from app.cli.arguments.program import PROGRAM
from app.cli.data_folder import journal_path
from app.config.load import reload_config
from app.config.settings import Config
from app.system.standard_streams import complain

if TYPE_CHECKING:
    from app.application import Services
    from app.core.replication import Publisher
    from app.core.shards import SharedShards
    from app.engine.replication.watch import FrontsWatch
    from app.journal.sqlite import SqliteJournal
    from app.ports import OpenRequestStore, OtherDisks

logger = structlog.stdlib.get_logger(__name__)

LAST_LOOK = 0.5
"""Seconds for a look at the journal when the bot ends: it may be held by another program."""


class Sharing(Struct, frozen=True, kw_only=True):
    """What a front's bot shares with other fronts; with nothing, the bot is alone.

    `publisher` gets what the journal writes, `others` are the disks of other fronts, `watch` is for the metrics,
    `open_requests` keeps who waits for an answer, `shards` are those that fronts share, and `stop` ends the bot.
    """

    publisher: Publisher | None = None
    others: OtherDisks | None = None
    watch: FrontsWatch | None = None
    open_requests: OpenRequestStore | None = None
    shards: SharedShards | None = None
    stop: anyio.Event | None = None


ALONE = Sharing()


async def client_id_of(journal: SqliteJournal, stop: anyio.Event | None) -> str | None:
    """The id by which ComfyUI knows this bot; None if the bot is to stop before its journal can be written."""
    client_id: str | None = None
    async with anyio.create_task_group() as tasks:

        async def give_up() -> None:
            if stop is not None:
                await stop.wait()
                # The journal would be waited for until this front is the active one again.
                tasks.cancel_scope.cancel()

        tasks.start_soon(give_up, name="stop")
        client_id = await journal.client_id()
        tasks.cancel_scope.cancel()
    return client_id


async def run_bot(config: Config, *, drain: bool, sharing: Sharing = ALONE) -> int:
    """Run the bot until it is stopped, by a signal or by what it shares; return the exit code."""
    if not config.discord_token:
        complain(f"no DISCORD_TOKEN is set; try “{PROGRAM} demo”, or “generate”.")
        return 2
    # hikari alone takes half a second.
    from app.application import comfies, open_alerts, open_http, open_page_parts, open_upkeep, run
    from app.core.servers.power import left_on
    from app.discord.app import DiscordApp
    from app.http.sources import Sources
    from app.journal.access.crash_points import crash_point
    from app.journal.sqlite import open_journal
    from app.retention.files import delete_unfinished
    from app.system.garbage import collect_rarely
    from app.system.systemd import ServiceManager

    path = journal_path(config)
    # The journal and the results are what people asked for: only this user reads what is created from here on.
    os.umask(0o077)
    publisher, others, watch = sharing.publisher, sharing.others, sharing.watch
    sources, manager = Sources(fronts=watch), ServiceManager(os.environ)
    sources.engine = watch.engine if watch is not None else None
    async with (
        open_http(config, sources) as page,
        open_alerts(config.alerts) as alerts,
        open_journal(path, crash=crash_point(os.environ), alerts=alerts, publisher=publisher) as journal,
    ):
        # Only now: the journal is locked, so no other bot writes there.
        await to_thread.run_sync(delete_unfinished, config.data)
        bot = DiscordApp(
            config,
            journal,
            alerts,
            page,
            is_suspended=lambda: journal.is_suspended,
            active_for=(lambda: publisher.active_for) if publisher is not None else None,
            others=others,
            open_requests=sharing.open_requests,
            shards=sharing.shards,
        )
        sources.journal, sources.discord = journal, bot

        async def serve_page(services: Services) -> None:
            await bot.page_opened.wait()
            # Now that everything has started. With many pages, results would wait for garbage collections.
            collect_rarely()
            if (frontend := bot.page_frontend) is not None:
                async with open_page_parts(services, journal, frontend, others) as sources.page:
                    try:
                        await anyio.sleep_forever()
                    finally:
                        sources.page = None

        async def frontend(services: Services) -> int:
            sources.work, sources.configured = services.work, services.configured
            sources.draining, sources.workers = services.draining, services.workers
            if services.workers is not None:
                sources.engine = services.workers.engine
            code = 0
            async with anyio.create_task_group() as tasks:
                if page is not None:
                    tasks.start_soon(serve_page, services, name="page")
                tasks.start_soon(manager.run, bot.opened, services.draining, name="service manager")
                code = await bot.run(
                    services.registry,
                    comfies(services.clients),
                    services.nodes,
                    services.draining,
                    services.shutdown,
                    services.configured,
                    services.off,
                )
                tasks.cancel_scope.cancel()
            return code

        load = partial(reload_config, config, os.environ, Path.cwd())
        # ComfyUI sends the frames of a job to the id that submitted it, also if the bot was restarted since.
        client_id = await client_id_of(journal, sharing.stop)
        if client_id is None:
            return 0
        async with open_upkeep(config, journal, alerts):
            code = await run(
                config,
                frontend,
                journal=journal,
                client_id=client_id,
                drain=drain,
                alerts=alerts,
                load=load,
                reloaded=bot.reloaded,
                reloading=manager.reloading,
                asked=True,
                others=others,
                stop=sharing.stop,
                lease=publisher.lease if publisher is not None else None,
            )
        with anyio.move_on_after(LAST_LOOK):
            if left := left_on(await journal.on_periods()):
                # To stop them takes minutes, and whoever ends the bot waits only for seconds.
                logger.warning("servers stay on, and nobody stops them until the bot runs again", servers=left)
        return code
