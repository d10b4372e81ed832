"""What deploy/compose.scaled.yaml starts, as processes of this machine, in place of Docker."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import msgspec
import pytest
import yaml
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from msgspec import Struct

from app.config.variables import VARIABLES
from app.core.jobs.job import State
from tests.discord.fake import FakeDiscord, buttons_of
from tests.discord.stage import job_of
from tests.engine.valkey import Valkey
from tests.process.bot import PATIENCE, bot, imagine, says, until
from tests.process.launcher import PROGRAM, ROOT, forking
from tests.process.test_fronts import follows, is_shown, make_one, written

SECRETS = {"ENGINE_PASSWORD": "one", "WORKER_1_PASSWORD": "two", "WORKER_2_PASSWORD": "three"}


class Service(Struct, frozen=True):
    """What the file says of one service, as far as a process needs it."""

    image: str
    command: list[str]
    environment: dict[str, str] = {}
    volumes: list[str] = []
    read_only: bool = False


@pytest.fixture
def anyio_backend() -> str:
    """The test's own loop; that of each program is in the test."""
    return "asyncio"


def services() -> dict[str, Service]:
    """All services, with the passwords in their places."""
    text = (ROOT / "deploy" / "compose.scaled.yaml").read_text("utf-8")
    filled = re.sub(r"\$\{(\w+):\?is not set\}", lambda match: SECRETS[match[1]], text)
    assert "${" not in filled
    return msgspec.convert(yaml.safe_load(filled)["services"], dict[str, Service])


def at_home(words: list[str], addresses: Mapping[str, str]) -> list[str]:
    """The words of a command with the addresses of this machine."""
    text = "\n".join(words)
    for there, here in addresses.items():
        text = text.replace(there, here)
    return text.split("\n")


def has_command(discord: FakeDiscord, name: str) -> bool:
    """Whether people see the command; in the fake's thread."""
    return any(command["name"] == name for command in discord.state.commands.of[None])


@asynccontextmanager
async def simulator(service: Service, folder: Path) -> AsyncGenerator[str]:
    """A simulated ComfyUI as the file starts it, but reachable from this machine alone; yields its host and port."""
    words = at_home(service.command, {"0.0.0.0": "127.0.0.1"})
    await anyio.Path(folder).mkdir()
    with forking():
        process = await anyio.open_process([*PROGRAM, *words, "--port", "0", "--step-time", "0.01"], cwd=folder)
    async with process:
        try:
            assert process.stdout is not None
            line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 1000)
            yield line.decode().split()[-1].removeprefix("http://").rstrip("/")
        finally:
            process.kill()


@asynccontextmanager
async def everything(discord: FakeDiscord, folder: Path) -> AsyncGenerator[dict[str, Process]]:
    """All services; yields the processes of the program but for the simulators. The second front starts last."""
    described = services()
    async with AsyncExitStack() as stack:
        valkey = Valkey(*described["valkey"].command[1:])
        stack.callback(valkey.close)
        valkey.start()
        addresses = {"valkey:6379": f"127.0.0.1:{valkey.port}"}
        for name in ("simulator-1", "simulator-2"):
            here = await stack.enter_async_context(simulator(described[name], folder / name))
            addresses[f"{name}:8188"] = here
        running: dict[str, Process] = {}
        for name, backend in (
            ("worker-1", "trio"),
            ("worker-2", "asyncio"),
            ("front-1", "trio"),
            ("front-2", "asyncio"),
        ):
            service = described[name]
            command, *options = at_home(service.command, addresses)
            (engine,) = at_home([service.environment["ATELIER_ENGINE"]], addresses)
            password = service.environment["ATELIER_ENGINE_PASSWORD"]
            await anyio.Path(folder / name).mkdir()
            running[name] = await stack.enter_async_context(
                bot(
                    discord,
                    folder / name,
                    backend,
                    *options,
                    comfy="",
                    command=command,
                    ATELIER_ENGINE=engine,
                    ATELIER_ENGINE_PASSWORD=password,
                )
            )
            if name == "front-1":
                # The first commands are made before it knows what its servers can run.
                await discord.until(lambda: has_command(discord, "txt2img"), PATIENCE)
        yield running


async def test_what_the_compose_file_starts_makes_every_picture_though_a_front_and_a_worker_are_killed(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    first, second = tmp_path / "front-1", tmp_path / "front-2"
    async with everything(discord, tmp_path) as running:
        await make_one(discord)
        await until(lambda: follows(second, first))
        asked = [imagine(discord, f"picture {number}") for number in range(6)]
        for each in asked:
            await discord.until(
                lambda asked=each: "[Cancel]" in says(discord, asked) or is_shown(discord, asked), PATIENCE
            )
        running["worker-1"].kill()
        running["front-1"].kill()
        for each in asked:
            await discord.until(lambda asked=each: is_shown(discord, asked), PATIENCE)
        await make_one(discord)
        await until(lambda: all(job.notified for job in written(second)))
    ends = {job.id: job.state for job in written(second)}
    assert set(ends.values()) == {State.DELIVERED}
    assert len(ends) >= len(asked) + 2
    shown = Counter(job_of(message) for message in discord.messages if buttons_of(message))
    assert shown == Counter(set(ends))


def test_each_service_of_the_compose_file_keeps_its_data_and_sets_what_the_program_reads() -> None:
    described = services()
    assert described.keys() == {
        f"{role}-{number}" for role in ("front", "worker", "simulator") for number in (1, 2)
    } | {"valkey"}
    for name, service in described.items():
        assert service.environment.keys() <= VARIABLES
        if not name.startswith("simulator"):
            assert service.volumes[0] == f"{name}:/data"
        if name != "valkey":
            assert (service.image, service.read_only) == ("atelier-engine", True)
    login = next(
        line for line in (ROOT / "docs" / "SCALING.md").read_text("utf-8").splitlines() if "SETUSER attic" in line
    )
    rights = login.strip().replace("A-LONG-PASSWORD", "two").replace("attic", "worker-1").removeprefix("ACL SETUSER ")
    assert rights in " ".join(described["valkey"].command)
