"""A world with a live queue, for tests of the queue and of the page."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from msgspec import Struct, field
from msgspec.structs import replace

from app.core.jobs.job import JobRequest
from app.service.people.viewer import Viewer
from app.service.people.visibility import Place, no_spoiler
from app.service.queue.live_queue import LiveQueue
from app.service.queue.rows import QueueRow
from tests.world import HERE, World, world

SECRET = "a secret prompt"


class Rights(Struct):
    """A `Visibility`: who may see which channels."""

    channels: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    seconds: float = 0.0
    asked: int = 0

    async def may_see(self, person: str, place: Place) -> bool:
        self.asked += 1
        await anyio.sleep(self.seconds)
        return place.channel in self.channels.get(person, set())


class People:
    """A `Names` that knows everybody's name after a moment."""

    async def person(self, person: str, guild: str = "") -> str:
        await anyio.sleep(0.1)
        return person.title()

    async def guild(self, guild: str) -> str:
        return guild

    async def channel(self, channel: str) -> str:
        return channel


class House(Struct):
    """A world with a live queue."""

    world: World
    live: LiveQueue
    rights: Rights

    def request(self, owner: str = "ada", prompt: str = SECRET, channel: str = "studio") -> JobRequest:
        return replace(self.world.request(), owner=owner, guild="guild", channel=channel, values={"prompt": prompt})

    async def submit(self, request: JobRequest) -> None:
        """Submit a request, which nobody follows."""
        async with self.world.registry.submit(request) as updates:
            await updates.receive()

    async def row(self, viewer: Viewer, found: Callable[[QueueRow], bool] = lambda _: True) -> QueueRow:
        """The first such row that a new page shows to this viewer."""
        return next(row for row in (await self.live.look(viewer)).rows if found(row))


@asynccontextmanager
async def house(
    folder: Path,
    *,
    mark: Callable[[bytes], bytes] | None = None,
    is_spoiler: Callable[[str], bool] = no_spoiler,
    titles: Callable[[str], str] = str.title,
    server_name: str = "The studio",
    **options: object,
) -> AsyncGenerator[House]:
    """A world whose jobs take ten seconds, and its live queue."""
    rights = Rights({"bob": {"studio"}})
    async with world(folder, **{"step_time": 1.0, "previews": True, **options}) as running:  # pyright: ignore[reportArgumentType]
        live = LiveQueue(
            running.overview,
            running.registry,
            rights,
            titles=titles,
            is_spoiler=is_spoiler,
            server_names={HERE: server_name},
            names=People(),
            mark=mark,
            now=lambda: 1e9 + anyio.current_time(),
        )
        async with anyio.create_task_group() as tasks:
            await tasks.start(live.run)
            yield House(running, live, rights)
            tasks.cancel_scope.cancel()
