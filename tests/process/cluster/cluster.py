"""All processes of one run: a Valkey, two fronts, and workers with a simulated ComfyUI each."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread

from app.engine.replication.messages import LEASE, read_lease
from app.journal.copies.whole_copies import standing_of
from app.journal.opening import JOURNAL
from app.simulator.engine.simulator import Simulator
from app.simulator.http.application import serve
from tests.discord.fake import FakeDiscord, running
from tests.engine.valkey import Valkey
from tests.process.bot import PATIENCE, until
from tests.process.cluster.members import Member
from tests.process.proxy import proxy

TERMINAL = frozenset({"delivered", "failed", "cancelled", "lost"})
"""States of which each job has one in its history."""

STEP_TIME = 0.002
"""Seconds for each step of a sampler."""

FRONTS = ("first", "second")
WORKERS = ("attic", "cellar", "barn")


class Cluster:
    """Owns what runs. `workers` and `simulators` belong together in their order."""

    def __init__(self, discord: FakeDiscord, valkey: Valkey) -> None:
        self.discord = discord
        self.valkey = valkey
        self.fronts: list[Member] = []
        self.workers: list[Member] = []
        self.simulators: list[Simulator] = []

    async def engine(self, *command: str) -> bytes:
        """Send a command to Valkey; what it answers, b"" if it does not."""
        return await to_thread.run_sync(partial(self.valkey.ask, *command))

    async def active(self) -> Member | None:
        """The front that has the lease."""
        holder = read_lease((await self.engine("GET", LEASE)).partition(b"\r\n")[2].strip())
        return None if holder is None else next(front for front in self.fronts if front.name == holder[1].name)

    async def pair(self) -> tuple[Member, Member]:
        """The active front and the one on standby, as soon as that has all that the active one has."""
        with anyio.fail_after(PATIENCE):
            while True:
                active = await self.active()
                for other in self.fronts:
                    if active not in (None, other) and is_copy(other, active):
                        return active, other
                await anyio.sleep(0.1)

    async def until_commands(self) -> None:
        """Wait until Discord has the commands of the bot."""
        await self.discord.until(lambda: self.discord.state.commands.of[None], PATIENCE)


def is_copy(front: Member, other: Member) -> bool:
    """Whether the journal of a front is as far as that of the other one."""
    here, there = (standing_of(each.folder / "data" / JOURNAL).position for each in (front, other))
    return here is not None and here == there


@asynccontextmanager
async def running_cluster(folder: Path, workers: int) -> AsyncGenerator[Cluster]:
    """Start everything, and kill what runs at the end of the block."""
    valkey = Valkey()
    async with AsyncExitStack() as stack:
        stack.callback(valkey.close)
        valkey.start()
        cluster = Cluster(stack.enter_context(running()), valkey)
        tasks = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(tasks.cancel_scope.cancel)
        discord = {"DISCORD_TOKEN": cluster.discord.token, "DISCORD_REST_URL": cluster.discord.rest_url}
        for number, name in enumerate(WORKERS[:workers]):
            simulator = Simulator(folder / f"comfyui {number}", step_time=STEP_TIME)
            port = await tasks.start(serve, simulator, "127.0.0.1", 0)
            cluster.simulators.append(simulator)
            line = await stack.enter_async_context(proxy(valkey.port))
            options = ("--server", f"http://127.0.0.1:{port}")
            cluster.workers.append(Member(folder / name, "work", line, options))
        for number, name in enumerate(FRONTS):
            line = await stack.enter_async_context(proxy(valkey.port))
            options = ("--backend", ("trio", "asyncio")[number])
            cluster.fronts.append(Member(folder / name, "front", line, options, **discord))
        members = [*cluster.workers, *cluster.fronts]
        try:
            for member in members:
                await member.start()
            await cluster.until_commands()
            await until(lambda: any(is_copy(front, other) for front, other in [cluster.fronts]))
            yield cluster
        finally:
            with anyio.CancelScope(shield=True):
                for member in members:
                    await member.kill()
