"""Thumbnails are made once, newest first, and what cannot have one is remembered."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio import lowlevel

from app.core.gallery import Audience, GalleryQuery
from app.core.jobs.job import Job, JobRequest, State
from app.events import Finished, JobId, ServerName
from app.journal.sqlite import SqliteJournal, open_journal
from app.media_worker.protocol import Dimensions, Refusal
from app.reasons.files import DiskFailed, FileDamaged, FileReason, WorkerUnavailable
from app.retention.files import PART, delete_results, thumbnail_path
from app.service.results.thumbnails import AGAIN, FIRST, MOST_TRIES, NotNow, ThumbnailActor, Thumbnails
from tests.conftest import inline, virtual
from tests.elsewhere import Elsewhere


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(request.param)


class Worker:
    """Makes thumbnails out of nothing. `problem` says why one cannot be made, by its result; None if it can."""

    def __init__(self, problem: Callable[[str], FileReason | None] = lambda _: None) -> None:
        self.problem = problem
        self.made: list[str] = []
        self.marked: set[bool] = set()
        self.at_once = 0

    async def thumbnail(self, source: Path, target: Path, *, mark_results: bool = False) -> Dimensions:
        self.made.append(source.name)
        self.marked.add(mark_results)
        self.at_once += 1
        assert self.at_once == 1
        await anyio.sleep(0.1)
        self.at_once -= 1
        if (reason := self.problem(source.name)) is not None:
            raise Refusal(reason)
        await inline(target.write_bytes, b"small")
        return 384, 100 + len(self.made)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncGenerator[SqliteJournal]:
    async with open_journal(tmp_path / "atelier.db", run_sync=inline, durable=False) as journal:
        yield journal


def job(folder: Path, name: str, *files: str) -> Job:
    """A job with a result; its files are there."""
    request = JobRequest(job=JobId(name), workflow="w", graph={}, folder=str(folder), owner="ada")
    made = Job(request=request, state=State.DELIVERED, notified=True)
    paths = [folder / file for file in files or (f"{name}.png",)]
    for path in paths:
        path.write_bytes(b"picture")
    made.terminal_update = Finished(ServerName("studio"), files=tuple(map(str, paths)), job=made.id)
    return made


def names(folder: Path) -> list[str]:
    """The files of results in a folder."""
    return [path.name for path in folder.iterdir() if not path.name.startswith("atelier.db")]


@asynccontextmanager
async def acting(journal: SqliteJournal, worker: Worker) -> AsyncGenerator[None]:
    async with anyio.create_task_group() as tasks:
        thumbnails = Thumbnails(worker, mark_results=True, run_sync=inline)
        tasks.start_soon(ThumbnailActor(journal, thumbnails).run)
        yield
        tasks.cancel_scope.cancel()


async def sizes(journal: SqliteJournal) -> dict[str, int | None]:
    """The height of the thumbnail of each entry; 0 if it has none, None if that was not tried."""
    rows = await journal.gallery(GalleryQuery(), Audience("ada"), limit=50)
    return {row.entry.job: row.height for row in rows}


async def test_older_results_get_thumbnails_newest_first_and_a_new_one_comes_next(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    worker = Worker()
    await journal.record([job(tmp_path, name) for name in "abc"], [])
    async with acting(journal, worker):
        await anyio.sleep(FIRST + 0.15)
        await journal.record([job(tmp_path, "new")], [])
        await anyio.sleep(5)
        assert worker.made == ["c.png", "b.png", "new.png", "a.png"]
        await journal.record([job(tmp_path, "newer")], [])
        await anyio.sleep(0.2)
    assert worker.made[-1] == "newer.png"
    assert await sizes(journal) == {"newer": 105, "new": 103, "c": 101, "b": 102, "a": 104}
    assert worker.marked == {True}
    assert thumbnail_path(str(tmp_path / "a.png")).read_bytes() == b"small"
    assert not [name for name in names(tmp_path) if name.endswith(PART)]


async def test_every_file_has_one_and_the_first_that_has_one_gives_the_dimensions(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    worker = Worker(lambda name: FileDamaged() if name == "1.png" else None)
    await journal.record([job(tmp_path, "a", "sound.flac", "1.png", "2.png", "3.mp4", "4.glb")], [])
    async with acting(journal, worker):
        await anyio.sleep(FIRST + 5)
    assert worker.made == ["1.png", "2.png", "3.mp4"]
    assert await sizes(journal) == {"a": 102}


async def test_what_cannot_be_decoded_or_is_gone_is_tried_once_and_remembered(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    worker = Worker(lambda _: FileDamaged())
    gone, sound = job(tmp_path, "gone"), job(tmp_path, "sound", "a.opus")
    await journal.record([job(tmp_path, "broken"), gone, sound], [])
    delete_results(gone)
    for _ in range(2):
        async with acting(journal, worker):
            await anyio.sleep(FIRST + 5)
    assert worker.made == ["broken.png"]
    assert await sizes(journal) == {"broken": 0, "gone": 0, "sound": 0}


@pytest.mark.parametrize("reason", [DiskFailed("full"), WorkerUnavailable()])
async def test_a_reason_that_passes_is_waited_out_and_one_that_does_not_holds_up_no_other(
    journal: SqliteJournal, tmp_path: Path, reason: FileReason
) -> None:
    left = [2]

    def problem(name: str) -> FileReason | None:
        left[0] -= name == "passes.png"
        return reason if name == "stays.png" or left[0] >= 0 else None

    worker = Worker(problem)
    await journal.record([job(tmp_path, "passes"), job(tmp_path, "stays")], [])
    async with acting(journal, worker):
        await anyio.sleep(FIRST + 1)
        assert worker.made == ["stays.png"]
        await anyio.sleep(10 * AGAIN)
    assert worker.made == ["stays.png"] * MOST_TRIES + ["passes.png"] * 3
    assert await sizes(journal) == {"stays": 0, "passes": 106}


async def test_a_thumbnail_is_as_old_as_its_result_and_never_made_twice_at_a_time(tmp_path: Path) -> None:
    worker = Worker()
    thumbnails = Thumbnails(worker, mark_results=False, run_sync=inline)
    made = job(tmp_path, "a")
    path = tmp_path / "a.png"
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(thumbnails.make, str(path))
    assert thumbnail_path(str(path)).stat().st_mtime_ns == path.stat().st_mtime_ns
    delete_results(made)
    assert names(tmp_path) == []


async def test_a_result_that_is_deleted_while_its_thumbnail_is_made_leaves_none(tmp_path: Path) -> None:
    worker = Worker()
    made = job(tmp_path, "a")
    thumbnails = Thumbnails(worker, mark_results=False, run_sync=inline)

    async def make() -> None:
        assert await thumbnails.make(str(tmp_path / "a.png")) is None

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(make)
        await anyio.sleep(0.05)
        delete_results(made)
    assert names(tmp_path) == []


async def test_a_disk_that_cannot_be_written_is_a_reason_to_try_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job(tmp_path, "a")

    async def full(function: Callable[..., object], /, *arguments: object) -> object:
        await lowlevel.checkpoint()
        if len(arguments) > 1:
            raise OSError(28, "No space left on device")
        return function(*arguments)

    thumbnails = Thumbnails(Worker(), mark_results=False, run_sync=full)  # pyright: ignore[reportArgumentType]
    with pytest.raises(NotNow):
        await thumbnails.make(str(tmp_path / "a.png"))


async def test_the_thumbnail_of_a_result_that_only_another_disk_has_is_made(tmp_path: Path) -> None:
    result = str(tmp_path / "a.png")
    others = Elsewhere({result: b"picture"})
    thumbnails = Thumbnails(Worker(), mark_results=True, run_sync=inline, others=others)
    assert await thumbnails.make(result) is not None
    assert await thumbnails.make(str(tmp_path / "gone.png")) is None
    assert sorted(names(tmp_path)) == ["a.png", "a.png.thumbnail"]
