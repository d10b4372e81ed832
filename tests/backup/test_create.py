"""Making a backup: what it has, while the bot writes, and what is left if it fails or is killed."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from app.backup import create, files
from app.backup.create import LOCK, make_backup
from app.backup.daily import Breath
from app.backup.errors import BackupError
from app.backup.layout import LIST, backups_in, read_contents
from app.core.journal_port import JournalError
from app.journal.copies.copying import STEP, Breathe
from app.journal.inspection import inspect
from app.journal.lock import exclusive
from app.journal.opening import JOURNAL, open_store
from tests.backup.conftest import FILES, NOW, Make, job, nothing
from tests.backup.killed import killed


def paths(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def another_disk(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    """The data folder is on another file system than the backups."""
    link = os.link

    def refuse(source: Path, target: Path) -> None:
        if source.is_relative_to(data) != target.is_relative_to(data):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        link(source, target)

    monkeypatch.setattr(os, "link", refuse)


def test_a_backup_has_the_journal_and_every_complete_file(make: Make, data: Path) -> None:
    backup = make()
    assert backup.folder.name == "atelier-20251129-070641"
    assert paths(backup.folder) == {JOURNAL, LIST, *FILES}
    assert read_contents(backup.folder) == backup.contents
    assert {entry.path for entry in backup.contents.files} == set(FILES)
    assert (backup.contents.jobs, backup.contents.data) == (2, str(data))
    assert inspect(backup.folder / JOURNAL, thorough=True).unfinished == 1
    assert all((backup.folder / name).samefile(data / name) for name in FILES)
    assert backups_in(backup.folder.parent) == [backup.folder]


def test_a_backup_is_read_by_its_owner_alone(make: Make) -> None:
    umask = os.umask(0o077)
    try:
        backup = make()
    finally:
        os.umask(umask)
    assert not (backup.folder / JOURNAL).stat().st_mode & 0o077
    assert not backup.folder.stat().st_mode & 0o077


def test_a_backup_is_of_one_moment_although_the_bot_goes_on(make: Make, data: Path) -> None:
    """Each commit would make SQLite's online backup begin again, if it did not read in one transaction."""
    with open_store(data / JOURNAL, clock=lambda: 1_000.0, durable=False) as store:
        store.write([([job(f"old-{number}", data) for number in range(5000)], [])])
        pages = (data / JOURNAL).stat().st_size // 4096
        breaths = 0

        def commit() -> None:
            nonlocal breaths
            breaths += 1
            assert breaths < 100, "the copy begins again and again"
            store.write([([job(f"new-{breaths}", data)], [])])

        backup = make(breathe=commit)
        assert store.find("new-1") is not None
    assert backup.contents.jobs == 5002
    assert pages > 3 * STEP, "the copy must take several steps"
    copied = breaths - 1 - 2 * len(FILES) - backup.contents.journal.size // 2**20
    assert copied <= pages // STEP + 2


def test_a_file_that_is_deleted_meanwhile_is_not_in_the_backup(make: Make, data: Path) -> None:
    def delete() -> None:
        (data / "results" / "a-01.png").unlink(missing_ok=True)

    assert {entry.path for entry in make(breathe=delete).contents.files} == set(FILES) - {"results/a-01.png"}


@pytest.mark.usefixtures("another_disk")
def test_files_on_another_disk_are_copied_once_for_all_backups(make: Make, data: Path) -> None:
    first, second = make(), make()
    (data / "results" / "a-01.png").write_bytes(b"another picture")
    third = make()
    name = "results/a-01.png"
    assert not (first.folder / name).samefile(data / name)
    assert (first.folder / name).samefile(second.folder / name)
    assert (third.folder / name).read_bytes() == b"another picture"
    assert (second.folder / name).read_bytes() == FILES[name]
    assert (third.folder / name).stat().st_mtime_ns == (data / name).stat().st_mtime_ns
    assert {entry.path for entry in third.contents.files} == set(FILES)


def test_only_files_that_are_new_are_read(make: Make, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make()
    read: list[Path] = []
    hash_of = files.hash_of

    def note(path: Path, breathe: Breathe) -> str:
        read.append(path)
        return hash_of(path, breathe)

    monkeypatch.setattr(files, "hash_of", note)
    (data / "results" / "new.png").write_bytes(b"new")
    assert len(make().contents.files) == len(FILES) + 1
    assert [path.name for path in read] == ["new.png"]


def test_the_oldest_backups_are_deleted(make: Make) -> None:
    backups = [make().folder for _ in range(3)]
    kept = [*backups[1:], make(most=3).folder]
    assert backups_in(kept[0].parent) == kept
    assert {path.name for path in kept[0].parent.iterdir()} == {LOCK, *(path.name for path in kept)}


def test_two_backups_of_one_second_have_names_of_their_own(make: Make) -> None:
    names = [make(now=NOW).folder.name for _ in range(11)]
    assert names[:2] == ["atelier-20251129-070640", "atelier-20251129-070640-2"]
    assert [path.name for path in backups_in(make().folder.parent)][:-1] == names


def test_a_backup_that_is_killed_midway_is_none_and_the_next_one_is_whole(
    make: Make, data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    breath, whole = 0, False
    while not whole:
        whole = not killed(lambda breathe: make_backup(data, folder, now=NOW, breathe=breathe), breath)
        assert len(backups_in(folder)) == whole
        breath += 1
    assert breath > len(FILES)
    backup = make()
    assert backups_in(folder)[-1] == backup.folder
    assert not [path for path in folder.iterdir() if path.name.startswith((".unfinished", ".deleted"))]


def test_a_backup_that_is_stopped_leaves_nothing(make: Make, tmp_path: Path) -> None:
    class Stopped(BaseException):
        pass

    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        make(breathe=stop)
    assert [path.name for path in (tmp_path / "backups").iterdir()] == [LOCK]


async def test_a_backup_stops_when_the_bot_does(make: Make, tmp_path: Path) -> None:
    begun = threading.Event()

    def work() -> None:
        breath = Breath()
        begun.set()
        while True:
            breath()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(to_thread.run_sync, partial(make, breathe=work))
        await to_thread.run_sync(begun.wait)
        tasks.cancel_scope.cancel()
    assert [path.name for path in (tmp_path / "backups").iterdir()] == [LOCK]


@contextmanager
def refused(sentence: str) -> Generator[None]:
    with pytest.raises((BackupError, JournalError)) as caught:
        yield
    assert str(caught.value) == sentence


@pytest.mark.parametrize("step", ["sync", "copy_journal"])
def test_a_full_disk_is_one_sentence(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    folder = tmp_path / "backups"

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "file"))

    monkeypatch.setattr(create, step, full)
    with refused(f"The disk of the backup folder {folder} is full: make room, or name another folder."):
        make()
    assert backups_in(folder) == []


def test_a_full_disk_that_sqlite_notices_is_the_same_sentence(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def connect_to_little(path: object, **options: object) -> sqlite3.Connection:
        database = connect(path, **options)
        if "unfinished" in str(path):
            # https://sqlite.org/pragma.html#pragma_max_page_count: the answer is then SQLITE_FULL.
            database.execute("PRAGMA max_page_count = 1")
        return database

    monkeypatch.setattr("app.journal.copies.copying.sqlite3.connect", connect_to_little)
    folder = tmp_path / "backups"
    with refused(f"The disk of the backup folder {folder} is full: make room, or name another folder."):
        make_backup(data, folder, now=NOW, breathe=nothing)


def test_a_folder_that_cannot_be_written_is_one_sentence(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "backups"
    advice = "change its permissions, or name another folder."
    with refused(f"The backup folder {folder} cannot be written (Not a directory): {advice}"):
        make_backup(data, folder, now=NOW, breathe=nothing)


def test_a_file_that_cannot_be_read_is_named(make: Make, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(data / "results" / "a-01.png"))

    monkeypatch.setattr(files, "link", refuse)
    with refused(f"{data}/results/a-01.png cannot be read: Input/output error."):
        make()


def test_only_one_process_makes_a_backup_at_a_time(make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    with (
        exclusive(folder / LOCK, ""),
        refused(f"Another backup is being made in {folder}: wait until it is complete."),
    ):
        make()


def test_where_no_bot_ran_nothing_can_be_backed_up(tmp_path: Path) -> None:
    with refused(f"There is no journal in {tmp_path}: the bot has not run there yet."):
        make_backup(tmp_path, tmp_path / "backups", now=NOW, breathe=nothing)
    assert list(tmp_path.iterdir()) == []


def test_a_journal_that_is_newer_or_damaged_is_not_backed_up(make: Make, data: Path, tmp_path: Path) -> None:
    make_again = partial(make)
    with closing(sqlite3.connect(data / JOURNAL)) as database:
        database.execute("PRAGMA user_version = 99")
    with refused(f"The journal {data / JOURNAL} is of a newer version: update Atelier."):
        make_again()
    content = bytearray((data / JOURNAL).read_bytes())
    content[:16] = b"something else. "
    (data / JOURNAL).write_bytes(content)
    with pytest.raises(JournalError, match="damaged"):
        make_again()
    assert backups_in(tmp_path / "backups") == []
