"""Twenty people with many jobs on four servers, one of which is killed and one drained meanwhile."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections import Counter
from contextlib import AsyncExitStack, closing
from pathlib import Path

import anyio
import pytest

from tests.discord.fake import FakeDiscord, Interaction
from tests.discord.stage import files
from tests.process.bot import bot, environment, says
from tests.process.launcher import PROGRAM, forking
from tests.process.test_bad_lines import simulator

PEOPLE, LATER = 20, 2
"""So many people, and how many of the pictures of each are asked for once a server is drained."""

MADE = "all results have arrived"
"""The cause of the transition with which the servers are done with a job."""

LONGEST = 240.0
"""Seconds for everything, on a machine that does something else as well."""


@pytest.fixture
def anyio_backend() -> str:
    """The test's own loop; the program's is a parameter."""
    return "asyncio"


def settings(folder: Path, ports: list[int]) -> str:
    """The path of a file with four servers. The results are posted as they are, so that this takes less time."""
    servers = "".join(
        f'[[servers]]\nname = "GPU {number}"\nurl = "http://127.0.0.1:{port}"\n' for number, port in enumerate(ports)
    )
    path = folder / "atelier.toml"
    path.write_text(f"failover_after = 5\n{servers}[discord]\nkeep_metadata = true\nmark_results = false\n")
    return str(path)


def transitions_of(folder: Path, accepted: float = 0.0) -> list[tuple[str, str]]:
    """Server and cause of all transitions of the jobs that were accepted since then, as the journal says."""
    query = (
        "SELECT server, cause FROM transitions"
        " WHERE job IN (SELECT job FROM transitions GROUP BY job HAVING min(at) >= ?)"
    )
    with closing(sqlite3.connect(folder / "data" / "atelier.db")) as journal:
        return [(str(server), str(cause)) for server, cause in journal.execute(query, (accepted,))]


async def drain(discord: FakeDiscord, folder: Path, config: str, server: str, log: Path) -> None:
    """Drain a server as an operator does, and wait until the bot knows it."""
    env = {**environment(discord, folder, ""), "ATELIER_CONFIG": config}
    with forking():
        done = await anyio.run_process([*PROGRAM, "servers", "drain", server], cwd=folder, env=env)
    assert "gets no new jobs" in done.stdout.decode()
    while f"drained=['{server}']" not in log.read_text():  # noqa: ASYNC110, ASYNC240  another process writes it
        await anyio.sleep(0.1)


# One of the two with fewer jobs: that there are many is the same for both.
@pytest.mark.parametrize(("backend", "each"), [("trio", 7), ("asyncio", 5)])
async def test_everybody_gets_every_picture_once_although_one_server_dies_and_one_is_drained(
    backend: str, each: int, discord: FakeDiscord, tmp_path: Path
) -> None:
    with anyio.fail_after(LONGEST):
        async with AsyncExitStack() as stack:
            servers = [
                await stack.enter_async_context(simulator("--steps", "2", "--step-time", "0.05")) for _ in range(4)
            ]
            config, log = settings(tmp_path, [port for _, port in servers]), tmp_path / "log.txt"
            await stack.enter_async_context(bot(discord, tmp_path, backend, comfy="", log=log, ATELIER_CONFIG=config))
            await discord.until(lambda: discord.state.commands.of[None], LONGEST)
            people = [discord.person(f"person {number}") for number in range(PEOPLE)]

            def ask(numbers: range) -> list[Interaction]:
                return [
                    discord.slash("txt2img", prompt=f"{person.name} {number}", width=64, height=64, user=person)
                    for number in numbers
                    for person in people
                ]

            asked = ask(range(each - LATER))
            waiting = list(asked)

            def left() -> int:
                """How many have not arrived. Only the oldest of them are looked at: to read a message takes a while."""
                while arrived := [one for one in waiting[:8] if "[Again]" in says(discord, one)]:
                    # This is asked again only after a request, and the last one may have come: look at the next ones.
                    for interaction in arrived:
                        waiting.remove(interaction)
                return len(waiting)

            await discord.until(lambda: left() <= len(asked) - 20, LONGEST)
            os.kill(servers[1][0].pid, signal.SIGKILL)
            await drain(discord, tmp_path, config, "GPU 2", log)
            drained = time.time()
            later = ask(range(each - LATER, each))
            asked += later
            waiting += later
            await discord.until(lambda: left() == 0, LONGEST)
    made = Counter(server for server, cause in transitions_of(tmp_path) if cause == MADE)
    assert made.total() == PEOPLE * each, "every job ended once"
    names = [files(discord.message(interaction)) for interaction in asked]
    assert all(len(name) == 1 for name in names)
    assert len({name[0] for name in names}) == PEOPLE * each, "everybody has another picture"
    since = transitions_of(tmp_path, drained)
    assert len([cause for _, cause in since if cause == MADE]) == len(later)
    assert "GPU 2" not in {server for server, _ in since}, "a drained server gets no new jobs"
    assert min(made["GPU 0"], made["GPU 3"]) > max(made["GPU 1"], made["GPU 2"]), "the others make the rest"
    assert min(made["GPU 0"], made["GPU 3"]) > 0.7 * max(made["GPU 0"], made["GPU 3"]), "neither of them idles"
