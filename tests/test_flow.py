"""The promise, from the wish to the file, over a simulator in memory and on virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import anyio
import httpx
import pytest
from msgspec.structs import replace

from app.actors.connection import GATHERING
from app.actors.interaction import InteractionActor
from app.actors.registry import new_prompt_id
from app.application import ServerClients, open_services
from app.comfy.client import open_comfy_client
from app.comfy.websocket.connect import connect
from app.config.settings import Server
from app.core.jobs.job import FirstChoice, NodeId, Upload
from app.events import (
    TERMINAL_UPDATES,
    AnyUpdate,
    Cancelled,
    Failed,
    Finished,
    Lost,
    Previewed,
    Progressed,
    Queued,
    ServerName,
    Started,
)
from app.journal.memory import MemoryJournal
from app.ports import ConnectionLost, Graph, Json
from app.reasons.jobs import NodeBlocked, NodeFailed, NothingChanged, OutOfMemory, ServersOffline
from app.reasons.servers import HungUp, InputMissing, NodesInvalid, ServerError, ValueTooSmall
from app.simulator.engine.simulator import Simulator
from app.simulator.http.application import application
from app.simulator.version import VERSIONS
from app.texts.reasons.text import reason_text
from tests.conftest import inline, virtual
from tests.world import PICTURE, Watcher, World, delivered, house_for, on_disk, world


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


async def until(world: World, true: Callable[[], bool]) -> None:
    """Wait, on virtual time, until something is so."""
    while not true():  # noqa: ASYNC110  the simulator is the subject, and has nothing to wait on
        await anyio.sleep(0.01)


async def while_making(world: World, count: int, then: Callable[[], Awaitable[None]]) -> list[Watcher]:
    """Have some made, and do something as soon as the server works on the first."""
    watchers: list[Watcher] = []

    async def make() -> None:
        watchers.extend(await world.make_many(count))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(make)
        await until(world, lambda: world.simulator.running is not None)
        await anyio.sleep(0.2)
        await then()
    return watchers


async def test_one_after_the_other(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        for _ in range(3):
            watcher = await running.make()
            assert delivered(watcher)
            kinds = list(dict.fromkeys(type(update) for update in watcher.shown))
            assert kinds == [Queued, Started, Progressed, Finished]


async def test_the_second_of_two_at_once_outlives_the_first_and_appears(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        assert all(delivered(watcher) for watcher in await running.make_many(2))


async def test_five_in_rapid_fire_have_true_positions_and_finish_in_order(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        watchers = await running.make_many(5)
        assert [watcher.positions()[0] for watcher in watchers] == [0, 1, 2, 3, 4]
        for watcher in watchers:
            assert watcher.positions() == sorted(watcher.positions(), reverse=True)
        ended = list(running.simulator.ended_at.values())
        assert ended == sorted(ended)
        assert all(delivered(watcher) for watcher in watchers)


@pytest.mark.slow
async def test_a_hundred_people_at_once_all_get_their_picture(tmp_path: Path) -> None:
    async with world(tmp_path, step_time=0.01) as running:
        watchers = await running.make_many(100)
        assert all(delivered(watcher) for watcher in watchers)
        files = {file for watcher in watchers if isinstance(watcher.last, Finished) for file in watcher.last.files}
        assert len(files) == 100


async def test_at_most_two_of_ours_lie_on_the_server(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        seen: list[int] = []

        async def watch() -> None:
            while True:
                simulator = running.simulator
                seen.append(len(simulator.pending) + (simulator.running is not None))
                await anyio.sleep(0.005)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await running.make_many(6)
            tasks.cancel_scope.cancel()
        assert max(seen) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        {"drop_sockets": True},
        {"refuse_sockets": 5.0},
        {"refuse_all": 5.0},
        {"restart": 5.0},
        {"deaf": True},
        {"garbage": True},
        {"stall": 8.0},
        {"drop_sockets": True, "fail_prompt": {"count": 2, "status": 500, "effect": True}},
    ],
    ids=lambda fault: "+".join(fault),
)
async def test_whatever_breaks_in_the_middle_all_six_are_delivered(fault: dict[str, object], tmp_path: Path) -> None:
    async with world(tmp_path) as running:

        async def break_it() -> None:
            running.fault(**fault)

        watchers = await while_making(running, 6, break_it)
        assert [type(watcher.last) for watcher in watchers] == [Finished] * 6
        assert all(delivered(watcher) for watcher in watchers)


async def test_a_cut_socket_costs_no_more_than_two_seconds(tmp_path: Path) -> None:
    async with world(tmp_path) as running:

        async def cut() -> None:
            running.fault(refuse_sockets=30.0)

        began = anyio.current_time()
        await while_making(running, 2, cut)
        assert anyio.current_time() - began < 2 * 0.6 + 2 * 2.5


async def test_a_restart_under_six_jobs_runs_nothing_twice_in_one_life(tmp_path: Path) -> None:
    async with world(tmp_path) as running:

        async def restart() -> None:
            running.fault(restart=1.0)

        watchers = await while_making(running, 6, restart)
        assert all(delivered(watcher) for watcher in watchers)
        assert len(running.simulator.history) == 6


async def test_a_job_that_kills_its_server_twice_is_lost_and_told(tmp_path: Path) -> None:
    async with world(tmp_path) as running:

        async def keep_dying() -> None:
            for _ in range(2):
                await until(running, lambda: running.simulator.running is not None)
                await anyio.sleep(0.1)
                running.fault(restart=0.5)

        watchers = await while_making(running, 1, keep_dying)
        assert isinstance(watchers[0].last, Lost)


async def test_a_job_handed_in_while_the_server_is_away_waits_says_so_and_is_made(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        await anyio.sleep(1)
        running.fault(refuse_all=20.0)
        await anyio.sleep(5)
        watcher = await running.make()
        notes = [update.note for update in watcher.shown if isinstance(update, Queued)]
        assert ServersOffline(("simulator",)) in notes
        assert delivered(watcher)


async def test_somebody_elses_clear_is_made_good(tmp_path: Path) -> None:
    async with world(tmp_path) as running:

        async def clear() -> None:
            running.fault(forget="pending")

        assert all(delivered(watcher) for watcher in await while_making(running, 3, clear))


async def test_a_500_with_effect_is_looked_for_and_not_sent_twice(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        await anyio.sleep(1)
        running.fault(fail_prompt={"count": 1, "status": 500, "effect": True})
        assert delivered(await running.make())
        assert len(running.simulator.history) == 1


async def test_three_500s_end_the_job_with_a_sentence(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        await anyio.sleep(1)
        running.fault(fail_prompt={"count": 3, "status": 500, "effect": False})
        last = (await running.make()).last
        assert isinstance(last, Failed)
        assert last.reason == ServerError(500)


async def cancelling(running: World, count: int, which: int) -> list[Watcher]:
    requests = [running.request() for _ in range(count)]
    watchers = [Watcher() for _ in requests]

    async def cancel() -> None:
        await until(running, lambda: running.simulator.running is not None)
        await anyio.sleep(0.2)
        await running.registry.cancel(requests[which].job)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancel)
        for request, watcher in zip(requests, watchers, strict=True):
            await tasks.start(InteractionActor(request, running.registry, watcher).run)
    return watchers


async def test_a_running_job_is_cancelled_and_nothing_else_is(tmp_path: Path) -> None:
    for version in VERSIONS.values():
        async with world(tmp_path / version.number, version=version) as running:
            first, second = await cancelling(running, 2, 0)
            ends = {type(first.last), type(second.last)}
            assert ends == {Cancelled, Finished}
            assert not running.simulator.pending


async def test_a_job_that_waits_with_us_is_cancelled_without_the_server_noticing(tmp_path: Path) -> None:
    async with world(tmp_path, depth=1) as running:
        watchers = await cancelling(running, 3, 2)
        assert sum(isinstance(watcher.last, Cancelled) for watcher in watchers) == 1
        assert len(running.simulator.history) == 2


async def test_other_peoples_prompts_count_and_are_left_alone(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        await anyio.sleep(1)
        for _ in range(3):
            body = {"prompt": running.request().graph, "client_id": "somebody"}
            assert running.simulator.submit(body)[0] == 200  # pyright: ignore[reportArgumentType]
        # The length of the queue waits for other news, as progress does.
        await anyio.sleep(2 * GATHERING)
        watcher = await running.make()
        assert watcher.positions()[0] == 3
        # Its last step is told only where it was not working already in the same breath.
        assert watcher.positions() in ([3, 2, 1, 0], [3, 2, 1])
        assert len(running.simulator.history) == 4


async def test_progress_and_previews_reach_the_person_and_never_go_backwards(tmp_path: Path) -> None:
    async with world(tmp_path, previews=True) as running:
        watcher = await running.make()
        progress = [update for update in watcher.shown if isinstance(update, Progressed)]
        fractions = [update.fraction for update in progress]
        assert fractions == sorted(fractions)
        # The tenth is over in the moment in which the next node begins.
        assert {update.step for update in progress if update.node == "Sampler"} >= set(range(1, 10))
        assert any(update.remaining for update in progress)
        assert any(isinstance(update, Previewed) for update in watcher.shown)


async def test_a_server_that_makes_no_previews_by_default_makes_them_for_our_jobs(tmp_path: Path) -> None:
    async with world(tmp_path, version=VERSIONS["0.33.0"]) as running:
        watcher = await running.make()
        assert delivered(watcher)
        assert any(isinstance(update, Previewed) for update in watcher.shown)


async def test_a_picture_that_is_only_previewed_is_delivered(tmp_path: Path) -> None:
    graph: Graph = {**PICTURE, "7": {"class_type": "PreviewImage", "inputs": {"images": ["6", 0]}}}
    async with world(tmp_path) as running:
        watcher = await running.make(running.request(graph))
        assert delivered(watcher)
        saved: Graph = {
            **graph,
            "8": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "x"}},
        }
        watcher = await running.make(running.request(saved))
        assert isinstance(watcher.last, Finished)
        assert len(watcher.last.files) == 1


async def test_a_slow_reader_misses_progress_but_not_the_last_word_and_not_by_its_pause(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        began = anyio.current_time()
        watcher = await running.make(watcher=Watcher(pause=600.0))
        assert delivered(watcher)
        assert anyio.current_time() - began < 5
        assert len(watcher.shown) <= 6


async def test_an_interaction_that_breaks_is_told_and_does_not_reach_the_others(tmp_path: Path) -> None:
    class Broken(Watcher):
        async def show(self, update: AnyUpdate) -> None:
            if isinstance(update, (Started, Finished)):
                raise ZeroDivisionError
            await super().show(update)

    async with world(tmp_path) as running, anyio.create_task_group() as tasks:
        broken, whole = Broken(), Watcher()
        tasks.start_soon(running.make, None, broken)
        tasks.start_soon(running.make, None, whole)
        await until(running, lambda: bool(whole.shown) and isinstance(whole.last, Finished))
        await until(running, lambda: isinstance(broken.last, Failed))
        assert isinstance(broken.last, Failed)
        assert reason_text(broken.last.reason).startswith("Something went wrong (id ")
        assert [job.notified for job in await running.journal.unfinished()] == [False]
        tasks.cancel_scope.cancel()


async def test_a_restart_of_the_program_is_only_a_long_disconnection(tmp_path: Path) -> None:
    journal = MemoryJournal()
    simulator = Simulator(tmp_path / "server", run_sync=inline)
    seen: list[bool] = []
    with anyio.fail_after(600):
        async with anyio.create_task_group() as ground:
            await ground.start(simulator.run)
            async with house_for(simulator, tmp_path / "results", journal) as first:
                requests = [first.request() for _ in range(4)]
                async with anyio.create_task_group() as tasks:
                    for request in requests:
                        await tasks.start(_Life(first, request).run)
                    await until(first, lambda: simulator.running is not None)
                    await anyio.sleep(0.2)
                    tasks.cancel_scope.cancel()
            async with house_for(simulator, tmp_path / "results", journal) as second:
                for request in requests:
                    async with second.registry.watch(request.job) as updates:
                        while not isinstance(last := await updates.receive(), TERMINAL_UPDATES):
                            pass
                    assert isinstance(last, Finished)
                    seen.append(on_disk(last))
            ground.cancel_scope.cancel()
    assert len(simulator.history) == 4
    assert all(seen)


class _Life:
    """Hands a wish in, and is killed before it is told anything."""

    def __init__(self, running: World, request: object) -> None:
        self._running = running
        self._request = request

    async def run(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        async with self._running.registry.submit(self._request):  # pyright: ignore[reportArgumentType]
            task_status.started()
            await anyio.sleep_forever()


def graph(**nodes: Mapping[str, object]) -> Graph:
    """PICTURE with other nodes behind its decoder."""
    others = {node: entry for node, entry in PICTURE.items() if node != "7"}
    return {**others, **nodes}  # pyright: ignore[reportReturnType]


async def test_every_kind_of_output_is_found(tmp_path: Path) -> None:
    animation = {"filename_prefix": "a", "fps": 6.0, "lossless": False, "quality": 80, "method": "default"}
    outputs = {
        "20": {"class_type": "SaveAnimatedWEBP", "inputs": {"images": ["6", 0], **animation}},
        "21": {"class_type": "PreviewImage", "inputs": {"images": ["6", 0]}},
        "22": {"class_type": "PreviewAny", "inputs": {"source": ["28", 0]}},
        "28": {"class_type": "PrimitiveString", "inputs": {"value": "a test"}},
        "23": {"class_type": "EmptyAudio", "inputs": {"duration": 1.0, "sample_rate": 44100, "channels": 2}},
        "24": {"class_type": "SaveAudio", "inputs": {"audio": ["23", 0], "filename_prefix": "audio/x"}},
        "25": {"class_type": "CreateVideo", "inputs": {"images": ["6", 0], "fps": 8.0}},
        "26": {
            "class_type": "SaveVideo",
            "inputs": {"video": ["25", 0], "filename_prefix": "v", "format": "auto", "codec": "auto"},
        },
        "27": {
            "class_type": "SaveWEBM",
            "inputs": {"images": ["6", 0], "filename_prefix": "w", "codec": "vp9", "fps": 8.0, "crf": 32.0},
        },
    }
    async with world(tmp_path) as running:
        last = (await running.make(running.request(graph(**outputs)))).last
        assert isinstance(last, Finished)
        assert sorted(Path(file).suffix for file in last.files) == [".flac", ".mp4", ".webm", ".webp"]
        assert last.texts == ("a test",)


async def test_what_is_sent_through_the_websocket_is_a_result(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        streaming = graph(**{"9": {"class_type": "SaveImageWebsocket", "inputs": {"images": ["6", 0]}}})
        watcher = await running.make(running.request(streaming))
        assert delivered(watcher)


async def test_a_failure_names_the_node_and_a_block_is_none(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        for kind, expected in (("BotTestRaise", Failed), ("BotTestOOM", Failed), ("BotTestBlock", Finished)):
            nodes = {
                "8": {"class_type": kind, "inputs": {"image": ["6", 0], "message": "boom"}, "_meta": {"title": "Bad"}},
                "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "x"}},
            }
            last = (await running.make(running.request(graph(**nodes)))).last
            assert isinstance(last, expected)
            if isinstance(last, Failed):
                assert last.reason in {NodeFailed("Bad", "boom", "RuntimeError"), OutOfMemory("Bad")}
            else:
                assert NodeBlocked("SaveImage") in last.notes


async def test_the_same_wish_again_is_cached_and_says_so(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        first = running.request()
        await running.make(first)
        again = running.request()
        again.graph.clear()
        again.graph.update(first.graph)
        last = (await running.make(again)).last
        assert isinstance(last, Finished)
        assert last.notes == (NothingChanged(),)


async def test_what_the_server_refuses_is_told_in_titles(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        request = running.request()
        request.graph["5"]["inputs"]["steps"] = 0  # pyright: ignore[reportArgumentType, reportCallIssue, reportIndexIssue, reportOptionalSubscript]
        last = (await running.make(request)).last
        assert last == Failed(job=request.job, reason=NodesInvalid((ValueTooSmall("Sampler", "steps", "0", "1"),)))


async def test_what_a_newer_node_needs_is_filled_in_with_the_servers_default(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        request = running.request()
        del request.graph["5"]["inputs"]["denoise"]  # pyright: ignore[reportArgumentType, reportCallIssue, reportIndexIssue, reportOptionalSubscript]
        assert delivered(await running.make(request))
        assert "denoise" not in str(request.graph)


async def test_what_no_default_can_fill_is_a_reason(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        request = running.request()
        for name in ("denoise", "positive"):
            del request.graph["5"]["inputs"][name]  # pyright: ignore[reportArgumentType, reportCallIssue, reportIndexIssue, reportOptionalSubscript]
        last = (await running.make(request)).last
        assert isinstance(last, Failed)
        assert isinstance(last.reason, NodesInvalid)
        assert InputMissing("Sampler", "positive") in last.reason.problems


async def test_uploads_and_the_first_model_are_filled_in_by_the_chosen_server(tmp_path: Path) -> None:
    from PIL import Image

    photo = tmp_path / "photo.png"
    Image.new("RGB", (80, 40), "red").save(photo)
    nodes = {
        "4": {"class_type": "LoadImage", "inputs": {"image": "?"}},
        "5": {"class_type": "VAEEncode", "inputs": {"pixels": ["4", 0], "vae": ["1", 2]}},
        "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "x"}},
    }
    async with world(tmp_path) as running:
        request = running.request({**graph(**nodes)})
        request.graph["1"]["inputs"] = {"ckpt_name": "?"}
        from msgspec.structs import replace

        uploads = (Upload(NodeId("4"), "image", str(photo)),)
        choices = (FirstChoice(NodeId("1"), "ckpt_name"),)
        watcher = await running.make(replace(request, uploads=uploads, choices=choices))
        assert delivered(watcher)
        assert isinstance(watcher.last, Finished)
        with Image.open(watcher.last.files[0]) as picture:
            assert picture.size == (80, 40)


async def test_who_comes_later_hears_where_the_job_stands(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        requests = [running.request() for _ in range(2)]
        heard: list[AnyUpdate] = []

        async def come_later() -> None:
            await until(running, lambda: running.simulator.running is not None)
            await anyio.sleep(0.2)
            for request in requests:
                async with running.registry.watch(request.job) as updates:
                    heard.append(await updates.receive())

        async with anyio.create_task_group() as tasks:
            for request in requests:
                await tasks.start(InteractionActor(request, running.registry, Watcher()).run)
            tasks.start_soon(come_later)
        assert [type(update) for update in heard] == [Started, Queued]


async def test_a_last_word_waits_for_a_place_that_is_out_of_reach(tmp_path: Path) -> None:
    class Away(Watcher):
        until = 0.0

        async def show(self, update: AnyUpdate) -> None:
            if anyio.current_time() < self.until:
                raise ConnectionLost(HungUp())
            await super().show(update)

    async with world(tmp_path) as running:
        watcher = Away()
        watcher.until = anyio.current_time() + 300
        await running.make(watcher=watcher)
        assert [type(update) for update in watcher.shown] == [Finished]


async def test_a_drained_house_finishes_what_the_server_has_and_keeps_the_rest(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        watchers = [Watcher() for _ in range(5)]
        async with anyio.create_task_group() as tasks:
            for watcher in watchers:
                await tasks.start(InteractionActor(running.request(), running.registry, watcher).run)
            await until(running, lambda: running.simulator.running is not None)
            await running.registry.drain()
            tasks.cancel_scope.cancel()
        assert sum(isinstance(watcher.last, Finished) for watcher in watchers) == 2
        assert len(await running.journal.unfinished()) == 3


async def test_after_five_seconds_without_a_path_every_result_comes_within_a_tenth_of_its_return(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as running:
        back = 0.0

        async def cut() -> None:
            nonlocal back
            running.fault(refuse_all=5.0)
            back = anyio.current_time() + 5.0

        watchers = await while_making(running, 2, cut)
        assert all(delivered(watcher) for watcher in watchers)
        assert anyio.current_time() - back < 0.1


async def test_with_a_deaf_socket_no_result_comes_more_than_three_seconds_late(tmp_path: Path) -> None:
    async with world(tmp_path, step_time=0.1) as running:
        began = anyio.current_time()
        assert delivered(await running.make())
        usual = anyio.current_time() - began

        async def deafen() -> None:
            nonlocal began
            running.fault(deaf=True)

        began = anyio.current_time()
        watchers = await while_making(running, 1, deafen)
        assert delivered(watchers[0])
        assert anyio.current_time() - began < usual + 3.0


async def test_jobs_that_waited_for_a_server_reach_it_in_order(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        running.fault(refuse_all=3.0)
        await anyio.sleep(1)
        watchers = await running.make_many(6)
        assert all(delivered(watcher) for watcher in watchers)
        order = [watcher.last.seed for watcher in watchers if isinstance(watcher.last, Finished)]
        drawn = [seed_of(prompt) for prompt in running.simulator.history.values()]
        assert drawn == order


def seed_of(entry: Json) -> int:
    match entry:
        case {"prompt": [_, _, {"5": {"inputs": {"seed": int(seed)}}}, *_]}:
            return seed
        case _:
            raise AssertionError(entry)


async def no_disk(function: Callable[..., object], *arguments: object, **options: object) -> object:
    """Run nothing: every node that wants to work in a thread fails."""
    await anyio.lowlevel.checkpoint()
    raise OSError(28, "No space left on device")


async def test_a_server_that_fails_everything_at_once_costs_four_people_a_handful_of_twenty_jobs(
    tmp_path: Path,
) -> None:
    broken = Simulator(tmp_path / "broken", run_sync=no_disk, step_time=0.0)  # pyright: ignore[reportArgumentType]
    healthy = Simulator(tmp_path / "healthy", run_sync=inline)
    watchers = [Watcher() for _ in range(20)]
    with anyio.fail_after(600):
        async with anyio.create_task_group() as ground, AsyncExitStack() as stack:
            clients: dict[ServerName, ServerClients] = {}
            client_id = new_prompt_id()
            for name, simulator in (("broken", broken), ("healthy", healthy)):
                await ground.start(simulator.run)
                server = Server(url=f"http://{name}")
                transport = httpx.ASGITransport(application(simulator))
                comfy = await stack.enter_async_context(
                    open_comfy_client(server, client_id, run_sync=inline, transport=transport)
                )
                websocket = partial(connect, partial(simulator.connect, client_id))
                clients[ServerName(name)] = ServerClients(comfy, websocket)
            services = await stack.enter_async_context(
                open_services(clients, MemoryJournal(), depth=2, run_sync=inline)
            )
            running = World(
                healthy, services.registry, tmp_path / "results", MemoryJournal(), services.work, services.overview
            )
            async with anyio.create_task_group() as tasks:
                for number, watcher in enumerate(watchers):
                    request = replace(running.request(), owner=f"person {number % 4}")
                    await tasks.start(InteractionActor(request, services.registry, watcher).run)
            ground.cancel_scope.cancel()
    failed = [watcher.last for watcher in watchers if isinstance(watcher.last, Failed)]
    assert 3 <= len(failed) <= 5
    assert all(isinstance(update.reason, NodeFailed) and update.reason.message for update in failed)
    assert sum(delivered(watcher) for watcher in watchers) == 20 - len(failed)
