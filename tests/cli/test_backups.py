"""`backup` and `restore` as an operator meets them."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.main import main
from app.core.jobs.job import Job, JobRequest, State
from app.events import JobId
from app.journal.opening import JOURNAL, RESTORING, instance_lock, open_store


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a job and a result."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATELIER_DATA", "data")
    data = tmp_path / "data"
    request = JobRequest(job=JobId("a1"), workflow="txt2img", graph={}, folder=str(data / "results"), owner="ada")
    with open_store(data / JOURNAL, clock=lambda: 1_000.0, durable=False) as store:
        store.write([([Job(request=request, state=State.DELIVERED, notified=True)], [])])
    (data / "results").mkdir()
    (data / "results" / "a-01.png").write_bytes(bytes(2**20))
    return data


def made(folder: Path) -> Path:
    (backup,) = folder.glob("atelier-*")
    return backup


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_a_backup_of_a_running_bot_is_restored_elsewhere(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], backend: str
) -> None:
    with instance_lock(data / JOURNAL):
        assert main(["backup", "--backend", backend]) == 0
    backup = made(data / "backups")
    size = (backup / JOURNAL).stat().st_size / 2**20 + 1
    assert capsys.readouterr().out == f"{backup} has 1 jobs and 1 files, {size:.1f} MB.\n"
    assert main(["restore", str(backup), "--to", "elsewhere", "--backend", backend]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/elsewhere has 1 jobs and 1 files, {size:.1f} MB again.\n"
    with open_store(tmp_path / "elsewhere" / JOURNAL, clock=lambda: 1_000.0, durable=False) as store:
        assert (entry := store.find("a1")) is not None
        assert entry.job.request.folder == f"{tmp_path}/elsewhere/results"


def test_a_backup_goes_where_it_is_named_or_configured(data: Path, tmp_path: Path) -> None:
    assert main(["backup", "--to", "named"]) == 0
    made(tmp_path / "named")
    (tmp_path / "atelier.toml").write_text('[backup]\nfolder = "configured"\n')
    assert main(["backup"]) == 0
    made(tmp_path / "configured")
    assert not (data / "backups").exists()


def test_damaged_files_that_were_left_out_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["backup", "--to", "copies"])
    backup = made(tmp_path / "copies")
    (backup / "results" / "a-01.png").unlink()
    capsys.readouterr()
    assert main(["restore", str(backup), "--to", "elsewhere"]) == 1
    output, errors = capsys.readouterr()
    assert (output, errors.count("\n")) == ("", 1)
    assert "with --skip-damaged" in errors
    assert main(["restore", str(backup), "--to", "elsewhere", "--skip-damaged"]) == 0
    assert capsys.readouterr().out.endswith("Left out, because they are damaged: results/a-01.png\n")


def test_a_restore_into_the_folder_in_use_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["backup", "--to", "copies"])
    capsys.readouterr()
    with instance_lock(data / JOURNAL):
        assert main(["restore", str(made(tmp_path / "copies"))]) == 1
    assert "in use by another Atelier: stop that one first" in capsys.readouterr().err
    assert main(["restore", str(made(tmp_path / "copies"))]) == 1
    advice = "move what is there to another folder, or name an empty one with --to."
    assert f"{data} is not empty (atelier.db, results): {advice}" in capsys.readouterr().err


def test_nothing_starts_where_a_restore_was_not_completed(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / RESTORING).mkdir()
    for command in ("jobs", "backup"):
        assert main([command]) == 2
        said = capsys.readouterr().err
        assert (
            said
            == f"atelier: {data} was not restored completely: run “python -m app restore” again with that backup.\n"
        )
