"""Workflows that services bill for, over a simulator of 0.33: the key goes only to the server, the budget holds."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import msgspec
import pytest
from msgspec.structs import replace

from app.actors.handle import EditAnswer
from app.core.jobs.job import Batch, JobRequest, SeedInput
from app.core.limits.spending import DOLLAR, Payment, SpendingLimit, money
from app.core.limits.usage import DAY
from app.events import Failed, Finished, Lost, NodeId, NotAccepted
from app.journal.sqlite import open_journal
from app.ports import Graph, Json
from app.reasons.jobs import NodeFailed, PaidRunLost
from app.reasons.limits import BudgetReached
from app.simulator.engine.execution import UNAUTHORIZED
from app.simulator.engine.simulator import Simulator
from app.simulator.http.application import application
from app.simulator.version import V0_3_64, V0_33_0, Version
from app.texts.reasons.text import reason_text
from tests.actors.test_limits import first_updates
from tests.conftest import inline, virtual
from tests.world import Watcher, World, house_for

KEY = "comfyui-0123456789abcdef"

PAID: Graph = {
    "1": {
        "class_type": "FluxProUltraImageNode",
        "inputs": {"prompt": "a hill", "prompt_upsampling": False, "seed": 0, "aspect_ratio": "16:9", "raw": False},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "paid"}},
}
SLOW: Graph = {
    **PAID,
    "3": {"class_type": "BotTestSleep", "inputs": {"image": ["1", 0], "steps": 5, "seconds": 1.0, "previews": False}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "paid"}},
}
TEN_CENTS_A_DAY = SpendingLimit("everybody", "day", DOLLAR // 10)


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


@asynccontextmanager
async def server(tmp_path: Path, version: Version = V0_33_0) -> AsyncGenerator[Simulator]:
    """A simulator that runs until the block ends."""
    simulator = Simulator(tmp_path / "server", run_sync=inline, version=version, any_node=True)
    with anyio.fail_after(3600):
        async with anyio.create_task_group() as ground:
            await ground.start(simulator.run)
            yield simulator
            ground.cancel_scope.cancel()


def asked(running: World, graph: Graph = PAID, *, dollars: float = 0.06) -> JobRequest:
    """A request that costs money, of somebody whose bot may spend ten cents a day."""
    payment = Payment(money(dollars), (NodeId("1"),), (TEN_CENTS_A_DAY,))
    return replace(running.request(graph), owner="ada", payment=payment)


async def test_a_run_has_the_key_and_nothing_else_has_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(0)
    broken: Graph = {**PAID, "2": {"class_type": "BotTestRaise", "inputs": {"image": ["1", 0], "message": "boom"}}}
    async with server(tmp_path) as simulator, open_journal(tmp_path / "j.db", run_sync=inline) as journal:
        async with house_for(simulator, tmp_path / "results", journal, api_key=KEY, pays=True) as running:
            shown = [await running.make(asked(running, graph, dollars=0.01)) for graph in (PAID, broken)]
        async with httpx.AsyncClient(transport=httpx.ASGITransport(application(simulator))) as http:
            history = (await http.get("http://simulator/history")).text
    assert isinstance(shown[0].last, Finished)
    assert isinstance(shown[1].last, Failed)
    assert "FluxProUltraImageNode" in history
    assert KEY not in history
    assert KEY not in repr([watcher.shown for watcher in shown])
    assert KEY not in caplog.text
    assert KEY not in "".join(capfd.readouterr())
    written = {path: path.read_bytes() for path in files_in(tmp_path)}
    assert b"FluxProUltraImageNode" in written[tmp_path / "j.db"]
    assert [path for path, content in written.items() if KEY.encode() in content] == []


async def test_without_a_key_the_node_fails_and_says_why(tmp_path: Path) -> None:
    async with server(tmp_path) as simulator, house_for(simulator, tmp_path, pays=True) as running:
        watcher = await running.make(asked(running))
        assert isinstance(watcher.last, Failed)
        assert watcher.last.reason == NodeFailed("FluxProUltraImageNode", UNAUTHORIZED, "Exception")


async def test_a_run_that_costs_nothing_is_sent_without_the_key(tmp_path: Path) -> None:
    async with server(tmp_path) as simulator, house_for(simulator, tmp_path, api_key=KEY, pays=True) as running:
        watcher = await running.make(replace(asked(running), payment=None))
        assert isinstance(watcher.last, Failed)
        assert isinstance(watcher.last.reason, NodeFailed)


@pytest.mark.parametrize(("version", "hidden"), [(V0_3_64, False), (V0_33_0, True)])
async def test_older_servers_show_the_key_in_their_queue(tmp_path: Path, version: Version, hidden: bool) -> None:
    async with (
        server(tmp_path, version) as simulator,
        house_for(simulator, tmp_path, api_key=KEY, pays=True) as running,
        httpx.AsyncClient(transport=httpx.ASGITransport(application(simulator))) as http,
    ):
        slow: Graph = {**SLOW, "1": {"class_type": "EmptyImage", "inputs": {}}}
        request = asked(running, slow)
        await first_updates(running, [request])
        await anyio.sleep(2.0)
        queue = await http.get("http://simulator/queue")
        assert len(msgspec.json.decode(queue.content)["queue_running"]) == 1
        assert (KEY not in queue.text) == hidden
        await running.registry.cancel(request.job)


async def test_nothing_over_the_budget_is_accepted_even_if_it_is_asked_at_once(tmp_path: Path) -> None:
    async with server(tmp_path) as simulator, house_for(simulator, tmp_path, api_key=KEY, pays=True) as running:
        answers = await first_updates(running, [asked(running, SLOW, dollars=0.04) for _ in range(5)])
        refused = [answer for answer in answers if isinstance(answer, NotAccepted)]
        assert len(refused) == 3
        reason = refused[0].reason
        assert isinstance(reason, BudgetReached)
        assert (reason.payer, reason.window, reason.needed) == ("everybody", "day", 0.04)
        assert reason_text(reason) == (
            "This bot has $0.02 left of $0.10 a day for paid services, and this costs $0.04."
            " Ask again in about 24 hours."
        )


async def test_an_edit_to_more_pictures_than_the_budget_allows_is_refused(tmp_path: Path) -> None:
    async with server(tmp_path) as simulator, house_for(simulator, tmp_path, api_key=KEY, pays=True) as running:
        running_job, waiting = (asked(running, SLOW, dollars=0.03) for _ in range(2))
        async with running.registry.submit(running_job), running.registry.submit(waiting):
            pictures = Batch(3, (SeedInput(NodeId("1"), "seed"),))
            answer = await running.registry.edit(waiting.job, replace(waiting, batch=pictures))
            assert answer == EditAnswer(done=False, limit=BudgetReached("everybody", "day", 0.1, 0.04, 0.06, DAY))
            fewer = replace(waiting, batch=replace(pictures, size=2))
            assert await running.registry.edit(waiting.job, fewer) == EditAnswer(done=True)


async def test_what_was_spent_is_known_after_a_restart_and_what_was_not_is_given_back(tmp_path: Path) -> None:
    failing: Graph = {
        **PAID,
        "0": {"class_type": "BotTestRaise", "inputs": {"image": ["9", 0], "message": "boom"}},
        "9": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
        "1": {**PAID["1"], "inputs": {**inputs_of(PAID["1"]), "image_prompt": ["0", 0]}},
    }
    path = tmp_path / "j.db"
    async with server(tmp_path) as simulator:
        for _ in range(2):
            async with (
                open_journal(path, run_sync=inline, durable=False) as journal,
                house_for(simulator, tmp_path, journal, api_key=KEY, pays=True) as running,
            ):
                assert isinstance((await running.make(asked(running, failing))).last, Failed), "before it cost money"
        async with (
            open_journal(path, run_sync=inline, durable=False) as journal,
            house_for(simulator, tmp_path, journal, api_key=KEY, pays=True) as running,
        ):
            assert isinstance((await running.make(asked(running))).last, Finished)
            assert [spent.amount for spent in await journal.spent()] == [money(0.06)]
        async with (
            open_journal(path, run_sync=inline, durable=False) as journal,
            house_for(simulator, tmp_path, journal, api_key=KEY, pays=True) as running,
        ):
            refused = (await running.make(asked(running))).last
            assert isinstance(refused, NotAccepted)
            assert isinstance(refused.reason, BudgetReached)
            assert refused.reason.left == pytest.approx(0.04)
            _, (used,) = await running.registry.usage(asked(running).origin, (), (TEN_CENTS_A_DAY,))
            assert (used.spent, used.returning) == (money(0.06), money(0.06))


async def test_a_run_that_a_server_lost_is_not_paid_for_twice(tmp_path: Path) -> None:
    async with server(tmp_path) as simulator, house_for(simulator, tmp_path, api_key=KEY, pays=True) as running:
        watcher = Watcher()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(running.make, asked(running, SLOW), watcher)
            await anyio.sleep(2.0)
            simulator.worker.die()
        assert isinstance(watcher.last, Lost)
        assert isinstance(watcher.last.reason, PaidRunLost)
        assert not simulator.worker.prompts.history
        assert simulator.worker.prompts.running is None
        _, (used,) = await running.registry.usage(asked(running).origin, (), (TEN_CENTS_A_DAY,))
        assert used.spent == money(0.06)


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def inputs_of(entry: dict[str, Json]) -> dict[str, Json]:
    inputs = entry["inputs"]
    assert isinstance(inputs, dict)
    return inputs
