"""Many tasks, one writer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from app.archive import JournalError
from app.events import JobId
from app.jobs import Job, Wish
from app.journal.sqlite import open_journal


def _job(name: str) -> Job:
    return Job(wish=Wish(job=JobId(name), workflow="w", graph={}, folder="out", owner="ada"))


async def test_what_many_tasks_record_is_all_there(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    async with open_journal(path) as journal, anyio.create_task_group() as tasks:
        for number in range(200):
            tasks.start_soon(journal.record, [_job(f"{number:03}")], ())
    async with open_journal(path) as journal:
        assert len(await journal.unfinished()) == 200
        found = await journal.find("042")
        assert found is not None
        assert found.id == "042"
        assert len(await journal.jobs_of("ada", 10)) == 10


async def test_records_that_wait_share_a_transaction(tmp_path: Path) -> None:
    calls = 0

    async def counting(function: Callable[..., object], /, *args: object) -> object:
        nonlocal calls
        calls += 1
        return await to_thread.run_sync(function, *args)

    opened = open_journal(tmp_path / "atelier.db", run_sync=counting)  # pyright: ignore[reportArgumentType]
    async with opened as journal, anyio.create_task_group() as tasks:
        for number in range(64):
            tasks.start_soon(journal.record, [_job(f"{number:03}")], ())
    assert calls <= 4


async def test_everybody_whose_record_was_not_written_hears_so(tmp_path: Path) -> None:
    failures: list[str] = []

    async def full(function: Callable[..., object], /, *args: object) -> object:
        await anyio.lowlevel.checkpoint()
        raise JournalError("make room")

    async with open_journal(tmp_path / "atelier.db", run_sync=full) as journal:  # pyright: ignore[reportArgumentType]

        async def record(name: str) -> None:
            try:
                await journal.record([_job(name)], [])
            except JournalError as error:
                failures.append(str(error))

        async with anyio.create_task_group() as tasks:
            for name in "abc":
                tasks.start_soon(record, name)
    assert failures == ["make room"] * 3


async def test_a_caller_that_is_cancelled_does_not_hold_up_the_others(tmp_path: Path) -> None:
    async with open_journal(tmp_path / "atelier.db") as journal:
        with anyio.move_on_after(0):
            await journal.record([_job("a")], [])
        await journal.record([_job("b")], [])
        assert "b" in [job.id for job in await journal.unfinished()]


async def test_two_bots_cannot_have_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    async with open_journal(path):
        with pytest.raises(JournalError, match="another Atelier"):
            async with open_journal(path):
                pass
