"""One person sends ten attachments of 40 megapixels at once: the delay of another person's jobs, and the memory.

Each of the ten commands has a second attachment that is not an image, so it is refused after the first one was
completely decoded and encoded. Nothing of it reaches ComfyUI, so only the bot's own work delays the other person.
"""

from __future__ import annotations

import io
import re
import shutil
import statistics
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from PIL import Image

from bench.discord import BOTS, PATIENCE, ROOT, bot_process, shown
from bench.lag import server
from tests.discord.fake import FakeDiscord, Interaction, Person, Upload, running

AT_ONCE = 10

SIZE = (8_000, 5_000)

JOBS = 5
"""The other person's jobs of each kind, one after the other, with and without the ten attachments."""

EVERY = 0.5
"""Seconds between two reads of the memory of all processes; the system itself records the peak of each."""

MEASURED = ("atelier_trio", "atelier_asyncio")


class _Memory:
    """The peak resident memory of the bot and of any of its child processes, in MB."""

    def __init__(self, bot: int) -> None:
        self._bot = bot
        self.bot = 0.0
        self.worker = 0.0

    def look(self) -> None:
        self.bot = max(self.bot, _status(self._bot, "VmHWM"))
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and _status(int(folder.name), "PPid", unit=1) == self._bot:
                self.worker = max(self.worker, _status(int(folder.name), "VmHWM"))

    @contextmanager
    def watched(self) -> Generator[None]:
        over = threading.Event()

        def watch() -> None:
            while not over.wait(EVERY):
                self.look()

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _status(pid: int, name: str, unit: float = 1024 / 10**6) -> float:
    """Return a number from a process's status; 0 if the process has ended."""
    try:
        match = re.search(rf"^{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return 0.0
    return int(match[1]) * unit if match else 0.0


def _picture(size: tuple[int, int]) -> bytes:
    """Return a JPEG of noise, which takes as much work to decode as a photo."""
    made = io.BytesIO()
    noise = Image.effect_noise((size[0] // 8, size[1] // 8), 60)
    noise = noise.resize(size)  # pyright: ignore[reportUnknownMemberType]
    Image.merge("RGB", (noise, noise, noise)).save(made, "JPEG", quality=85)
    return made.getvalue()


def _is_refused(discord: FakeDiscord, interaction: Interaction) -> bool:
    return any("no picture" in str(discord.state.messages.all.get(ident)) for ident in interaction.followups)


def _jobs(discord: FakeDiscord, person: Person, small: Upload, flood: list[Interaction]) -> list[float]:
    """Return the seconds from each interaction to the edit with its picture; every second job has an attachment.

    With a flood, only the jobs that began before its end count.
    """
    took: list[float] = []
    for number in range(2 * JOBS):
        if flood and all(_is_refused(discord, interaction) for interaction in flood):
            break
        if number % 2:
            interaction = discord.slash("remix", prompt=f"mine {number}", image=small, steps=4, user=person)
        else:
            interaction = discord.slash("txt2img", prompt=f"mine {number}", steps=4, width=256, height=256, user=person)
        anyio.run(discord.until, lambda interaction=interaction: shown(discord, interaction), PATIENCE)
        took.append((shown(discord, interaction) or 0.0) - interaction.at)
    return took


def _round(name: str) -> dict[str, float]:
    with TemporaryDirectory() as folder, server() as (url, _, _), running() as discord:
        for workflow in ("img2img", "inpaint"):
            shutil.copytree(ROOT / "workflows" / workflow, Path(folder) / "workflows" / workflow)
        discord.state.upload_limit = 64 * 2**20
        many, other = Person("1" * 18, "many"), Person("2" * 18, "other")
        large = Upload("large.jpg", _picture(SIZE), "image/jpeg")
        small = Upload("small.jpg", _picture((800, 600)), "image/jpeg")
        broken = Upload("broken.png", b"no picture", "image/png")
        with bot_process(BOTS[name], discord, url, Path(folder)) as (process, _):
            memory = _Memory(process.pid)
            _jobs(discord, other, small, [])
            memory.look()
            idle = memory.bot
            alone = _jobs(discord, other, small, [])
            with memory.watched():
                began = time.monotonic()
                flood = [
                    discord.slash("inpaint", prompt="x", image=large, mask=broken, user=many) for _ in range(AT_ONCE)
                ]
                beside = _jobs(discord, other, small, flood)
                anyio.run(
                    discord.until,
                    lambda: all(_is_refused(discord, interaction) for interaction in flood),
                    AT_ONCE * PATIENCE,
                )
                lasted = time.monotonic() - began
    return {
        "alone_s": statistics.median(alone),
        "beside_s": statistics.median(beside),
        "beside_worst_s": max(beside),
        "later_s": statistics.median(beside) - statistics.median(alone),
        "ten_attachments_s": lasted,
        "bot_before_mb": idle,
        "bot_peak_mb": memory.bot,
        "worker_peak_mb": memory.worker,
    }


def attachments(rounds: int) -> dict[str, object]:
    """Return the figures of both backends: seconds and MB, medians of the rounds."""
    medians: dict[str, object] = {}
    for name in MEASURED:
        lives = [_round(name) for _ in range(rounds)]
        medians[name] = {key: round(statistics.median(figures[key] for figures in lives), 2) for key in lives[0]}
    return medians
