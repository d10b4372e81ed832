"""The composition root: opens everything in order, runs the frontend, and closes in reverse order.

Only this module knows all the others.

run
└─ open_workers       what workers offer through the engine, if one is configured
   └─ open_clients       an HTTP client and a way to open websockets for each server
      └─ open_services   PromptRegistry, and ServersActor with one ConnectionActor for each server
         └─ frontend     the command line or Discord, and its InteractionActors; ReloadActor
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import anyio
import structlog
from anyio import to_thread
from msgspec import Struct
from msgspec.structs import replace

from app.actors.alert_delivery import AlertDelivery
from app.actors.alerts import AlertActor, Alerts
from app.actors.client_pool import ClientPool, Comfies, ServerClients
from app.actors.commands import RunCommand, run_command
from app.actors.handle import Registry
from app.actors.registry import PromptRegistry, new_prompt_id
from app.actors.reload import ReloadActor, ignore, settings_of
from app.actors.servers import Servers, ServersActor
from app.backoff import Pauses, backoff
from app.backup.daily import DailyBackup
from app.comfy.client import open_comfy_client
from app.comfy.download import save
from app.comfy.websocket.connect import connect, open_websocket
from app.comfy.websocket.probe import probe
from app.config.settings import WORKER_SCHEME, AlertTargets, Config, Server
from app.core.journal_port import JobHistory, Journal, OldJobs
from app.core.scheduling.line.overview import Overview
from app.core.servers.state import ServerSettings
from app.core.work import Work
from app.events import PromptId, ServerName
from app.http.sources import Sources
from app.journal.memory import MemoryJournal
from app.node_cache import NodeCache
from app.ports import Comfy, ConnectionLost, OtherDisks, RunSync
from app.retention.actor import RetentionActor
from app.service.page_access import PageAccess
from app.service.page_frontend import PageFrontend
from app.system import signals
from app.texts.alerts import alert_text
from app.webhook import Webhook

if TYPE_CHECKING:
    from app.engine.remote_servers.workers import Workers
    from app.http.page.parts import PageParts

logger = structlog.stdlib.get_logger(__name__)

GRACE = 1.5
"""Seconds that the frontend gets to finish after a signal: the process must end within two."""


class Services(Struct, frozen=True):
    """What a frontend works with: the registry, the clients of the servers, and what is known of their nodes.

    The mappings change when servers are added and removed. `configured` are the servers as they are configured now,
    `off` those that need not answer now, and `servers` changes them. `work` is what the registry owns, to be read, and
    `overview` reads what runs and waits.
    `draining` is set when no new job may be submitted, `shutdown` when the frontend must return. `workers` are those
    that the engine knows, None without an engine.
    """

    registry: Registry
    clients: Mapping[ServerName, ServerClients]
    nodes: Mapping[ServerName, NodeCache]
    configured: Mapping[ServerName, Server]
    off: Collection[ServerName]
    servers: Servers
    work: Work
    overview: Overview
    draining: anyio.Event
    shutdown: anyio.Event
    workers: Workers | None = None


Frontend: TypeAlias = Callable[[Services], Awaitable[int]]
"""Runs on the services and returns the exit code. It returns soon after `shutdown` is set."""


@asynccontextmanager
async def open_alerts(targets: AlertTargets) -> AsyncGenerator[Alerts]:
    """Alert the operator within the block, in the log and by webhook; a frontend may listen as well."""
    actor = AlertActor(alert_text)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(actor.run, name="alerts")
        if targets.webhook:
            delivery = AlertDelivery(actor.handle, "webhook", Webhook(targets.webhook))
            tasks.start_soon(delivery.run, name="alerts to the webhook")
        try:
            yield actor.handle
        finally:
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def open_http(config: Config, sources: Sources) -> AsyncGenerator[PageAccess | None]:
    """Serve health, metrics and the page within the block, as far as they are configured.

    Yields how people get to the page, None if there is none. A wrong setting is one line in the log. Raises `OSError`
    if the data folder cannot be used.
    """
    http, page, access = config.http, None, None
    if http.problem:
        logger.error("health and metrics are not served", reason=http.problem)
    if not http.host:
        yield None
        return
    # Only here: Starlette and anycorn take 60 ms and 8 MB, and Jinja2 as much again.
    from app.http.server import open_server

    if sources.on_standby:
        # What people see on the page is at the active front.
        pass
    elif config.page.problem:
        logger.error("the page is not served", reason=config.page.problem)
    elif config.page.enabled:
        from app.http.page.opening import open_page

        opened = await to_thread.run_sync(open_page, config, sources)
        page, access = opened.page, opened.access
        logger.info("the page is served", address=access.address)
    async with open_server(http, sources, started=time.time(), page=page):
        yield access


@asynccontextmanager
async def open_page_parts(
    services: Services, job_history: JobHistory, frontend: PageFrontend, others: OtherDisks | None = None
) -> AsyncGenerator[PageParts]:
    """Run what the page shows within the block. `others` are the disks that may have files which this one lacks."""
    # Only here, as above.
    from app.http.page.parts import PageParts
    from app.service.queue.live_queue import LiveQueue
    from app.service.results.gallery import Gallery

    gallery = Gallery(job_history, frontend.visibility, is_spoiler=frontend.is_spoiler, others=others)
    live_queue = LiveQueue(
        services.overview,
        services.registry,
        frontend.visibility,
        titles=frontend.titles,
        server_names=frontend.server_names,
        is_spoiler=frontend.is_spoiler,
        names=frontend.names,
        mark=frontend.mark,
    )
    async with anyio.create_task_group() as tasks:
        await tasks.start(live_queue.run, name="live queue")
        try:
            yield PageParts(
                gallery=gallery,
                live_queue=live_queue,
                names=frontend.names,
                actions=frontend.actions,
                workflows=frontend.workflows,
                server_names=frontend.server_names,
                message_link=frontend.message_link,
            )
        finally:
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def open_upkeep(config: Config, journal: OldJobs, alerts: Alerts) -> AsyncGenerator[None]:
    """Within the block, make a backup each day and delete what is old, as far as the configuration says so."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(DailyBackup(config.backup, config.data, alerts).run, name="backup")
        tasks.start_soon(RetentionActor(config.retention, config.data, journal).run, name="retention")
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def open_server(config: Config, server: Server, client_id: str) -> AsyncGenerator[ServerClients]:
    """Open the clients of one server, which knows them by this id, within the block."""
    async with open_comfy_client(
        server,
        client_id,
        run_sync=to_thread.run_sync,
        largest_result=config.largest_result * 2**20,
        api_key=config.api_key if server.paid_nodes else "",
    ) as comfy:
        way = partial(connect, partial(open_websocket, server, client_id))
        yield ServerClients(comfy, way, partial(probe, server))


@asynccontextmanager
async def open_clients(
    config: Config, client_id: str | None = None, workers: Workers | None = None
) -> AsyncGenerator[Mapping[ServerName, ServerClients]]:
    """Open the HTTP clients of all servers, with those of `workers`.

    `client_id` is a UUID that no other process uses; by default a new one.
    """
    base = uuid.UUID(client_id) if client_id is not None else uuid.uuid4()

    def opened(server: Server) -> AbstractAsyncContextManager[ServerClients]:
        if workers is not None and server.url.startswith(f"{WORKER_SCHEME}:"):
            return workers.open_clients(server)
        # Two of our servers may be the same ComfyUI, which gives all frames to the latest socket with an id.
        return open_server(config, server, str(uuid.uuid5(base, server.label)))

    pool = ClientPool(opened)
    try:
        for server in config.servers:
            await pool.open(server)
        for name, offered in workers.offered.items() if workers is not None else ():
            if name not in pool:
                await pool.open(offered.server)
        yield pool
    finally:
        await pool.aclose()


@asynccontextmanager
async def open_workers(
    config: Config, client_id: str, *, once: bool = False, lease: tuple[str, bytes] | None = None
) -> AsyncGenerator[Workers | None]:
    """Find workers through the engine within the block; None without an engine. `lease` is that of `FrontSettings`.

    With `once`, an engine that cannot be used is neither waited for nor logged: see `Workers.engine`. Raises `OSError`
    for a CA file that cannot be read.
    """
    if config.engine is None:
        yield None
        return
    # Only here: nobody else needs the library of the engine.
    from app.engine.connection import open_engine
    from app.engine.remote_servers.workers import FrontSettings, Workers

    async def save_stream(stream: AsyncIterator[bytes], to: Path, size: int) -> None:
        await save(stream, to, to_thread.run_sync, expected=size)

    settings = FrontSettings(
        client_id=client_id,
        save=save_stream,
        run_sync=to_thread.run_sync,
        largest_result=config.largest_result * 2**20,
        lease=lease,
    )
    async with open_engine(config.engine, quiet=once) as engine, anyio.create_task_group() as tasks:
        workers = Workers(engine, settings)
        tasks.start_soon(workers.follow, name="what workers send")
        if once:
            with suppress(ConnectionLost):
                await engine.reach()
                await workers.look()
        else:
            await workers.first_look()
        try:
            yield workers
        finally:
            tasks.cancel_scope.cancel()


def comfies(clients: Mapping[ServerName, ServerClients]) -> Mapping[ServerName, Comfy]:
    """The HTTP clients alone, for what opens no websockets."""
    return Comfies(clients)


@asynccontextmanager
async def open_services(
    clients: Mapping[ServerName, ServerClients],
    journal: Journal,
    *,
    depth: int,
    settings: Mapping[ServerName, ServerSettings] | None = None,
    wait_for_disk: bool = True,
    run_sync: RunSync = to_thread.run_sync,
    new_prompt_id: Callable[[], PromptId] = new_prompt_id,
    pauses: Pauses = backoff,
    alerts: Alerts | None = None,
    run_command: RunCommand = run_command,
    asked: bool = False,
    others: OtherDisks | None = None,
) -> AsyncGenerator[Services]:
    """Start the services; on leaving, they end after the frontend and before the clients.

    `settings` are those of servers that differ from the defaults. Unless `wait_for_disk`, results for which the disk
    has no room are given up instead of fetched later. With `asked`, the frontend asks the servers what they can run,
    and offers that to the registry; until then, a job only goes to servers that it names. `others` are the disks that
    may have files which this one lacks. Everything that depends on
    chance or time can be passed in: `run_sync`, `new_prompt_id`, `pauses`; and `run_command`, which starts and stops
    servers.
    """
    async with anyio.create_task_group() as services:
        servers = ServersActor(clients, settings or {}, pauses=pauses)
        registry_actor = PromptRegistry(
            servers.comfies,
            servers.nodes,
            servers.connections,
            journal,
            depth=depth,
            new_prompt_id=new_prompt_id,
            run_sync=run_sync,
            settings=settings or {},
            wait_for_disk=wait_for_disk,
            alerts=alerts,
            asked=asked,
            run_command=run_command,
            others=others,
        )
        registry = await services.start(registry_actor.run, name="registry")
        await services.start(servers.run, registry, name="servers")
        try:
            yield Services(
                registry,
                clients,
                servers.nodes,
                servers.configured,
                servers.off,
                servers.handle,
                registry_actor.work,
                registry_actor.overview,
                anyio.Event(),
                anyio.Event(),
            )
        finally:
            services.cancel_scope.cancel()


async def run(
    config: Config,
    frontend: Frontend,
    *,
    journal: Journal | None = None,
    client_id: str | None = None,
    drain: bool = False,
    alerts: Alerts | None = None,
    load: Callable[[], Config] | None = None,
    reloaded: Callable[[Config], None] = ignore,
    reloading: Callable[[], AbstractContextManager[None]] = nullcontext,
    asked: bool = False,
    others: OtherDisks | None = None,
    stop: anyio.Event | None = None,
    lease: tuple[str, bytes] | None = None,
) -> int:
    """Run until the frontend returns, or until a signal or `stop` ends it. Without `alerts` nobody is alerted.

    `load` loads the configuration again when its file changes and after SIGHUP; it raises `ConfigError`. Without it,
    the configuration stays as it is. `reloaded` is called with each new one, for what the frontend can change, and all
    of it happens in a block of `reloading`. `asked` and `others` are those of `open_services`, and `lease` is that of
    `open_workers`.

    Without a journal, jobs are kept only while this runs. `client_id` is that of `open_clients`. With `drain`, the
    first signal lets the jobs that servers have finish, and the second one stops at once. One signal more ends the
    process immediately. Returns the exit code: the frontend's, or that of the last signal.
    """
    stopped: int | None = None
    code = 0
    # Whoever waits at a terminal wants to know that the disk is full; the bot can wait until somebody has made room.
    wait_for_disk = journal is not None
    client_id = client_id or str(uuid.uuid4())
    settings = {server.label: settings_of(config, server) for server in config.servers}
    if journal is None:
        # Without one, nobody would know later for how long servers have been on, nor stop them.
        settings = {name: replace(each, power=None) for name, each in settings.items()}
        journal = MemoryJournal()
    async with (
        open_workers(config, client_id, lease=lease) as workers,
        open_clients(config, client_id, workers) as clients,
        open_services(
            clients,
            journal,
            depth=config.depth,
            settings={**(workers.settings if workers is not None else {}), **settings},
            wait_for_disk=wait_for_disk,
            alerts=alerts,
            asked=asked,
            others=others,
        ) as services,
    ):
        with signals.listen(patience=2 if drain else 1) as receiver:
            async with anyio.create_task_group() as guests:

                async def close(*, drained: bool) -> None:
                    services.draining.set()
                    if drained:
                        await services.registry.drain()
                    services.shutdown.set()
                    guests.cancel_scope.deadline = anyio.current_time() + GRACE

                async def close_when_stopped(stop: anyio.Event) -> None:
                    await stop.wait()
                    await close(drained=False)

                async def say_goodbye() -> None:
                    nonlocal stopped
                    async for signum in receiver:
                        if not signals.stops(signum):
                            logger.warning("SIGHUP received: the configuration is loaded again")
                            if reloader is not None:
                                reloader.reload()
                        elif stopped is None:
                            stopped = signum
                            guests.start_soon(partial(close, drained=drain), name="close")
                        else:
                            stopped = signum
                            await close(drained=False)

                reloader = (
                    ReloadActor(config, load, services.servers, reloaded, reloading) if load is not None else None
                )
                if reloader is not None:
                    guests.start_soon(reloader.run, name="reload")
                if stop is not None:
                    guests.start_soon(close_when_stopped, stop, name="stop")
                if workers is not None:
                    guests.start_soon(workers.run, services.servers.offer, name="workers")
                guests.start_soon(say_goodbye, name="signals")
                code = await frontend(replace(services, workers=workers))
                guests.cancel_scope.cancel()
    return code if stopped is None else receiver.exit_code(stopped)
