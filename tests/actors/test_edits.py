"""A job that waits here is edited: its request is another one from then on, its place is not."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace

from app.actors.handle import Edit, EditAnswer
from app.actors.interaction import InteractionActor
from app.core.jobs import editing
from app.core.jobs.cost import Run
from app.core.jobs.editing import edit
from app.core.jobs.job import Attempt, Batch, Job, JobRequest, SeedInput, Transition
from app.core.jobs.table import JobTable
from app.core.journal_port import Journal
from app.core.scheduling.queue.fair_queue import NOTHING_SERVED, Served
from app.events import Cancelled, Edited, Finished, JobId, NodeId, PromptId, Queued
from app.journal.memory import MemoryJournal
from app.journal.sqlite import open_journal
from app.mailbox import Mailbox
from tests.actors.test_registry import opened, raising_once, sorry
from tests.conftest import inline, virtual
from tests.world import HERE, Watcher, World, delivered


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


def _wanted(world: World, prompt: str, owner: str = "ada") -> JobRequest:
    """A request for a picture of this."""
    request = replace(world.request(), owner=owner, values={"prompt": prompt})
    request.graph["2"]["inputs"] = {"text": prompt, "clip": ["1", 1]}
    return request


class Line:
    """One job that runs and several that wait, as long as the server is held."""

    def __init__(self, world: World, requests: list[JobRequest], watchers: list[Watcher]) -> None:
        self.world = world
        self.requests = requests
        self.watchers = watchers

    async def edit(self, number: int, prompt: str, *, by: str = "ada") -> bool:
        """Edit one of the jobs."""
        request = replace(_wanted(self.world, prompt), owner=by)
        return (await self.world.registry.edit(self.requests[number].job, request)).done

    def prompts(self) -> list[str]:
        """The prompts of what the server made, in order."""
        return re.findall(r"'text': '(\w+)'", str(list(self.world.simulator.history.values())))


@asynccontextmanager
async def _line(world: World, *prompts: str) -> AsyncGenerator[Line]:
    """A job that runs and one for each prompt that waits here; at the end of the block all of them are finished."""
    world.fault(hold=True)
    requests = [_wanted(world, prompt) for prompt in ("first", *prompts)]
    watchers = [Watcher() for _ in requests]
    async with anyio.create_task_group() as tasks:
        for request, watcher in zip(requests, watchers, strict=True):
            await tasks.start(InteractionActor(request, world.registry, watcher).run)
        while not all(watcher.shown for watcher in watchers) or world.simulator.running is None:  # noqa: ASYNC110
            await anyio.sleep(0.1)
        yield Line(world, requests, watchers)
        world.fault(hold=False)


async def test_the_picture_of_an_edited_job_has_the_new_prompt_and_comes_in_its_turn(tmp_path: Path) -> None:
    async with opened(tmp_path, depth=1) as world:
        async with _line(world, "cat", "owl", "fox") as line:
            assert await line.edit(1, "dog")
            assert await line.edit(2, "elk")
            assert await line.edit(1, "bee"), "the last edit counts"
        assert all(map(delivered, line.watchers))
        assert line.prompts() == ["first", "bee", "elk", "fox"]
        last = line.watchers[1].last
        assert isinstance(last, Finished)
        assert last.job == line.requests[1].job
        assert last.seed != line.requests[1].seed


async def test_whoever_follows_a_job_sees_what_it_is_now(tmp_path: Path) -> None:
    async with opened(tmp_path, depth=1) as world:
        async with _line(world, "cat") as line:
            assert await line.edit(1, "dog")
            async with world.registry.watch(line.requests[1].job) as updates:
                first, second = await anext(updates), await anext(updates)
            await anyio.sleep(60)
        assert isinstance(first, Edited)
        assert first.values == {"prompt": "dog"}
        assert first.seed is not None
        assert isinstance(second, Queued)
        assert [update.values for update in line.watchers[1].shown if isinstance(update, Edited)] == [{"prompt": "dog"}]


async def test_a_job_is_still_asked_for_its_place_in_line_after_it_was_edited(tmp_path: Path) -> None:
    async with opened(tmp_path, depth=1) as world:
        async with _line(world, "cat", "owl", "fox") as line:
            assert await line.edit(3, "dog")
            await anyio.sleep(60)
            await world.registry.cancel(line.requests[1].job)
            await anyio.sleep(60)
            after = line.watchers[3].shown[-1]
        assert isinstance(after, Queued)
        assert after.position == 2


async def test_a_job_that_was_sent_cancelled_ended_or_never_there_is_not_edited(tmp_path: Path) -> None:
    async with opened(tmp_path, depth=1) as world:
        async with _line(world, "cat", "owl") as line:
            assert not await line.edit(0, "dog"), "it runs"
            await world.registry.cancel(line.requests[1].job)
            assert not await line.edit(1, "dog"), "it was cancelled"
            assert not (await world.registry.edit(JobId("unknown"), line.requests[2])).done
        assert not await line.edit(2, "dog"), "it has ended"
        assert isinstance(line.watchers[1].last, Cancelled)
        assert line.prompts() == ["first", "owl"]
        assert not any(isinstance(update, Edited) for watcher in line.watchers for update in watcher.shown)


async def test_a_job_that_waits_at_the_server_is_not_edited(tmp_path: Path) -> None:
    async with opened(tmp_path, depth=2) as world:
        async with _line(world, "cat", "owl") as line:
            assert not await line.edit(1, "dog")
            assert await line.edit(2, "elk")
        assert line.prompts() == ["first", "cat", "elk"]


async def test_a_job_whose_given_up_attempt_may_still_arrive_is_not_edited(tmp_path: Path) -> None:
    table = JobTable()
    async with opened(tmp_path) as world:
        request = _wanted(world, "cat")
    table.accept(request)
    job = table.jobs[request.job]
    table.submit(job, Attempt(PromptId("p"), HERE))
    table.move_on(job, "its server is away")
    assert job.leftovers
    assert not edit(table, job, replace(request, values={"prompt": "dog"}))
    table.released(job, job.leftovers[0])
    assert edit(table, job, replace(request, values={"prompt": "dog"}))


async def test_an_edited_job_stays_that_of_its_owner_and_the_journal_says_who_edited_it(tmp_path: Path) -> None:
    steps: list[Transition] = []

    class Noted(MemoryJournal):
        async def record(
            self,
            jobs: Sequence[Job],
            transitions: Sequence[Transition],
            runs: Sequence[Run] = (),
            served: Served = NOTHING_SERVED,
        ) -> None:
            steps.extend(transitions)
            await super().record(jobs, transitions, runs, served)

    journal = Noted()
    async with opened(tmp_path, journal, depth=1) as world, _line(world, "cat") as line:
        assert await line.edit(1, "dog")
        assert await line.edit(1, "elk", by="a moderator")
        (job,) = [job for job in await journal.unfinished() if job.id == line.requests[1].job]
        assert job.request.owner == "ada"
        assert job.request.values == {"prompt": "elk"}
    edits = [(step.state, step.cause) for step in steps if "edited" in step.cause]
    assert edits == [("accepted", "edited by its owner"), ("accepted", "edited by a moderator")]


async def test_nobody_is_told_of_an_edit_before_it_is_in_the_journal(tmp_path: Path) -> None:
    held, order = anyio.Event(), list[str]()

    class Slow(MemoryJournal):
        async def record(
            self,
            jobs: Sequence[Job],
            transitions: Sequence[Transition],
            runs: Sequence[Run] = (),
            served: Served = NOTHING_SERVED,
        ) -> None:
            if any("edited" in step.cause for step in transitions):
                await held.wait()
                order.append("recorded")
            await super().record(jobs, transitions, runs, served)

    async with opened(tmp_path, Slow(), depth=1) as world, _line(world, "cat") as line:

        async def edit() -> None:
            assert await line.edit(1, "dog")
            order.append("answered")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(edit)
            await anyio.sleep(60)
            assert order == []
            assert not any(isinstance(update, Edited) for update in line.watchers[1].shown)
            held.set()
    assert order == ["recorded", "answered"]


async def _restarted(tmp_path: Path, journal: Journal) -> None:
    async with opened(tmp_path, journal, depth=1) as world:
        world.fault(hold=True)
        request = _wanted(world, "cat")
        async with anyio.create_task_group() as tasks:
            for each in (world.request(), request):
                await tasks.start(InteractionActor(each, world.registry, Watcher()).run)
            await anyio.sleep(1)
            assert (await world.registry.edit(request.job, replace(_wanted(world, "dog"), owner="ada"))).done
            tasks.cancel_scope.cancel()
    async with opened(tmp_path, journal, depth=1) as world:
        watcher = Watcher()
        await InteractionActor(request.job, world.registry, watcher).run()
        assert delivered(watcher)
        assert [update.values["prompt"] for update in watcher.shown if isinstance(update, Edited)] == ["dog"]
        assert "'dog'" in str(world.simulator.history)
        assert "'cat'" not in str(world.simulator.history)


async def test_an_edit_outlives_the_process(tmp_path: Path) -> None:
    async with open_journal(tmp_path / "atelier.db", run_sync=inline, durable=False) as journal:
        await _restarted(tmp_path, journal)


async def test_a_picture_that_an_edit_left_out_and_another_one_asks_for_again_is_that_of_the_last_edit(
    tmp_path: Path,
) -> None:
    def wanted(world: World, prompt: str, pictures: int) -> JobRequest:
        return replace(_wanted(world, prompt), batch=Batch(pictures, (SeedInput(NodeId("5"), "seed"),)))

    async with open_journal(tmp_path / "atelier.db", run_sync=inline, durable=False) as journal:
        async with opened(tmp_path, journal, depth=1) as world:
            world.fault(hold=True)
            request = wanted(world, "cat", 3)
            async with anyio.create_task_group() as tasks:
                for each in (world.request(), request):
                    await tasks.start(InteractionActor(each, world.registry, Watcher()).run)
                await anyio.sleep(1)
                for prompt, pictures in (("owl", 1), ("dog", 3)):
                    edited = replace(wanted(world, prompt, pictures), job=request.job)
                    assert (await world.registry.edit(request.job, edited)).done
                tasks.cancel_scope.cancel()
        kept = [job for job in await journal.unfinished() if job.id == request.job or job.request.lead == request.job]
        assert [job.request.values["prompt"] for job in kept] == ["dog"] * 3
        async with opened(tmp_path, journal, depth=1) as world:
            watcher = Watcher()
            await InteractionActor(request.job, world.registry, watcher).run()
            assert delivered(watcher)
            assert "'cat'" not in str(world.simulator.history)


async def test_an_edit_that_breaks_fails_its_own_job_and_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(editing, "edit", raising_once(editing.edit, ZeroDivisionError("a bug"), after=True))
    async with opened(tmp_path, depth=1) as world:
        async with _line(world, "cat", "owl") as line:
            assert not await line.edit(1, "dog")
            assert await line.edit(2, "elk")
        assert sorry(line.watchers[1].last)
        assert line.prompts() == ["first", "elk"]


async def test_an_edit_whose_person_has_left_is_made_all_the_same(tmp_path: Path) -> None:
    async with opened(tmp_path, depth=1) as world:
        async with _line(world, "cat") as line:
            async with Mailbox[EditAnswer](lambda _: None) as answer:
                pass
            edit = Edit(line.requests[1].job, replace(_wanted(world, "dog"), owner="ada"), answer)
            await world.registry.inbox.send(edit)
            await anyio.sleep(1)
        assert line.prompts() == ["first", "dog"]
