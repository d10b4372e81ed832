"""The command `front`: the bot, if this is the front that is active, and otherwise a copy of that one's journal."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

import anyio
import structlog
from anyio import to_thread
from msgspec.structs import replace
from rich.console import Console

from app import __version__
from app.cli.arguments.commands import RunFront
from app.cli.arguments.program import PROGRAM
from app.cli.data_folder import journal_path
from app.cli.engine_loss import WITHOUT_LIBRARY
from app.cli.held_shards import holding_shards
from app.cli.run import Sharing, run_bot
from app.config.settings import Config
from app.ports import ConnectionLost
from app.system.standard_streams import complain

if TYPE_CHECKING:
    from app.core.replication import Position
    from app.engine.connection import Engine
    from app.engine.replication.files import FrontFiles
    from app.engine.replication.front_shards import FrontShards
    from app.engine.replication.messages import Front
    from app.engine.replication.open_requests import EngineOpenRequests
    from app.engine.replication.standby import Turn
    from app.engine.replication.watch import FrontsWatch

logger = structlog.stdlib.get_logger(__name__)

NEEDED = ("app.application", "app.discord.app", "app.http.server")
"""What the bot imports when it becomes active: a second that people would wait for."""

LARGEST_INPUT = 256 * 2**20
"""Bytes. The largest file that people may attach, as the plain picture that it becomes."""

GIVING_UP = 0.5
"""Seconds at the end for giving up the lease, which ends by itself, and for writing who waits for an answer."""


async def run_front(command: RunFront, config: Config, console: Console) -> int:
    """Run the front until it is stopped; return the exit code. Raises `ConfigError` and `JournalError`."""
    if (settings := config.engine) is None:
        complain(f"{PROGRAM} front needs an engine: write --engine valkey://host:6379, or “url” in [engine].")
        return 2
    if find_spec("coredis") is None:
        complain(WITHOUT_LIBRARY)
        return 2
    from app.engine.connection import open_engine

    if command.status:
        from app.cli.front_status import show_status

        return await show_status(settings, console)
    if not config.discord_token:
        complain("no DISCORD_TOKEN is set; all fronts need the same one.")
        return 2
    path = journal_path(config)
    from app.engine.replication.messages import Front
    from app.engine.replication.standby import FrontOnStandby, JournalFile
    from app.journal.copies.replica import open_replica
    from app.journal.copies.whole_copies import install, standing_of
    from app.journal.migrations import NEWEST
    from app.journal.opening import instance_lock
    from app.retention.files import delete_unfinished

    # As for the bot: only this user reads what is created from here on.
    os.umask(0o077)
    front = Front(uuid4().hex, command.name or socket.gethostname(), __version__, NEWEST)

    def put(received: Path, folder: str, keep: bool) -> None:
        install(received, path, folder, keep=keep)

    journal = JournalFile(path, partial(standing_of, path), partial(open_replica, path), put)
    with instance_lock(path):
        # Nobody else writes there, and nothing is received yet.
        await to_thread.run_sync(delete_unfinished, config.data)
    async with (
        open_engine(settings) as engine,
        holding_shards(engine, front, config) as shards,
        _open_parts(engine, front, config, path, shards) as parts,
    ):
        logger.info("this front is on standby", front=front.name, engine=settings.address)
        await to_thread.run_sync(_import_all)
        standby = FrontOnStandby(engine, front, journal, force=command.force)
        while True:
            async with served_on_standby(config, parts.watch):
                with instance_lock(path):
                    async with _without_old_files(config, path):
                        turn = await standby.wait()
            code = await _be_active(engine, turn, config, path, parts, drain=command.drain)
            if code is not None:
                await parts.files.hand_over()
                return code
            logger.warning("this front is on standby again", front=front.name)


@asynccontextmanager
async def served_on_standby(config: Config, watch: FrontsWatch) -> AsyncGenerator[None]:
    """Serve health and metrics within the block, in which there is no bot, if they are configured."""
    from app.application import open_http
    from app.http.sources import Sources

    async with open_http(config, Sources(engine=watch.engine, fronts=watch, on_standby=True)):
        yield


def _import_all() -> None:
    for name in NEEDED:
        import_module(name)


@asynccontextmanager
async def _without_old_files(config: Config, path: Path) -> AsyncGenerator[None]:
    """Delete old files within the block, as the active front does with its own."""
    from app.journal.copies.named_files import JobsOfCopy
    from app.retention.actor import RetentionActor

    settings = replace(config.retention, jobs=0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(RetentionActor(settings, config.data, JobsOfCopy(path)).run, name="retention")
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()


class FrontParts(NamedTuple):
    """What works for the whole life of a front, whether it is active or on standby."""

    watch: FrontsWatch
    files: FrontFiles
    open_requests: EngineOpenRequests
    shards: FrontShards


@asynccontextmanager
async def _open_parts(
    engine: Engine, front: Front, config: Config, path: Path, shards: FrontShards
) -> AsyncGenerator[FrontParts]:
    """Run within the block what watches the fronts, copies files of jobs, and keeps who waits for an answer."""
    from app.engine.replication.files import FrontFiles
    from app.engine.replication.open_requests import EngineOpenRequests
    from app.engine.replication.watch import FrontsWatch
    from app.journal.copies.named_files import NamedFiles

    largest = max(config.largest_result * 2**20, LARGEST_INPUT)
    parts = FrontParts(
        FrontsWatch(engine, front.id, shards.counts),
        FrontFiles(engine, front.id, config.data, largest, NamedFiles(path)),
        EngineOpenRequests(engine, front.id),
        shards,
    )

    async with anyio.create_task_group() as tasks:
        if config.http.host:
            tasks.start_soon(parts.watch.run, name="fronts")
        tasks.start_soon(parts.files.run, name="files of other fronts")
        tasks.start_soon(parts.open_requests.run, name="open requests")
        try:
            yield parts
        finally:
            with anyio.move_on_after(GIVING_UP, shield=True):
                # Whoever still waits for an answer gets it from the front that takes over.
                await parts.open_requests.settled()
            tasks.cancel_scope.cancel()


async def _be_active(
    engine: Engine, turn: Turn, config: Config, path: Path, parts: FrontParts, *, drain: bool
) -> int | None:
    """Run the bot; return its exit code, None if this front is no longer the active one."""
    from app.engine.replication.copies import CopySender
    from app.engine.replication.publisher import JournalPublisher
    from app.journal.copies.whole_copies import export

    lease = turn.lease

    def copy(target: Path) -> Position:
        return export(path, target, lambda: None)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lease.keep, name="lease")
        tasks.start_soon(parts.shards.direct, lease, name="shards of fronts")
        try:
            if not await _announce(turn, path):
                return None
            tasks.start_soon(CopySender(engine, lease, path, copy).run, name="copies of the journal")
            publisher = JournalPublisher(engine, lease)
            # Not cancelled when the lease is lost, because it answers those who are waiting for an answer.
            sharing = Sharing(
                publisher=publisher,
                others=parts.files,
                watch=parts.watch,
                open_requests=parts.open_requests,
                shards=parts.shards,
                stop=lease.lost,
            )
            code = await run_bot(config, drain=drain, sharing=sharing)
            return None if lease.lost.is_set() and not code else code
        finally:
            with anyio.move_on_after(GIVING_UP, shield=True):
                await lease.release()
            tasks.cancel_scope.cancel()


async def _announce(turn: Turn, path: Path) -> bool:
    """Make the journal the one that is written, and let copies know from where on; False if the lease is lost first."""
    from app.journal.copies.whole_copies import take_over
    from app.journal.migrations import NEWEST

    position = await to_thread.run_sync(take_over, path, turn.lease.epoch)
    if turn.head is not None and turn.head in turn.standing.sealed and turn.standing.version == NEWEST:
        # What the outbox has behind that is published soon.
        position = turn.head
    while not turn.lease.lost.is_set():
        try:
            await turn.lease.announce(position)
        except ConnectionLost:
            await anyio.sleep(GIVING_UP)
        else:
            return True
    return False
