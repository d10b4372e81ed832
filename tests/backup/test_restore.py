"""Restoring a backup: into an empty folder only, verified first, and never half."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import msgspec
import pytest

from app.backup.errors import BackupError
from app.backup.layout import LIST, Backup
from app.backup.restore import restore
from app.core.jobs.job import Job
from app.core.journal_port import JournalError
from app.journal.migrations import NEWEST
from app.journal.opening import JOURNAL, RESTORING, instance_lock, open_store
from tests.backup.conftest import FILES, Make, job, nothing
from tests.backup.killed import killed


@pytest.fixture
def backup(make: Make) -> Backup:
    return make()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A data folder that does not exist yet."""
    return tmp_path / "restored"


def found(data: Path, name: str) -> Job:
    with open_store(data / JOURNAL, clock=lambda: 1_000.0, durable=False) as store:
        entry = store.find(name)
    assert entry is not None
    return entry.job


def cannot_link(_: Path, __: Path) -> bool:
    """As on another disk."""
    return False


def sentence(work: Callable[[], object]) -> str:
    with pytest.raises((BackupError, JournalError)) as caught:
        work()
    return str(caught.value)


def test_everything_is_there_again_in_another_folder(backup: Backup, target: Path, data: Path) -> None:
    restored = restore(backup.folder, target, breathe=nothing)
    assert (restored.contents.jobs, restored.left_out) == (2, ())
    files = {path.relative_to(target).as_posix(): path for path in target.rglob("*") if path.is_file()}
    assert files.keys() == {JOURNAL, f"{JOURNAL}-owner", *FILES}
    assert {name: files[name].read_bytes() for name in FILES} == FILES
    assert files["results/a-01.png"].stat().st_mtime_ns == (data / "results" / "a-01.png").stat().st_mtime_ns
    with open_store(target / JOURNAL, clock=lambda: 1_000.0, durable=False) as store:
        assert [entry.id for entry in store.unfinished()] == ["waiting"]
        assert [row.transition.cause for row in store.transitions("a")] == ["shown"]


def test_paths_lead_into_the_new_folder_and_nothing_else_changes(backup: Backup, target: Path, data: Path) -> None:
    restore(backup.folder, target, breathe=nothing)
    expected = job("a", target)
    expected.request.values["prompt"] = f'a sign that says "{data}/results" in red'
    assert found(target, "a") == expected


def test_a_folder_whose_name_begins_like_the_former_one_is_another(make: Make, data: Path, target: Path) -> None:
    elsewhere = Path(f"{data}-2")
    with open_store(data / JOURNAL, clock=lambda: 1_000.0, durable=False) as store:
        store.write([([job("b", elsewhere)], [])])
    restore(make().folder, target, breathe=nothing)
    assert found(target, "b") == job("b", elsewhere)


def test_the_same_folder_may_be_restored_after_it_was_emptied(backup: Backup, data: Path) -> None:
    for name in ("results", "inputs"):
        shutil.rmtree(data / name)
    for path in data.iterdir():
        path.unlink()
    restore(backup.folder, data, breathe=nothing)
    assert found(data, "a") == job("a", data)


def test_a_restored_journal_gives_back_its_free_pages(backup: Backup, target: Path) -> None:
    restore(backup.folder, target, breathe=nothing)
    with closing(sqlite3.connect(target / JOURNAL)) as database:
        assert database.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        assert database.execute("PRAGMA freelist_count").fetchone() == (0,)


def test_what_a_bot_and_an_operator_leave_in_an_empty_folder_is_not_in_the_way(backup: Backup, target: Path) -> None:
    for name in ("passing", "backups/atelier-20251129-070641", "results"):
        (target / name).mkdir(parents=True)
    for name in (f"{JOURNAL}-owner", f"{JOURNAL}-reserve"):
        (target / name).touch()
    restore(backup.folder, target, breathe=nothing)
    assert found(target, "a").request.folder == f"{target}/results"


@pytest.mark.parametrize("name", [JOURNAL, f"{JOURNAL}-wal", "results/mine.png", "notes.txt"])
def test_nothing_is_overwritten(backup: Backup, target: Path, name: str) -> None:
    (target / name).parent.mkdir(parents=True)
    (target / name).write_text("precious")
    said = sentence(lambda: restore(backup.folder, target, breathe=nothing))
    advice = "move what is there to another folder, or name an empty one with --to."
    assert said == f"{target} is not empty ({name.partition('/')[0]}): {advice}"
    assert [path.read_text() for path in target.rglob("*") if path.is_file()] == ["precious"]


def test_a_folder_that_a_bot_uses_is_left_alone(backup: Backup, target: Path) -> None:
    with instance_lock(target / JOURNAL):
        said = sentence(lambda: restore(backup.folder, target, breathe=nothing))
    assert said.startswith(f"The journal {target / JOURNAL} is in use by another Atelier: stop that one first")
    assert [path.name for path in target.iterdir()] == [f"{JOURNAL}-owner"]


def test_no_bot_starts_in_a_folder_while_it_is_restored(backup: Backup, target: Path) -> None:
    refusals: list[str] = []

    def start() -> None:
        if (target / RESTORING).exists():
            with pytest.raises(JournalError) as refusal, instance_lock(target / JOURNAL):
                pass
            refusals.append(str(refusal.value))

    # On another disk the files are copied, and there is a breath within the restore.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.backup.restore.link", cannot_link)
        restore(backup.folder, target, breathe=start)
    assert refusals
    assert all("is in use" in refusal for refusal in refusals)


def damage(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def change_list(backup: Path, **more: object) -> None:
    contents = msgspec.json.decode((backup / LIST).read_bytes())
    (backup / LIST).write_bytes(msgspec.json.encode(contents | more))


ENTRY = {"path": "", "size": 0, "sha256": "0", "changed": 0}

SKIPPED = "restore an earlier one, or this one without these files, with --skip-damaged."

DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a picture": (
        lambda backup: damage(backup / "results" / "a-01.png", 5),
        "The backup {} is damaged (results/a-01.png has changed): " + SKIPPED,
    ),
    "a missing file": (
        lambda backup: (backup / "inputs" / "c-image.png").unlink(),
        "The backup {} is damaged (inputs/c-image.png is missing): " + SKIPPED,
    ),
    "the journal": (
        lambda backup: damage(backup / JOURNAL, 5000),
        "The backup {} is damaged (atelier.db has changed): restore an earlier one.",
    ),
    "a missing journal": (
        lambda backup: (backup / JOURNAL).unlink(),
        "The backup {} is damaged (atelier.db is missing): restore an earlier one.",
    ),
    "half a list": (
        lambda backup: (backup / LIST).write_bytes((backup / LIST).read_bytes()[:200]),
        "The backup {} is damaged (backup.json cannot be read): restore an earlier one.",
    ),
    "a deep list": (
        lambda backup: (backup / LIST).write_bytes(b"[" * 100_000),
        "The backup {} is damaged (backup.json cannot be read): restore an earlier one.",
    ),
    "another number of jobs": (
        lambda backup: change_list(backup, version=1),
        "The backup {} is damaged (its journal is another one): restore an earlier one.",
    ),
    "no list": (
        lambda backup: (backup / LIST).unlink(),
        "{} is not a backup: name a folder such as atelier-20261129-040000.",
    ),
    "a newer layout": (
        lambda backup: change_list(backup, format=2, files=None),
        "The backup {} was made by a newer Atelier: update this one.",
    ),
    "a newer journal": (
        lambda backup: change_list(backup, version=NEWEST + 1),
        f"The backup {{}} was made by a newer Atelier (format {NEWEST + 1}, this one knows {NEWEST}): update this one.",
    ),
    **{
        f"the path {path}": (
            lambda backup, path=path: change_list(backup, files=[ENTRY | {"path": path}]),
            "The backup {} is damaged (backup.json names a file outside of it): restore an earlier one.",
        )
        for path in ("/etc/passwd", "results/../../x", "atelier.toml", "C:/x", "results\\x")
    },
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_backup_that_is_damaged_changes_nothing(backup: Backup, target: Path, name: str) -> None:
    # Files of a backup on the same disk are those of the data folder.
    copied = backup.folder.with_name("atelier-20251129-080000")
    shutil.copytree(backup.folder, copied)
    act, expected = DAMAGES[name]
    act(copied)
    for skip_damaged in (False, True):
        if not skip_damaged or "--skip-damaged" not in expected:
            work = partial(restore, copied, target, breathe=nothing, skip_damaged=skip_damaged)
            assert sentence(work) == expected.format(copied)
            assert not target.exists()


def test_what_is_not_there_is_not_a_backup(tmp_path: Path, target: Path) -> None:
    assert "is not a backup" in sentence(lambda: restore(tmp_path / "nowhere", target, breathe=nothing))


def test_damaged_files_can_be_left_out(backup: Backup, target: Path) -> None:
    (backup.folder / "results" / "a-01.png").unlink()
    restored = restore(backup.folder, target, breathe=nothing, skip_damaged=True)
    assert restored.left_out == ("results/a-01.png",)
    assert not (target / "results" / "a-01.png").exists()
    assert (target / "results" / "deep" / "b-01.webm").read_bytes() == b"a video"
    assert found(target, "a").request.folder == f"{target}/results"


def test_a_target_that_cannot_be_written_is_one_sentence(backup: Backup, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "data"
    said = sentence(lambda: restore(backup.folder, target, breathe=nothing))
    advice = "change its permissions, or name another folder."
    assert said == f"The data folder {target} cannot be written (Not a directory): {advice}"


def test_a_restore_that_is_killed_midway_is_not_used_and_can_be_repeated(
    backup: Backup, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Copied, so that there are breaths between the files.
    monkeypatch.setattr("app.backup.restore.link", cannot_link)
    breath, began = 0, 0
    while killed(lambda breathe: restore(backup.folder, target, breathe=breathe), breath):
        assert not (target / JOURNAL).exists()
        if target.exists() and any((target / name).exists() for name in ("results", "inputs")):
            assert (target / RESTORING).exists(), "no bot may start here"
            began += 1
        breath += 1
    assert began > 1
    assert not (target / RESTORING).exists()
    assert {name: (target / name).read_bytes() for name in FILES} == FILES
    assert found(target, "waiting").request.folder == f"{target}/results"
