"""A bot as a process that serves the page, between a fake Discord and a simulated ComfyUI, which are threads here."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

import anyio
import httpx
from anyio.from_thread import start_blocking_portal

from app.simulator.engine.simulator import Simulator
from app.simulator.http.application import serve
from tests.browser.archive import Place, fill
from tests.discord.fake import Channel, FakeDiscord, Interaction, Person, running
from tests.discord.flows import FOLDER, STARTERS
from tests.discord.stage import parts
from tests.process.launcher import PROGRAM, ROOT

T = TypeVar("T")

BASE = "/atelier"

SETTINGS = """\
[discord]
keep_metadata = true
mark_results = false

[http]
listen = "127.0.0.1:{port}"

[page]
enabled = true
url = "{url}"
"""

STEP = 0.1
"""Seconds of a step of the simulated ComfyUI."""

PATIENCE = 60.0
"""Seconds for anything that a test waits for."""


class World:
    """The page, and the hands with which a test moves what is around it."""

    def __init__(self, discord: FakeDiscord, url: str, people: list[Person]) -> None:
        self.discord = discord
        self.url = url
        """The address of the page, without a slash at its end."""
        self.people = people

    def imagine(
        self,
        prompt: str,
        *,
        steps: int = 4,
        user: Person | None = None,
        channel: Channel | None = None,
        **options: object,
    ) -> Interaction:
        """Somebody asks for a picture in Discord."""
        asked = {"prompt": prompt, "width": 256, "height": 256, "steps": steps, "seed": 7, **options}
        return self.discord.slash("txt2img", asked, user=user, channel=channel)

    def login_link(self) -> str:
        """Alice asks for a link with which she logs in."""
        asked = self.discord.slash("page")

        def link() -> str:
            message = self.discord.state.messages.all.get(asked.original or "")
            return next((str(part["url"]) for part in parts(message) if part.get("url")), "") if message else ""

        return until(lambda: self.discord.state.look(link))


def until(predicate: Callable[[], T]) -> T:
    """Wait for something in another thread or process."""
    end = time.monotonic() + PATIENCE
    while not (found := predicate()):
        if time.monotonic() > end:
            raise TimeoutError("what was waited for did not come")
        time.sleep(0.05)
    return found


@asynccontextmanager
async def _comfyui(folder: Path) -> AsyncGenerator[str]:
    simulator = Simulator(folder, step_time=STEP, previews=True)
    async with anyio.create_task_group() as ground:
        port = await ground.start(serve, simulator, "127.0.0.1", 0)
        yield f"http://127.0.0.1:{port}"
        ground.cancel_scope.cancel()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def world(folder: Path, *, jobs: int, painted: int) -> Generator[World]:
    """A page with so many results of three people."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}{BASE}"
    data = folder / "data"
    for name in STARTERS:
        shutil.copytree(FOLDER / name, folder / "workflows" / name)
    (folder / "atelier.toml").write_text(SETTINGS.format(port=port, url=url))
    with running() as discord, start_blocking_portal("asyncio") as portal:
        discord.oauth.redirects.append(f"{url}/login/callback")
        people = [discord.state.alice, discord.person("grace"), discord.person("linus")]
        state = discord.state
        fill(data, jobs, [one.id for one in people], Place(state.guild.id, state.channel.id), painted=painted)
        with portal.wrap_async_context_manager(_comfyui(folder / "comfyui")) as comfy:
            env = {
                **os.environ,
                "DISCORD_TOKEN": discord.token,
                "DISCORD_REST_URL": discord.rest_url,
                "ATELIER_CLIENT_SECRET": discord.oauth.secret,
                "ATELIER_DATA": str(data),
                "ATELIER_WORKFLOWS": str(folder / "workflows"),
                "COMFYUI_URL": comfy,
                "PYTHONPATH": str(ROOT),
            }
            with (folder / "bot.log").open("wb") as log:
                process = subprocess.Popen([*PROGRAM, "run"], cwd=folder, env=env, stderr=log)
            try:
                until(lambda: discord.state.look(lambda: discord.state.commands.of[None]) and _is_ready(url))
                yield World(discord, url, people)
            finally:
                process.terminate()
                process.wait(PATIENCE)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/login").status_code == 200
    except httpx.HTTPError:
        return False
