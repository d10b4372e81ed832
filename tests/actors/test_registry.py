"""An unexpected exception fails the one job it belongs to, and the registry goes on."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

import app.core.jobs.ending
import app.core.jobs.table
from app.actors.handle import Submit
from app.actors.interaction import InteractionActor
from app.actors.registry import new_prompt_id
from app.application import ServerClients, open_services
from app.comfy.client import ComfyClient, open_comfy_client
from app.comfy.websocket.connect import connect
from app.config.settings import Server
from app.core.jobs.cost import Run
from app.core.jobs.job import Attempt, Job, JobRequest, State, Transition
from app.core.jobs.progress import ProgressTracker
from app.core.jobs.table import JobTable
from app.core.journal_port import Journal
from app.core.queries import Queries
from app.core.reconciler import Reconciler
from app.core.scheduling.line.line import Line
from app.core.scheduling.queue.fair_queue import NOTHING_SERVED, Served
from app.core.servers.state import ServerState
from app.events import (
    TERMINAL_UPDATES,
    AnyUpdate,
    Cancelled,
    Failed,
    FileRef,
    Finished,
    JobId,
    NodeId,
    NodeOutput,
    PromptId,
    Queued,
    ServerName,
)
from app.journal.memory import MemoryJournal
from app.journal.sqlite import open_journal
from app.mailbox import Mailbox
from app.ports import History
from app.reasons.jobs import InternalError, NodeFailed
from app.simulator.engine.simulator import Simulator
from app.simulator.http.application import application
from app.texts.reasons.text import reason_text
from tests.conftest import inline, virtual
from tests.world import HERE, PICTURE, Watcher, World, delivered

SORRY = re.compile(r"Something went wrong \(id [0-9a-f]{8}\)\.")
OLD = ServerName("removed")


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


@asynccontextmanager
async def opened(
    tmp_path: Path,
    journal: Journal | None = None,
    change: Callable[[ComfyClient], None] = lambda _: None,
    *,
    depth: int = 2,
) -> AsyncGenerator[World]:
    """A simulator, and a registry whose client for it is replaced."""
    simulator = Simulator(tmp_path / "server", run_sync=inline)
    journal = journal or MemoryJournal()
    client_id = new_prompt_id()
    transport = httpx.ASGITransport(application(simulator))
    with anyio.fail_after(3600):
        async with anyio.create_task_group() as ground:
            await ground.start(simulator.run)
            opening = open_comfy_client(Server(url="http://simulator"), client_id, run_sync=inline, transport=transport)
            async with opening as comfy:
                change(comfy)
                links = {HERE: ServerClients(comfy, partial(connect, partial(simulator.connect, client_id)))}
                async with open_services(links, journal, depth=depth, run_sync=inline) as services:
                    yield World(
                        simulator, services.registry, tmp_path / "results", journal, services.work, services.overview
                    )
            ground.cancel_scope.cancel()


def raising_once(real: Callable[..., Any], error: Exception, *, after: bool = False) -> Callable[..., Any]:
    """A function that raises at its first call, before or after it did its work."""
    calls = 0

    def call(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1 and not after:
            raise error
        result = real(*args, **options)
        if calls == 1:
            raise error
        return result

    return call


def breaking(verb: str, error: Exception, *, after: bool = False) -> Callable[[ComfyClient], None]:
    """Make a client raise at the first call of one of its methods."""

    def change(comfy: ComfyClient) -> None:
        real: Callable[..., Awaitable[Any]] = getattr(comfy, verb)
        calls = 0

        async def call(*args: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            first = calls == 1
            if first and not after:
                raise error
            result = await real(*args, **options)
            if first:
                raise error
            return result

        setattr(comfy, verb, call)

    return change


def sorry(update: AnyUpdate) -> bool:
    """Whether the update says only that something went wrong, with the id of the log line."""
    return isinstance(update, Failed) and SORRY.fullmatch(reason_text(update.reason)) is not None


async def idle(world: World) -> None:
    """Wait until the server has nothing to do; the hour of `opened` is the limit."""
    while world.simulator.running is not None or world.simulator.pending:  # noqa: ASYNC110  it has nothing to wait on
        await anyio.sleep(0.1)


async def all_told(world: World) -> None:
    """Wait until no job is unfinished in the journal."""
    while await world.journal.unfinished():  # noqa: ASYNC110  the journal has nothing to wait on
        await anyio.sleep(0.1)


@pytest.mark.parametrize(
    ("verb", "after", "error"),
    [
        ("submit", False, KeyError("removed")),
        ("submit", True, UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")),
        ("history", False, RecursionError("too deep")),
        ("history", True, MemoryError()),
        ("fetch", False, ExceptionGroup("several", [ValueError("one")])),
        ("fetch", True, AssertionError()),
    ],
    ids=lambda part: type(part).__name__ if isinstance(part, Exception) else str(part),
)
async def test_an_effect_that_raises_fails_its_own_job_alone(
    verb: str, after: bool, error: Exception, tmp_path: Path
) -> None:
    async with opened(tmp_path, change=breaking(verb, error, after=after)) as world:
        with capture_logs() as lines:
            watchers = await world.make_many(3)
        assert [sorry(watcher.last) for watcher in watchers] == [True, False, False]
        assert all(delivered(watcher) for watcher in watchers[1:])
        (line,) = [line for line in lines if line["event"] == "an effect broke"]
        assert isinstance(watchers[0].last, Failed)
        assert watchers[0].last.reason == InternalError(line["id"])
        await idle(world)
        await all_told(world)


async def test_a_prompt_whose_post_broke_after_it_was_taken_is_withdrawn(tmp_path: Path) -> None:
    async with opened(tmp_path, change=breaking("submit", ValueError("odd answer"), after=True)) as world:
        began = anyio.current_time()
        assert sorry((await world.make()).last)
        await idle(world)
        assert anyio.current_time() - began < 0.5, "a picture takes longer than that"


async def test_a_withdrawal_that_raises_fails_the_job_and_the_server_hears_of_it_all_the_same(tmp_path: Path) -> None:
    async with opened(tmp_path, change=breaking("cancel", KeyError("gone"))) as world:
        request, watcher, other = world.request(), Watcher(), Watcher()
        async with anyio.create_task_group() as tasks:
            await tasks.start(InteractionActor(request, world.registry, watcher).run)
            await tasks.start(InteractionActor(world.request(), world.registry, other).run)
            while world.simulator.running is None:  # noqa: ASYNC110  it has nothing to wait on
                await anyio.sleep(0.01)
            await world.registry.cancel(request.job)
        assert sorry(watcher.last)
        assert delivered(other)
        await idle(world)
        assert len(world.simulator.history) == 2


async def test_a_picture_from_the_websocket_that_cannot_be_written_at_all_fails_its_job_alone(tmp_path: Path) -> None:
    graph = {node: entry for node, entry in PICTURE.items() if node != "7"}
    graph["9"] = {"class_type": "SaveImageWebsocket", "inputs": {"images": ["6", 0]}}
    async with opened(tmp_path) as world:
        bad, good = Watcher(), Watcher()
        async with anyio.create_task_group() as tasks:
            request = replace(world.request(graph), folder="no\0folder")
            await tasks.start(InteractionActor(request, world.registry, bad).run)
            await tasks.start(InteractionActor(world.request(graph), world.registry, good).run)
        assert sorry(bad.last)
        assert delivered(good)


async def test_a_look_that_raises_counts_as_a_server_that_is_away_and_is_repeated(tmp_path: Path) -> None:
    async with opened(tmp_path, change=breaking("queue", RuntimeError("a bug"))) as world:
        with capture_logs() as lines:
            assert delivered(await world.make())
        assert [line["effect"] for line in lines if line["event"] == "an effect broke"] == ["QueryServer"]


PLANTED: list[tuple[Any, str]] = [
    (JobTable, "accept"),
    (JobTable, "queued"),
    (JobTable, "running"),
    (JobTable, "fetch_result"),
    (JobTable, "ended"),
    (JobTable, "complete"),
    (JobTable, "settle"),
    (JobTable, "answered"),
    (JobTable, "delivered"),
    (ProgressTracker, "handle"),
    (app.core.jobs.table, "results"),
    (app.core.jobs.ending, "remarks"),
    (app.core.jobs.ending, "texts"),
    (app.core.jobs.table, "file_name"),
]
"""What the registry calls for one job, from its acceptance to its end."""


@pytest.mark.parametrize(("owner", "name"), PLANTED, ids=lambda part: part if isinstance(part, str) else "")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_bug_in_what_happens_to_one_job_fails_that_job_alone(
    owner: Any, name: str, after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, raising_once(getattr(owner, name), ZeroDivisionError("a bug"), after=after))
    async with opened(tmp_path) as world:
        with capture_logs() as lines:
            watchers = await world.make_many(2)
            # What happens after the last update breaks nothing that anybody sees.
            await anyio.sleep(1)
        broken = [watcher for watcher in watchers if sorry(watcher.last)]
        assert all(delivered(watcher) for watcher in watchers if watcher not in broken)
        assert len([line for line in lines if line["event"] == "a message broke"]) == 1
        ended_before = name == "delivered" or (after and name in {"settle", "ended"})
        assert len(broken) == (0 if ended_before else 1)
        await idle(world)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (ServerState, "connected"),
        (ServerState, "frame"),
        (Queries, "succeeded"),
        (Queries, "_over"),
        (Reconciler, "_tick"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
async def test_a_bug_that_belongs_to_no_job_is_logged_and_leaves_no_server_stuck(
    owner: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, raising_once(getattr(owner, name), ZeroDivisionError("a bug")))
    async with opened(tmp_path) as world:
        with capture_logs() as lines:
            # For as long as a silence takes, so that the server is looked at, too.
            world.fault(stall=5.0)
            assert all(delivered(watcher) for watcher in await world.make_many(2))
        assert [line["event"] for line in lines if "id" in line] == ["a message broke"]


async def test_one_job_that_breaks_a_look_does_not_break_what_it_says_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as world:
        watchers = [Watcher() for _ in range(3)]
        requests = [world.request() for _ in watchers]

        def gone(self: JobTable, job: Job, attempt: Attempt) -> None:
            if job.id == requests[0].job:
                raise ZeroDivisionError("a bug")
            real(self, job, attempt)

        real = JobTable.gone
        monkeypatch.setattr(JobTable, "gone", gone)
        async with anyio.create_task_group() as tasks:
            for request, watcher in zip(requests, watchers, strict=True):
                await tasks.start(InteractionActor(request, world.registry, watcher).run)
            while world.simulator.running is None:  # noqa: ASYNC110  it has nothing to wait on
                await anyio.sleep(0.01)
            world.fault(restart=1.0)
        assert [sorry(watcher.last) for watcher in watchers] == [True, False, False]
        assert all(delivered(watcher) for watcher in watchers[1:])


def adoptable(folder: Path, state: State = State.RUNNING, *, server: ServerName = OLD, **fields: Any) -> Job:
    """A job as an earlier process left it in the journal, with its attempt on a server."""
    name = JobId(new_prompt_id())
    request = JobRequest(job=name, workflow="test", graph=PICTURE, folder=str(folder / "results"), servers=(server,))
    return Job(request=request, state=state, version=3, tries=1, attempt=Attempt(new_prompt_id(), server), **fields)


async def starts_of_two(world: World) -> list[float | None]:
    """Make two pictures at once, and return when the second one was expected to start, as long as it waited."""
    _, second = await world.make_many(2)
    assert delivered(second)
    return [update.starts_in for update in second.shown if isinstance(update, Queued)]


async def last_of(world: World, job: Job) -> AnyUpdate:
    """Follow a job from an earlier process until it ends."""
    async with world.registry.watch(job.id) as updates:
        while not isinstance(update := await updates.receive(), TERMINAL_UPDATES):
            pass
        return update


@pytest.mark.parametrize("state", [State.SUBMITTING, State.QUEUED, State.RUNNING])
async def test_a_job_of_a_server_that_is_no_longer_configured_is_made_on_another(state: State, tmp_path: Path) -> None:
    job = adoptable(tmp_path, state)
    async with open_journal(tmp_path / "atelier.db", run_sync=inline, durable=False) as journal:
        await journal.record([job], [])
        async with opened(tmp_path, journal) as world:
            last = await last_of(world, job)
            assert isinstance(last, Finished)
            assert last.server == HERE
        causes = [line.transition.cause for line in await journal.transitions(job.id)]
        assert "removed is no longer configured" in causes


async def test_a_job_of_a_server_that_is_no_longer_configured_can_be_cancelled(tmp_path: Path) -> None:
    job = adoptable(tmp_path)
    journal = MemoryJournal()
    await journal.record([job], [])
    async with opened(tmp_path, journal) as world:
        await world.registry.cancel(job.id)
        assert isinstance(await last_of(world, job), Cancelled)
        assert delivered(await world.make())


async def test_a_job_that_was_cancelled_before_its_server_was_removed_is_cancelled_at_the_start(tmp_path: Path) -> None:
    job = adoptable(tmp_path, cancelling=True)
    journal = MemoryJournal()
    await journal.record([job], [])
    async with opened(tmp_path, journal) as world:
        assert isinstance(await last_of(world, job), Cancelled)
        assert not world.simulator.history


@pytest.mark.parametrize(("outcome", "here"), [("success", True), ("success", False), ("failed", False)])
async def test_what_ended_on_a_server_that_is_no_longer_configured_is_told_or_made_again(
    outcome: str, here: bool, tmp_path: Path
) -> None:
    file = FileRef("a.png")
    history = History(outcome, (NodeOutput(NodeId("7"), (file,)),), error="no memory")
    state = State.FINISHED if outcome == "success" else State.RUNNING
    arrived = tmp_path / "a.png"
    arrived.touch()
    job = adoptable(tmp_path, state, history=history, files={file: str(arrived)} if here else {})
    journal = MemoryJournal()
    await journal.record([job], [])
    async with opened(tmp_path, journal) as world:
        last = await last_of(world, job)
        if outcome == "failed":
            assert last == Failed(job=job.id, reason=NodeFailed("", "no memory"))
        elif here:
            assert isinstance(last, Finished)
            assert last.files == (str(arrived),)
        else:
            assert isinstance(last, Finished)
            assert last.server == HERE
            assert len(last.files) == 1
        assert len(world.simulator.history) == (outcome == "success" and not here)


async def test_a_job_that_cannot_be_taken_over_fails_and_all_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [adoptable(tmp_path, server=HERE) for _ in range(3)]
    journal = MemoryJournal()
    await journal.record(jobs, [])
    monkeypatch.setattr(
        app.core.jobs.table, "ProgressTracker", raising_once(ProgressTracker, ZeroDivisionError("a bug"))
    )
    async with opened(tmp_path, journal) as world:
        lasts = [await last_of(world, job) for job in jobs]
        assert [sorry(last) for last in lasts] == [True, False, False]
        assert all(isinstance(last, Finished) for last in lasts[1:])


async def test_a_damaged_record_fails_its_own_job_at_the_start_and_all_others_go_on(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    jobs = [adoptable(tmp_path, server=HERE, place="somewhere") for _ in range(4)]
    async with open_journal(path, run_sync=inline, durable=False) as journal:
        await journal.record(jobs, [])
    with closing(sqlite3.connect(path)) as database, database:
        change = "UPDATE jobs SET {} = ? WHERE id = ?"
        database.execute(change.format("wish"), (b"\xff\xff", jobs[0].id))
        database.execute(change.format("record"), (b'{"state": "odd", "place": "somewhere"}', jobs[1].id))
        database.execute(change.format("record"), (b"{", jobs[2].id))
    async with open_journal(path, run_sync=inline, durable=False) as journal:
        with capture_logs() as lines:
            async with opened(tmp_path, journal) as world:
                assert [job.place for job in await journal.unfinished()] == ["somewhere"] * 3
                for job in jobs[:2]:
                    assert sorry(await last_of(world, job))
                    await world.registry.delivered(job.id)
                assert isinstance(await last_of(world, jobs[3]), Finished)
        assert [line["record"] for line in lines if "id" in line] == [job.id for job in jobs[:3]]
        assert {job.id for job in await journal.unfinished()} == {jobs[3].id}


async def test_a_request_that_cannot_be_recorded_fails_and_is_not_made(tmp_path: Path) -> None:
    opening = open_journal(tmp_path / "atelier.db", run_sync=inline, durable=False)
    async with opening as journal, opened(tmp_path, journal, depth=1) as world:
        bad, good = Watcher(), Watcher()
        unwritable = replace(world.request(), owner="\ud83d")
        async with anyio.create_task_group() as tasks:
            await tasks.start(InteractionActor(unwritable, world.registry, bad).run)
            await tasks.start(InteractionActor(world.request(), world.registry, good).run)
        assert sorry(bad.last)
        assert delivered(good)
        assert len(world.simulator.history) == 1
        assert await journal.find(unwritable.job) is None
        await all_told(world)


async def test_the_place_of_a_job_that_cannot_be_written_down_is_free_at_once(tmp_path: Path) -> None:
    opening = open_journal(tmp_path / "atelier.db", run_sync=inline, durable=False)
    async with opening as journal, opened(tmp_path, journal, depth=1) as world:
        # Once the server was looked at, nothing happens by itself any more.
        await anyio.sleep(60)
        unwritable, other = replace(world.request(), owner="\ud83d"), world.request()
        with capture_logs() as lines:
            async with Mailbox[AnyUpdate](lambda _: None) as ignored, Mailbox[AnyUpdate](lambda _: None) as updates:
                # Both in one turn, and nobody says that the failure was heard, which would be another.
                world.registry.inbox.send_nowait(Submit(unwritable, "", ignored))
                world.registry.inbox.send_nowait(Submit(other, "", updates))
                with anyio.fail_after(60):
                    assert isinstance([update async for update in updates][-1], Finished)
            await world.registry.delivered(other.job)
            with anyio.fail_after(60):
                await world.registry.drain()
        # As it was, and stripped of all that a server wrote.
        assert [line["event"] for line in lines if "id" in line] == ["a job could not be recorded"] * 2


@pytest.mark.parametrize("durable", [True, False], ids=["sqlite", "memory"])
async def test_what_was_measured_before_a_restart_says_when_a_waiting_job_starts(durable: bool, tmp_path: Path) -> None:
    @asynccontextmanager
    async def in_memory() -> AsyncGenerator[Journal]:
        yield MemoryJournal()

    opening = open_journal(tmp_path / "atelier.db", run_sync=inline, durable=False) if durable else in_memory()
    async with opening as journal:
        async with opened(tmp_path, journal) as world:
            before = await starts_of_two(world)
            await all_told(world)
            assert before[0] is None, "nothing was measured yet"
            assert len({run.job for run in await journal.runs()}) == len(await journal.runs()) == 2
        async with opened(tmp_path, journal) as world:
            after = await starts_of_two(world)
            assert after
            assert None not in after


async def test_the_run_of_a_job_is_in_the_journal_as_soon_as_its_end_is(tmp_path: Path) -> None:
    recorded: list[tuple[list[str], list[JobId]]] = []

    class Noted(MemoryJournal):
        async def record(
            self,
            jobs: Sequence[Job],
            transitions: Sequence[Transition],
            runs: Sequence[Run] = (),
            served: Served = NOTHING_SERVED,
        ) -> None:
            recorded.append(([step.cause for step in transitions], [run.job for run in runs]))
            await super().record(jobs, transitions, runs, served)

    async with opened(tmp_path, Noted()) as world:
        watcher = await world.make()
    ((causes, jobs),) = [(causes, jobs) for causes, jobs in recorded if jobs]
    assert jobs == [watcher.last.job]
    assert "its history says success" in causes


async def test_the_run_of_a_job_that_cannot_be_recorded_is_recorded_once(tmp_path: Path) -> None:
    def change(comfy: ComfyClient) -> None:
        real = comfy.history

        async def history(prompt: PromptId) -> History | None:
            found = await real(prompt)
            return found and replace(found, outputs=(*found.outputs, NodeOutput(NodeId("7"), (), ("\ud83d",))))

        comfy.history = history

    opening = open_journal(tmp_path / "atelier.db", run_sync=inline, durable=False)
    async with opening as journal, opened(tmp_path, journal, change) as world:
        last = (await world.make()).last
        assert sorry(last)
        assert [run.job for run in await journal.runs()] == [last.job]


async def test_a_history_that_cannot_be_written_down_fails_its_own_job(tmp_path: Path) -> None:
    def change(comfy: ComfyClient) -> None:
        real, seen = comfy.history, list[PromptId]()

        async def history(prompt: PromptId) -> History | None:
            found = await real(prompt)
            seen.append(prompt)
            if found is None or prompt != seen[0]:
                return found
            return replace(found, outputs=(*found.outputs, NodeOutput(NodeId("7"), (), ("\ud83d",))))

        comfy.history = history

    async with open_journal(tmp_path / "atelier.db", run_sync=inline, durable=False) as journal:
        async with opened(tmp_path, journal, change) as world:
            bad, good = await world.make_many(2)
            assert sorry(bad.last)
            assert delivered(good)
            await all_told(world)
        found = await journal.find(bad.last.job)
        assert found is not None
        assert (found.state, found.terminal_update) == (State.FAILED, bad.last)


async def test_who_cannot_be_told_where_a_job_stands_follows_it_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as world:
        request, later = world.request(), list[AnyUpdate]()
        monkeypatch.setattr(Line, "snapshot", raising_once(Line.snapshot, ZeroDivisionError("a bug")))

        async def come_later() -> None:
            while world.simulator.running is None:  # noqa: ASYNC110  it has nothing to wait on
                await anyio.sleep(0.01)
            async with world.registry.watch(request.job) as updates:
                later.extend([update async for update in updates])

        async with anyio.create_task_group() as tasks, world.registry.submit(request):
            tasks.start_soon(come_later)
            await anyio.sleep(5)
        assert isinstance(later[-1], Finished)
