"""Which files of the data folder are listed, in use, and deleted."""

from __future__ import annotations

import os
from pathlib import Path

from app.core.jobs.job import Job, JobRequest, Refetch, State, Upload
from app.events import FileRef, Finished, JobId, NodeId, PromptId, ServerName
from app.ports import History
from app.retention.files import delete_files, delete_unfinished, names_in_use, stored_files


def touch(path: Path, changed: float, size: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (changed, changed))


def test_complete_files_of_our_own_folders_are_listed(tmp_path: Path) -> None:
    for name in ("results/a.png", "results/deep/er/b.webm", "inputs/c.png", "elsewhere/d.png", "results/e.png.part"):
        touch(tmp_path / name, 100.0, size=3)
    files = sorted((file.name, file.changed, file.size) for file in stored_files(tmp_path))
    assert files == [("a.png", 100.0, 3), ("b.webm", 100.0, 3), ("c.png", 100.0, 3)]


def test_there_may_be_nothing_yet(tmp_path: Path) -> None:
    assert list(stored_files(tmp_path)) == []


def test_a_file_that_was_changed_since_it_was_listed_stays(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        touch(tmp_path / "results" / name, 100.0)
    files = sorted(stored_files(tmp_path))
    touch(tmp_path / "results" / "a.png", 200.0)
    (tmp_path / "results" / "b.png").unlink()
    assert delete_files(files) == 1
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["a.png"]


def test_a_job_needs_its_results_its_inputs_and_what_it_will_show() -> None:
    known = Refetch(ServerName("x"), PromptId("p"), History(outcome="success"), ((FileRef("a"), "/x/had.png"),))
    request = JobRequest(
        job=JobId("a"),
        workflow="w",
        graph={},
        folder="results",
        uploads=(Upload(NodeId("1"), "image", "/old/inputs/photo.png"),),
        refetch=known,
    )
    job = Job(request=request, state=State.FINISHED)
    job.files, job.streamed = {FileRef("b"): "results/fetched.png", FileRef("c"): None}, ["streamed.png"]
    job.terminal_update = Finished(ServerName("x"), files=("results/shown.png",), job=job.id)
    assert names_in_use([job]) == {"had.png", "photo.png", "fetched.png", "streamed.png", "shown.png"}


def test_only_unfinished_files_of_our_own_folders_go(tmp_path: Path) -> None:
    kept = ["elsewhere/a.png.part", "results/a.png", "results/txt2img-0123abcd-01.part", "atelier.db", "b.png.part"]
    gone = ["results/a.png.part", "results/deep/er/c.webm.part", "inputs/d.png.part"]
    for name in kept + gone:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    delete_unfinished(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(kept)


def test_an_unfinished_file_that_cannot_be_deleted_is_left(tmp_path: Path) -> None:
    (tmp_path / "results" / "a.png.part").mkdir(parents=True)
    (tmp_path / "results" / "b.png.part").touch()
    delete_unfinished(tmp_path)
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["a.png.part"]
