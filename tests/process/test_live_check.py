"""`check --live` as a process, against the fake Discord."""

from __future__ import annotations

import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from tests.discord.fake import FakeDiscord, Interaction
from tests.discord.fake.world import MANAGE_GUILD, MEMBER, VIEW_CHANNEL
from tests.process.bot import PATIENCE, environment, send_signal
from tests.process.launcher import PROGRAM, forking

STRANGE_GUILD = "999999999999999999"
EVERY_STEP = [
    "log in",
    "find a channel",
    "post a picture",
    "edit it, with another picture",
    "read it back",
    "connect to the gateway",
    "register a command",
    "use the command",
    "answer the command",
    "delete the answer",
    "delete the command",
    "delete the message",
]


class Check:
    """A check that runs, and what it has printed so far."""

    def __init__(self, process: Process, discord: FakeDiscord) -> None:
        self.process = process
        self._discord = discord
        self.output = ""
        self.errors = ""

    async def ended(self) -> int:
        """Wait for the end; the exit code."""
        assert self.process.stderr is not None
        with anyio.fail_after(PATIENCE):
            await self.read_until(None)
            self.errors = b"".join([piece async for piece in self.process.stderr]).decode()
            code = await self.process.wait()
        told = self.output + self.errors
        assert "Traceback" not in told
        assert self._discord.token not in told
        for interaction in self._discord.state.interactions.all.values():
            assert interaction.token not in told
        return code

    async def read_until(self, sentence: str | None) -> None:
        """Read the output until it has this sentence, or to its end."""
        assert self.process.stdout is not None
        with anyio.fail_after(PATIENCE):
            while sentence is None or sentence not in self.output:
                try:
                    self.output += (await self.process.stdout.receive()).decode()
                except anyio.EndOfStream:
                    assert sentence is None, self.output
                    return

    @property
    def steps(self) -> dict[str, str]:
        """What is said of each step, with its mark."""
        lines = [line.split(maxsplit=1) for line in self.output.splitlines() if line[:1] in "✔✘–"]
        return {
            step.strip(): f"{mark} {' '.join(said.split())}" for mark, rest in lines for step, said in [split(rest)]
        }

    @property
    def refused(self) -> dict[str, str]:
        return {step: said[2:] for step, said in self.steps.items() if said.startswith("✘")}


def split(line: str) -> tuple[str, str]:
    step, _, said = line.partition("   ")
    return (step, said) if said else (line[:30], line[30:])


@asynccontextmanager
async def checking(
    discord: FakeDiscord, folder: Path, backend: str, *options: str, guild: str = "", **environ: str
) -> AsyncGenerator[Check]:
    command = [*PROGRAM, "check", "--live", guild or discord.guild.id, "--backend", backend, *options]
    env = environment(discord, folder) | {"COLUMNS": "300"} | environ
    with forking():
        process = await anyio.open_process(command, cwd=folder, env=env)
    async with process:
        try:
            yield Check(process, discord)
        finally:
            if process.returncode is None:
                process.kill()


def nothing_is_left(discord: FakeDiscord) -> bool:
    return not discord.messages and not discord.commands(guild=discord.guild.id)


def use(discord: FakeDiscord) -> Interaction:
    """The operator uses the command."""
    operator = discord.person("operator", permissions=MEMBER | MANAGE_GUILD)
    return discord.slash("atelier-check", user=operator)


@pytest.mark.anyio
async def test_everything_is_accepted_and_deleted_again(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str
) -> None:
    async with checking(discord, tmp_path, anyio_backend_name) as check:
        await check.read_until("Now run /atelier-check")
        (message,) = discord.messages
        assert message["flags"] & 1 << 15
        assert [item["filename"] for item in message["attachments"]] == ["result.png"]
        posted, edited = discord.history(message)
        assert posted.state["attachments"][0]["filename"] == "preview.png"
        assert [part["type"] for part in edited.state["components"]] == [17]
        used = use(discord)
        await discord.until(lambda: used.original)
        (answer,) = [revision.state for revision in discord.history(used)]
        assert answer["flags"] & 64
        assert await check.ended() == 0
        assert list(check.steps) == EVERY_STEP
        assert not check.refused
        assert check.steps["log in"] == "✔ as atelier"
        assert check.steps["find a channel"] == "✔ #art"
        assert nothing_is_left(discord)


@pytest.mark.anyio
async def test_the_commands_that_are_registered_stay(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str
) -> None:
    own = {"name": "imagine", "description": "Make a picture", "type": 1}
    for guild in (None, discord.guild.id):
        discord.state.do(discord.state.commands.put, guild, own)
    async with checking(discord, tmp_path, anyio_backend_name, "--wait", "0.2") as check:
        assert await check.ended() == 0
        assert check.steps["answer the command"] == "– not tried: nobody ran /atelier-check in time"
        assert [command["name"] for command in discord.commands()] == ["imagine"]
        assert [command["name"] for command in discord.commands(guild=discord.guild.id)] == ["imagine"]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    ("method", "path", "step"),
    [
        ("GET", "/applications/@me", "log in"),
        ("POST", "/channels/[0-9]+/messages$", "post a picture"),
        ("PATCH", "/messages/", "edit it, with another picture"),
        ("GET", "/messages/", "read it back"),
        ("POST", "/commands", "register a command"),
        ("POST", "/callback", "answer the command"),
        ("DELETE", "/webhooks/", "delete the answer"),
        ("DELETE", "/commands/", "delete the command"),
        ("DELETE", "/channels/", "delete the message"),
    ],
)
async def test_a_refusal_is_a_line_with_status_code_and_message(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str, method: str, path: str, step: str
) -> None:
    discord.fail(method, path, status=400, code=50035, message="Invalid Form Body", times=None)
    async with checking(discord, tmp_path, anyio_backend_name) as check:
        if step not in ("log in", "register a command"):
            await check.read_until("Now run /atelier-check")
            used = use(discord)
            await discord.until(lambda: used.original or step == "answer the command")
        assert await check.ended() == 1
        assert check.refused == {step: "status 400, code 50035: Invalid Form Body"}
        assert nothing_is_left(discord) is not step.startswith("delete")


@pytest.mark.anyio
@pytest.mark.parametrize("moment", ["POST", "PATCH", "waiting"])
async def test_ctrl_c_deletes_what_was_created(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str, moment: str
) -> None:
    if moment != "waiting":
        discord.fail(moment, "/messages", hold=True)
    async with checking(discord, tmp_path, anyio_backend_name) as check:
        if moment == "waiting":
            await check.read_until("Now run /atelier-check")
            assert not nothing_is_left(discord)
        else:
            await discord.until(lambda: discord.requested(moment, "/messages"))
        send_signal(check.process, signal.SIGINT)
        await anyio.sleep(0.2)
        discord.heal()
        assert await check.ended() == 130
        assert nothing_is_left(discord)
        assert not check.refused
        assert check.steps["delete the message"] == "✔ accepted"


@pytest.mark.anyio
async def test_a_limit_is_a_line_and_no_secret_is_shown(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str
) -> None:
    discord.state.upload_limit = 10
    async with checking(discord, tmp_path, anyio_backend_name, "--wait", "0") as check:
        assert await check.ended() == 1
        assert check.refused == {"post a picture": "status 413, code 40005: Request entity too large"}
    discord.fail("POST", "/messages", status=400, code=1, message=f"\x1b[31m[red]{discord.token}")
    async with checking(discord, tmp_path, anyio_backend_name, "--wait", "0") as check:
        assert await check.ended() == 1
        assert check.refused == {"post a picture": "status 400, code 1: [31m[red]…"}
        assert "\x1b" not in check.output


@pytest.mark.anyio
async def test_a_server_without_the_bot_is_a_line(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str
) -> None:
    async with checking(discord, tmp_path, anyio_backend_name, guild=STRANGE_GUILD) as check:
        assert await check.ended() == 1
        assert check.refused == {"find a channel": "status 404, code 10004: Unknown Guild"}
        assert nothing_is_left(discord)


@pytest.mark.anyio
async def test_a_token_that_is_missing_or_wrong_is_a_sentence(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str
) -> None:
    async with checking(discord, tmp_path, anyio_backend_name, DISCORD_TOKEN="") as check:
        assert await check.ended() == 2
        assert check.errors == "atelier: no DISCORD_TOKEN is set; copy it from the developer portal.\n"
    async with checking(discord, tmp_path, anyio_backend_name, DISCORD_TOKEN="nonsense") as check:
        assert await check.ended() == 1
        assert check.errors.startswith("atelier: DISCORD_TOKEN is not a bot's token")
    wrong = discord.token[:-4] + "bbbb"
    async with checking(discord, tmp_path, anyio_backend_name, DISCORD_TOKEN=wrong) as check:
        assert await check.ended() == 1
        assert check.refused == {"log in": "status 401, code 0: 401: Unauthorized"}
        assert wrong not in check.output + check.errors


@pytest.mark.anyio
async def test_the_channel_is_the_first_in_which_the_bot_may_post(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str
) -> None:
    discord.channel.bot_permissions = VIEW_CHANNEL
    async with checking(discord, tmp_path, anyio_backend_name, "--wait", "0") as check:
        assert await check.ended() == 1
        assert "change its permissions" in check.refused["find a channel"]
    open_to_the_bot = discord.open_channel("pictures")
    async with checking(discord, tmp_path, anyio_backend_name, "--wait", "0") as check:
        assert await check.ended() == 0
        assert check.steps["find a channel"] == "✔ #pictures"
        assert check.steps["use the command"] == "– not tried"
    shut = ("--wait", "0", "--channel", discord.channel.id)
    async with checking(discord, tmp_path, anyio_backend_name, *shut) as check:
        assert await check.ended() == 1
        assert check.refused == {"post a picture": "status 403, code 50013: Missing Permissions"}
    chosen = ("--wait", "0", "--channel", open_to_the_bot.id)
    async with checking(discord, tmp_path, anyio_backend_name, *chosen) as check:
        assert await check.ended() == 0
        assert check.steps["find a channel"] == "✔ #pictures"
    elsewhere = ("--wait", "0", "--channel", discord.dm().id)
    async with checking(discord, tmp_path, anyio_backend_name, *elsewhere) as check:
        assert await check.ended() == 1
        assert check.refused == {"find a channel": "This channel is not in that server."}


@pytest.mark.anyio
async def test_a_gateway_that_refuses_is_a_line(discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str) -> None:
    async with checking(discord, tmp_path, anyio_backend_name) as check:
        await check.read_until("Now run /atelier-check")
        discord.gateway.close(4014)
        assert await check.ended() == 1
        assert "intents" in check.refused["connect to the gateway"]
        assert nothing_is_left(discord)
