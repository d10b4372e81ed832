"""A copy of a journal that applies its batches is equal to it, and notices what it lacks."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from app.core.drafts import StoredDraft
from app.core.jobs.job import Job, JobRequest, OperatorRequest, State, Transition, Upload
from app.core.journal_port import JournalError
from app.core.limits.moderation import Ban, GuildLimits, Unban
from app.core.replication import OutOfStep, SealedBatch, chained
from app.core.scheduling.queue.fair_queue import Served
from app.core.servers.power import PowerRecord
from app.events import FileRef, Finished, JobId, NodeId, ServerName
from app.journal.copies.copying import copy_journal, unpack_journal
from app.journal.copies.replica import Replica, open_replica
from app.journal.copies.whole_copies import export, install, standing_of, take_over
from app.journal.migrations import NEWEST
from app.journal.opening import open_store
from app.journal.recording import Statement
from app.journal.store import Store
from tests.journal.measured import run

STUDIO = ServerName("studio")
NAMES = ("a", "b", "c", "d")
PEOPLE = ("ada", "bob")

_clock = count(1_000_000).__next__


def job(name: str, owner: str = "ada", folder: str = "out", state: State = State.ACCEPTED, number: int = 0) -> Job:
    request = JobRequest(
        job=JobId(name), workflow="w", graph={}, folder=folder, owner=owner, guild="g", values={"prompt": f"a {name}"}
    )
    made = Job(request=request, state=state, version=number, spent=number)
    if state is State.DELIVERED:
        made.files = {FileRef("x.png"): f"{folder}/x.png"}
        made.terminal_update = Finished(STUDIO, (f"{folder}/x.png",), job=made.id)
        made.notified, made.receipt = True, f"message of {name}"
    return made


def write(store: Store, name: str, owner: str, state: State, number: int) -> None:
    made = job(name, owner, state=state, number=number)
    line = Transition(made.id, number, state.name.lower(), "x")
    store.write(
        [([made], [line]), ([], [])], [run(name, person=owner, seconds=number / 7)], Served({owner: number / 3})
    )


OPERATIONS: dict[str, Callable[[Store, str, str, int], object]] = {
    "accepted": lambda store, name, owner, n: write(store, name, owner, State.ACCEPTED, n),
    "delivered": lambda store, name, owner, n: write(store, name, owner, State.DELIVERED, n),
    "failed": lambda store, name, owner, n: write(store, name, owner, State.FAILED, n),
    "nothing": lambda store, name, owner, n: store.write([]),
    "remove_jobs": lambda store, name, owner, n: store.remove_jobs(2_000_000.0, 0, 3),
    "forget_jobs": lambda store, name, owner, n: store.forget_jobs(owner, 2),
    "forget_person": lambda store, name, owner, n: store.forget_person(owner),
    "give_back": lambda store, name, owner, n: store.give_back(5),
    "hide": lambda store, name, owner, n: store.hide_from_gallery(JobId(name), "everybody"),
    "add_to_gallery": lambda store, name, owner, n: (
        (backlog := store.gallery_backlog(n + 1, lambda _: True)) and store.add_to_gallery(backlog)
    ),
    "keep_dimensions": lambda store, name, owner, n: store.keep_dimensions(JobId(name), n, n),
    "try_thumbnails_again": lambda store, name, owner, n: store.try_thumbnails_again(JobId(name)),
    "expect_late_edits": lambda store, name, owner, n: store.expect_late_edits([JobId(name), JobId(owner)]),
    "expect_no_late_edit": lambda store, name, owner, n: store.expect_no_late_edit(JobId(name)),
    "add_request": lambda store, name, owner, n: store.add_request("cancel", name),
    "done": lambda store, name, owner, n: store.done(OperatorRequest(n, "cancel", JobId(name))),
    "client_id": lambda store, name, owner, n: store.client_id(),
    "drain": lambda store, name, owner, n: store.drain(STUDIO, owner, drained=bool(n % 2)),
    "power": lambda store, name, owner, n: store.record_power(
        [PowerRecord(STUDIO, change) for change in ("started", "answered", "stopped")]
    ),
    "prefer": lambda store, name, owner, n: store.prefer(owner, "w", {"steps": n} if n % 3 else {}),
    "keep_draft": lambda store, name, owner, n: store.keep_draft(StoredDraft(name, owner, b"\0{}\xff")),
    "drop_draft": lambda store, name, owner, n: store.drop_draft(name),
    "say_once": lambda store, name, owner, n: store.say_once("hint", owner),
    "ban": lambda store, name, owner, n: store.decide(
        Ban(guild="g", banned="person", id=owner, reason="it's\n'so' – \0", until=1_000_000.1 + n), "eve"
    ),
    "unban": lambda store, name, owner, n: store.decide(Unban(guild="g", banned="person", id=owner), "eve"),
    "limits": lambda store, name, owner, n: store.decide(GuildLimits(guild="g", jobs=n, seconds=n), "eve"),
    "check": lambda store, name, owner, n: store.check(),
}

CALLS = st.tuples(
    st.sampled_from(sorted(OPERATIONS)), st.sampled_from(NAMES), st.sampled_from(PEOPLE), st.integers(0, 9)
)


def content(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables, without what differs between a journal and its copies on purpose."""
    with closing(sqlite3.connect(path)) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        rows = {name: database.execute(f"SELECT * FROM {name}").fetchall() for (name,) in tables}
    del rows["outbox"]
    rows["replication"] = [row[:3] for row in rows["replication"]]
    return rows


def batches_of(store: Store) -> Sequence[SealedBatch]:
    """The batches that were not seen before."""
    assert store.outbox is not None
    batches = store.outbox.unpublished()
    if batches:
        store.outbox.published(batches[-1].number)
    return batches


@contextmanager
def original(folder: Path) -> Generator[Store]:
    with open_store(folder / "atelier.db", clock=_clock, replicated=True, durable=False) as store:
        yield store


def copied(folder: Path, to: Path) -> Path:
    """A whole copy in another data folder."""
    to.mkdir()
    export(folder / "atelier.db", to / "copy", lambda: None)
    install(to / "copy", to / "atelier.db", str(folder.absolute()), keep=False)
    return to / "atelier.db"


@pytest.fixture
def pair(tmp_path: Path) -> Generator[tuple[Store, Replica]]:
    """A journal with a job, and a copy of it."""
    with original(tmp_path / "first") as store:
        write(store, "a", "ada", State.ACCEPTED, 1)
        batches_of(store)
        with open_replica(copied(tmp_path / "first", tmp_path / "second")) as replica:
            yield store, replica


@given(st.lists(CALLS, max_size=12), st.lists(CALLS, min_size=1, max_size=25))
@settings(max_examples=25)
def test_a_copy_that_applies_all_batches_is_equal(
    before: list[tuple[str, str, str, int]], after: list[tuple[str, str, str, int]]
) -> None:
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "first"
        with original(folder) as store:
            for name, subject, person, number in before:
                OPERATIONS[name](store, subject, person, number)
            batches_of(store)
            with open_replica(copied(folder, Path(temporary) / "second")) as replica:
                for name, subject, person, number in after:
                    OPERATIONS[name](store, subject, person, number)
                    for batch in batches_of(store):
                        replica.apply(batch)
                        replica.apply(batch)
                assert content(folder / "atelier.db") == content(Path(temporary) / "second" / "atelier.db")


def test_every_method_that_writes_is_tried() -> None:
    """A new one belongs into `OPERATIONS`."""
    reading = {name for name in dir(Store) if not name.startswith("_")} - {
        *("write", "remove_jobs", "forget_jobs", "forget_person", "give_back", "hide_from_gallery", "add_to_gallery"),
        *("keep_dimensions", "add_request", "done", "client_id", "drain", "record_power", "prefer", "keep_draft"),
        *("drop_draft", "say_once", "decide", "check", "try_thumbnails_again", "expect_late_edits"),
        "expect_no_late_edit",
    }
    assert reading == {
        *("served", "unfinished", "unfinished_entries", "find", "jobs_of", "page_of", "made_from", "newest"),
        *("transitions", "runs", "drained", "uses", "on_periods", "on_periods_at", "spent", "kept_about"),
        *("jobs_since", "is_known", "requests", "preferences", "decisions", "audit", "draft", "gallery"),
        *("gallery_row", "shown_as", "gallery_origins", "gallery_backlog", "without_thumbnails"),
        "late_edits",
    }


def test_a_missing_batch_is_noticed(pair: tuple[Store, Replica]) -> None:
    store, replica = pair
    write(store, "b", "ada", State.ACCEPTED, 1)
    write(store, "c", "ada", State.ACCEPTED, 1)
    first, second = batches_of(store)
    with pytest.raises(OutOfStep, match="batches 2 to 2 are missing"):
        replica.apply(second)
    replica.apply(first)
    replica.apply(second)


def test_another_batch_in_the_place_of_one_that_was_applied_is_noticed(pair: tuple[Store, Replica]) -> None:
    store, replica = pair
    for _ in range(2):
        write(store, "b", "ada", State.ACCEPTED, 1)
    first, second = batches_of(store)
    replica.apply(first)
    with pytest.raises(OutOfStep, match="batch 2 is another one here"):
        replica.apply(replace(first, content=second.content))
    with pytest.raises(OutOfStep, match="batch 2 was another one"):
        replica.apply(replace(second, previous=chained(first.previous, second.content)))


def test_a_batch_that_changes_other_rows_in_the_copy_is_noticed_and_changes_nothing(
    pair: tuple[Store, Replica], tmp_path: Path
) -> None:
    store, replica = pair
    path = tmp_path / "second" / "atelier.db"
    store.prefer("ada", "w", {"steps": 4})
    store.keep_draft(StoredDraft("a", "ada", b"{}"))
    for batch in batches_of(store):
        replica.apply(batch)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("DELETE FROM drafts")
    before = content(path)
    store.forget_person("ada")
    (batch,) = batches_of(store)
    with pytest.raises(OutOfStep, match="changes 0 rows instead of 1"):
        replica.apply(batch)
    assert content(path) == before
    assert before["preferences"]


def test_a_batch_that_is_none_is_noticed(pair: tuple[Store, Replica]) -> None:
    _, replica = pair
    with pytest.raises(OutOfStep, match="cannot be read"):
        replica.apply(SealedBatch(replica.position.number + 1, replica.position.chain, b"\xc1"))
    unknown = b"\x92\xa1/\x91\x93\xa6SELECT\x91\x90\x01"
    with pytest.raises(OutOfStep, match="cannot be applied"):
        replica.apply(SealedBatch(replica.position.number + 1, replica.position.chain, unknown))


@pytest.mark.parametrize(
    "statement",
    [
        "ATTACH DATABASE '{folder}/other.db' AS other",
        "CREATE TABLE other (x)",
        "DROP TABLE drafts",
        "ALTER TABLE drafts RENAME TO other",
        "PRAGMA writable_schema = 1",
        "CREATE TEMP TRIGGER t AFTER INSERT ON drafts BEGIN DELETE FROM drafts; END",
    ],
)
def test_a_batch_can_change_rows_alone(pair: tuple[Store, Replica], tmp_path: Path, statement: str) -> None:
    _, replica = pair
    text = statement.format(folder=tmp_path)
    forged = msgspec.msgpack.encode((str(tmp_path), (Statement(text, ((),), -1),)))
    with pytest.raises(OutOfStep, match="cannot be applied: not authorized"):
        replica.apply(SealedBatch(replica.position.number + 1, replica.position.chain, forged))
    assert not (tmp_path / "other.db").exists()


def test_the_paths_of_a_copy_are_in_its_own_data_folder(pair: tuple[Store, Replica], tmp_path: Path) -> None:
    store, replica = pair
    first, second = tmp_path / "first", tmp_path / "second"
    store.write([([job("x", folder=str(first / "results"), state=State.DELIVERED)], [])])
    for batch in batches_of(store):
        replica.apply(batch)
    third = copied(first, tmp_path / "third")
    for path, folder in ((second / "atelier.db", second), (third, third.parent)):
        with open_store(path, clock=_clock) as copy:
            (found,) = [entry.job for entry in copy.newest("delivered", 5)]
            assert found.request.folder == str(folder / "results")
            assert list(found.files.values()) == [str(folder / "results" / "x.png")]


def test_what_was_written_and_not_published_stays_in_the_outbox_over_a_restart(tmp_path: Path) -> None:
    with original(tmp_path) as store:
        write(store, "a", "ada", State.ACCEPTED, 1)
    with original(tmp_path) as store:
        write(store, "b", "ada", State.ACCEPTED, 1)
        assert [batch.number for batch in batches_of(store)] == [1, 2]
        assert batches_of(store) == []
        write(store, "c", "ada", State.ACCEPTED, 1)
        assert [batch.number for batch in batches_of(store)] == [3]
    standing = standing_of(tmp_path / "atelier.db")
    assert [position.number for position in standing.sealed] == [2, 3, 3]
    assert standing.position == standing.sealed[-1]


def test_a_transaction_that_fails_is_in_no_batch(tmp_path: Path) -> None:
    with original(tmp_path) as store:
        with pytest.raises(JournalError):
            store.keep_draft(StoredDraft("a", "ada", "no bytes"))  # pyright: ignore[reportArgumentType]
        store.say_once("hint", "ada")
        (batch,) = batches_of(store)
        assert b"drafts" not in batch.content


def test_another_process_can_write_a_journal_that_has_copies_but_not_a_copy(
    pair: tuple[Store, Replica], tmp_path: Path
) -> None:
    store, _ = pair
    with open_store(tmp_path / "first" / "atelier.db", clock=_clock) as other:
        other.add_request("cancel", "a")
    assert [batch.number for batch in batches_of(store)] == [2]
    with open_store(tmp_path / "second" / "atelier.db", clock=_clock) as other:
        assert other.find("a")
        with pytest.raises(JournalError, match="run this at the front that is active"):
            other.add_request("cancel", "a")


def test_a_copy_can_take_over_and_keeps_the_client_id(pair: tuple[Store, Replica], tmp_path: Path) -> None:
    store, replica = pair
    client = store.client_id()
    for batch in batches_of(store):
        replica.apply(batch)
    path = tmp_path / "second" / "atelier.db"
    assert standing_of(path).role == "standby"
    assert take_over(path, 7) == replica.position
    standing = standing_of(path)
    assert (standing.role, standing.epoch, standing.is_empty) == ("active", 7, False)
    with open_store(path, clock=_clock) as after:
        assert after.client_id() == client
        write(after, "b", "ada", State.ACCEPTED, 1)
        (batch,) = batches_of(after)
    assert batch.previous == replica.position.chain
    write(store, "c", "ada", State.ACCEPTED, 1)
    (own,) = batches_of(store)
    replica.apply(own)
    with pytest.raises(OutOfStep, match="another one here"):
        replica.apply(batch)


def test_a_journal_of_an_earlier_version_that_is_updated_makes_its_copies_start_again(tmp_path: Path) -> None:
    with original(tmp_path / "first") as store:
        write(store, "a", "ada", State.ACCEPTED, 1)
    path = tmp_path / "first" / "atelier.db"
    before = standing_of(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        # As it was before the last migration.
        database.executescript(f"PRAGMA user_version = {NEWEST - 1}; DROP TABLE gallery_filled;")
        for name in ("gallery", "gallery_prompts"):
            database.execute(f"DROP TABLE {name}")
        database.execute("DROP TRIGGER gallery_follows_jobs")
    with open_store(path, clock=_clock) as store:
        assert store.find("a")
    after = standing_of(path)
    assert before.position is not None
    assert after.position is not None
    assert after.position.number == before.position.number + 1
    assert after.sealed == (after.position,)


def test_a_journal_without_copies_is_recorded_no_longer(tmp_path: Path) -> None:
    with original(tmp_path) as store:
        write(store, "a", "ada", State.ACCEPTED, 1)
    with open_store(tmp_path / "atelier.db", clock=_clock, replicated=False) as store:
        assert store.outbox is None
    with open_store(tmp_path / "atelier.db", clock=_clock) as store:
        assert store.outbox is None
        assert store.find("a")
    assert standing_of(tmp_path / "atelier.db").position is None


def test_a_copy_can_keep_the_journal_whose_place_it_takes(tmp_path: Path) -> None:
    with original(tmp_path / "first") as store:
        write(store, "a", "ada", State.ACCEPTED, 1)
    export(tmp_path / "first" / "atelier.db", tmp_path / "copy", lambda: None)
    for keep in (False, True):
        folder = tmp_path / str(keep)
        with original(folder) as store:
            write(store, "b", "ada", State.ACCEPTED, 1)
        shutil.copy(tmp_path / "copy", folder / "copy")
        install(folder / "copy", folder / "atelier.db", str(tmp_path / "first"), keep=keep)
        with open_store(folder / "atelier.db", clock=_clock) as store:
            assert [entry.job.id for entry in store.newest("", 5)] == ["a"]
        kept = folder / "atelier.db-replaced"
        assert kept.exists() == keep
    with open_store(kept, clock=_clock) as store:
        assert [entry.job.id for entry in store.newest("", 5)] == ["b"]


def test_a_copy_of_a_newer_version_or_a_damaged_one_replaces_nothing(tmp_path: Path) -> None:
    with original(tmp_path) as store:
        write(store, "a", "ada", State.ACCEPTED, 1)
    for change, sentence in (("PRAGMA user_version = 999", "update this one"), ("DROP TABLE replication", "damaged")):
        copy = tmp_path / "copy"
        copy.unlink(missing_ok=True)
        export(tmp_path / "atelier.db", copy, lambda: None)
        with closing(sqlite3.connect(copy, isolation_level=None)) as database:
            database.execute(change)
        with pytest.raises(JournalError, match=sentence):
            install(copy, tmp_path / "atelier.db", str(tmp_path), keep=False)
    with open_store(tmp_path / "atelier.db", clock=_clock) as store:
        assert store.find("a")


def test_a_restored_journal_is_one_of_its_own(tmp_path: Path) -> None:
    with original(tmp_path / "first") as store:
        write(store, "a", "ada", State.ACCEPTED, 1)
    copy_journal(tmp_path / "first" / "atelier.db", tmp_path / "backup", lambda: None)
    unpack_journal(tmp_path / "backup", tmp_path / "restored", "", "")
    standing = standing_of(tmp_path / "restored")
    assert (standing.position, standing.is_empty) == (None, False)


def made(name: str, folder: Path, *, uses: str = "") -> Job:
    """A job with an id, a result, and a picture that somebody attached or that another job has made."""
    ident = JobId(f"{name * 8}-0000-4000-8000-000000000000")
    result = str(folder / "results" / f"w-{ident[:8]}-01.png")
    attached = uses or str(folder / "inputs" / f"{ident}-image.png")
    request = JobRequest(
        job=ident,
        workflow="w",
        graph={},
        folder=str(folder / "results"),
        owner="ada",
        uploads=(Upload(NodeId("1"), "image", attached),),
    )
    done = Job(request=request, state=State.DELIVERED, files={FileRef("x.png"): result}, notified=True, version=3)
    done.terminal_update = Finished(STUDIO, (result,), job=ident)
    return done


@pytest.fixture
def disks(pair: tuple[Store, Replica], tmp_path: Path) -> Callable[[], list[str]]:
    """The files of the copy's jobs a, b and c: their pictures and results. Job c started from the result of b."""
    store, replica = pair
    first, second = tmp_path / "first", tmp_path / "second"
    b = made("b", first)
    for each in (made("a", first), b, made("c", first, uses=b.paths[0])):
        store.write([([each], [])])
    follow(store, replica)
    for folder in ("inputs", "results"):
        (second / folder).mkdir()
    for name, uses in (("a", ""), ("b", ""), ("c", made("b", second).paths[0])):
        here = made(name, second, uses=uses)
        for path in (*here.paths, f"{here.paths[0]}.thumbnail", here.request.uploads[0].path):
            Path(path).write_bytes(b"x")
    return lambda: sorted(path.relative_to(second).as_posix()[:11] for path in second.glob("*s/*"))


def follow(store: Store, replica: Replica) -> None:
    for batch in batches_of(store):
        replica.apply(batch)


ALL = [f"inputs/{name * 4}" for name in "ab"] + [f"results/w-{name}" for name in "aabbcc"]


def test_the_files_of_a_result_that_is_deleted_are_deleted_at_the_copy(
    pair: tuple[Store, Replica], disks: Callable[[], list[str]], tmp_path: Path
) -> None:
    assert disks() == ALL
    pair[0].hide_from_gallery(made("a", tmp_path).id, "others")
    follow(*pair)
    assert disks() == ALL
    pair[0].hide_from_gallery(made("a", tmp_path).id, "everybody")
    follow(*pair)
    assert disks() == [name for name in ALL if name != "results/w-a"], "what it started from stays"


def test_the_files_of_a_person_who_is_forgotten_are_deleted_at_the_copy_but_for_what_others_need(
    pair: tuple[Store, Replica], disks: Callable[[], list[str]], tmp_path: Path
) -> None:
    store, replica = pair
    needing = made("d", tmp_path / "first", uses=made("a", tmp_path / "first").paths[0])
    needing.request = replace(needing.request, owner="bob")
    needing.notified = False
    store.write([([needing], [])])
    assert store.forget_jobs("ada", 50) == 3
    follow(store, replica)
    assert disks() == ["results/w-a", "results/w-a"]


def test_the_files_of_jobs_that_are_only_old_stay_at_the_copy(
    pair: tuple[Store, Replica], disks: Callable[[], list[str]]
) -> None:
    assert pair[0].remove_jobs(1e12, 0, 50).removed == 3
    follow(*pair)
    assert disks() == ALL


def test_only_files_in_the_folders_of_jobs_are_deleted_at_the_copy(pair: tuple[Store, Replica], tmp_path: Path) -> None:
    store, replica = pair
    secret = tmp_path / "second" / "w-aaaaaaaa-01.png"
    secret.write_bytes(b"x")
    job = made("a", tmp_path / "first")
    for path in (secret, tmp_path / "second" / "results" / ".." / secret.name):
        job.files = {FileRef("x.png"): str(path)}
        job.terminal_update = Finished(STUDIO, (str(path),), job=job.id)
        store.write([([job], [])])
        store.hide_from_gallery(job.id, "everybody")
        follow(store, replica)
        assert secret.exists()
        store.forget_jobs("ada", 50)
