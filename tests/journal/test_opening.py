"""What opening does to a file that is no journal, a damaged one, a newer one and an older one."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.core.jobs.job import Job, JobRequest, State
from app.core.journal_port import JournalError
from app.events import JobId
from app.journal.migrations import NEWEST
from app.journal.opening import instance_lock, open_store
from tests.journal.measured import run

# pyright: reportPrivateUsage=false


def _clock() -> float:
    return 1_000.0


def _job(name: str, owner: str = "ada") -> Job:
    return Job(request=JobRequest(job=JobId(name), workflow="w", graph={}, folder="out", owner=owner))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "atelier.db"


def test_a_second_owner_is_refused_until_the_first_one_left(path: Path) -> None:
    with instance_lock(path), pytest.raises(JournalError, match="in use by another Atelier"), instance_lock(path):
        pass
    with instance_lock(path):
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


RELEASED = """
    CREATE TABLE jobs (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, workflow TEXT NOT NULL,
        accepted REAL NOT NULL, changed REAL NOT NULL, state TEXT NOT NULL, told INTEGER NOT NULL,
        version INTEGER NOT NULL, server TEXT NOT NULL, prompt TEXT NOT NULL, wish BLOB NOT NULL, record BLOB NOT NULL
    ) STRICT;
    CREATE INDEX jobs_unfinished ON jobs (number) WHERE told = 0;
    CREATE INDEX jobs_by_owner ON jobs (owner, number);
    CREATE TABLE transitions (
        number INTEGER PRIMARY KEY, job TEXT NOT NULL, at REAL NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL,
        server TEXT NOT NULL, prompt TEXT NOT NULL, cause TEXT NOT NULL
    ) STRICT;
    CREATE INDEX transitions_by_job ON transitions (job, number);
    CREATE TABLE requests (
        number INTEGER PRIMARY KEY, at REAL NOT NULL, verb TEXT NOT NULL, job TEXT NOT NULL
    ) STRICT;
    CREATE TABLE preferences (
        owner TEXT NOT NULL, workflow TEXT NOT NULL, told BLOB NOT NULL, PRIMARY KEY (owner, workflow)
    ) STRICT;
    PRAGMA user_version = 2;
"""
"""The journal as version 2 made it."""


def test_a_journal_of_the_version_before_is_brought_up_to_date_with_all_that_is_in_it(path: Path) -> None:
    path.parent.mkdir()
    request = b'{"job":"a1","workflow":"w","graph":{},"folder":"out","owner":"ada"}'
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(RELEASED)
        columns = "id, owner, workflow, accepted, changed, state, told, version, server, prompt, wish, record"
        row = ("a1", "ada", "w", 5.0, 6.0, "queued", 0, 2, "here", "p", request, b'{"state":2,"version":2}')
        database.execute(f"INSERT INTO jobs ({columns}) VALUES ({', '.join('?' * len(row))})", row)
        database.execute("INSERT INTO preferences VALUES ('ada', 'w', ?)", (b'{"steps":4}',))
    with open_store(path, clock=_clock) as store:
        assert store._database.execute("PRAGMA user_version").fetchone() == (NEWEST,)
        (entry,) = store.newest("queued", 5)
        assert (entry.job.id, entry.job.state, entry.accepted) == ("a1", State.QUEUED, 5.0)
        assert store.preferences("ada") == {"w": {"steps": 4}}
        assert store.runs() == []
        store.write([([_job("b1")], [])], [run("b1")])
        assert [job.id for job in store.unfinished()] == ["a1", "b1"]
    with open_store(path, clock=_clock) as store:
        assert len(store.newest("", 5)) == 2
        assert store.runs() == [run("b1")]
