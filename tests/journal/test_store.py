"""The journal's file: what is in it after a restart, and what happens when it is held, gone or replaced."""

from __future__ import annotations

import shutil
import sqlite3
import uuid
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from app.core.drafts import StoredDraft
from app.core.gallery import Audience, GalleryQuery
from app.core.jobs.job import Job, JobRequest, OperatorRequest, State, Transition
from app.core.journal_port import JournalError, JournalUnavailable, RecordDamaged
from app.core.limits.moderation import Ban
from app.core.scheduling.queue.fair_queue import Served
from app.core.servers.power import PowerRecord
from app.events import Finished, JobId, ServerName
from app.journal.opening import open_store
from app.journal.reader import Reader
from app.journal.store import Store
from app.journal.tables.gallery import Backlog, NewEntry
from tests.journal.holding import holding
from tests.journal.measured import run

# pyright: reportPrivateUsage=false


def _clock() -> float:
    return 1_000.0


def _job(name: str, owner: str = "ada") -> Job:
    return Job(request=JobRequest(job=JobId(name), workflow="w", graph={}, folder="out", owner=owner))


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
        assert [line.transition.cause for line in store.transitions("a")] == ["accepted"]


def test_a_job_is_written_once_and_then_brought_up_to_date(store: Store) -> None:
    job = _job("a")
    store.write([([job], [])])
    job.move(State.QUEUED)
    store.write([([job], [])])
    assert [found.state for found in store.unfinished()] == [State.QUEUED]


def test_the_request_of_an_edited_job_is_written_again(path: Path) -> None:
    job = _job("a")
    with open_store(path, clock=_clock) as store:
        store.write([([job], [])])
        job.edit(JobRequest(job=JobId("b"), workflow="w", graph={"1": {}}, folder="out", values={"prompt": "a dog"}))
        store.write([([job], [Transition(job.id, job.version, "accepted", "edited by its owner")])])
        job.move(State.QUEUED)
        store.write([([job], [])])
    with open_store(path, clock=_clock) as store:
        (found,) = store.unfinished()
        assert found == job
        assert (found.id, found.edits) == ("a", 1)
        assert found.request.values == {"prompt": "a dog"}


def test_the_request_of_a_job_that_was_not_edited_is_never_overwritten(store: Store) -> None:
    job = _job("a")
    store.write([([job], [])])
    job.request = JobRequest(job=job.id, workflow="w", graph={}, folder="elsewhere", owner="ada")
    job.move(State.QUEUED)
    store.write([([job], [])])
    (found,) = store.unfinished()
    assert found.request.folder == "out"


def test_a_job_whose_person_was_told_is_finished_but_not_forgotten(store: Store) -> None:
    job = _job("a")
    job.terminal_update, job.notified = Finished(ServerName("here"), job=job.id), True
    store.write([([job], [])])
    assert store.unfinished() == []
    found = store.find("a")
    assert found is not None
    assert found.job == job


def test_pages_of_jobs_are_turned_by_key_whatever_comes_or_goes_meanwhile(store: Store) -> None:
    def page(key: int | None = None, *states: str, newer: bool = False) -> tuple[list[str], int | None, int | None]:
        made = store.page_of("ada", 3, states, key, newer)
        return [entry.job.id for entry in made.entries], made.older, made.newer

    assert page() == ([], None, None)
    for number in range(1, 9):
        job = _job(f"job{number}", "ada" if number != 4 else "bob")
        if number % 3 == 0:
            job.move(State.FAILED)
        store.write([([job], [])])
    part = Job(request=replace(_job("part").request, lead=JobId("job8")))
    store.write([([part], [])])
    assert page() == (["job8", "job7", "job6"], 6, None)
    assert page(6) == (["job5", "job3", "job2"], 2, 5)
    assert page(2) == (["job1"], None, 1)
    store.write([([_job("job10")], [])])
    store.remove_jobs(0.0, 0, 5)
    assert page(6) == (["job5", "job3", "job2"], 2, 5), "a newer job moves nothing"
    assert page(1, newer=True) == (["job5", "job3", "job2"], 2, 5)
    assert page(5, newer=True) == (["job8", "job7", "job6"], 6, 8)
    assert page(8, newer=True) == (["job10"], 10, None)
    assert page(None, "failed", "lost") == (["job6", "job3"], None, None)
    assert page(6, "failed") == (["job3"], None, 3)
    assert page(None, "cancelled") == ([], None, None)
    assert page(1) == ([], None, None), "there is nothing older than the oldest"


def test_a_damaged_job_is_left_out_of_its_page_and_hides_no_other(store: Store) -> None:
    store.write([([_job(name)], []) for name in ("a", "b", "c", "d")])
    store._database.execute("UPDATE jobs SET record = x'00' WHERE id = 'c'")
    made = store.page_of("ada", 2)
    assert [entry.job.id for entry in made.entries] == ["d"]
    assert made.older is not None
    assert [entry.job.id for entry in store.page_of("ada", 2, (), made.older).entries] == ["b", "a"]


def test_something_is_said_once_to_each_also_after_a_restart(path: Path) -> None:
    with open_store(path, clock=_clock) as store:
        assert store.say_once("hint", "ada")
        assert not store.say_once("hint", "ada")
    with open_store(path, clock=_clock) as store:
        assert not store.say_once("hint", "ada")
        assert store.say_once("hint", "bob")
        assert store.say_once("welcome", "ada")


def test_jobs_are_found_by_the_beginning_of_their_id(store: Store) -> None:
    store.write([([_job("abc1"), _job("abd2")], [])])
    found = store.find("ABC")
    assert found is not None
    assert found.job.id == "abc1"
    assert store.find("ab") is None
    assert store.find("%") is None
    assert store.find("") is None


def test_what_was_made_from_a_job_comes_newest_first_without_parts_of_batches(store: Store) -> None:
    for name, parent, lead in (("1", "", ""), ("2", "1", ""), ("3", "1", ""), ("4", "1", "3"), ("5", "2", "")):
        job = _job(name)
        job.request = replace(job.request, parent=JobId(parent), lead=JobId(lead))
        store.write([([job], [])])
    assert [job.id for job in store.made_from("1", 10)] == ["3", "2"]
    assert [job.id for job in store.made_from("1", 1)] == ["3"]
    assert store.made_from("5", 10) == []


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
        other.add_request("cancel", "a")
    (request,) = store.requests()
    assert (request.verb, request.job) == ("cancel", "a")
    store.done(request)
    assert store.requests() == []


def test_a_full_disk_loses_nothing_that_was_written(path: Path) -> None:
    with open_store(path, clock=_clock) as store:
        store.write([([_job("a")], [])])
        pages = store._database.execute("PRAGMA page_count").fetchone()[0]
        store._database.execute(f"PRAGMA max_page_count = {pages}")
        many = [_job(f"{number:09}") for number in range(1000)]
        with pytest.raises(JournalUnavailable, match="make room"):
            store.write([(many, [])])
        store._database.execute("PRAGMA max_page_count = 1000000")
        store.write([(many, [])])
    with open_store(path, clock=_clock) as store:
        assert len(store.unfinished()) == 1001


def test_a_commit_is_on_the_disk_before_it_returns(store: Store) -> None:
    assert store._database.execute("PRAGMA synchronous").fetchone() == (2,), "FULL: sqlite.org/pragma.html"
    assert store._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_damaged_record_belongs_to_whoever_asks_for_it(path: Path) -> None:
    with open_store(path, clock=_clock) as store:
        store.write([([_job("a"), _job("b"), _job("c")], [])])
        store.prefer("ada", "w", {"steps": 4})
        store.prefer("ada", "x", {"steps": 8})
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE jobs SET record = ? WHERE id = 'b'", (b"{nonsense",))
        database.execute("UPDATE jobs SET wish = ? WHERE id = 'c'", (b"\xff",))
        database.execute("UPDATE preferences SET told = ? WHERE workflow = 'w'", (b"[]",))
    with open_store(path, clock=_clock) as store:
        for damaged in "bc":
            with pytest.raises(RecordDamaged):
                store.find(damaged)
        assert (found := store.find("a")) is not None
        assert found.job.id == "a"
        assert [job.id for job in store.unfinished()] == ["a"]
        assert [entry.job.id for entry in store.newest("", 10)] == ["a"]
        assert [job.id for job in store.jobs_of("ada", 10)] == ["a"]
        assert store.preferences("ada") == {"x": {"steps": 8}}


def test_a_job_that_cannot_be_encoded_is_left_out_and_the_others_are_written(store: Store) -> None:
    odd, told_oddly = _job("odd"), _job("told oddly")
    odd.notes.append("half a pair: \ud83d")
    transitions = [
        Transition(JobId(name), 0, "accepted", cause) for name, cause in (("a", "x"), ("told oddly", "\ud83d"))
    ]
    (refused, none) = store.write([([_job("a"), odd, told_oddly], transitions), ([_job("b")], [])])
    assert refused.keys() == {"odd", "told oddly"}
    assert all(isinstance(error, UnicodeEncodeError) for error in refused.values())
    assert none == {}
    assert [job.id for job in store.unfinished()] == ["a", "b"]
    assert store.transitions("told oddly") == []


def test_what_no_id_begins_with_finds_nothing(store: Store) -> None:
    store.write([([_job("abc1"), _job("abd2"), _job("ab")], [])])
    for text in ("abz", "b", "\ud83d", "\U0010ffff", "a%", "a_c1", "abc11"):
        assert store.find(text) is None
    assert (found := store.find("ab")) is not None
    assert found.job.id == "ab", "an id is itself, also where others begin with it"


def test_a_journal_keeps_its_client_id_and_a_copy_gets_another_one(tmp_path: Path) -> None:
    path, copy, moved = (tmp_path / name for name in ("atelier.db", "copy.db", "moved.db"))
    with open_store(path, clock=_clock) as store:
        first = store.client_id()
        assert store.client_id() == first == str(uuid.UUID(first))
    shutil.copy(path, copy)
    with open_store(copy, clock=_clock) as store:
        second = store.client_id()
        assert store.client_id() == second != first
    path.rename(moved)
    with open_store(moved, clock=_clock) as store:
        assert store.client_id() == first


def test_no_statement_scans_the_jobs_their_transitions_or_their_runs(store: Store) -> None:
    """https://sqlite.org/eqp.html: SCAN reads a whole table or index, SEARCH a part of it."""
    store.write([([_job("a"), _job("b")], [Transition(JobId("a"), 0, "accepted", "accepted")])], [run("a"), run("b")])
    statements: list[str] = []
    for connection in (store._database, store._reading):
        connection.set_trace_callback(statements.append)
    calls: dict[str, Callable[[], object]] = {
        "write": lambda: store.write(
            [([_job("a")], [Transition(JobId("a"), 1, "queued", "x")])], [run("a")], Served({"ada": 5.0})
        ),
        "served": store.served,
        "unfinished": store.unfinished,
        "unfinished_entries": store.unfinished_entries,
        "find": lambda: store.find("a"),
        "jobs_of": lambda: store.jobs_of("ada", 5),
        "page_of": lambda: (
            store.page_of("ada", 5),
            store.page_of("ada", 5, ["failed", "lost"], 7),
            store.page_of("ada", 5, ["failed"], 7, newer=True),
        ),
        "made_from": lambda: store.made_from("a", 5),
        "newest": lambda: (store.newest("", 5), store.newest("accepted", 5)),
        "transitions": lambda: store.transitions("a"),
        "runs": store.runs,
        "client_id": store.client_id,
        "drain": lambda: store.drain(ServerName("studio"), "ada", drained=True),
        "drained": store.drained,
        "uses": store.uses,
        "on_periods": store.on_periods,
        "on_periods_at": lambda: store.on_periods_at(1.0),
        "record_power": lambda: store.record_power(
            [PowerRecord(ServerName("a"), change) for change in ("started", "answered", "stopping", "stopped")]
        ),
        "spent": store.spent,
        "remove_jobs": lambda: store.remove_jobs(0.0, 0, 5),
        "give_back": lambda: store.give_back(5),
        "kept_about": lambda: store.kept_about("ada"),
        "jobs_since": lambda: store.jobs_since("ada", 0, 5),
        "is_known": lambda: store.is_known("a"),
        "forget_jobs": lambda: store.forget_jobs("ada", 5),
        "forget_person": lambda: store.forget_person("ada"),
        "add_request": lambda: store.add_request("cancel", "a"),
        "requests": store.requests,
        "done": lambda: store.done(OperatorRequest(1, "cancel", JobId("a"))),
        "preferences": lambda: store.preferences("ada"),
        "say_once": lambda: store.say_once("hint", "ada"),
        "expect_late_edits": lambda: store.expect_late_edits([JobId("a"), JobId("b")]),
        "late_edits": store.late_edits,
        "expect_no_late_edit": lambda: store.expect_no_late_edit(JobId("a")),
        "decisions": store.decisions,
        "decide": lambda: store.decide(Ban(guild="g", banned="person", id="1"), "ada"),
        "audit": store.audit,
        "prefer": lambda: store.prefer("ada", "w", {"steps": 4}),
        "keep_draft": lambda: store.keep_draft(StoredDraft("a", "ada", b"{}")),
        "draft": lambda: store.draft("a"),
        "drop_draft": lambda: store.drop_draft("a"),
        "gallery": lambda: [
            store.gallery(query, audience, before, 5)
            for query in (
                GalleryQuery(),
                GalleryQuery(text="a fox"),
                GalleryQuery(owner="ada"),
                GalleryQuery(text="a", owner="ada", workflow="w", model="m", guild="g", since=1.0, until=2.0),
            )
            for audience in (Audience("ada"), Audience("ada", frozenset({"1"})), Audience("", everything=True))
            for before in (None, 7)
        ],
        "gallery_row": lambda: store.gallery_row(JobId("a")),
        "shown_as": lambda: store.shown_as("message"),
        "gallery_origins": lambda: store.gallery_origins(Audience("ada"), 5),
        "gallery_backlog": lambda: store.gallery_backlog(5, lambda _: True),
        "add_to_gallery": lambda: store.add_to_gallery(
            Backlog((NewEntry(JobId("a"), "ada", "g", "c", "w", "m", 1.0, "a fox"),), 1)
        ),
        "hide_from_gallery": lambda: store.hide_from_gallery(JobId("a"), "everybody"),
        "without_thumbnails": store.without_thumbnails,
        "keep_dimensions": lambda: store.keep_dimensions(JobId("a"), 1, 1),
        "try_thumbnails_again": lambda: store.try_thumbnails_again(JobId("a")),
        "check": store.check,
    }
    assert calls.keys() == {name for name in dir(Store) if not name.startswith("_")}
    for call in calls.values():
        call()
    for connection in (store._database, store._reading):
        connection.set_trace_callback(None)
    assert len(statements) > len(calls)
    # As comments, SQLite also traces what triggers and FTS5 do.
    for statement in (statement for statement in statements if not statement.startswith("--")):
        plan = store._database.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
        for *_, step in plan:
            # Under these names the statements of the gallery read it, and the jobs.
            tables = "SCAN jobs", "SCAN transitions", "SCAN runs", "SCAN payments", "SCAN served", "SCAN g", "SCAN j"
            if "json_each" not in str(step):
                assert not f"{step} ".startswith(tuple(f"{table} " for table in tables)), f"{statement}: {step}"
            assert "TEMP B-TREE" not in str(step), f"{statement}: {step}"
            if "WHERE id >=" in statement:
                # With one of the two bounds alone it would be half of all jobs.
                assert "(id>? AND id<?)" in str(step), f"{statement}: {step}"


def test_reading_goes_on_while_another_program_holds_the_journal(path: Path, store: Store) -> None:
    store.write([([_job("a")], [])])
    with holding(path):
        assert store.find("a") is not None
        assert len(store.unfinished()) == 1


def test_a_journal_that_cannot_be_read_for_the_moment_is_a_sentence_for_one_request(path: Path) -> None:
    with open_store(path, clock=_clock) as store:
        store.write([([_job("a")], [])])
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        # Without WAL a reader has to wait for whoever writes.
        database.execute("PRAGMA journal_mode = DELETE")
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)) as reading:
        reader = Reader(path, reading)
        with holding(path), pytest.raises(JournalUnavailable, match="held by another program"):
            reader.find("a")
        assert reader.find("a") is not None


def _delete(path: Path) -> None:
    path.unlink()


def _put_another_there(path: Path) -> None:
    other = path.with_name("other.db")
    with open_store(other, clock=_clock):
        pass
    other.replace(path)


def _move_the_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


@pytest.mark.parametrize("change", [_delete, _put_another_there, _move_the_folder])
def test_nothing_is_written_to_a_file_that_is_no_longer_at_its_path(path: Path, change: Callable[[Path], None]) -> None:
    with open_store(path, clock=_clock) as store:
        store.write([([_job("a")], [])])
        change(path)
        for write in (lambda: store.write([([_job("b")], [])]), lambda: store.add_request("cancel", "a")):
            with pytest.raises(JournalError, match="was deleted or replaced") as raised:
                write()
            assert not isinstance(raised.value, JournalUnavailable)
            assert str(path) in str(raised.value)
            assert not store._database.in_transaction


def test_checkpoints_backups_and_other_writers_do_not_count_as_another_file(path: Path, tmp_path: Path) -> None:
    with open_store(path, clock=_clock) as store:
        store.write([([_job("a")], [])])
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            with closing(sqlite3.connect(tmp_path / "backup.db")) as backup:
                database.backup(backup)
            database.execute("VACUUM INTO ?", (str(tmp_path / "vacuumed.db"),))
            database.execute("VACUUM")
        store.write([([_job("b")], [])])
        with open_store(path, clock=_clock) as other:
            other.write([([_job("c")], [])])
        shutil.copy2(path, tmp_path / "copy.db")
        store.write([([_job("d")], [])])
        assert [job.id for job in store.unfinished()] == ["a", "b", "c", "d"]


def test_a_journal_behind_a_symbolic_link_is_written(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(tmp_path / "real.db")
    with open_store(path, clock=_clock) as store:
        store.write([([_job("a")], [])])
        assert [job.id for job in store.unfinished()] == ["a"]
