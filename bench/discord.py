"""The bot as people experience it: a process between a fake Discord and a simulated ComfyUI. Also a polling bot."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import httpx

from bench.lag import server
from tests.discord.fake import FakeDiscord, Interaction, Person, running

ROOT = Path(__file__).parents[1]

BOTS: Mapping[str, tuple[str, ...]] = {
    "atelier_trio": ("-m", "app", "run", "--backend", "trio"),
    "atelier_asyncio": ("-m", "app", "run", "--backend", "asyncio"),
    "poller": ("-m", "bench.poller"),
}

ALONE = 20
"""Pictures that are requested one after the other, each when the one before has been posted."""

CROWD = 20
A_SECOND = 50
RUSH = 100
"""Interactions in a rush: fifty per second for two seconds, from twenty people."""

IDLE = 3.0
"""Seconds from the start until memory is read; the memory that the start needed is released by then."""

PATIENCE = 120.0


@contextmanager
def bot_process(
    arguments: Sequence[str], discord: FakeDiscord, url: str, folder: Path, settings: Mapping[str, str] | None = None
) -> Generator[tuple[subprocess.Popen[bytes], float]]:
    """Start a bot, and wait until Discord has its commands; yields the process, and the seconds that it took.

    `arguments` are those of Python, `url` is the address of ComfyUI, `settings` are further variables.
    """
    shutil.copytree(ROOT / "workflows" / "txt2img", folder / "workflows" / "txt2img")
    env = {
        **os.environ,
        "DISCORD_TOKEN": discord.token,
        "DISCORD_REST_URL": discord.rest_url,
        "ATELIER_DATA": str(folder / "data"),
        "ATELIER_WORKFLOWS": str(folder / "workflows"),
        "COMFYUI_URL": url,
        "PYTHONPATH": str(ROOT),
        **(settings or {}),
    }
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, *arguments], cwd=folder, env=env, stderr=subprocess.DEVNULL)
    try:
        anyio.run(discord.until, lambda: discord.state.commands.of[None], PATIENCE)
        yield process, time.monotonic() - began
    finally:
        process.terminate()
        process.wait()


def resident(process: subprocess.Popen[bytes]) -> float:
    """Return the resident memory of a process in MiB."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise OSError("the process has no resident memory")


def shown(discord: FakeDiscord, interaction: Interaction) -> float | None:
    """Return when the edit with the picture began to arrive, in Discord's clock; runs in the fake's thread."""
    for request in discord.state.requests:
        if request.files and request.status == 200 and interaction.token in request.path:
            return request.at
    return None


def imagine(discord: FakeDiscord, text: str, person: Person) -> Interaction:
    """A person asks for a small picture."""
    return discord.slash("txt2img", prompt=text, steps=4, width=256, height=256, user=person)


def _fetching(url: str) -> float:
    """Return the seconds to fetch only the history and the file of a picture, over an open connection."""
    took: list[float] = []
    with httpx.Client(base_url=url) as client:
        entry = next(iter(client.get("/history").raise_for_status().json().values()))
        image = next(image for output in entry["outputs"].values() for image in output["images"])
        for _ in range(ALONE):
            began = time.monotonic()
            client.get(f"/history/{entry['prompt'][1]}").raise_for_status()
            client.get("/view", params=image).raise_for_status()
            took.append(time.monotonic() - began)
    return statistics.median(took)


def _round(name: str) -> dict[str, float]:
    """Measure one run of a bot. Figures are in milliseconds, except `start_s`, `stop_s` and `idle_mib`."""
    figures: dict[str, float] = {}
    with TemporaryDirectory() as folder, server() as (url, _, comfy), running() as discord:
        offset = discord.state.clock.now() - time.monotonic()
        crowd = [Person(str(10**18 + number), f"person-{number}") for number in range(CROWD)]
        with bot_process(BOTS[name], discord, url, Path(folder)) as (process, figures["start_s"]):
            time.sleep(IDLE)
            figures["idle_mib"] = resident(process)
            alone = [imagine(discord, "to warm up", crowd[0])]
            anyio.run(discord.until, lambda: shown(discord, alone[0]), PATIENCE)
            for number in range(ALONE):
                alone.append(imagine(discord, f"picture {number}", crowd[0]))
                anyio.run(discord.until, lambda: shown(discord, alone[-1]), PATIENCE)
            rush: list[Interaction] = []
            began = time.monotonic()
            for number in range(RUSH):
                time.sleep(max(0.0, began + number / A_SECOND - time.monotonic()))
                rush.append(imagine(discord, f"picture {number} of many", crowd[number % CROWD]))
            anyio.run(discord.until, lambda: all(shown(discord, interaction) for interaction in rush), PATIENCE)
            fetching = _fetching(url)
            began = time.monotonic()
            process.terminate()
            process.wait()
            figures["stop_s"] = time.monotonic() - began
        shown_at = [(shown(discord, interaction) or 0.0) - offset for interaction in alone]
        acknowledged = [(interaction.latency or 0.0) * 1000 for interaction in rush]
    posted, ended = _stamps(comfy)
    figures["acknowledged_p50_ms"] = statistics.median(acknowledged)
    figures["acknowledged_p99_ms"] = statistics.quantiles(acknowledged, n=100)[-1]
    sent_at = [interaction.at - offset for interaction in alone]
    pairs = list(zip(sent_at, posted, ended, shown_at, strict=False))[1:]
    figures["to_post_ms"] = statistics.median(post - at for at, post, _, _ in pairs) * 1000
    figures["end_to_edit_ms"] = statistics.median(edit - end for _, _, end, edit in pairs) * 1000
    figures["above_fetching_ms"] = figures["end_to_edit_ms"] - fetching * 1000
    return figures


def _stamps(comfy: subprocess.Popen[str]) -> tuple[list[float], list[float]]:
    """Return when each prompt was posted, and when each ended, in the order of the posts."""
    assert comfy.stdout is not None
    posted: dict[str, float] = {}
    ended: dict[str, float] = {}
    for line in comfy.stdout:
        entry = json.loads(line)
        if "posted" in entry:
            posted[entry["posted"]] = entry["t"]
        else:
            ended[entry["ended"]] = entry["t"]
    return list(posted.values()), [ended[prompt] for prompt in posted]


def discord(rounds: int) -> dict[str, object]:
    """Measure all bots alternately, so that other load affects them alike; returns medians of the rounds."""
    rounds_of: dict[str, list[dict[str, float]]] = {name: [] for name in BOTS}
    for _ in range(rounds):
        for name in BOTS:
            rounds_of[name].append(_round(name))
    medians = {
        name: {key: round(statistics.median(figures[key] for figures in lives), 2) for key in lives[0]}
        for name, lives in rounds_of.items()
    }
    quicker = {
        name: round(medians["poller"]["end_to_edit_ms"] / medians[name]["end_to_edit_ms"], 1)
        for name in BOTS
        if name != "poller"
    }
    return {**medians, "times_quicker_than_poller": quicker}
