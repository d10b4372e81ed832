"""The live queue: who sees what of it, what is sent when, and what it costs while nobody looks."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import msgspec
import pytest
from msgspec.structs import replace

from app.actors.interaction import InteractionActor
from app.core.jobs.job import JobRequest
from app.core.scheduling.line.ahead import Ahead
from app.core.scheduling.line.overview import RunningRequest
from app.events import JobId, Previewed
from app.reasons.jobs import ServersOffline
from app.service.people.viewer import Viewer
from app.service.queue.board import MOST_ENDINGS, MOST_WAITING
from app.service.queue.live_previews import LivePreviews
from app.service.queue.live_queue import MOST_OF_ONE, MOST_STREAMS, SOON
from app.service.queue.rows import QueueRow, hidden, short_prompt, steady
from app.service.queue.stream import RIGHTS_CURRENT, Changes, Stream
from app.service.reasons import TooManyPagesOpen
from app.workflows.model import WorkflowError
from tests.conftest import virtual
from tests.service.live import SECRET, house
from tests.world import HERE, Watcher

ADA, BOB, CY = Viewer("ada"), Viewer("bob"), Viewer("cy")


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


async def until(stream: Stream, found: Callable[[Changes], bool], seconds: float = 60.0) -> Changes:
    """The first changes of a stream for which this is true."""
    with anyio.fail_after(seconds):
        while not found(changes := await stream.next()):
            pass
    return changes


def runs(changes: Changes) -> bool:
    return any(not row.place for row in changes.rows)


def has_preview(version: int) -> Callable[[Changes], bool]:
    """Whether a preview is announced that is newer than this version."""
    return lambda changes: bool(changes.progress) and changes.progress[0].preview > version


async def test_a_running_job_is_shown_as_each_person_may_see_it(tmp_path: Path) -> None:
    async with house(tmp_path) as at, anyio.create_task_group() as tasks:
        request = at.request()
        tasks.start_soon(at.world.make, request)
        async with at.live.follow(BOB) as stream:
            (row,) = (await until(stream, lambda each: runs(each) and bool(each.rows[0].person))).rows
            assert (row.job, row.owner, row.person, row.prompt) == (request.job, "ada", "Ada", SECRET)
            assert (row.server, row.title, row.place, row.own, row.hidden) == ("The studio", "Test", 0, False, False)
            (progress,) = (await until(stream, lambda each: bool(each.progress) and each.progress[0].step > 2)).progress
            assert progress.key == row.key
            assert progress.steps == 10
            assert 0 < progress.fraction < 1

            row = await at.row(BOB)
            assert row.expected is not None
            assert await at.row(ADA) == replace(row, own=True)
            seen = await at.live.look(CY)
            assert seen.rows == (QueueRow(key=row.key, place=0, server="The studio", expected=row.expected),)
            assert seen.progress == ()
            assert (await at.row(Viewer("demo", everything=True))) == row
            assert (await until(stream, lambda each: bool(each.finished))).finished == (request.job,)


async def test_a_request_is_described_by_the_same_slots_as_in_the_gallery(tmp_path: Path) -> None:
    async with house(tmp_path) as at, anyio.create_task_group() as tasks:
        request = replace(at.request(), values={"text": "what is to be said"})
        tasks.start_soon(at.world.make, request)
        async with at.live.follow(BOB) as stream:
            (row,) = (await until(stream, runs)).rows
            assert row.prompt == "what is to be said"


async def test_a_hidden_row_has_no_more_than_its_place(tmp_path: Path) -> None:
    full = QueueRow(
        key="k",
        place=3,
        server="s",
        expected=7,
        hidden=False,
        own=True,
        job=JobId("job"),
        owner="ada",
        person="Ada",
        title="title",
        prompt="prompt",
        pictures=4,
        ready=2,
        note=ServersOffline((HERE,)),
        ahead=Ahead(1, 1, 1, 1),
    )
    assert all(getattr(full, name) != getattr(QueueRow(key="", place=0), name) for name in QueueRow.__struct_fields__)
    assert hidden(full) == QueueRow(key="k", place=3, server="s", expected=7)


@pytest.mark.parametrize("seed", range(2))
async def test_nobody_is_sent_anything_of_a_job_that_they_may_not_see(tmp_path: Path, seed: int) -> None:
    """People, channels, rights and revocations by chance: everything that each page was sent is searched."""
    rng = random.Random(seed)
    people, channels = ["ada", "bob", "cy", "dan"], ["red", "green", ""]
    sent: dict[str, list[Changes]] = {person: [] for person in people}
    ever = {person: {each for each in channels if each and rng.random() < 0.4} for person in people}
    requests: list[JobRequest] = []

    async def read(person: str, stream: Stream) -> None:
        while True:
            sent[person].append(await stream.next())
            await anyio.sleep(rng.random())

    async with house(tmp_path, step_time=0.2) as at, AsyncExitStack() as pages, anyio.create_task_group() as tasks:
        at.rights.channels = {person: set(seen) for person, seen in ever.items()}
        for number in range(12):
            owner = rng.choice(people)
            requests.append(at.request(owner, f"prompt {number} of {owner}.", rng.choice(channels)))
        for person in people:
            stream = await pages.enter_async_context(at.live.follow(Viewer(person)))
            tasks.start_soon(read, person, stream)
        async with anyio.create_task_group() as jobs:
            for request in requests:
                jobs.start_soon(at.world.make, request)
            for _ in range(6):
                await anyio.sleep(rng.uniform(1.0, 8.0))
                person, channel = rng.choice(people), rng.choice(["red", "green"])
                at.rights.channels[person] ^= {channel}
                ever[person] |= at.rights.channels[person]
        await anyio.sleep(RIGHTS_CURRENT)
        tasks.cancel_scope.cancel()

    for person in people:
        text = msgspec.json.encode(sent[person]).decode()
        for request in requests:
            is_own = request.owner == person
            may_see = is_own or request.channel in ever[person]
            assert may_see or str(request.values["prompt"]) not in text
            assert may_see or request.job not in text
            assert not is_own or request.job in text
        assert any(row.hidden for changes in sent[person] for row in changes.rows)
        seen: dict[str, bool] = {}
        for changes in sent[person]:
            seen |= {row.key: not row.hidden for row in changes.rows}
            assert all(seen[key] for key in changes.previews)
    assert any(changes.previews for each in sent.values() for changes in each)


async def test_a_revoked_right_takes_the_content_away(tmp_path: Path) -> None:
    async with house(tmp_path, step_time=60.0) as at, anyio.create_task_group() as tasks:
        tasks.start_soon(at.world.make, at.request())
        async with at.live.follow(BOB) as stream:
            (row,) = (await until(stream, runs)).rows
            assert row.prompt == SECRET
            at.rights.channels["bob"].clear()
            changed = await until(stream, lambda each: bool(each.rows) and each.rows[0].hidden, seconds=300.0)
            assert changed.rows == (QueueRow(key=row.key, place=0, server="The studio", expected=row.expected),)
            assert await at.live.preview(BOB, row.key) is None
        tasks.cancel_scope.cancel()


async def test_an_answer_about_rights_that_does_not_come_counts_as_no(tmp_path: Path) -> None:
    async with house(tmp_path, step_time=60.0) as at, anyio.create_task_group() as tasks:
        at.rights.seconds = 1000.0
        tasks.start_soon(at.world.make, at.request())
        async with at.live.follow(BOB) as stream:
            (row,) = (await until(stream, runs)).rows
            assert row.hidden
        tasks.cancel_scope.cancel()


async def test_waiting_jobs_say_their_place_and_what_is_ahead(tmp_path: Path) -> None:
    async with house(tmp_path) as at, anyio.create_task_group() as tasks:
        # What this takes is measured, so that starts can be expected.
        await at.world.make(at.request())
        for owner in ("ada", "ada", "ada", "bob", "cy"):
            await tasks.start(InteractionActor(at.request(owner), at.world.registry, Watcher()).run)
        await anyio.sleep(2.0)
        rows = (await at.live.look(ADA)).rows
        assert [row.place for row in rows] == [0, 1, 2, 3, 4]
        last = rows[-1]
        assert (last.own, last.ahead) == (True, Ahead(had_less=2))
        assert last.expected is not None
        assert [row.ahead for row in rows if row.hidden] == [None, None]
        tasks.cancel_scope.cancel()


async def test_own_requests_far_behind_are_shown_as_well(tmp_path: Path) -> None:
    async with house(tmp_path, step_time=60.0) as at, anyio.create_task_group() as tasks:
        for number in range(MOST_WAITING + 10):
            await tasks.start(InteractionActor(at.request(f"person {number}"), at.world.registry, Watcher()).run)
        mine = at.request("ada")
        await tasks.start(InteractionActor(mine, at.world.registry, Watcher()).run)
        await anyio.sleep(1.0)
        of_ada, of_bob = await at.live.look(ADA), await at.live.look(BOB)
        assert of_ada.order is not None
        assert [row.job for row in of_ada.rows if row.own] == [mine.job]
        assert of_ada.order[-1] == next(row.key for row in of_ada.rows if row.own)
        assert len(of_bob.rows) == MOST_WAITING + 1
        assert of_bob.counts == (1, MOST_WAITING + 10)
        tasks.cancel_scope.cancel()


async def test_a_page_that_reads_slowly_gets_the_newest_state_alone(tmp_path: Path) -> None:
    messages = 0

    async def read(stream: Stream) -> None:
        nonlocal messages
        while True:
            await stream.next()
            messages += 1

    async with house(tmp_path) as at, at.live.follow(BOB) as slow, at.live.follow(ADA) as quick:
        await slow.next()
        requests = [at.request() for _ in range(5)]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, quick)
            for request in requests:
                await at.world.make(request)
            await anyio.sleep(1.0)
            tasks.cancel_scope.cancel()
        assert messages > 50
        changes = await slow.next()
        assert changes.rows == changes.progress == ()
        assert changes.finished == tuple(request.job for request in requests)
        with anyio.move_on_after(10.0) as scope:
            await slow.next()
        assert scope.cancelled_caught


async def test_results_are_announced_once_and_within_a_fifth_of_a_second(tmp_path: Path) -> None:
    async with house(tmp_path) as at, anyio.create_task_group() as tasks, at.live.follow(BOB, rows=False) as stream:
        announced: list[tuple[JobId, float]] = []

        async def read() -> None:
            while True:
                changes = await stream.next()
                assert changes.rows == changes.progress == ()
                announced.extend((job, anyio.current_time()) for job in changes.finished)

        tasks.start_soon(read)
        shown = [at.request() for _ in range(3)]
        for request in shown:
            await at.world.make(request)
        await at.world.make(at.request("cy", channel="elsewhere"))
        await anyio.sleep(30.0)
        assert [job for job, _ in announced] == [request.job for request in shown]
        ends = sorted(at.world.simulator.ended_at.values())
        # After a moment, in which the result is brought to its person.
        assert all(SOON - 1e-6 < heard - end < 0.2 for (_, heard), end in zip(announced, ends, strict=False))
        tasks.cancel_scope.cancel()


async def test_results_that_are_shown_and_forgotten_at_once_are_announced_too(tmp_path: Path) -> None:
    async with house(tmp_path, step_time=0.0) as at, at.live.follow(ADA, rows=False) as stream:
        requests = [at.request() for _ in range(12)]
        for request in requests:
            await at.world.make(request)
        announced: list[JobId] = []
        while len(announced) < len(requests):
            announced.extend((await until(stream, lambda each: bool(each.finished))).finished)
        assert announced == [request.job for request in requests]


async def test_a_result_that_comes_while_rights_are_asked_for_is_announced_as_well(tmp_path: Path) -> None:
    async with house(tmp_path, step_time=0.1) as at, at.live.follow(BOB, rows=False) as stream:
        at.rights.channels["bob"] |= {"elsewhere"}
        at.rights.seconds = 4.0
        requests = at.request(), at.request("cy", channel="elsewhere")
        announced: list[JobId] = []
        async with anyio.create_task_group() as tasks:
            for request in requests:
                tasks.start_soon(at.world.make, request)
            while len(announced) < 2:
                announced.extend((await until(stream, lambda each: bool(each.finished))).finished)
        assert sorted(announced) == sorted(request.job for request in requests)


async def test_a_page_that_was_away_for_a_moment_gets_the_results_since_then(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        first, second = at.request(), at.request()
        async with at.live.follow(ADA) as kept, at.live.follow(ADA) as stream:
            await at.world.make(first)
            number = (await until(stream, lambda each: bool(each.finished))).number
            await at.world.make(second)
            await until(kept, lambda each: second.job in each.finished)
        async with at.live.follow(ADA, since=number) as again:
            assert (await again.next()).finished == (second.job,)
        async with at.live.follow(ADA, since=number + MOST_ENDINGS) as unknown:
            assert (await unknown.next()).finished == ()


async def test_previews_are_marked_once_and_kept_while_their_job_runs(tmp_path: Path) -> None:
    marked: list[bytes] = []

    def mark(image: bytes) -> bytes:
        marked.append(image)
        return b"marked " + image

    async with house(tmp_path, mark=mark) as at, anyio.create_task_group() as tasks:
        tasks.start_soon(at.world.make, at.request())
        async with at.live.follow(BOB) as stream:
            (progress,) = (await until(stream, has_preview(0))).progress
            preview = await at.live.preview(BOB, progress.key)
            assert preview is not None
            assert preview.version == progress.preview
            assert preview.media_type == "image/jpeg"
            assert preview.image.startswith(b"marked \xff\xd8")
            assert await at.live.preview(ADA, progress.key) == preview
            assert len(marked) == 1
            assert await at.live.preview(CY, progress.key) is None

            later = await until(stream, has_preview(progress.preview))
            assert later.progress[0].preview == progress.preview + 1
            await until(stream, lambda each: bool(each.finished))
            assert await at.live.preview(BOB, progress.key) is None


async def test_a_preview_is_announced_once_to_each_page(tmp_path: Path) -> None:
    async with house(tmp_path, step_time=0.2) as at, anyio.create_task_group() as tasks:
        tasks.start_soon(at.world.make, at.request())
        async with at.live.follow(BOB) as stream:
            announced: list[int] = []
            messages = 0
            while not (changes := await stream.next()).finished:
                messages += bool(changes.progress)
                for key in changes.previews:
                    preview = at.live.shown_preview(key)
                    assert preview is not None
                    announced.append(preview.version)
            assert announced == sorted(set(announced))
            assert 2 <= len(announced) < messages
        async with at.live.follow(BOB) as stream:
            assert (await stream.next()).previews == ()
        assert at.live.shown_preview("unknown") is None


async def test_a_page_that_opens_later_is_sent_the_preview_of_now(tmp_path: Path) -> None:
    async with house(tmp_path, step_time=60.0) as at, at.live.follow(ADA) as first, anyio.create_task_group() as tasks:
        tasks.start_soon(at.world.make, at.request())
        (key,) = (await until(first, lambda each: bool(each.previews), 100.0)).previews
        async with at.live.follow(BOB) as stream, at.live.follow(CY) as stranger:
            assert (await stream.next()).previews == (key,)
            assert (await stranger.next()).previews == ()
        tasks.cancel_scope.cancel()


async def test_what_is_hidden_at_first_in_its_message_has_no_preview(tmp_path: Path) -> None:
    async with house(tmp_path, is_spoiler=lambda place: place == "") as at, anyio.create_task_group() as tasks:
        tasks.start_soon(at.world.make, at.request())
        async with at.live.follow(ADA) as stream:
            progress = (await until(stream, lambda each: bool(each.progress) and each.progress[0].step > 4)).progress[0]
            assert progress.preview == 0
            assert at.live.shown_preview(progress.key) is None
            assert await at.live.preview(ADA, progress.key) is None
        tasks.cancel_scope.cancel()


def test_previews_that_come_too_often_are_left_out_and_the_newest_is_shown() -> None:
    job, previews = JobId("job"), LivePreviews(None, 100)

    def show(image: bytes, now: float) -> tuple[int, bytes]:
        previews.put(Previewed(job=job, image=image, media_type="image/jpeg"))
        version = previews.show(job, now, 1.0)
        shown = previews.get(job)
        assert shown is not None
        return version, shown.image

    assert show(b"1", 10.0) == (101, b"1")
    assert show(b"2", 10.5) == (101, b"1")
    assert show(b"3", 11.0) == (102, b"3")
    previews.put(Previewed(job=job, image=b"<svg>", media_type="image/svg+xml"))
    assert previews.show(job, 20.0, 1.0) == 102
    previews.keep([])
    assert previews.get(job) is None
    assert show(b"4", 30.0) == (103, b"4")


async def test_nothing_is_computed_while_nobody_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0

    async with house(tmp_path) as at:
        overview = at.world.overview
        running = overview.running

        def counted(now: float) -> list[RunningRequest]:
            nonlocal read
            read += 1
            return running(now)

        monkeypatch.setattr(overview, "running", counted)
        await at.world.make(at.request())
        assert read == 0
        async with at.live.follow(BOB) as stream:
            await stream.next()
            await at.world.make(at.request())
        # Ten seconds, four times in each.
        assert 20 < read < 70
        await anyio.sleep(1.0)
        read = 0
        await at.world.make(at.request())
        assert read == 0
        assert at.live.open_streams == 0
        async with at.live.follow(BOB) as stream:
            await stream.next()
            await at.world.make(at.request())
            assert read > 20


async def test_pages_that_show_no_rows_do_not_make_those_slower_that_do(tmp_path: Path) -> None:
    async with house(tmp_path) as at, AsyncExitStack() as pages, at.live.follow(BOB) as stream:
        for number in range(200):
            await pages.enter_async_context(at.live.follow(Viewer(f"person {number}"), rows=False))
        messages = 0
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(at.world.make, at.request())
            while not (await stream.next()).finished:
                messages += 1
        # One for each of ten steps, and some more.
        assert messages >= 10


async def test_a_page_without_rows_asks_what_its_person_may_see_only_when_there_is_a_result(tmp_path: Path) -> None:
    async with house(tmp_path) as at, at.live.follow(BOB, rows=False) as stream, anyio.create_task_group() as tasks:

        async def make() -> None:
            await anyio.sleep(10 * RIGHTS_CURRENT)
            assert at.rights.asked == 0
            await at.world.make(at.request())
            at.rights.channels["bob"].clear()
            await anyio.sleep(RIGHTS_CURRENT)
            await at.world.make(at.request())
            at.rights.channels["bob"].add("studio")
            await anyio.sleep(RIGHTS_CURRENT)
            await at.world.make(last)

        last = at.request()
        tasks.start_soon(make)
        first, second = await stream.next(), await stream.next()
        assert len(first.finished) == 1
        assert second.finished == (last.job,)
        assert at.rights.asked == 3


async def test_nobody_has_too_many_pages_open(tmp_path: Path) -> None:
    async with house(tmp_path) as at, AsyncExitStack() as pages:
        for _ in range(MOST_OF_ONE):
            await pages.enter_async_context(at.live.follow(ADA))
        with pytest.raises(WorkflowError) as refused:
            await pages.enter_async_context(at.live.follow(ADA))
        assert refused.value.reason == TooManyPagesOpen()
        await pages.enter_async_context(at.live.follow(BOB))
        await pages.aclose()
        async with at.live.follow(ADA):
            pass


async def test_a_thousand_open_pages_see_a_job_to_its_end(tmp_path: Path) -> None:
    async with house(tmp_path) as at, anyio.create_task_group() as tasks, AsyncExitStack() as pages:
        at.rights.channels = {f"person {number}": {"studio"} for number in range(0, MOST_STREAMS, 2)}
        told = 0

        async def read(stream: Stream) -> None:
            nonlocal told
            while True:
                changes = await stream.next()
                told += len(changes.finished)

        for number in range(MOST_STREAMS):
            stream = await pages.enter_async_context(at.live.follow(Viewer(f"person {number}")))
            tasks.start_soon(read, stream)
        with pytest.raises(WorkflowError):
            await pages.enter_async_context(at.live.follow(Viewer("one more")))
        watcher = await at.world.make(at.request())
        await anyio.sleep(5.0)
        assert told == MOST_STREAMS / 2
        assert watcher.shown
        tasks.cancel_scope.cancel()


async def test_results_that_come_close_together_are_told_together_if_many_look(tmp_path: Path) -> None:
    heard: list[list[tuple[float, int]]] = []

    async def read(stream: Stream) -> None:
        mine: list[tuple[float, int]] = []
        heard.append(mine)
        while True:
            changes = await stream.next()
            mine.append((anyio.current_time(), len(changes.finished)))

    async with house(tmp_path, step_time=0.01) as at, anyio.create_task_group() as tasks, AsyncExitStack() as pages:
        for _ in range(100):
            stream = await pages.enter_async_context(at.live.follow(Viewer("", everything=True), rows=False))
            tasks.start_soon(read, stream)
        for _ in range(6):
            await at.submit(at.request())
        await anyio.sleep(6.0)
        for mine in heard:
            assert sum(count for _, count in mine) == 6
            times = [time for time, _ in mine]
            assert all(later - earlier > 0.2 for earlier, later in itertools.pairwise(times))
        tasks.cancel_scope.cancel()


async def test_an_exception_in_one_round_does_not_end_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path) as at, at.live.follow(BOB) as stream:
        await stream.next()

        def broken(now: float) -> list[RunningRequest]:
            raise RuntimeError("broken")

        with monkeypatch.context() as patch:
            patch.setattr(at.world.overview, "running", broken)
            await anyio.sleep(1.0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(at.world.make, at.request())
            assert (await until(stream, lambda each: bool(each.finished))).finished


@pytest.mark.parametrize(
    ("shown", "seconds", "expected"),
    [(None, None, None), (100, None, None), (None, 10.4, 60), (62, 10.0, 62), (66, 10.0, 60), (130, 75.0, 130)],
)
def test_an_expected_time_is_shown_anew_only_if_it_moved(
    shown: int | None, seconds: float | None, expected: int | None
) -> None:
    assert steady(shown, seconds, 50.0) == expected


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [("a\n  red\tfox", "a red fox"), (None, ""), (7, ""), ("x" * 1000, "x" * 299 + "…"), ("x" * 300, "x" * 300)],
)
def test_a_prompt_is_one_line_of_some_length(prompt: object, shown: str) -> None:
    assert short_prompt(prompt) == shown
