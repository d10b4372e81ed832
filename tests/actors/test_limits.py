"""The registry accepts nothing over a limit, whatever arrives at once, and knows after a restart what was used."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace

from app.actors.handle import Edit, EditAnswer, Submit, Updates
from app.core.jobs.job import JobRequest
from app.core.limits.usage import DAY, Allowance
from app.events import AnyUpdate, Finished, NotAccepted, Queued
from app.journal.sqlite import open_journal
from app.mailbox import Mailbox
from app.reasons.limits import JobsReached, SecondsReached
from app.simulator.engine.simulator import Simulator
from tests.conftest import inline, virtual
from tests.world import Watcher, World, house_for, world

TWO_JOBS = Allowance("person", jobs=2)


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


def asked(running: World, *allowances: Allowance, person: str = "ada", cost: float = 1.0) -> JobRequest:
    """A request of a person in a channel."""
    return replace(running.request(), owner=person, guild="guild", channel="channel", allowances=allowances, cost=cost)


async def first_updates(running: World, requests: list[JobRequest]) -> list[AnyUpdate]:
    """What each of these requests is answered first if they arrive at once; the jobs go on."""
    updates: list[Updates] = [Mailbox[AnyUpdate](lambda _: None) for _ in requests]
    for request, mailbox in zip(requests, updates, strict=True):
        await running.registry.inbox.send(Submit(request, "", mailbox))
    return [await anext(mailbox) for mailbox in updates]


async def test_of_many_requests_at_once_no_more_than_the_limit_are_accepted(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        requests = [asked(running, TWO_JOBS) for _ in range(20)]
        answers = await first_updates(running, requests)
        assert [isinstance(answer, NotAccepted) for answer in answers] == [False] * 2 + [True] * 18
        assert isinstance(answers[2], NotAccepted)
        assert answers[2].reason == JobsReached("person", 2, 2)
        assert {job.id for job in await running.journal.unfinished()} == {request.job for request in requests[:2]}


async def test_another_job_is_accepted_once_one_has_ended(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        one_job = Allowance("person", jobs=1)
        for _ in range(3):
            watcher = await running.make(asked(running, one_job))
            assert isinstance(watcher.last, Finished)
        held = asked(running, one_job)
        (answer,) = await first_updates(running, [held])
        assert isinstance(answer, Queued)
        refused = await running.make(asked(running, one_job))
        assert isinstance(refused.last, NotAccepted)
        await running.registry.cancel(held.job)
        await anyio.sleep(1.0)
        assert isinstance((await running.make(asked(running, one_job))).last, Finished)


async def test_a_refusal_says_when_the_next_job_is_free(tmp_path: Path) -> None:
    async with world(tmp_path, step_time=1.0) as running:
        began = anyio.current_time()
        await running.make(asked(running))
        took = anyio.current_time() - began
        await first_updates(running, [asked(running, TWO_JOBS) for _ in range(2)])
        await anyio.sleep(2.0)
        (answer,) = await first_updates(running, [asked(running, TWO_JOBS)])
        assert isinstance(answer, NotAccepted)
        assert isinstance(answer.reason, JobsReached)
        assert answer.reason.free_in == pytest.approx(took - 2.0, abs=1.5)


async def test_a_refusal_says_when_a_waiting_job_is_over(tmp_path: Path) -> None:
    async with world(tmp_path, step_time=1.0, depth=1) as running:
        await running.make(asked(running))
        await first_updates(running, [asked(running, person="bob")])
        await anyio.sleep(1.0)
        one_job = Allowance("person", jobs=1)
        await first_updates(running, [asked(running, one_job)])
        (answer,) = await first_updates(running, [asked(running, one_job)])
        assert isinstance(answer, NotAccepted)
        assert isinstance(answer.reason, JobsReached)
        assert answer.reason.free_in is not None
        assert answer.reason.free_in > 10.0, "it starts after bob's"


async def test_everybody_in_a_channel_counts_together(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        limit = Allowance("channel", jobs=3)
        answers = await first_updates(running, [asked(running, limit, person=f"p{number}") for number in range(5)])
        assert [isinstance(answer, NotAccepted) for answer in answers] == [False] * 3 + [True] * 2


async def test_seconds_are_reserved_at_once_and_settled_by_the_run(tmp_path: Path) -> None:
    async with world(tmp_path, step_time=1.0) as running:
        limit = Allowance("person", seconds=35)
        # Nothing was measured: a cost of 1 stands for ten seconds.
        answers = await first_updates(running, [asked(running, limit, cost=2.0) for _ in range(2)])
        assert [isinstance(answer, NotAccepted) for answer in answers] == [False, True]
        assert isinstance(answers[1], NotAccepted)
        assert isinstance(answers[1].reason, SecondsReached)
        assert (answers[1].reason.left, answers[1].reason.needed) == (15.0, 20.0)
        await anyio.sleep(60.0)
        assert isinstance((await running.make(asked(running, limit))).last, Finished)


async def test_an_edit_that_needs_more_seconds_than_are_left_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    limit = Allowance("person", jobs=4, seconds=60)
    async with world(tmp_path, depth=1) as running:
        running.fault(hold=True)
        requests = [asked(running, limit) for _ in range(4)]
        await first_updates(running, requests)
        last = requests[-1]

        async def edit(cost: float) -> EditAnswer:
            return await running.registry.edit(last.job, asked(running, cost=cost))

        # Four jobs of ten seconds are reserved, so that this one may need thirty; no limit on jobs counts.
        assert await edit(3.1) == EditAnswer(done=False, limit=SecondsReached("person", 60, 30.0, 31.0, DAY))
        assert [job.edits for job in await running.journal.unfinished()] == [0, 0, 0, 0]
        assert await edit(3.0) == EditAnswer(done=True)
        (used,), _ = await running.registry.usage(last.origin, (limit,))
        assert used.seconds == 60.0
        assert not (await edit(3.5)).done
        assert (await edit(0.5)).done


async def test_of_many_edits_at_once_no_more_than_the_limit_are_accepted(tmp_path: Path) -> None:
    limit = Allowance("person", seconds=80)
    async with world(tmp_path, depth=1) as running:
        running.fault(hold=True)
        requests = [asked(running, limit) for _ in range(6)]
        await first_updates(running, requests)
        answers = [Mailbox[EditAnswer](lambda _: None) for _ in requests]
        for request, answer in zip(requests[1:], answers, strict=False):
            running.registry.inbox.send_nowait(Edit(request.job, asked(running, cost=2.0), answer))
        assert [(await answer.receive()).done for answer in answers[:-1]] == [True, True, False, False, False]


async def test_a_request_without_allowances_is_never_refused(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        answers = await first_updates(running, [asked(running) for _ in range(200)])
        assert not any(isinstance(answer, NotAccepted) for answer in answers)


async def test_a_refused_request_leaves_nothing_behind(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        held, refused = asked(running, Allowance("person", jobs=1)), asked(running, Allowance("person", jobs=1))
        await first_updates(running, [held])
        watcher = await running.make(refused, Watcher())
        assert [type(update) for update in watcher.shown] == [NotAccepted]
        await running.registry.cancel(refused.job)
        await running.registry.cancel(held.job)
        await anyio.sleep(1.0)
        assert isinstance((await running.make(refused, Watcher())).last, Finished), "the same request, made again"


async def test_unfinished_jobs_and_used_seconds_are_known_after_a_restart(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path / "server", run_sync=inline, step_time=1.0)
    path = tmp_path / "atelier.db"
    with anyio.fail_after(3600):
        async with anyio.create_task_group() as ground:
            await ground.start(simulator.run)
            async with (
                open_journal(path, run_sync=inline, durable=False) as journal,
                house_for(simulator, tmp_path, journal) as running,
            ):
                await running.make(asked(running))
                await first_updates(running, [asked(running)])
            async with (
                open_journal(path, run_sync=inline, durable=False) as journal,
                house_for(simulator, tmp_path, journal) as running,
            ):
                recovered = Allowance("person", jobs=1)
                short = Allowance("member", seconds=25)
                answers = await first_updates(running, [asked(running, recovered), asked(running, short)])
                assert isinstance(answers[0], NotAccepted)
                assert isinstance(answers[0].reason, JobsReached)
                assert isinstance(answers[1], NotAccepted)
                assert isinstance(answers[1].reason, SecondsReached)
                assert answers[1].reason.left < 10.0, "ten seconds were measured, and ten are reserved"
            ground.cancel_scope.cancel()
