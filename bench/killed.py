"""Kills the bot while it has jobs in every state, and restarts it: real processes, with a fake Discord on loopback."""

from __future__ import annotations

import base64
import os
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL
from tempfile import TemporaryDirectory

import anyio
import httpx
import msgspec
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from app.core.jobs.job import TransitionRow
from app.journal.access.crash_points import VARIABLE
from app.journal.opening import JOURNAL, open_store
from app.ports import Json
from app.simulator.faults import Request
from bench.server_process import Order, ServerProcess, server_process

JOBS = 20
DEPTH = 8
"""Jobs on the server; the others wait in the bot."""

STEP_TIME = 0.05
"""Seconds for each of four steps."""

POINT = f"before:queued:{DEPTH + 3}"
"""Where `kill -9` happens: three more jobs were sent because three have ended, and the bot has not yet recorded the
answer to the last POST."""

ENDED = 6
"""Jobs that have ended when the bot comes back: three that it knew of, and three that it did not."""

STATES = ("accepted", "submitting", "queued", "running", "finished")
"""All states of an unfinished job."""

ENOUGH = 10.0
"""Seconds to wait for the delivery of the ended jobs, and again for all; later ones count as not delivered."""

TOKEN = base64.b64encode(b"1100000000000000000").decode() + ".GfAkEt." + "a" * 38
"""Has the form of Discord's tokens."""

ROOT = Path(__file__).parent.parent


class Told(msgspec.Struct):
    """The fields of a message in the fake Discord that the benchmark reads."""

    id: str
    message: dict[str, Json] | None


class Discord:
    """A client of the fake Discord: acts as its users, and reads what they see."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @property
    def rest_url(self) -> str:
        return f"{str(self._client.base_url).rstrip('/')}/api/v10"

    async def do(self, verb: str, **what: Json) -> None:
        answer = await self._client.post(f"/fake/{verb}", json=what)
        answer.raise_for_status()

    async def until_ready(self) -> None:
        """Wait until Discord has the bot's commands."""
        version = 0
        while b'"txt2img"' not in (await self._client.get("/fake/commands")).content:
            version = await self._change(version)

    async def until_shown(self, label: str, count: int) -> None:
        """Wait until `count` messages have a button with this label."""
        version = 0
        while await self._labelled(label) < count:
            version = await self._change(version)

    async def _labelled(self, label: str) -> int:
        messages = msgspec.json.decode((await self._client.get("/fake/messages")).content, type=list[Told])
        return sum(f'"label":"{label}"' in msgspec.json.encode(entry.message).decode() for entry in messages)

    async def _change(self, version: int) -> int:
        answer = await self._client.get("/fake/wait", params={"after": version})
        return msgspec.json.decode(answer.content, type=dict[str, int])["version"]


@asynccontextmanager
async def discord() -> AsyncGenerator[Discord]:
    command = [sys.executable, "-m", "tests.discord.fake", "--token", TOKEN]
    async with await anyio.open_process(command, cwd=ROOT, stderr=DEVNULL) as process:
        assert process.stdout is not None
        line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 200)
        async with httpx.AsyncClient(base_url=line.decode().rpartition(" ")[2], timeout=60, trust_env=False) as client:
            yield Discord(client)
        process.terminate()


@asynccontextmanager
async def bot(backend: str, folder: Path, env: Mapping[str, str]) -> AsyncGenerator[Process]:
    command = [sys.executable, "-m", "app", "run", "--backend", backend]
    async with await anyio.open_process(command, cwd=folder, env=env, stderr=DEVNULL) as process:
        yield process


async def _killed(backend: str) -> dict[str, float]:
    with TemporaryDirectory(dir=Path.cwd()) as temporary:
        folder = Path(temporary)
        (folder / "atelier.toml").write_text(f"depth = {DEPTH}\n")
        async with server_process(STEP_TIME) as server, discord() as people:
            env = {
                **os.environ,
                "DISCORD_TOKEN": TOKEN,
                "DISCORD_REST_URL": people.rest_url,
                "ATELIER_DATA": str(folder),
                "ATELIER_WORKFLOWS": str(ROOT / "workflows"),
                "COMFYUI_URL": server.url,
                "PYTHONPATH": str(ROOT),
            }
            async with bot(backend, folder, {**env, VARIABLE: POINT}) as process:
                await _crowd(server, people)
                assert await process.wait() == -signal.SIGKILL
            stood = Counter(lines[-1].transition.state for lines in _stories(folder).values())
            await server.ask(Order(ended=ENDED))
            await server.ask(Order(faults=Request(hold=True)))
            await people.do("heal")
            before = (await server.ask(Order())).ended
            began = time.time()
            async with bot(backend, folder, env) as process:
                with anyio.move_on_after(ENOUGH):
                    await people.until_shown("Again", len(before))
                await server.ask(Order(faults=Request(hold=False), ended=JOBS))
                with anyio.move_on_after(ENOUGH):
                    await people.until_shown("Again", JOBS)
                process.send_signal(signal.SIGTERM)
                await process.wait()
            drawn = len((await server.ask(Order())).ended)
        figures = _times(_stories(folder), before, began)
    return {**figures, **{f"killed_while_{state}": stood[state] for state in STATES}, "drawn": drawn}


async def _crowd(server: ServerProcess, people: Discord) -> None:
    """Request all jobs and let the first ones end; nothing is delivered before the bot is killed."""
    await people.until_ready()
    await server.ask(Order(faults=Request(hold=True)))
    for number in range(JOBS):
        # One channel per job, because Discord limits the rate of messages in a channel.
        options: Json = {"prompt": f"picture {number}", "width": 64, "height": 64}
        await people.do("slash", name="txt2img", options=options, user=f"user{number}", channel=f"channel{number}")
    await people.until_shown("Cancel", JOBS)
    await server.ask(Order(taken=DEPTH))
    await people.do("faults", method="PATCH", hold=True, times=None)
    await server.ask(Order(faults=Request(hold=False)))


def _stories(folder: Path) -> dict[str, list[TransitionRow]]:
    """Return the transitions of all jobs from the journal, while no bot writes to it."""
    with open_store(folder / JOURNAL, clock=time.time) as store:
        return {entry.job.id: store.transitions(entry.job.id) for entry in store.newest("", JOBS)}


def _times(
    stories: Mapping[str, Sequence[TransitionRow]], before: Mapping[str, float], began: float
) -> dict[str, float]:
    """Return figures from the journal, in seconds from the restart; `before` are the prompts that had ended by then.

    One query tells the application the state of everything on the server. So everything is adopted when the last
    transition is written that this query caused: ends that the bot did not know of, the running prompt, and the POST
    without a recorded answer.
    """
    times: list[float] = []
    first: list[float] = []
    delivered = 0
    for lines in stories.values():
        now = [(line.at - began, line.transition) for line in lines if line.at >= began]
        for at, step in now[:1]:
            if step.cause == "seen in the server's queue" or (
                step.prompt in before and step.cause.startswith("its history")
            ):
                times.append(at)
        for at, step in now:
            if step.state == "delivered":
                delivered += 1
                first += [at] if step.prompt in before else []
    return {
        "adopted_s": max(times),
        "delivered_what_had_ended_s": max(first, default=ENOUGH),
        "found_by_look": len(times),
        "not_delivered": JOBS - delivered,
    }


def killed(backend: str, rounds: int) -> dict[str, float]:
    """Return medians of all figures of a bot with this backend, which runs in its own process."""
    figures = [anyio.run(_killed, backend, backend="asyncio") for _ in range(rounds)]
    return {name: round(statistics.median(round_figures[name] for round_figures in figures), 3) for name in figures[0]}
