"""What the registry's helpers ask of a server, and how often."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import anyio
import httpx
import pytest

from app.actors.errands import Errands
from app.comfy.http import open_comfy
from app.config import Server
from app.errands import Look, Looked, Post, Posted
from app.events import JobId, NodeId, PromptId, ServerName
from app.house import mint
from app.jobs import FirstChoice, Wish
from app.ports import Comfy
from app.simulator.engine import Simulator
from app.simulator.web import application
from tests.conftest import inline, virtual
from tests.world import PICTURE

HERE = ServerName("here")


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


class Counting(httpx.AsyncBaseTransport):
    """The way to a simulator, and everything that went along it."""

    def __init__(self, simulator: Simulator) -> None:
        self.asked: list[str] = []
        self.lead_to(simulator)

    def lead_to(self, simulator: Simulator) -> None:
        self._inner = httpx.ASGITransport(application(simulator))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.raw_path.decode())
        return await self._inner.handle_async_request(request)


async def _draw(comfy: Comfy, count: int, first: int) -> list[PromptId]:
    """Have so many prompts drawn, to the last."""
    prompts = [PromptId(mint()) for _ in range(count)]
    for number, prompt in enumerate(prompts):
        graph = copy.deepcopy(PICTURE)
        graph["5"]["inputs"] = {**graph["5"]["inputs"], "seed": first + number}  # pyright: ignore[reportGeneralTypeIssues]
        await comfy.submit(prompt, graph)
    while (queue := await comfy.queue()).running or queue.pending:  # noqa: ASYNC110  the server is the one to ask
        await anyio.sleep(1)
    return prompts


async def _looked(comfy: Comfy, prompts: Sequence[PromptId]) -> Looked:
    errands = Errands({HERE: comfy}, {}, run_sync=inline)
    answer = await errands.do(Look(HERE, dict.fromkeys(prompts, 0)))
    assert isinstance(answer, Looked)
    return answer


@pytest.mark.parametrize(("others", "most"), [(0, 2), (60, 3)], ids=["ours alone", "others ended after them"])
async def test_many_jobs_are_looked_for_in_few_requests(others: int, most: int, tmp_path: Path) -> None:
    simulator = Simulator(tmp_path, steps=1, step_time=0.001, run_sync=inline)
    way = Counting(simulator)
    async with anyio.create_task_group() as ground:
        await ground.start(simulator.run)
        async with open_comfy(Server(url="http://here"), mint(), run_sync=inline, transport=way) as comfy:
            ours = await _draw(comfy, 30, 0)
            await _draw(comfy, others, 1000)
            way.asked.clear()
            looked = await _looked(comfy, [*ours, PromptId(mint())])
            assert looked.histories.keys() == set(ours)
            assert len(way.asked) <= most
        ground.cancel_scope.cancel()


async def _posted(errands: Errands, way: Counting) -> list[str]:
    """Post a job whose model is for the server to choose, and return what was asked of it."""
    graph = copy.deepcopy(PICTURE)
    choices = (FirstChoice(NodeId("1"), "ckpt_name"),)
    wish = Wish(job=JobId(mint()), workflow="test", graph=graph, folder="", choices=choices)
    way.asked.clear()
    answer = await errands.do(Post(wish.job, PromptId(mint()), HERE, wish))
    assert isinstance(answer, Posted)
    return [asked.split("/")[1] for asked in way.asked]


async def test_a_server_is_asked_for_its_models_once_and_again_when_it_refuses(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path, steps=1, step_time=0.001, run_sync=inline)
    way = Counting(simulator)
    async with open_comfy(Server(url="http://here"), mint(), run_sync=inline, transport=way) as comfy:
        errands = Errands({HERE: comfy}, {}, run_sync=inline)
        assert await _posted(errands, way) == ["object_info", "prompt"]
        assert await _posted(errands, way) == ["prompt"]
        way.lead_to(Simulator(tmp_path, run_sync=inline, models={"checkpoints": ("another.safetensors",)}))
        assert await _posted(errands, way) == ["prompt", "object_info", "prompt"]
