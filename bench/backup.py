"""A journal of 100,000 jobs: the time of a backup and of a restore, and the time of a commit while a backup is made.

The backup is made as by the bot each night, in a thread of its process; the commits are those of the bot. Small files
stand for results: linked, they cost the same whatever they weigh.
"""

from __future__ import annotations

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
from app.backup.layout import Backup
from app.backup.restore import restore
from app.events import JobId
from app.journal.sqlite import JOURNAL, open_journal
from bench.lookups import JOBS, commit_times, fill, percentile

FILES = 2_000

BACKUP_S = 5.0
RESTORE_S = 10.0
"""The goals; the p99 of a commit must not be harmed."""


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
            (data / "results" / f"{number}.png").write_bytes(bytes(1000))
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
            }
    return figures
