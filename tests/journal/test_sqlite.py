"""Many tasks, one writer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from structlog.testing import capture_logs

from app.core.jobs.job import Job, JobRequest
from app.core.journal_port import JournalError, JournalUnavailable, UnwritableRecords
from app.events import JobId
from app.journal.sqlite import open_journal
from tests.journal.holding import holding


def _job(name: str) -> Job:
    return Job(request=JobRequest(job=JobId(name), workflow="w", graph={}, folder="out", owner="ada"))


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


async def test_a_record_waits_for_another_program_while_lookups_go_on(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    async with open_journal(path) as journal:
        await journal.record([_job("a")], [])
        with capture_logs() as lines:
            async with anyio.create_task_group() as tasks:
                with holding(path):
                    tasks.start_soon(journal.record, [_job("b")], ())
                    with pytest.raises(JournalUnavailable, match="held by another program"):
                        await journal.prefer("ada", "w", {"steps": 4})
                    assert await journal.find("a") is not None
                    assert await journal.find("b") is None
        assert await journal.find("b") is not None
    assert [line["log_level"] for line in lines] == ["error", "warning"]


async def test_what_an_operator_asked_for_is_forgotten_for_certain_also_while_another_program_holds_the_journal(
    tmp_path: Path,
) -> None:
    path = tmp_path / "atelier.db"
    async with open_journal(path) as journal:
        journal._store.add_request("retry", "a")  # pyright: ignore[reportPrivateUsage]
        (request,) = await journal.requests()
        with capture_logs() as lines:
            async with anyio.create_task_group() as tasks:
                with holding(path):
                    tasks.start_soon(journal.done, request)
                    while not lines:  # noqa: ASYNC110  the log is what tells
                        await anyio.sleep(0.01)
        assert not await journal.requests(), "otherwise it would be done twice"


async def test_a_stop_does_not_wait_for_another_program(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    with capture_logs() as lines:
        async with open_journal(path) as journal:
            with holding(path):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(journal.record, [_job("b")], ())
                    while not lines:  # noqa: ASYNC110  the log is what tells
                        await anyio.sleep(0.01)
                    tasks.cancel_scope.cancel()


async def test_a_commit_does_not_wait_for_a_long_read(tmp_path: Path) -> None:
    began, proceed = threading.Event(), threading.Event()
    async with open_journal(tmp_path / "atelier.db") as journal:
        store = journal._store  # pyright: ignore[reportPrivateUsage]

        def long_read(_: bytes) -> str:
            began.set()
            proceed.wait()
            return ""

        await journal.record([_job("a")], [])
        store._reading.text_factory = long_read  # pyright: ignore[reportPrivateUsage]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(journal.transitions, "a")
            tasks.start_soon(journal.find, "a")
            await to_thread.run_sync(began.wait)
            try:
                with anyio.fail_after(30):
                    await journal.record([_job("b")], [])
            finally:
                proceed.set()
        store._reading.text_factory = str  # pyright: ignore[reportPrivateUsage]
        assert await journal.find("b") is not None


async def test_the_journal_has_threads_of_its_own(tmp_path: Path) -> None:
    """Slow work that fills the program's common threads does not hold up a record or a lookup."""
    proceed = threading.Event()
    async with open_journal(tmp_path / "atelier.db") as journal, anyio.create_task_group() as tasks:
        common = to_thread.current_default_thread_limiter()
        for _ in range(int(common.total_tokens)):
            tasks.start_soon(to_thread.run_sync, proceed.wait)
        while common.available_tokens:  # noqa: ASYNC110  a limiter has nothing to wait on
            await anyio.sleep(0.01)
        try:
            with anyio.fail_after(30):
                await journal.record([_job("a")], [])
                assert await journal.find("a") is not None
        finally:
            proceed.set()


async def test_only_the_caller_of_an_unwritable_record_hears_of_it(tmp_path: Path) -> None:
    async with open_journal(tmp_path / "atelier.db") as journal:
        odd = _job("odd")
        odd.notes.append("\ud83d")
        heard: list[JobId] = []

        async def record_odd() -> None:
            with pytest.raises(UnwritableRecords) as refused:
                await journal.record([_job("b"), odd], [])
            heard.extend(refused.value.jobs)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(journal.record, [_job("a")], ())
            tasks.start_soon(record_odd)
        assert heard == ["odd"]
        assert {found.id for found in await journal.unfinished()} == {"a", "b"}
