"""Which files the jobs of a journal name, and when a front reads that again."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from app.core.jobs.job import Job, JobRequest, Refetch, State, Upload
from app.core.journal_port import JournalError
from app.core.replication import NamedFile, Need
from app.events import Failed, FileRef, Finished, JobId, NodeId, PromptId, ServerName
from app.journal.copies.named_files import DELETED, ENDED, RECENT, UNFINISHED, JobsOfCopy, NamedFiles
from app.journal.opening import open_store
from app.journal.store import Store
from app.ports import History

HERE = ServerName("here")


class Clock:
    """Seconds since 1970, one more each time."""

    def __init__(self) -> None:
        self.now = 1_000 * RECENT

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Generator[Store]:
    with open_store(tmp_path / "atelier.db", clock=clock, durable=False) as opened:
        yield opened


@pytest.fixture
def names(tmp_path: Path, clock: Clock) -> NamedFiles:
    return NamedFiles(tmp_path / "atelier.db", lambda: clock.now)


def waiting(name: str) -> Job:
    upload = Upload(NodeId("1"), "image", f"inputs/{name}.png")
    return Job(request=JobRequest(job=JobId(name), workflow="w", graph={}, folder="results", uploads=(upload,)))


def fetched(name: str) -> Job:
    """A job whose result nobody has seen."""
    job = waiting(name)
    job.state, job.files = State.FINISHED, {FileRef("x.png"): f"results/{name}.png"}
    job.streamed, job.version = [f"results/{name}-streamed.png"], 3
    return job


def shown(name: str) -> Job:
    job = fetched(name)
    job.terminal_update = Finished(HERE, (f"results/{name}.png", f"results/{name}-2.png"), job=job.id)
    job.state, job.notified, job.version = State.DELIVERED, True, 4
    return job


def record(store: Store, *jobs: Job) -> None:
    for job in jobs:
        store.write([([job], [])])


def paths(files: list[NamedFile], need: Need) -> list[str]:
    return [file.path for file in files if file.need is need]


def test_inputs_of_unfinished_jobs_come_before_results_that_nobody_has_seen(store: Store, names: NamedFiles) -> None:
    record(store, fetched("a"), waiting("b"), shown("c"))
    files = names.of_unfinished()
    assert paths(files, Need.INPUT) == ["inputs/a.png", "inputs/b.png"]
    assert paths(files, Need.UNDELIVERED) == ["results/a.png", "results/a-streamed.png"]
    assert [file.need for file in files] == sorted(file.need for file in files)


def test_what_is_only_fetched_again_names_what_is_here_already(store: Store, names: NamedFiles) -> None:
    job = waiting("a")
    refetch = Refetch(HERE, PromptId("p"), History("success"), ((FileRef("x"), "results/earlier.png"),))
    job.request = JobRequest(job=job.id, workflow="w", graph={}, folder="results", refetch=refetch)
    failed = fetched("b")
    failed.terminal_update = Failed(job=failed.id, reason="", files=("results/part.png",))
    record(store, job, failed)
    assert {file.path for file in names.of_unfinished()} >= {"results/earlier.png", "results/part.png"}


def test_recent_results_come_newest_first_without_those_that_people_deleted(
    store: Store, names: NamedFiles, clock: Clock
) -> None:
    record(store, shown("old"))
    clock.now += RECENT
    record(store, shown("a"), shown("hidden"), shown("b"), waiting("c"))
    store.hide_from_gallery(JobId("hidden"), "everybody")
    assert names.of_deleted() == ["results/hidden.png", "results/hidden-streamed.png", "results/hidden-2.png"]
    assert [file.path for file in names.of_recent()] == [
        f"{folder}/{name}"
        for each in "ba"
        for folder, name in (
            ("results", f"{each}.png"),
            ("results", f"{each}-streamed.png"),
            ("results", f"{each}-2.png"),
            ("inputs", f"{each}.png"),
        )
    ]


def test_only_what_has_changed_is_read_until_all_is_read_again(store: Store, names: NamedFiles) -> None:
    record(store, waiting("a"), shown("b"), waiting("c"), shown("d"))
    assert (len(names.of_unfinished()), len(names.of_recent())) == (2, 8)
    # Those that changed last are read again: another one may have been written in the same moment.
    assert {file.path for file in names.of_unfinished()} == {"inputs/c.png"}
    record(store, fetched("a"))
    assert "results/a.png" in {file.path for file in names.of_unfinished()}
    names.begin_again()
    assert (len(names.of_unfinished()), len(names.of_recent())) == (4, 8)


def test_a_damaged_record_and_a_journal_that_is_not_there_name_nothing(
    store: Store, names: NamedFiles, tmp_path: Path
) -> None:
    record(store, waiting("a"), waiting("b"))
    store._database.execute("UPDATE jobs SET wish = x'00' WHERE id = 'a'")
    assert [file.path for file in names.of_unfinished()] == ["inputs/b.png"]
    nowhere = NamedFiles(tmp_path / "nowhere.db")
    assert (nowhere.of_unfinished(), nowhere.of_recent()) == ([], [])
    (tmp_path / "nowhere.db").write_bytes(b"not a journal, but something else")
    with pytest.raises(JournalError):
        nowhere.of_unfinished()


def test_no_statement_reads_all_jobs(store: Store) -> None:
    for statement, values in ((UNFINISHED, (0.0,)), (ENDED, (1, 0.0)), (DELETED, (0.0,))):
        plan = [row[-1] for row in store._database.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
        assert not [step for step in plan if step.startswith("SCAN jobs")], plan


async def test_the_retention_of_a_copy_keeps_what_its_unfinished_jobs_need(store: Store, tmp_path: Path) -> None:
    copy = JobsOfCopy(tmp_path / "atelier.db")
    record(store, waiting("a"), shown("b"))
    assert [job.id for job in await copy.unfinished()] == ["a"]
    assert (await copy.remove_jobs(0.0, 0, 10)).position is None
    assert not await copy.give_back(1)
    assert await JobsOfCopy(tmp_path / "nowhere.db").unfinished() == []
