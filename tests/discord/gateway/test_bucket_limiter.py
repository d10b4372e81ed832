"""Who is new on a route goes alone, because hikari knows no limit of theirs yet."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from app.discord.gateway.rest import NewBucketLimiter

pytestmark = pytest.mark.anyio


async def most_at_once(gate: NewBucketLimiter, requests: Sequence[tuple[str, str]]) -> int:
    inside: set[tuple[str, str]] = set()
    seen: list[int] = []

    async def send(request: tuple[str, str]) -> None:
        async with gate.passing(*request):
            inside.add(request)
            seen.append(len(inside))
            await anyio.wait_all_tasks_blocked()
            inside.remove(request)

    async with anyio.create_task_group() as tasks:
        for request in requests:
            tasks.start_soon(send, request)
    return max(seen)


async def test_those_who_are_new_on_a_route_pass_one_at_a_time_and_then_all_together() -> None:
    gate = NewBucketLimiter()
    channels = [("edit", "a"), ("edit", "b"), ("edit", "c")]
    assert [await most_at_once(gate, channels) for _ in range(2)] == [1, 3]


async def test_each_route_has_a_gate_of_its_own() -> None:
    assert await most_at_once(NewBucketLimiter(), [("edit", "a"), ("create", "a"), ("answer", "a")]) == 3


async def test_a_request_that_failed_has_told_no_limit() -> None:
    gate = NewBucketLimiter()
    for whose in ("a", "b"):
        with pytest.raises(OSError, match="down"):
            async with gate.passing("edit", whose):
                raise OSError("down")
    assert await most_at_once(gate, [("edit", "a"), ("edit", "b")]) == 1
