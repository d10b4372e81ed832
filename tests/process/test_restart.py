"""The bot killed while a server works for it, and started again: what the server says meanwhile arrives again."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import anyio
import pytest

from app.core.servers.state import SILENCE
from app.simulator.engine.clients import Listener, Socket
from app.simulator.engine.simulator import Simulator
from app.simulator.http.application import serve
from tests.discord.fake import FakeDiscord, Interaction
from tests.process.bot import PATIENCE, bot, imagine, says

STEPS = 400

STEP_TIME = 0.1
"""Seconds: a job runs for longer than the whole test."""


@pytest.fixture
def anyio_backend() -> str:
    """The test's own loop; the bots' are parameters."""
    return "asyncio"


def step(discord: FakeDiscord, interaction: Interaction) -> int:
    """The step that the job's message shows; 0 if none."""
    shown = re.search(rf"step (\d+)/{STEPS}", says(discord, interaction))
    return int(shown[1]) if shown else 0


@pytest.mark.parametrize(("first", "second"), [("trio", "asyncio"), ("asyncio", "trio")])
async def test_progress_goes_on_after_the_bot_was_killed(
    discord: FakeDiscord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, second: str
) -> None:
    simulator = Simulator(tmp_path / "server", steps=STEPS, step_time=STEP_TIME)
    entered: list[str] = []
    enter = simulator.sockets.enter

    def noted(client: str, socket: Socket) -> Listener:
        entered.append(client)
        return enter(client, socket)

    monkeypatch.setattr(simulator.sockets, "enter", noted)
    async with anyio.create_task_group() as ground:
        port = await ground.start(serve, simulator, "127.0.0.1", 0)
        address = f"http://127.0.0.1:{port}"
        async with bot(discord, tmp_path, first, comfy=address) as process:
            await discord.until(lambda: discord.state.commands.of[None], PATIENCE)
            interaction = imagine(discord, "a dog")
            await discord.until(lambda: step(discord, interaction) > 0, PATIENCE)
            process.send_signal(signal.SIGKILL)
            await process.wait()
        before = step(discord, interaction)
        async with bot(discord, tmp_path, second, comfy=address):
            await discord.until(lambda: step(discord, interaction) > before, PATIENCE)
            await anyio.sleep(2 * SILENCE)
            assert simulator.running is not None
        assert len(entered) == 2, "no socket was taken for a deaf one"
        assert entered[0] == entered[1] == simulator.running[3]["client_id"]
        ground.cancel_scope.cancel()
