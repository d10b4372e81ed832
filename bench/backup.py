"""A journal of 100,000 jobs: the time of a backup and of a restore, and what a backup costs those who work meanwhile.

The backup is made as by the bot each night, in a thread of its process; the commits are those of the bot. Small files
stand for results: linked, they cost the same whatever they weigh. How long Discord waits for an acknowledgement is
measured with a whole bot, before and during the backup that it makes by itself.
"""

from __future__ import annotations

import os
import random
import statistics
import time
import uuid
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from anyio import to_thread

from app.backup.create import make_backup
from app.backup.daily import Breath
from app.backup.layout import Backup, backups_in
from app.backup.restore import restore
from app.events import JobId
from app.journal.opening import JOURNAL
from app.journal.sqlite import open_journal
from bench.discord import BOTS, PATIENCE, bot_process, imagine, shown
from bench.lag import server
from bench.lookups import JOBS, commit_times, fill, percentile
from tests.discord.fake import Interaction, Person, running

FILES = 2_000

LIVES = 5
"""Starts of the bot for each backend: each makes one backup, soon after the start."""

A_SECOND = 25
"""Commands per second, from as many people."""

EACH = 5
"""Every so many commands ask for a picture, so that jobs are recorded meanwhile; the others read the journal."""

WARM = 1.0
"""Seconds after the start of which nothing is measured."""

BACKUP_S = 5.0
RESTORE_S = 10.0
"""The goals; the p99 of a commit must not be harmed."""


def _acknowledged(backend: str, data: Path, folder: Path) -> tuple[list[float], list[float]]:
    """Return the milliseconds until each command was acknowledged: before the bot's backup, and during it."""
    copies = folder / "copies"
    (folder / "atelier.toml").write_text('[backup]\nfolder = "copies"\n')
    crowd = [Person(str(10**18 + number), f"person-{number}") for number in range(A_SECOND)]
    before: list[Interaction] = []
    during: list[Interaction] = []
    pictures: list[Interaction] = []
    settings = {"ATELIER_DATA": str(data)}
    with (
        server() as (url, _, _comfy),
        running() as discord,
        bot_process(BOTS[f"atelier_{backend}"], discord, url, folder, settings),
    ):
        began = time.monotonic()
        number = 0
        while not backups_in(copies):
            number += 1
            time.sleep(max(0.0, began + number / A_SECOND - time.monotonic()))
            under_way = copies.exists()
            person = crowd[number % A_SECOND]
            if number % EACH:
                interaction = discord.slash("jobs", user=person)
            else:
                interaction = imagine(discord, f"picture {number}", person)
                pictures.append(interaction)
            if under_way:
                during.append(interaction)
            elif number > WARM * A_SECOND:
                before.append(interaction)
        anyio.run(discord.until, lambda: all(each.latency is not None for each in (*before, *during)), PATIENCE)
        latencies = [[(each.latency or 0.0) * 1000 for each in group] for group in (before, during)]
        # The next life must not find their jobs unfinished.
        anyio.run(discord.until, lambda: all(shown(discord, picture) for picture in pictures), PATIENCE)
    return latencies[0], latencies[1]


def _acknowledgements(backend: str, data: Path, folder: Path) -> dict[str, float]:
    before: list[float] = []
    during: list[float] = []
    for life in range(LIVES):
        place = folder / f"{backend}-life-{life}"
        place.mkdir()
        alone, beside = _acknowledged(backend, data, place)
        before += alone
        during += beside
    figures = {
        "acknowledged_alone_p50_ms": percentile(before, 50),
        "acknowledged_alone_p99_ms": percentile(before, 99),
        "acknowledged_during_backup_p50_ms": percentile(during, 50),
        "acknowledged_during_backup_p99_ms": percentile(during, 99),
    }
    ratio = figures["acknowledged_during_backup_p99_ms"] / figures["acknowledged_alone_p99_ms"]
    return {**figures, "acknowledged_p99_ratio": round(ratio, 2), "acknowledged_during_backup": len(during)}


async def _measure(data: Path, folder: Path) -> dict[str, float]:
    alone: list[float] = []
    beside: list[float] = []
    took: list[float] = []
    backups: list[Backup] = []

    async def back_up() -> None:
        began = time.perf_counter()
        make = partial(make_backup, data, folder / str(len(backups)), now=time.time(), breathe=Breath())
        backups.append(await to_thread.run_sync(make))
        took.append(time.perf_counter() - began)

    cpu = time.process_time()
    await back_up()
    backup_cpu = time.process_time() - cpu
    took.clear()
    async with open_journal(data / JOURNAL) as journal:
        # Measured alternately, because the speed of the disk changes from second to second.
        for number in range(3):
            alone += await commit_times(journal)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(back_up)
                while len(took) == number:
                    beside += await commit_times(journal, 20)
    began, cpu = time.perf_counter(), time.process_time()
    restoring = partial(restore, backups[-1].folder, folder / "restored", breathe=Breath())
    await to_thread.run_sync(restoring)
    restored, restore_cpu = time.perf_counter() - began, time.process_time() - cpu
    return {
        "backup_s": round(statistics.median(took), 2),
        "backup_cpu_s": round(backup_cpu, 2),
        "restore_s": round(restored, 2),
        "restore_cpu_s": round(restore_cpu, 2),
        "commit_alone_p50_ms": percentile(alone, 50),
        "commit_alone_p99_ms": percentile(alone, 99),
        "commit_during_backup_p50_ms": percentile(beside, 50),
        "commit_during_backup_p99_ms": percentile(beside, 99),
        "commits_during_backup": len(beside) / 3,
    }


def backup(rounds: int) -> dict[str, object]:
    """Return all figures of both backends, as medians of the rounds, and the goals."""
    ids = [JobId(str(uuid.UUID(int=random.getrandbits(128), version=4))) for _ in range(JOBS)]
    with TemporaryDirectory(dir=Path.cwd()) as folder:
        data = Path(folder) / "data"
        fill(data / JOURNAL, ids, str(data / "results"))
        (data / "results").mkdir()
        for number in range(FILES):
            result = data / "results" / f"{number}.png"
            result.write_bytes(bytes(1000))
            # As most results: not of the last minutes.
            os.utime(result, (0, 0))
        megabytes = round((data / JOURNAL).stat().st_size / 2**20)
        goals = {"goal_backup_s": BACKUP_S, "goal_restore_s": RESTORE_S}
        figures: dict[str, object] = {"jobs": JOBS, "files": FILES, "journal_mb": megabytes, **goals}
        for backend in ("trio", "asyncio"):
            measured: list[dict[str, float]] = []
            for number in range(rounds):
                target = Path(folder) / f"{backend}-{number}"
                measured.append(anyio.run(_measure, data, target, backend=backend))
            figures[backend] = {
                name: round(statistics.median(figure[name] for figure in measured), 3) for name in measured[0]
            } | _acknowledgements(backend, data, Path(folder))
    return figures
