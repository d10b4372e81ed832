"""Twenty people with two hundred jobs on four servers, one of which is killed and one drained meanwhile."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import anyio
import pytest

from tests.discord.fake import FakeDiscord, running
from tests.process.bot import bot, says
from tests.process.test_bad_lines import simulator

PEOPLE, EACH = 20, 10

LONGEST = 240.0
"""Seconds for everything, on a machine that does something else as well."""


@pytest.fixture
def discord() -> Iterator[FakeDiscord]:
    with running() as fake:
        yield fake


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


def ends(folder: Path) -> Counter[tuple[str, str]]:
    """How many jobs ended how and where, as the journal says."""
    with closing(sqlite3.connect(folder / "data" / "atelier.db")) as journal:
        return Counter((str(state), str(server)) for state, server in journal.execute("SELECT state, server FROM jobs"))


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
async def test_everybody_gets_every_picture_once_although_one_server_dies_and_one_is_drained(
    backend: str, discord: FakeDiscord, tmp_path: Path
) -> None:
    with anyio.fail_after(LONGEST):
        async with AsyncExitStack() as stack:
            servers = [
                await stack.enter_async_context(simulator("--steps", "2", "--step-time", "0.05")) for _ in range(4)
            ]
            config = settings(tmp_path, [port for _, port in servers])
            await stack.enter_async_context(bot(discord, tmp_path, backend, comfy="", ATELIER_CONFIG=config))
            await discord.until(lambda: discord.state.commands.of[None], LONGEST)
            people = [discord.person(f"person {number}") for number in range(PEOPLE)]
            asked = [
                discord.slash("imagine", prompt=f"{person.name} {number}", width=64, height=64, user=person)
                for number in range(EACH)
                for person in people
            ]

            def arrived() -> int:
                return sum("[Again]" in says(discord, interaction) for interaction in asked)

            await discord.until(lambda: arrived() >= 20, LONGEST)
            os.kill(servers[1][0].pid, signal.SIGKILL)
            await discord.until(lambda: arrived() == PEOPLE * EACH, LONGEST)
    print(ends(tmp_path))
