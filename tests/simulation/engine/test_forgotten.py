"""What fronts do once the engine has forgotten something, or refuses it, on virtual time."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import anyio
import pytest

from app.core.replication import Position
from app.engine.follower import Follower
from app.engine.keys import replies_key, requests_key, wake_key
from app.engine.messages import Fetch, OfferedServer, Registration, Submit
from app.engine.remote_servers.remote_worker import RemoteWorker
from app.engine.replication.copies import CopySender, receive_copy
from app.engine.replication.lease import SECONDS, FrontLease
from app.engine.replication.messages import LEASE, REQUESTS, Front
from app.engine.replication.transfers import TransferFailed
from app.events import FileRef, PromptId
from app.ports import ConnectionLost
from app.reasons.servers import RefusedConnection
from tests.conftest import virtual
from tests.simulation.engine.connection import ModelledEngine
from tests.simulation.engine.model import EngineModel

pytestmark = pytest.mark.anyio

FRONT = Front("0" * 32, "attic", "1.0", 10)
START = Position("lineage", 3, b"chain")
FAR = 60.0


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    return virtual(request.param)


@pytest.fixture(autouse=True)
def no_threads() -> Generator[None]:
    async def here(function: Callable[..., object], *args: object, **_: object) -> object:
        return function(*args)

    with patch("anyio.to_thread.run_sync", here):
        yield


def new_model() -> EngineModel:
    return EngineModel(lambda: 1e9 + anyio.current_time())


def engine_of(model: EngineModel) -> ModelledEngine:
    return ModelledEngine(model, random.Random(1))


@pytest.mark.parametrize("ended", [False, True])
async def test_only_a_lease_that_has_not_ended_is_taken_again_from_an_engine_that_forgot_it(ended: bool) -> None:
    model = new_model()
    engine = engine_of(model)
    await anyio.sleep(FAR)
    since = anyio.current_time() - (SECONDS if ended else 0.0)
    lease = FrontLease(engine, FRONT, 1, since, SECONDS)
    with anyio.move_on_after(SECONDS / 2):
        await lease.keep()
    # Another front may have been active since, which the engine has forgotten, too.
    assert lease.lost.is_set() == ended
    assert (await engine.get(LEASE) == lease.value) != ended


@contextmanager
def copied(path: Path) -> Generator[Callable[[Path], Position]]:
    path.write_bytes(b"the journal")
    yield lambda target: (target.write_bytes(path.read_bytes()), START)[1]


async def test_a_copy_is_sent_once_the_engine_takes_it_again(tmp_path: Path) -> None:
    model = new_model()
    lease = FrontLease(engine_of(model), FRONT, 1, anyio.current_time(), SECONDS)
    lease.position = START
    with copied(tmp_path / "atelier.db") as export:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(CopySender(engine_of(model), lease, tmp_path / "atelier.db", export).run)

            async def fill() -> None:
                await anyio.sleep(0.1)
                model.is_full = True
                await anyio.sleep(3.0)
                model.is_full = False

            tasks.start_soon(fill)
            with anyio.fail_after(10.0):
                await receive_copy(engine_of(model), tmp_path / "received")
            tasks.cancel_scope.cancel()
    assert (tmp_path / "received").read_bytes() == b"the journal"


async def test_a_request_for_a_copy_that_was_forgotten_is_given_up(tmp_path: Path) -> None:
    model = new_model()
    async with anyio.create_task_group() as tasks:

        async def forget() -> None:
            await anyio.sleep(1.0)
            model.flush()

        tasks.start_soon(forget)
        with pytest.raises(TransferFailed), anyio.fail_after(FAR):
            await receive_copy(engine_of(model), tmp_path / "received")


async def test_a_request_for_a_copy_that_stands_there_again_after_it_was_answered_is_not_waited_for(
    tmp_path: Path,
) -> None:
    model = new_model()
    lease = FrontLease(engine_of(model), FRONT, 1, anyio.current_time(), SECONDS)
    lease.position = START

    async def set_back() -> None:
        asked = False
        while not asked or model.range(REQUESTS, "-", "+", None):
            asked |= bool(model.range(REQUESTS, "-", "+", None))
            await anyio.sleep(0.001)
        model.fail_over(0.2)
        assert model.range(REQUESTS, "-", "+", None)

    with copied(tmp_path / "atelier.db") as export:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(CopySender(engine_of(model), lease, tmp_path / "atelier.db", export).run)
            tasks.start_soon(set_back)
            with pytest.raises(TransferFailed), anyio.fail_after(FAR):
                await receive_copy(engine_of(model), tmp_path / "received")
            with anyio.fail_after(FAR):
                await receive_copy(engine_of(model), tmp_path / "received")
            tasks.cancel_scope.cancel()


async def test_a_file_whose_announcement_may_be_lost_is_asked_for_again_and_a_prompt_is_not() -> None:
    model = new_model()
    engine = engine_of(model)
    worker = RemoteWorker(engine, "attic", "f" * 32, lambda label: label)
    worker.register(Registration(session="5" * 32, program="1.0", servers=(OfferedServer(),)))
    follower = Follower(engine, wake_key("f" * 32), worker.lose_answers)
    ended: list[tuple[str, float]] = []

    async def ask(call: Fetch | Submit) -> None:
        try:
            await worker.answer("", call, FAR)
        except ConnectionLost:
            ended.append((type(call).__name__, anyio.current_time()))

    began = anyio.current_time()
    with follower.follow(replies_key("attic", "f" * 32), worker.receive):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follower.run)
            async with anyio.create_task_group() as calls:
                calls.start_soon(ask, Submit(PromptId("p"), {}))
                calls.start_soon(ask, Fetch(FileRef("a.png", "", "output")))
                await anyio.sleep(1.0)
                engine.cut(0.5)
            tasks.cancel_scope.cancel()
    assert [name for name, _ in ended] == ["Fetch", "Submit"]
    assert ended[0][1] < began + 5.0
    assert ended[1][1] >= began + FAR


async def test_a_prompt_is_sent_only_while_the_engine_has_the_lease_of_the_front() -> None:
    model = new_model()
    engine = engine_of(model)
    worker = RemoteWorker(engine, "attic", "f" * 32, lambda label: label, (LEASE, b"1 front"))
    worker.register(Registration(session="5" * 32, program="1.0", servers=(OfferedServer(),)))
    requests = requests_key("attic", "5" * 32)
    await engine.set(LEASE, b"2 another front", FAR)
    with pytest.raises(ConnectionLost) as refused:
        await worker.answer("", Submit(PromptId("p"), {}), 1.0)
    assert refused.value.reason == RefusedConnection(), "it was not sent, so another server may have it"
    await engine.set(LEASE, b"1 front", FAR)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.answer, "", Submit(PromptId("p"), {}), FAR)
        await anyio.sleep(1.0)
        assert len(await engine.range(requests)) == 1
        tasks.cancel_scope.cancel()
