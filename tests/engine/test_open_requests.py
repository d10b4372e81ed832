"""Who waits for an answer is known to the next front, against a real Valkey."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from app.config.engine import EngineSettings
from app.engine.connection import Engine
from app.engine.replication.open_requests import LONGEST, OPEN, EngineOpenRequests
from app.events import JobId
from app.ports import OpenRequest
from tests.engine.valkey import Valkey
from tests.engine.world import PATIENCE, connected


async def until_kept(engine: Engine, *expected: str) -> None:
    """Wait until the engine has the requests with these tokens, in the order of their keys."""
    with anyio.fail_after(PATIENCE):
        while [key.rpartition(":")[2] for key in await engine.keys(f"{OPEN}*")] != list(expected):  # noqa: ASYNC110
            await anyio.sleep(0.005)


def tokens(requests: Sequence[OpenRequest]) -> list[str]:
    return sorted(request.token for request in requests)


async def test_the_next_front_gets_what_was_not_answered_as_it_was_last_until_it_is(database: EngineSettings) -> None:
    async with connected(database) as engine, anyio.create_task_group() as tasks:
        first, second = EngineOpenRequests(engine, "first"), EngineOpenRequests(engine, "second")
        tasks.start_soon(first.run)
        tasks.start_soon(second.run)
        for token in "abc":
            first.put(OpenRequest(token, "a cat"))
        await until_kept(engine, "a", "b", "c")
        first.put(OpenRequest("c", "a cat", JobId("7")))
        first.remove("b")
        second.put(OpenRequest("z"))
        await until_kept(engine, "a", "c", "z")
        with anyio.fail_after(PATIENCE):
            while b"7" not in (await engine.get(f"{OPEN}first:c") or b""):  # noqa: ASYNC110  another task writes it
                await anyio.sleep(0.005)
        left = await second.left()
        assert OpenRequest("c", "a cat", JobId("7")) in left
        assert tokens(left) == tokens(await second.left()) == ["a", "c"], "as long as they are not answered"
        second.remove("c")
        second.remove("z")
        await until_kept(engine, "a")
        assert tokens(await first.left()) == [], "its own is not left by another one"
        tasks.cancel_scope.cancel()


async def test_what_is_answered_before_it_is_written_is_never_written(database: EngineSettings) -> None:
    async with connected(database) as engine, anyio.create_task_group() as tasks:
        requests = EngineOpenRequests(engine, "first")
        requests.put(OpenRequest("a"))
        requests.remove("a")
        requests.put(OpenRequest("b"))
        tasks.start_soon(requests.run)
        await until_kept(engine, "b")
        tasks.cancel_scope.cancel()


async def test_what_is_none_of_ours_is_left_out(database: EngineSettings) -> None:
    async with connected(database) as engine:
        for number, value in enumerate((b"[]", b"\xff", b'{"token": 1}', b'{"token": "a"}'.ljust(LONGEST + 1))):
            await engine.set(f"{OPEN}first:{number}", value, 60.0)
        await engine.set(f"{OPEN}first:a", b'{"token": "a", "new": true}', 60.0)
        assert await EngineOpenRequests(engine, "second").left() == [OpenRequest("a")]


async def test_an_engine_that_is_away_is_waited_for() -> None:
    valkey = Valkey()
    try:
        valkey.start()
        async with connected(valkey.database()) as engine, anyio.create_task_group() as tasks:
            requests = EngineOpenRequests(engine, "first")
            tasks.start_soon(requests.run)
            requests.put(OpenRequest("a"))
            await until_kept(engine, "a")
            valkey.kill()
            assert await requests.left() == []
            requests.put(OpenRequest("c"))
            await anyio.wait_all_tasks_blocked()
            requests.remove("c")
            valkey.start()
            await engine.ready()
            await anyio.wait_all_tasks_blocked()
            requests.put(OpenRequest("b"))
            with anyio.fail_after(PATIENCE):
                while "b" not in tokens(await EngineOpenRequests(engine, "second").left()):  # noqa: ASYNC110
                    await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
    finally:
        valkey.close()
