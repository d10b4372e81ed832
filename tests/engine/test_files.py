"""Files of jobs that fronts copy from each other, through a real Valkey."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec
import pytest
from structlog.testing import capture_logs

from app.config.engine import EngineSettings
from app.core.replication import NamedFile, Need
from app.engine.chunks import WINDOW, measure
from app.engine.connection import Engine
from app.engine.messages import CHUNK
from app.engine.replication import files
from app.engine.replication.files import FrontFiles
from app.engine.replication.messages import FILES, LEASE, STANDBY, FileRequest, Front, Standby, about_key, lease_of
from app.engine.replication.transfers import chunk_key
from tests.engine.test_connection import connected

PATIENCE = 20.0

OLD = 1_700_000_000_123_456_789
"""When files of these tests were changed, in ns since 1970."""


class Named:
    """What the journal of a front names."""

    def __init__(self) -> None:
        self.unfinished: list[NamedFile] = []
        self.recent: list[NamedFile] = []
        self.deleted: list[str] = []

    def begin_again(self) -> None:
        pass

    def of_unfinished(self) -> Sequence[NamedFile]:
        return self.unfinished

    def of_recent(self) -> Sequence[NamedFile]:
        return self.recent

    def of_deleted(self) -> Sequence[str]:
        return self.deleted


class Machine:
    """The disk of one front, and what copies files to it."""

    def __init__(self, engine: Engine, folder: Path, *, largest: int = 2**30) -> None:
        self.engine = engine
        self.data = folder
        self.named = Named()
        self.files = FrontFiles(engine, folder.name, folder, largest, self.named)

    def path(self, name: str) -> Path:
        return self.data / name

    def write(self, name: str, content: bytes) -> None:
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        self.path(name).write_bytes(content)
        os.utime(self.path(name), ns=(OLD, OLD))

    def wants(self, name: str, need: Need) -> None:
        named = self.named.recent if need is Need.RECENT else self.named.unfinished
        named.append(NamedFile(str(self.path(name)), need))

    def kept(self) -> list[str]:
        """The names of all files that are here, in the order in which they came."""
        here = (path for path in self.data.rglob("*") if path.is_file())
        return [path.name for path in sorted(here, key=lambda path: path.stat().st_ctime_ns)]

    async def has(self, name: str) -> None:
        """Wait until a file is here."""
        with anyio.fail_after(PATIENCE):
            while not self.path(name).exists():  # noqa: ASYNC110  what another process does sets no event
                await anyio.sleep(0.01)

    async def register(self, *, active: bool = False) -> None:
        """Be known as a front."""
        front = Front(self.data.name, self.data.name, "1.0", 1)
        if active:
            await self.engine.set(LEASE, lease_of(1, front), 60.0)
        else:
            await self.engine.set(f"{STANDBY}{front.id}", msgspec.json.encode(Standby(front, 1)), 60.0)


@asynccontextmanager
async def machines(settings: EngineSettings, folder: Path, names: str = "ab") -> AsyncGenerator[list[Machine]]:
    """The machines of several fronts, of which the first one is active, each with a client of its own."""
    async with connected(settings) as engine:
        here = [Machine(engine, folder / name) for name in names]
        async with anyio.create_task_group() as tasks:
            for machine in here:
                await machine.register(active=machine is here[0])
                tasks.start_soon(machine.files.run)
            yield here
            tasks.cancel_scope.cancel()


async def test_a_front_copies_what_its_journal_names_and_its_disk_lacks(
    database: EngineSettings, tmp_path: Path
) -> None:
    async with machines(database, tmp_path) as (active, standby):
        active.write("inputs/job-image.png", b"picture" * CHUNK)
        active.write("results/w-job-01.png", b"")
        standby.wants("inputs/job-image.png", Need.INPUT)
        standby.wants("results/w-job-01.png", Need.RECENT)
        await standby.has("inputs/job-image.png")
        await standby.has("results/w-job-01.png")
        assert standby.path("inputs/job-image.png").read_bytes() == b"picture" * CHUNK
        assert standby.path("inputs/job-image.png").stat().st_mtime_ns == OLD, "it gets old with the original"
        assert set(standby.kept()) == {"job-image.png", "w-job-01.png"}


async def test_a_front_that_ends_answers_until_others_have_what_they_lack(
    database: EngineSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "HANDING_OVER", PATIENCE)
    async with connected(database) as engine:
        ends = Machine(engine, tmp_path / "a")
        await ends.register()
        ends.write("results/w-job-01.png", b"picture" * CHUNK)
        async with machines(database, tmp_path, "b") as (other,):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ends.files.run)
                other.wants("results/w-job-01.png", Need.UNDELIVERED)
                await ends.files.hand_over()
                tasks.cancel_scope.cancel()
            await other.has("results/w-job-01.png")


async def test_a_front_that_ends_as_the_last_one_waits_for_nobody(
    database: EngineSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "QUIET", 2 * PATIENCE)
    monkeypatch.setattr(files, "HANDING_OVER", 2 * PATIENCE)
    async with machines(database, tmp_path, "a") as (active,):
        with anyio.fail_after(PATIENCE):
            await active.files.hand_over()


async def test_a_front_that_was_away_deletes_what_people_deleted_meanwhile(
    database: EngineSettings, tmp_path: Path
) -> None:
    async with connected(database) as engine, anyio.create_task_group() as tasks:
        returned = Machine(engine, tmp_path / "b")
        await Machine(engine, tmp_path / "a").register(active=True)
        for name in ("results/w-job-01.png", "results/w-job-01.png.thumbnail", "results/kept.png", "atelier.db"):
            returned.write(name, b"x")
        returned.named.deleted = [str(returned.path(name)) for name in ("results/w-job-01.png", "atelier.db")]
        tasks.start_soon(returned.files.run)
        with anyio.fail_after(PATIENCE):
            while len(returned.kept()) > 2:  # noqa: ASYNC110  what another process does sets no event
                await anyio.sleep(0.01)
        assert set(returned.kept()) == {"kept.png", "atelier.db"}
        tasks.cancel_scope.cancel()


async def test_what_is_needed_most_comes_first(
    database: EngineSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LANES", (Need.RECENT,))
    async with machines(database, tmp_path) as (active, standby):
        for name in ("r", "u", "i2", "i1"):
            active.write(f"results/{name}", b"x")
        standby.wants("results/r", Need.RECENT)
        standby.wants("results/u", Need.UNDELIVERED)
        standby.wants("results/i1", Need.INPUT)
        standby.wants("results/i2", Need.INPUT)
        for name in ("r", "u", "i1", "i2"):
            await standby.has(f"results/{name}")
        assert standby.kept() == ["i1", "i2", "u", "r"]


async def test_a_large_file_takes_little_memory_of_the_engine(database: EngineSettings, tmp_path: Path) -> None:
    async with machines(database, tmp_path) as (active, standby):
        active.write("results/video.mp4", os.urandom(2**20) * 50)
        before, most, waiting = await memory(active.engine), 0, 0
        standby.wants("results/video.mp4", Need.UNDELIVERED)
        with anyio.fail_after(PATIENCE):
            while not standby.path("results/video.mp4").exists():
                most = max(most, await memory(active.engine) - before)
                waiting = max(waiting, len(await active.engine.keys("atelier:copy:*")))
                await anyio.sleep(0.002)
        assert standby.path("results/video.mp4").read_bytes() == active.path("results/video.mp4").read_bytes()
        assert 0 < waiting <= WINDOW + 2
        assert most < 32 * 2**20
        assert await active.engine.keys("atelier:copy:*") == []


async def memory(engine: Engine) -> int:
    return int(str((await engine.information("memory"))["used_memory"]))


async def test_any_front_that_has_a_file_sends_it_to_whoever_needs_it(database: EngineSettings, tmp_path: Path) -> None:
    async with machines(database, tmp_path, "abc") as (active, _, third):
        third.write("results/old.png", b"old")
        await active.files.bring([str(active.path("results/old.png"))], PATIENCE)
        assert active.path("results/old.png").read_bytes() == b"old"


async def test_a_file_that_nobody_has_holds_nobody_up(database: EngineSettings, tmp_path: Path) -> None:
    async with machines(database, tmp_path, "abc") as (active, _, _):
        began = anyio.current_time()
        await active.files.bring([str(active.path("results/gone.png"))], PATIENCE)
        assert anyio.current_time() - began < files.OFFERED, "each other front says so"
        assert not active.path("results/gone.png").exists()
        assert await active.engine.range(FILES) == []


async def test_what_is_brought_is_waited_for_only_so_long_and_arrives_later(
    database: EngineSettings, tmp_path: Path
) -> None:
    async with connected(database) as engine, anyio.create_task_group() as tasks:
        active, late = Machine(engine, tmp_path / "a"), Machine(engine, tmp_path / "b")
        await active.register(active=True)
        await late.register()
        late.write("results/old.png", b"old")
        tasks.start_soon(active.files.run)
        await active.files.bring([str(active.path("results/old.png"))], 0.05)
        assert not active.path("results/old.png").exists()
        tasks.start_soon(late.files.run)
        await active.has("results/old.png")
        tasks.cancel_scope.cancel()


async def test_a_file_that_is_not_what_was_sent_is_not_kept_and_is_tried_again(
    database: EngineSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "RARELY", 0.1)
    monkeypatch.setattr(files, "OTHERS", 0.1)
    wrong = [(3, "0" * 64), (4, "0" * 64)]

    def wrong_at_first(path: Path) -> tuple[int, str]:
        return wrong.pop() if wrong else measure(path)

    monkeypatch.setattr(files, "measure", wrong_at_first)
    async with machines(database, tmp_path) as (active, standby):
        active.write("results/r.png", b"abc")
        with capture_logs() as lines:
            standby.wants("results/r.png", Need.UNDELIVERED)
            await standby.has("results/r.png")
        assert [line["reason"] for line in lines] == ["what arrived is not what was sent"] * 2
        assert standby.path("results/r.png").read_bytes() == b"abc"
        assert standby.kept() == ["r.png"]


async def test_a_front_that_ends_in_the_middle_leaves_nothing_that_counts_and_another_one_sends_the_file(
    database: EngineSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engine.replication.transfers.PATIENCE", 0.5)
    content = os.urandom(2**20) * 3
    async with connected(database) as engine, anyio.create_task_group() as tasks:
        standby, other = Machine(engine, tmp_path / "b"), Machine(engine, tmp_path / "c")
        await standby.register()
        await other.register(active=True)
        tasks.start_soon(standby.files.run)
        standby.wants("results/r.png", Need.UNDELIVERED)
        # A front that sends the first chunk of it and then is gone.
        with anyio.fail_after(PATIENCE):
            while not (asked := await engine.range(FILES)):  # noqa: ASYNC110  as above
                await anyio.sleep(0.01)
        request = msgspec.json.decode(asked[0].data, type=FileRequest)
        assert await engine.remove(FILES, asked[0].id)
        about = {"size": len(content), "sha256": "0" * 64, "changed": 0}
        await engine.set(about_key(request.transfer), msgspec.json.encode(about), 60.0)
        await engine.set(chunk_key(request.transfer, 0), content[:CHUNK], 60.0)
        with anyio.fail_after(PATIENCE):
            while not standby.kept():  # noqa: ASYNC110  as above
                await anyio.sleep(0.01)
        other.write("results/r.png", content)
        tasks.start_soon(other.files.run)
        await standby.files.bring([str(standby.path("results/r.png"))], PATIENCE)
        assert standby.path("results/r.png").read_bytes() == content
        assert standby.kept() == ["r.png"]
        tasks.cancel_scope.cancel()


async def test_a_request_waits_until_its_files_are_at_all_fronts_on_standby(
    database: EngineSettings, tmp_path: Path
) -> None:
    async with machines(database, tmp_path, "abc") as (active, second, third):
        active.write("inputs/job-image.png", b"picture")
        third.write("inputs/job-image.png", b"picture")
        await active.files.spread([str(active.path("inputs/job-image.png")), "/somewhere/else.png"])
        assert second.path("inputs/job-image.png").read_bytes() == b"picture"
        assert await active.engine.range(FILES) == []


async def test_a_request_does_not_wait_for_a_front_that_cannot_take_the_file_nor_long_for_one_that_is_gone(
    database: EngineSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with machines(database, tmp_path) as (active, standby):
        active.write("inputs/job-image.png", b"picture")
        standby.write("inputs", b"no folder")
        began = anyio.current_time()
        with capture_logs() as lines:
            await active.files.spread([str(active.path("inputs/job-image.png"))])
        assert anyio.current_time() - began < files.SPREAD
        assert lines[-1] == {
            "event": "fronts on standby do not have the files of a request yet",
            "fronts": 1,
            "log_level": "warning",
        }
        monkeypatch.setattr(files, "SPREAD", 0.2)
        await Machine(active.engine, tmp_path / "gone").register()
        with anyio.fail_after(PATIENCE):
            await active.files.spread([str(active.path("inputs/job-image.png"))])


@pytest.mark.parametrize(
    "name",
    [
        "../atelier.db",
        "results/../../x",
        "atelier.db",
        "results/.hidden",
        "results/x.part",
        "results/a/b",
        "results/",
        "",
    ],
)
async def test_only_files_of_jobs_are_sent_and_taken(database: EngineSettings, tmp_path: Path, name: str) -> None:
    async with machines(database, tmp_path) as (active, standby):
        active.path("results/a").mkdir(parents=True)
        for written in ("atelier.db", "results/.hidden", "results/x.part", "results/a/b", "inputs/last"):
            active.write(written, b"secret")
        (tmp_path / "x").write_bytes(b"secret")
        standby.wants(name, Need.INPUT)
        standby.wants("inputs/last", Need.UNDELIVERED)
        await standby.has("inputs/last")
        assert standby.kept() == ["last"]
        # Nor does a front send what is no file of a job.
        await active.engine.add(
            FILES, msgspec.json.encode(FileRequest("transfer", "somebody", name)), longest=16, seconds=60.0
        )
        with anyio.fail_after(PATIENCE):
            while len(await active.engine.keys("atelier:copy:transfer:absent:*")) < 2:  # noqa: ASYNC110  as above
                await anyio.sleep(0.01)
        assert await active.engine.keys("atelier:copy:transfer:about") == []


async def test_a_link_is_not_followed(database: EngineSettings, tmp_path: Path) -> None:
    async with machines(database, tmp_path) as (active, standby):
        (tmp_path / "secret").write_bytes(b"secret")
        active.write("results/last", b"x")
        active.path("results/link").symlink_to(tmp_path / "secret")
        standby.wants("results/link", Need.INPUT)
        standby.wants("results/last", Need.RECENT)
        await standby.has("results/last")
        assert not standby.path("results/link").exists()


async def test_a_file_that_is_too_large_is_refused_and_messages_that_are_none_are_left_out(
    database: EngineSettings, tmp_path: Path
) -> None:
    async with connected(database) as engine, anyio.create_task_group() as tasks:
        active, standby = Machine(engine, tmp_path / "a"), Machine(engine, tmp_path / "b", largest=10)
        await active.register(active=True)
        for data in (b"", b"{", b'{"type": "other"}', b'"' + b"x" * 100_000 + b'"'):
            await engine.add(FILES, data, longest=16, seconds=60.0)
        active.write("results/large", b"x" * 11)
        active.write("results/small", b"x" * 10)
        standby.wants("results/large", Need.UNDELIVERED)
        standby.wants("results/small", Need.RECENT)
        tasks.start_soon(active.files.run)
        tasks.start_soon(standby.files.run)
        await standby.has("results/small")
        assert not standby.path("results/large").exists()
        tasks.cancel_scope.cancel()


async def test_nothing_is_waited_for_while_the_engine_is_away(tmp_path: Path) -> None:
    async with anyio.create_task_group() as tasks:
        alone = Machine(Engine(EngineSettings(host="127.0.0.1", port=9), None, lambda: iter(())), tmp_path / "a")
        tasks.start_soon(alone.files.run)
        alone.write("inputs/i.png", b"x")
        with anyio.fail_after(PATIENCE):
            await alone.files.spread([str(alone.path("inputs/i.png"))])
            await alone.files.bring([str(alone.path("results/gone.png"))], PATIENCE * 2)
        tasks.cancel_scope.cancel()
