"""A journal of each earlier version is brought up to date, also if the program is killed meanwhile.

`fixtures/version-N.sql` is a dump of a journal that the program wrote when N was its newest version: a job that waits,
one that runs, one that was delivered, one that was lost, and one row of each other table. From version 6 on there is
also a request for two pictures. The files do not change; a version gets its file before the next one comes.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import anyio
import pytest

from app.backup.create import make_backup
from app.backup.restore import restore
from app.core.jobs.job import Job, State, Transition
from app.core.journal_port import JournalError
from app.discord import message_ref
from app.events import Finished, JobId, Lost
from app.journal.access.crash_points import Crash
from app.journal.inspection import inspect
from app.journal.migrations import NEWEST, version_of
from app.journal.opening import JOURNAL, open_store
from app.journal.sqlite import open_journal
from app.journal.store import Store
from app.texts.reasons.text import reason_text

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("version-*.sql"))
VERSIONS = {int(path.stem.partition("-")[2]): path for path in FIXTURES}

WAITS, RUNS, DELIVERED, LOST = (JobId(f"0000000{number}-0000-4000-8000-000000000000") for number in range(1, 5))

SAMPLE = 5
"""Of so many statements of an update one is interrupted, where another test interrupts each of them."""

RESULTS = "/srv/atelier/data/results"

TOKEN = re.compile(rb"(?<![A-Za-z0-9_])(aW50ZXJhY3Rpb2|token)")
"""How an interaction's token begins ("interaction" in base64), and what a field that holds one would be called."""


def load(version: int, folder: Path) -> Path:
    """The journal of this version, as a file."""
    path = folder / JOURNAL
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(VERSIONS[version].read_text())
        assert version_of(database) == version
    return path


def schema_of(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """The columns of each table, and the names of each table's indexes."""
    with closing(sqlite3.connect(path)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {name: database.execute(f"PRAGMA table_xinfo({name})").fetchall() for name in tables}
        indexes = "SELECT tbl_name, name FROM sqlite_master WHERE type = 'index' ORDER BY name"
        return columns | {"indexes": database.execute(indexes).fetchall()}


def check(path: Path, version: int, results: str = RESULTS) -> None:
    """All that the fixture has is there."""
    with open_store(path, clock=lambda: 1.0, durable=False) as opened:
        unfinished = {job.id: job for job in opened.unfinished()}
        waits, runs = unfinished[WAITS], unfinished[RUNS]
        assert len(unfinished) == (2 if version < 6 else 4)
        assert (waits.state, runs.state, runs.tries) == (State.ACCEPTED, State.RUNNING, 1)
        assert runs.attempt is not None
        assert (runs.attempt.server, runs.attempt.posting) == ("studio", False)
        assert waits.request.values == {"prompt": f"a lighthouse ({WAITS})", "steps": 8}
        assert [upload.path for upload in waits.request.uploads] == [f"{Path(results).parent}/inputs/photo.png"]
        delivered, lost = (found(opened, job) for job in (DELIVERED, LOST))
        assert delivered.notified
        assert isinstance(delivered.terminal_update, Finished)
        assert delivered.terminal_update.files == delivered.paths == (f"{results}/txt2img-3-01.png",)
        assert isinstance(lost.terminal_update, Lost)
        assert "forgot it 2 times" in reason_text(lost.terminal_update.reason)
        assert all(job.request.folder == results for job in (waits, runs, delivered, lost))
        place = message_ref.read(delivered.place)
        assert place is not None
        assert (place.channel, place.message) == ("1100", "3300")
        assert [row.transition.state for row in opened.transitions(DELIVERED)] == ["accepted", "delivered"]
        assert [(request.verb, request.job) for request in opened.requests()] == [("cancel", WAITS)]
        assert opened.preferences("2200") == ({"txt2img": {"steps": 12}} if version >= 2 else {})
        assert [run.seconds for run in opened.runs()] == ([12.5] if version >= 4 else [])
        assert [server.name for server in opened.drained()] == (["studio"] if version >= 5 else [])
        assert len(opened.decisions().bans) == len(opened.audit()) / 2 == (1 if version >= 5 else 0)


def found(opened: Store, job: JobId) -> Job:
    entry = opened.find(job)
    assert entry is not None
    return entry.job


def killed(work: Callable[[], object]) -> bool:
    """Do the work in a process of its own; whether it was killed, as by `kill -9`."""
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def test_there_is_a_journal_of_each_earlier_version() -> None:
    assert set(range(1, NEWEST)) <= VERSIONS.keys()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_journal_of_this_version_is_read_and_becomes_like_a_new_one(tmp_path: Path, version: int) -> None:
    path = load(version, tmp_path)
    check(path, version)
    check(path, version)
    assert inspect(path, thorough=True).version == NEWEST
    with open_store(tmp_path / "new.db", clock=lambda: 1.0, durable=False):
        pass
    assert schema_of(path) == schema_of(tmp_path / "new.db")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_program_that_is_killed_at_any_statement_of_the_update_spoils_nothing(tmp_path: Path, version: int) -> None:
    def open_until(statement: int) -> None:
        connect: Callable[..., sqlite3.Connection] = sqlite3.connect
        left, begun = statement, False

        def count(text: str) -> None:
            nonlocal left, begun
            begun = begun or text.startswith("BEGIN IMMEDIATE")
            left -= begun
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        def connect_and_count(*arguments: object, **options: object) -> sqlite3.Connection:
            database = connect(*arguments, **options)
            database.set_trace_callback(count)
            return database

        sqlite3.connect = connect_and_count  # pyright: ignore[reportAttributeAccessIssue]  only in this process
        with open_store(path, clock=lambda: 1.0, durable=False):
            pass

    # The updates of later versions are parts of that of the first one.
    every, first = (1, 0) if version == min(VERSIONS) else (SAMPLE, version % SAMPLE)
    times = 0
    for statement in itertools.count(first, every):
        path = load(version, tmp_path / str(statement))
        if not killed(partial(open_until, statement)):
            break
        with closing(sqlite3.connect(path)) as database:
            assert version_of(database) in {version, NEWEST}
        check(path, version)
        times += 1
    assert times >= 2


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_bot_that_is_killed_at_its_first_commit_after_the_update_spoils_nothing(
    tmp_path: Path, version: int, when: str
) -> None:
    path = load(version, tmp_path)

    async def begin() -> None:
        async with open_journal(path, durable=False, crash=Crash(when, "running")) as journal:
            (job,) = [job for job in await journal.unfinished() if job.id == RUNS]
            job.edits = 7
            await journal.record([job], [Transition(job.id, 9, "running", "seen in the server's queue")])

    assert killed(partial(anyio.run, begin))
    check(path, version)
    with open_store(path, clock=lambda: 1.0, durable=False) as opened:
        assert found(opened, RUNS).edits == (7 if when == "after" else 0)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_journal_of_this_version_is_backed_up_as_it_is_and_restored(tmp_path: Path, version: int) -> None:
    load(version, tmp_path / "data")
    # The paths in the fixture are those of this folder.
    former = Path(RESULTS).parent
    backup = make_backup(tmp_path / "data", tmp_path / "backups", now=1.0, breathe=lambda: None)
    assert (backup.contents.version, backup.contents.jobs) == (version, 4 if version < 6 else 6)
    listed = backup.folder / "backup.json"
    listed.write_text(listed.read_text().replace(f'"{tmp_path / "data"}"', f'"{former}"'))
    restore(backup.folder, tmp_path / "restored", breathe=lambda: None)
    check(tmp_path / "restored" / JOURNAL, version, f"{tmp_path}/restored/results")


@pytest.mark.parametrize("version", VERSIONS)
def test_no_version_kept_a_token_of_an_interaction(tmp_path: Path, version: int) -> None:
    assert not TOKEN.search(load(version, tmp_path).read_bytes())


def test_a_newer_journal_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = load(NEWEST if NEWEST in VERSIONS else max(VERSIONS), tmp_path)
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {NEWEST + 1}")
    shutil.copy(path, tmp_path / "as it was")
    with pytest.raises(JournalError) as refusal, open_store(path, clock=lambda: 1.0):
        pass
    problem = f"was written by a newer Atelier (format {NEWEST + 1}, this one knows {NEWEST}): update this one."
    assert str(refusal.value) == f"The journal {path} {problem}"
    assert path.read_bytes() == (tmp_path / "as it was").read_bytes()
