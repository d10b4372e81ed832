"""Two fronts as processes, with a fake Discord, a simulated ComfyUI and a real Valkey: one is active at a time."""

from __future__ import annotations

import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.abc import Process

from app.core.jobs.job import Job, State
from app.engine.replication.lease import SECONDS
from app.journal.copies.whole_copies import standing_of
from app.journal.opening import JOURNAL, open_store
from app.simulator.faults import Request
from tests.comfy.peers import closed_port
from tests.discord.fake import FakeDiscord, Interaction, buttons_of, media_of
from tests.discord.stage import job_of, photo, words
from tests.engine.valkey import Valkey
from tests.process.bot import PATIENCE, bot, comfyui, imagine, says, send_signal, until


@pytest.fixture
def anyio_backend() -> str:
    """The test's own loop; the fronts' are parameters."""
    return "asyncio"


@pytest.fixture
def valkey() -> Generator[Valkey]:
    server = Valkey()
    server.start()
    yield server
    server.close()


def front(
    discord: FakeDiscord, folder: Path, backend: str, valkey: Valkey, comfy: str, *options: str, http: str = ""
) -> AbstractAsyncContextManager[Process]:
    """A front, named like its folder. At `http` it answers about its health."""
    folder.mkdir(exist_ok=True)
    url = f"valkey://127.0.0.1:{valkey.port}"
    name = ("--engine", url, "--name", folder.name)
    # Into a file, because nobody reads it: a front that logs much would wait for a reader.
    log = folder / "front.log"
    return bot(discord, folder, backend, *name, *options, comfy=comfy, command="front", log=log, ATELIER_HTTP=http)


async def figures(port: int) -> dict[str, str]:
    """The metrics without labels of a front; nothing while its port is closed."""
    async with httpx.AsyncClient() as client:
        try:
            text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
        except httpx.TransportError:
            return {}
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


async def has(port: int, name: str, value: str) -> None:
    """Wait until a front serves this figure."""
    with anyio.fail_after(PATIENCE):
        while (await figures(port)).get(name) != value:  # noqa: ASYNC110  another process
            await anyio.sleep(0.05)


def is_shown(discord: FakeDiscord, asked: Interaction) -> bool:
    """Whether the answer has a picture; in the fake's thread."""
    message = discord.state.messages.all.get(asked.original or "")
    return message is not None and bool(media_of(message))


def answer(discord: FakeDiscord, asked: Interaction) -> str:
    """What the person is told, in the job's message or to them alone; in the fake's thread."""
    followups = [discord.state.messages.get(ident) for ident in asked.followups]
    return says(discord, asked) or "".join(map(words, followups))


async def make_one(discord: FakeDiscord) -> None:
    """Ask for a picture until a front is there that makes one."""
    asked: list[Interaction] = []
    with anyio.fail_after(PATIENCE):
        while not any(is_shown(discord, each) for each in asked):
            asked.append(imagine(discord, "a picture"))
            with suppress(TimeoutError):
                await discord.until(lambda: is_shown(discord, asked[-1]), 3.0)


def written(folder: Path) -> list[Job]:
    """All jobs, as the journal has them."""
    with open_store(folder / "data" / JOURNAL, clock=time.time) as store:
        return [entry.job for entry in store.newest("", 100)]


def follows(folder: Path, other: Path) -> bool:
    """Whether a copy is as far as the journal of the other front."""
    here, there = (standing_of(each / "data" / JOURNAL).position for each in (folder, other))
    return here is not None and here == there


async def test_when_the_active_front_is_killed_the_other_ends_every_acknowledged_job_once(
    discord: FakeDiscord, tmp_path: Path, valkey: Valkey
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    async with comfyui(tmp_path) as (simulator, address), front(discord, first, "trio", valkey, address) as active:
        with anyio.fail_after(PATIENCE):
            await discord.until(lambda: discord.state.commands.of[None], PATIENCE)
        simulator.faults.ask(Request(hold=True))
        interactions = [imagine(discord, f"picture {number}") for number in range(3)]
        for each in interactions:
            await discord.until(lambda asked=each: "[Cancel]" in says(discord, asked), PATIENCE)
        async with front(discord, second, "asyncio", valkey, address):
            await until(lambda: follows(second, first))
            interactions += [imagine(discord, "picture 3")]
            await discord.until(lambda: "[Cancel]" in says(discord, interactions[-1]), PATIENCE)
            active.kill()
            await active.wait()
            simulator.faults.ask(Request(hold=False))
            for each in interactions:
                await discord.until(lambda asked=each: is_shown(discord, asked), PATIENCE)
            later = imagine(discord, "picture 4")
            await discord.until(lambda: is_shown(discord, later), PATIENCE)
            await until(lambda: all(job.notified for job in written(second)))
    assert_each_shown_once(discord, second, 5)


async def test_fronts_that_are_restarted_one_after_the_other_end_every_acknowledged_job_once(
    discord: FakeDiscord, tmp_path: Path, valkey: Valkey
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    interactions: list[Interaction] = []

    async def ask() -> None:
        while True:
            interactions.append(imagine(discord, f"picture {len(interactions)}"))
            await anyio.sleep(0.25)

    def shown_since(number: int) -> Callable[[], bool]:
        return lambda: any(is_shown(discord, each) for each in interactions[number:])

    def acknowledged() -> list[Interaction]:
        return [each for each in interactions if "[Cancel]" in says(discord, each) or is_shown(discord, each)]

    async with (
        comfyui(tmp_path) as (_, address),
        anyio.create_task_group() as tasks,
        front(discord, first, "trio", valkey, address) as one,
    ):
        await discord.until(lambda: discord.state.commands.of[None], PATIENCE)
        async with front(discord, second, "asyncio", valkey, address) as two:
            await until(lambda: follows(second, first))
            tasks.start_soon(ask)
            await discord.until(lambda: len(acknowledged()) > 3, PATIENCE)
            send_signal(one, signal.SIGTERM)
            with anyio.fail_after(PATIENCE):
                assert await one.wait() == 0
            await discord.until(shown_since(len(interactions)), PATIENCE)
            async with front(discord, first, "asyncio", valkey, address):
                await until(lambda: follows(first, second))
                send_signal(two, signal.SIGTERM)
                with anyio.fail_after(PATIENCE):
                    assert await two.wait() == 0
                await discord.until(shown_since(len(interactions)), PATIENCE)
                tasks.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    await until(lambda: all(job.notified for job in written(first)))
                    await discord.until(lambda: all(is_shown(discord, each) for each in acknowledged()), PATIENCE)
    assert_each_shown_once(discord, first, len(acknowledged()))


async def test_a_front_that_was_frozen_is_on_standby_afterwards_and_can_take_over_again(
    discord: FakeDiscord, tmp_path: Path, valkey: Valkey
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    async with comfyui(tmp_path) as (_, address), front(discord, first, "trio", valkey, address) as frozen:
        await discord.until(lambda: discord.state.commands.of[None], PATIENCE)
        port = closed_port()
        async with front(discord, second, "trio", valkey, address, http=f"127.0.0.1:{port}") as other:
            await until(lambda: follows(second, first))
            await has(port, "atelier_front_active", "0")
            await has(port, "atelier_standby_fronts", "1")
            send_signal(frozen, signal.SIGSTOP)
            await until(lambda: standing_of(second / "data" / JOURNAL).role == "active")
            await has(port, "atelier_front_active", "1")
            await has(port, "atelier_discord_connected", "1")
            await has(port, "atelier_workers", "0")
            send_signal(frozen, signal.SIGCONT)
            await until(lambda: standing_of(first / "data" / JOURNAL).role == "standby" and follows(first, second))
            await make_one(discord)
            await until(lambda: all(job.notified for job in written(second)) and follows(first, second))
            other.kill()
            await other.wait()
        await until(lambda: standing_of(first / "data" / JOURNAL).role == "active")
        await make_one(discord)
        await until(lambda: all(job.notified for job in written(first)))
    assert_each_shown_once(discord, first, 2)


async def test_people_are_told_while_the_engine_is_away_and_nothing_is_lost_when_it_forgets_everything(
    discord: FakeDiscord, tmp_path: Path, valkey: Valkey
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    async with comfyui(tmp_path) as (simulator, address), front(discord, first, "trio", valkey, address) as active:
        await discord.until(lambda: discord.state.commands.of[None], PATIENCE)
        async with front(discord, second, "trio", valkey, address):
            simulator.faults.ask(Request(hold=True))
            asked = imagine(discord, "picture 0")
            await discord.until(lambda: "[Cancel]" in says(discord, asked), PATIENCE)
            await until(lambda: follows(second, first))
            valkey.kill()
            await anyio.sleep(SECONDS)
            refused = imagine(discord, "picture 1")
            await discord.until(lambda: "cannot save new requests right now" in answer(discord, refused), PATIENCE)
            valkey.start()
            valkey.ask("FLUSHALL")
            again: list[Interaction] = []

            def is_accepted() -> bool:
                return "[Cancel]" in says(discord, again[-1])

            with anyio.fail_after(PATIENCE):
                while not (again and is_accepted()):
                    again.append(imagine(discord, "picture 2"))
                    # While the lease is regained, nobody answers.
                    with suppress(TimeoutError):
                        await discord.until(lambda: answer(discord, again[-1]), 3.0)
            await until(lambda: follows(second, first))
            active.kill()
            await active.wait()
            simulator.faults.ask(Request(hold=False))
            await discord.until(lambda: is_shown(discord, asked) and is_shown(discord, again[-1]), PATIENCE)
            await until(lambda: all(job.notified for job in written(second)))
    assert_each_shown_once(discord, second, 1 + sum(is_shown(discord, each) for each in again))


def files(folder: Path, kind: str) -> set[str]:
    """The names of the files of jobs on the disk of a front."""
    return {path.name for path in (folder / "data" / kind).glob("*.png")}


async def test_files_of_a_machine_that_is_gone_are_at_the_other_front(
    discord: FakeDiscord, tmp_path: Path, valkey: Valkey
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    async with comfyui(tmp_path) as (simulator, address), front(discord, first, "trio", valkey, address) as active:
        await discord.until(lambda: discord.state.commands.of[None], PATIENCE)
        async with front(discord, second, "asyncio", valkey, address) as other:
            await until(lambda: follows(second, first))
            simulator.faults.ask(Request(hold=True))
            asked = [imagine(discord, f"picture {number}") for number in range(2)]
            for each in asked:
                await discord.until(lambda each=each: "[Cancel]" in says(discord, each), PATIENCE)
            # It waits in the journal, so ComfyUI does not have its picture yet.
            asked += [discord.slash("remix", prompt="a boat", image=photo())]
            await discord.until(lambda: "[Cancel]" in says(discord, asked[2]), PATIENCE)
            assert files(second, "inputs") == files(first, "inputs") != set(), "before it was accepted"
            active.kill()
            await active.wait()
            shutil.rmtree(first)
            simulator.faults.ask(Request(hold=False))
            for each in asked:
                await discord.until(lambda each=each: is_shown(discord, each), PATIENCE)
            async with front(discord, first, "trio", valkey, address):
                await until(lambda: follows(first, second))
                await until(lambda: files(first, "results") == files(second, "results"))
                simulator.faults.ask(Request(hold=True))
                asked += [imagine(discord, "picture 3")]
                await discord.until(lambda: "[Cancel]" in says(discord, asked[3]), PATIENCE)
                away = discord.fail("PATCH", "", status=503, times=None)
                simulator.faults.ask(Request(hold=False))
                await until(lambda: len(files(first, "results")) == 4)
                other.kill()
                await other.wait()
                shutil.rmtree(second)
                shutil.rmtree(tmp_path / "server")
                away.times = 0
                await discord.until(lambda: is_shown(discord, asked[3]), PATIENCE)
                await until(lambda: all(job.notified for job in written(first)))
    assert_each_shown_once(discord, first, 4)


def assert_each_shown_once(discord: FakeDiscord, folder: Path, jobs: int) -> None:
    """All jobs of the journal ended with a result in one message each, at least so many."""
    ends = {job.id: job.state for job in written(folder)}
    assert set(ends.values()) == {State.DELIVERED}
    delivered = [job_of(message) for message in discord.messages if buttons_of(message)]
    assert Counter(delivered) == Counter(set(ends))
    assert len(ends) >= jobs
