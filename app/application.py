"""The plan of the house: opens everything in order, lets guests in, closes in reverse.

It alone knows everybody.

run
└─ servers            HTTP clients and ways to dial: the ground
   └─ open_house      PromptRegistry, and one ConnectionActor for each server: the services
      └─ guest        the door people came through, and their InteractionActors
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TypeAlias

import anyio
import structlog
from anyio import to_thread
from msgspec import Struct

from app import signals
from app.actors.connection import ConnectionActor
from app.actors.handle import Registry
from app.actors.registry import PromptRegistry
from app.backoff import Pauses, backoff
from app.comfy.client import open_comfy
from app.comfy.websocket.connect import dial, open_websocket
from app.config import Config
from app.core.journal_port import Journal
from app.events import PromptId, ServerName
from app.journal.memory import MemoryJournal
from app.ports import Comfy, Dial, RunSync

logger = structlog.stdlib.get_logger(__name__)

GRACE = 1.5
"""Seconds that guests get to say goodbye after a signal: a stop must be over within two."""


class Link(Struct, frozen=True):
    """The two roads to one server."""

    comfy: Comfy
    dial: Dial


class House(Struct, frozen=True):
    """What a guest finds: the registry to ask, and the servers to look at.

    `last_round` is set when nothing new may be handed in, `closing` when it is time to go.
    """

    registry: Registry
    links: Mapping[ServerName, Link]
    last_round: anyio.Event
    closing: anyio.Event


Guest: TypeAlias = Callable[[House], Awaitable[int]]
"""Lives in the house; its answer is the exit code. It leaves soon after `closing` is set."""


def mint() -> PromptId:
    """A new prompt id, in the only form that every ComfyUI takes."""
    return PromptId(str(uuid.uuid4()))


@asynccontextmanager
async def servers(config: Config) -> AsyncGenerator[Mapping[ServerName, Link]]:
    """Open the HTTP clients, once, for as long as the house stands; one client id for the whole process."""
    client_id = str(uuid.uuid4())
    async with AsyncExitStack() as stack:
        links: dict[ServerName, Link] = {}
        for server in config.servers:
            comfy = await stack.enter_async_context(open_comfy(server, client_id, run_sync=to_thread.run_sync))
            way = partial(dial, partial(open_websocket, server, client_id))
            links[server.label] = Link(comfy, way)
        yield links


@asynccontextmanager
async def open_house(
    links: Mapping[ServerName, Link],
    journal: Journal,
    *,
    depth: int,
    run_sync: RunSync = to_thread.run_sync,
    mint: Callable[[], PromptId] = mint,
    pauses: Pauses = backoff,
) -> AsyncGenerator[House]:
    """Start the services; on leaving, they end after the guests, and before the ground.

    What would be left to chance or to the clock can be given: `run_sync`, `mint`, `pauses`.
    """
    async with anyio.create_task_group() as services:
        connections = {name: ConnectionActor(name, link.dial, pauses=pauses) for name, link in links.items()}
        registry = await services.start(
            PromptRegistry(
                {name: link.comfy for name, link in links.items()},
                {name: connection.handle for name, connection in connections.items()},
                journal,
                depth=depth,
                mint=mint,
                run_sync=run_sync,
                pauses=pauses,
            ).run,
            name="registry",
        )
        for name, connection in connections.items():
            await services.start(connection.run, registry.inbox.clone(), name=f"connection {name}")
        try:
            yield House(registry, links, anyio.Event(), anyio.Event())
        finally:
            services.cancel_scope.cancel()


async def run(config: Config, guest: Guest, *, journal: Journal | None = None, drain: bool = False) -> int:
    """Live until the guest leaves, or a signal asks it to.

    Without a journal, jobs are remembered for as long as this takes. With `drain`, a first signal lets what
    the servers have come to its end, and a second one does not. One signal more ends the process at once. Returns
    the exit code: the guest's own, or that of the last signal.
    """
    stopped: int | None = None
    code = 0
    journal = journal or MemoryJournal()
    async with servers(config) as links, open_house(links, journal, depth=config.depth) as house:
        with signals.listen(patience=2 if drain else 1) as receiver:
            async with anyio.create_task_group() as guests:

                async def close(*, drained: bool) -> None:
                    house.last_round.set()
                    if drained:
                        await house.registry.drain()
                    house.closing.set()
                    guests.cancel_scope.deadline = anyio.current_time() + GRACE

                async def say_goodbye() -> None:
                    nonlocal stopped
                    async for signum in receiver:
                        if not signals.stops(signum):
                            logger.warning("SIGHUP received: restart the bot to read its configuration again")
                        elif stopped is None:
                            stopped = signum
                            guests.start_soon(partial(close, drained=drain), name="close")
                        else:
                            stopped = signum
                            await close(drained=False)

                guests.start_soon(say_goodbye, name="signals")
                code = await guest(house)
                guests.cancel_scope.cancel()
    return code if stopped is None else receiver.exit_code(stopped)
