"""The journal's file: what is in it after a crash, and what happens to a wrong one."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest

from app.archive import JournalError
from app.events import Finished, JobId, ServerName
from app.jobs import Job, State, Transition, Wish
from app.journal.schema import NEWEST
from app.journal.store import Store, open_store, sole_owner


def _clock() -> float:
    return 1_000.0


def _job(name: str, owner: str = "ada") -> Job:
    return Job(wish=Wish(job=JobId(name), workflow="w", graph={}, folder="out", owner=owner))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "atelier.db"


@pytest.fixture
def store(path: Path) -> Generator[Store]:
    with open_store(path, clock=_clock) as store:
        yield store


def test_what_was_written_is_there_after_a_restart(path: Path) -> None:
    with open_store(path, clock=_clock) as store:
        store.write([([_job("a"), _job("b")], [Transition(JobId("a"), 0, "accepted", "accepted")])])
    with open_store(path, clock=_clock) as store:
        assert [job.id for job in store.unfinished()] == ["a", "b"]
        assert [line.transition.cause for line in store.story("a")] == ["accepted"]


def test_a_job_is_written_once_and_then_brought_up_to_date(store: Store) -> None:
    job = _job("a")
    store.write([([job], [])])
    job.move(State.QUEUED)
    store.write([([job], [])])
    assert [found.state for found in store.unfinished()] == [State.QUEUED]


def test_a_job_whose_person_was_told_is_finished_but_not_forgotten(store: Store) -> None:
    job = _job("a")
    job.last_word, job.told = Finished(ServerName("here"), job=job.id), True
    store.write([([job], [])])
    assert store.unfinished() == []
    found = store.find("a")
    assert found is not None
    assert found.job == job


def test_jobs_are_found_by_the_beginning_of_their_id(store: Store) -> None:
    store.write([([_job("abc1"), _job("abd2")], [])])
    found = store.find("ABC")
    assert found is not None
    assert found.job.id == "abc1"
    assert store.find("ab") is None
    assert store.find("%") is None
    assert store.find("") is None


def test_somebodys_jobs_come_newest_first(store: Store) -> None:
    store.write([([_job("1"), _job("2", "bob"), _job("3")], [])])
    assert [job.id for job in store.jobs_of("ada", 10)] == ["3", "1"]
    assert [entry.job.id for entry in store.newest("accepted", 2)] == ["3", "2"]
    assert store.newest("lost", 2) == []


def test_a_transaction_is_all_or_nothing(store: Store) -> None:
    broken = [Transition(JobId("b"), None, "accepted", "accepted")]  # pyright: ignore[reportArgumentType]
    with pytest.raises(JournalError):
        store.write([([_job("a")], []), ([_job("b")], broken)])
    assert store.unfinished() == []
    store.write([([_job("c")], [])])
    assert [job.id for job in store.unfinished()] == ["c"]


def test_an_operators_requests_wait_until_they_are_done(path: Path, store: Store) -> None:
    with open_store(path, clock=_clock) as other:
        other.ask("cancel", "a")
    (request,) = store.requests()
    assert (request.verb, request.job) == ("cancel", "a")
    store.done(request)
    assert store.requests() == []


def test_a_second_owner_is_refused_until_the_first_one_left(path: Path) -> None:
    with sole_owner(path), pytest.raises(JournalError, match="in use by another Atelier"), sole_owner(path):
        pass
    with sole_owner(path):
        pass


def test_a_newer_journal_is_left_alone(path: Path) -> None:
    with open_store(path, clock=_clock):
        pass
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {NEWEST + 1}")
    before = path.read_bytes()
    with pytest.raises(JournalError, match="newer Atelier"), open_store(path, clock=_clock):
        pass
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"this is no database, and long enough to be seen" * 40, b"x"])
def test_a_file_that_is_no_journal_is_left_alone(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(JournalError, match="damaged"), open_store(path, clock=_clock):
        pass
    assert path.read_bytes() == content


def test_a_damaged_journal_is_named_and_left_alone(path: Path) -> None:
    with open_store(path, clock=_clock) as store:
        store.write([([_job(f"{number:05}") for number in range(400)], [])])
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : len(content) // 3 + 20_000] = os.urandom(20_000)
    path.write_bytes(content)
    with pytest.raises(JournalError, match="damaged"), open_store(path, clock=_clock):
        pass
    assert path.read_bytes() == content


def test_a_path_that_is_no_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be"), open_store(tmp_path, clock=_clock):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot be"), open_store(tmp_path / "file" / "a.db", clock=_clock):
        pass


def test_a_full_disk_loses_nothing_that_was_written(path: Path) -> None:
    with open_store(path, clock=_clock) as store:
        store.write([([_job("a")], [])])
        pages = store._database.execute("PRAGMA page_count").fetchone()[0]  # pyright: ignore[reportPrivateUsage]
        store._database.execute(f"PRAGMA max_page_count = {pages}")  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(JournalError, match="make room"):
            store.write([([_job(f"{number:09}") for number in range(1000)], [])])
    with open_store(path, clock=_clock) as store:
        assert [job.id for job in store.unfinished()] == ["a"]


def test_a_record_that_cannot_be_read_is_damage(path: Path) -> None:
    with open_store(path, clock=_clock) as store:
        store.write([([_job("a")], [])])
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE jobs SET record = ?", (b"{nonsense",))
        database.commit()
    with open_store(path, clock=_clock) as store, pytest.raises(JournalError, match="damaged"):
        store.unfinished()
