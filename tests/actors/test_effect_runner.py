"""What the effect runner requests from a server, and how often."""

from __future__ import annotations

import copy
import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar, TypeVarTuple, Unpack, cast

import anyio
import httpx
import pytest
from msgspec import structs

from app.actors.effect_runner import EffectRunner
from app.actors.registry import new_prompt_id
from app.comfy.client import ComfyClient, open_comfy_client
from app.config.settings import Server
from app.core.effects import (
    DiscardFiles,
    EffectResult,
    FetchFile,
    FetchInterrupted,
    FileFetched,
    ImageSaved,
    PromptRefused,
    PromptSubmitted,
    QueryServer,
    SaveImage,
    SaveInterrupted,
    ServerQueried,
    SubmitPrompt,
    SubmitUncertain,
    Unreachable,
)
from app.core.jobs.job import FirstChoice, JobRequest
from app.events import ChosenModel, FileRef, JobId, NodeId, PromptId, ServerName
from app.node_cache import NodeCache
from app.ports import Comfy, ConnectionLost, History, Queue, Refused
from app.reasons.jobs import InternalError, ResultUnwritable
from app.reasons.servers import AnswerTooLarge, CutShort, HungUp, ResultGone, ServerError
from app.simulator.engine.simulator import Simulator
from app.simulator.http.application import application
from tests.conftest import inline, virtual
from tests.world import PICTURE

HERE = ServerName("here")

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


class Counting(httpx.AsyncBaseTransport):
    """The transport to a simulator, and every request that was sent over it."""

    def __init__(self, simulator: Simulator) -> None:
        self.asked: list[str] = []
        self.broken = False
        self.lead_to(simulator)

    def lead_to(self, simulator: Simulator) -> None:
        self._inner = httpx.ASGITransport(application(simulator))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.raw_path.decode())
        if self.broken and request.url.path == "/prompt":
            return httpx.Response(500, text="got itself in trouble")
        return await self._inner.handle_async_request(request)


async def _draw(comfy: Comfy, count: int, first: int) -> list[PromptId]:
    """Run this many prompts until the last has ended."""
    prompts = [PromptId(new_prompt_id()) for _ in range(count)]
    for number, prompt in enumerate(prompts):
        graph = copy.deepcopy(PICTURE)
        graph["5"]["inputs"] = {**graph["5"]["inputs"], "seed": first + number}  # pyright: ignore[reportGeneralTypeIssues]
        await comfy.submit(prompt, graph)
    while (queue := await comfy.queue()).running or queue.pending:  # noqa: ASYNC110  the server is the one to ask
        await anyio.sleep(1)
    return prompts


async def _looked(comfy: Comfy, prompts: Sequence[PromptId]) -> ServerQueried:
    effects = EffectRunner({HERE: comfy}, {HERE: NodeCache(comfy)}, {}, run_sync=inline)
    answer = await effects.do(QueryServer(HERE, dict.fromkeys(prompts, 0)))
    assert isinstance(answer, ServerQueried)
    return answer


@pytest.mark.slow
@pytest.mark.parametrize(("others", "most"), [(0, 2), (60, 3)], ids=["ours alone", "others ended after them"])
async def test_many_jobs_are_looked_for_in_few_requests(others: int, most: int, tmp_path: Path) -> None:
    simulator = Simulator(tmp_path, steps=1, step_time=0.001, run_sync=inline)
    way = Counting(simulator)
    async with anyio.create_task_group() as ground:
        await ground.start(simulator.run)
        async with open_comfy_client(
            Server(url="http://here"), new_prompt_id(), run_sync=inline, transport=way
        ) as comfy:
            ours = await _draw(comfy, 30, 0)
            await _draw(comfy, others, 1000)
            way.asked.clear()
            looked = await _looked(comfy, [*ours, PromptId(new_prompt_id())])
            assert looked.histories.keys() == set(ours)
            assert len(way.asked) <= most
        ground.cancel_scope.cancel()


def _post() -> SubmitPrompt:
    """A job whose model the server chooses."""
    graph = copy.deepcopy(PICTURE)
    choices = (FirstChoice(NodeId("1"), "ckpt_name"),)
    request = JobRequest(job=JobId(new_prompt_id()), workflow="test", graph=graph, folder="", choices=choices)
    return SubmitPrompt(request.job, PromptId(new_prompt_id()), HERE, request)


async def _posted(effects: EffectRunner, way: Counting) -> list[str]:
    """Submit such a job, and return the requests to the server."""
    way.asked.clear()
    answer = await effects.do(_post())
    assert isinstance(answer, PromptSubmitted)
    return [asked.split("/")[1] for asked in way.asked]


async def test_a_server_is_asked_for_its_models_once_and_again_when_it_refuses(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path, steps=1, step_time=0.001, run_sync=inline)
    way = Counting(simulator)
    async with open_comfy_client(Server(url="http://here"), new_prompt_id(), run_sync=inline, transport=way) as comfy:
        effects = EffectRunner({HERE: comfy}, {HERE: NodeCache(comfy)}, {}, run_sync=inline)
        assert await _posted(effects, way) == ["object_info", "prompt"]
        assert await _posted(effects, way) == ["prompt"]
        way.lead_to(Simulator(tmp_path, run_sync=inline, models={"checkpoints": ("another.safetensors",)}))
        assert await _posted(effects, way) == ["prompt", "object_info", "prompt"]


async def test_nothing_is_submitted_once_another_process_may_have_the_job(tmp_path: Path) -> None:
    way = Counting(Simulator(tmp_path, steps=1, step_time=0.001, run_sync=inline))
    async with open_comfy_client(Server(url="http://here"), new_prompt_id(), run_sync=inline, transport=way) as comfy:
        nodes = {HERE: NodeCache(comfy)}
        # The process stands still while the graph is completed.
        effects = EffectRunner({HERE: comfy}, nodes, {}, run_sync=inline, is_suspended=lambda: bool(way.asked))
        answer = await effects.do(_post())
        assert isinstance(answer, SubmitUncertain)
        assert not answer.sent
        assert "/prompt" not in way.asked


async def test_completing_and_mending_a_graph_leaves_that_of_the_request_as_it_is(tmp_path: Path) -> None:
    way = Counting(Simulator(tmp_path, run_sync=inline))
    async with open_comfy_client(Server(url="http://here"), new_prompt_id(), run_sync=inline, transport=way) as comfy:
        effects = EffectRunner({HERE: comfy}, {HERE: NodeCache(comfy)}, {}, run_sync=inline)
        post = _post()
        sampler = post.request.graph["5"]["inputs"]
        assert isinstance(sampler, dict)
        # Mending fills in a missing input.
        del sampler["steps"]
        before = copy.deepcopy(post.request.graph)
        assert isinstance(await effects.do(post), PromptSubmitted)
        assert way.asked.count("/prompt") == 2
        assert post.request.graph == before


async def test_it_is_known_what_a_server_chose(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path, steps=1, step_time=0.001, run_sync=inline)
    way = Counting(simulator)
    async with open_comfy_client(Server(url="http://here"), new_prompt_id(), run_sync=inline, transport=way) as comfy:
        effects = EffectRunner({HERE: comfy}, {HERE: NodeCache(comfy)}, {}, run_sync=inline)
        answer = await effects.do(_post())
        assert isinstance(answer, PromptSubmitted)
        assert answer.chosen == (ChosenModel(NodeId("1"), "ckpt_name", "dreamscape-v1.safetensors"),)


async def test_a_class_with_several_open_inputs_is_asked_for_once(tmp_path: Path) -> None:
    way = Counting(Simulator(tmp_path, steps=1, step_time=0.001, run_sync=inline))
    async with open_comfy_client(Server(url="http://here"), new_prompt_id(), run_sync=inline, transport=way) as comfy:
        effects = EffectRunner({HERE: comfy}, {HERE: NodeCache(comfy)}, {}, run_sync=inline)
        post = _post()
        twice = structs.replace(post, request=structs.replace(post.request, choices=post.request.choices * 2))
        assert isinstance(await effects.do(twice), PromptSubmitted)
        way.lead_to(Simulator(tmp_path, run_sync=inline, models={"checkpoints": ("another.safetensors",)}))
        way.asked.clear()
        assert isinstance(await effects.do(twice), PromptSubmitted)
        assert [asked.split("/")[1] for asked in way.asked] == ["prompt", "object_info", "prompt"]


@pytest.mark.parametrize(
    ("models", "found"),
    [
        (("xl\\dreamscape-v1.safetensors", "other.safetensors"), True),
        (("a/dreamscape-v1.safetensors", "b/dreamscape-v1.safetensors"), False),
        (("other.safetensors",), False),
    ],
    ids=["in another folder", "in two folders", "nowhere"],
)
async def test_a_model_that_was_chosen_is_found_where_another_server_has_it(
    models: tuple[str, ...], found: bool, tmp_path: Path
) -> None:
    way = Counting(Simulator(tmp_path, run_sync=inline, models={"checkpoints": models}))
    async with open_comfy_client(Server(url="http://here"), new_prompt_id(), run_sync=inline, transport=way) as comfy:
        effects = EffectRunner({HERE: comfy}, {HERE: NodeCache(comfy)}, {}, run_sync=inline)
        post = _post()
        chosen = structs.replace(post, request=structs.replace(post.request, choices=()))
        answer = await effects.do(chosen)
        assert isinstance(answer, PromptSubmitted if found else PromptRefused)
        assert way.asked.count("/prompt") == (2 if found else 1)


async def test_after_a_5xx_a_prompt_is_not_posted_again_even_if_the_graph_would_now_be_another(tmp_path: Path) -> None:
    way = Counting(Simulator(tmp_path, run_sync=inline))
    async with open_comfy_client(Server(url="http://here"), new_prompt_id(), run_sync=inline, transport=way) as comfy:
        effects = EffectRunner({HERE: comfy}, {HERE: NodeCache(comfy)}, {}, run_sync=inline)
        await _posted(effects, way)
        way.lead_to(Simulator(tmp_path, run_sync=inline, models={"checkpoints": ("another.safetensors",)}))
        way.broken = True
        way.asked.clear()
        answer = await effects.do(_post())
        assert isinstance(answer, PromptRefused)
        assert not answer.certain
        assert way.asked.count("/prompt") == 1


class OneBroken:
    """A client that cannot read one prompt's history, nor any list that it is in."""

    def __init__(self, comfy: ComfyClient, broken: PromptId) -> None:
        self.queue = comfy.queue
        self._comfy = comfy
        self._broken = broken

    async def history(self, prompt: PromptId) -> History | None:
        if prompt == self._broken:
            raise RecursionError("too deep")
        return await self._comfy.history(prompt)

    async def newest(self, count: int) -> dict[PromptId, History]:
        newest = await self._comfy.newest(count)
        if self._broken in newest:
            raise MemoryError
        return newest


@pytest.mark.parametrize("count", [3, 8], ids=["one by one", "many at once"])
async def test_one_history_that_cannot_be_read_hides_no_other(count: int, tmp_path: Path) -> None:
    simulator = Simulator(tmp_path, steps=1, step_time=0.001, run_sync=inline)
    async with anyio.create_task_group() as ground:
        await ground.start(simulator.run)
        way = Counting(simulator)
        async with open_comfy_client(
            Server(url="http://here"), new_prompt_id(), run_sync=inline, transport=way
        ) as comfy:
            ours = await _draw(comfy, count, 0)
            looked = await _looked(cast("Comfy", OneBroken(comfy, ours[1])), ours)
            assert looked.histories.keys() == {*ours} - {ours[1]}
            assert looked.failures.keys() == {ours[1]}
            assert isinstance(looked.failures[ours[1]], InternalError)
        ground.cancel_scope.cancel()


class Wrong:
    """A client of a server whose answers about some prompts, or about its queue, are wrong."""

    def __init__(self, wrong: str = "") -> None:
        self._wrong = wrong

    async def queue(self) -> Queue:
        if self._wrong == "queue":
            raise Refused(ServerError(500), certain=False)
        return Queue()

    async def history(self, prompt: PromptId) -> History | None:
        match self._wrong if prompt == "bad" else "":
            case "500":
                raise Refused(ServerError(500), certain=False)
            case "too large":
                raise Refused(AnswerTooLarge(64), certain=False)
            case "hangs":
                await anyio.sleep_forever()
            case "lost":
                raise ConnectionLost(HungUp())
            case _:
                pass
        return History("success")

    async def newest(self, count: int) -> dict[PromptId, History]:
        assert count
        raise Refused(AnswerTooLarge(64), certain=False)

    async def fetch(self, file: FileRef, to: Path) -> None:
        match file.filename:
            case "cut":
                raise ConnectionLost(CutShort(1, 2))
            case "500":
                raise Refused(ServerError(500), certain=False)
            case "gone":
                raise Refused(ResultGone("gone"))
            case "full":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            case _:
                raise OSError(errno.EACCES, os.strerror(errno.EACCES))


@pytest.mark.parametrize("wrong", ["500", "too large", "hangs", "lost"])
@pytest.mark.parametrize("others", [1, 9])
async def test_a_history_that_cannot_be_read_is_that_of_its_own_job(wrong: str, others: int) -> None:
    names = [PromptId("bad"), *(PromptId(f"good {number}") for number in range(others))]
    looked = await _looked(cast("Comfy", Wrong(wrong)), names)
    assert looked.unread == {"bad"}
    assert looked.histories.keys() == {*names[1:]}


async def test_histories_are_read_although_the_queue_cannot_be() -> None:
    effects = EffectRunner({HERE: cast("Comfy", Wrong("queue"))}, {HERE: cast("NodeCache", None)}, {}, run_sync=inline)
    query = QueryServer(HERE, {PromptId("good"): 0})
    answer = await effects.do(query)
    assert answer == Unreachable(query, ServerError(500), {PromptId("good"): History("success")})


@pytest.mark.parametrize("name", ["cut", "500", "gone", "full", "denied"])
async def test_a_file_is_tried_once_and_the_core_learns_whether_another_try_may_help(name: str) -> None:
    effects = EffectRunner({HERE: cast("Comfy", Wrong())}, {HERE: cast("NodeCache", None)}, {}, run_sync=inline)
    fetch = FetchFile(JobId("job"), PromptId("good"), HERE, FileRef(name), "out/a.png")
    answers: dict[str, EffectResult] = {
        "cut": FetchInterrupted(fetch, CutShort(1, 2)),
        "500": FetchInterrupted(fetch, ServerError(500)),
        "gone": FileFetched(fetch, ResultGone("gone")),
        "full": FetchInterrupted(fetch, disk_full=True),
        "denied": FileFetched(fetch, ResultUnwritable("Permission denied", "a.png")),
    }
    assert await effects.do(fetch) == answers[name]


async def test_whoever_waits_at_a_terminal_is_told_that_the_disk_is_full() -> None:
    servers = {HERE: cast("Comfy", Wrong())}
    effects = EffectRunner(servers, {HERE: cast("NodeCache", None)}, {}, run_sync=inline, wait_for_disk=False)
    fetch = FetchFile(JobId("job"), PromptId("good"), HERE, FileRef("full"), "out/a.png")
    assert await effects.do(fetch) == FileFetched(fetch, ResultUnwritable("No space left on device", "a.png"))


KILLED = """
import resource, signal, sys
import anyio
from app.actors.effect_runner import EffectRunner
from app.core.effects import SaveImage

async def inline(function, *args):
    return function(*args)

signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
# What is imported from now on must not leave a truncated bytecode file in the environment.
sys.dont_write_bytecode = True
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
anyio.run(EffectRunner({}, {}, {}, run_sync=inline).do, SaveImage("job", "prompt", b"x" * 100_000, sys.argv[1]))
"""


def test_a_picture_from_the_websocket_is_on_the_disk_whole_or_not_at_all(tmp_path: Path) -> None:
    """Kill the process in the middle of the write."""
    path = tmp_path / "picture.png"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], capture_output=True)
    assert killed.returncode == -signal.SIGXFSZ, killed.stderr
    assert not path.exists()
    assert any(tmp_path.iterdir()), "it was killed after it began to write"


async def test_a_picture_from_the_websocket_is_written_as_it_came(tmp_path: Path) -> None:
    path = tmp_path / "results" / "picture.png"
    keep = SaveImage(JobId("job"), PromptId("prompt"), b"\x89PNG\r\n\x1a\n\0", str(path))
    assert await EffectRunner({}, {}, {}, run_sync=inline).do(keep) == ImageSaved(keep)
    assert path.read_bytes() == keep.image
    assert [*path.parent.iterdir()] == [path]


async def test_discarded_files_are_deleted_even_if_one_of_them_is_gone(tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    effects = EffectRunner({}, {}, {}, run_sync=inline)
    await effects.do(SaveImage(JobId("job"), PromptId("prompt"), b"\x89PNG", str(picture)))
    assert [*picture.parent.iterdir()] == [picture]
    assert await effects.do(DiscardFiles((str(tmp_path / "gone.png"), str(picture)))) is None
    assert [*picture.parent.iterdir()] == []


async def test_a_picture_from_the_websocket_that_does_not_fit_on_the_disk_leaves_nothing(tmp_path: Path) -> None:
    def limited(function: Callable[[Unpack[Ts]], T], /, *args: *Ts) -> Awaitable[T]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
        try:
            result = function(*args)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        return inline(lambda: result)

    path = tmp_path / "results" / "picture.png"
    effects = EffectRunner({}, {}, {}, run_sync=limited)
    answer = await effects.do(SaveImage(JobId("job"), PromptId("prompt"), bytes(100_000), str(path)))
    assert isinstance(answer, ImageSaved)
    assert answer.problem == ResultUnwritable("File too large", "picture.png")
    assert not any(path.parent.iterdir())


@pytest.mark.parametrize("waits", [True, False])
async def test_a_picture_from_the_websocket_is_tried_once_and_the_core_learns_that_the_disk_is_full(
    tmp_path: Path, waits: bool
) -> None:
    async def full(function: Callable[[Unpack[Ts]], T], /, *args: *Ts) -> T:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    save = SaveImage(JobId("job"), PromptId("prompt"), b"x", str(tmp_path / "picture.png"))
    problem = ResultUnwritable("No space left on device", "picture.png")
    answer = await EffectRunner({}, {}, {}, run_sync=full, wait_for_disk=waits).do(save)
    assert answer == (SaveInterrupted(save, problem) if waits else ImageSaved(save, problem))
