"""What is carried at once has an end, and everybody has a turn."""

from __future__ import annotations

import anyio
import pytest

from app.discord.files.upload import MemoryBudget

pytestmark = pytest.mark.anyio


async def carry(sizes: list[int]) -> tuple[int, list[int]]:
    """The most that was carried at once, and who came in which turn."""
    budget, carried, most, turns = MemoryBudget(10), 0, 0, list[int]()

    async def one(size: int) -> None:
        nonlocal carried, most
        async with budget.reserve(size):
            carried += size
            most = max(most, carried)
            turns.append(size)
            await anyio.wait_all_tasks_blocked()
            carried -= size

    async with anyio.create_task_group() as tasks:
        for size in sizes:
            tasks.start_soon(one, size)
            await anyio.wait_all_tasks_blocked()
    return most, turns


async def test_no_more_than_all_of_it_is_carried_at_once() -> None:
    assert (await carry([4, 4, 4, 4, 4]))[0] <= 10


async def test_what_is_larger_is_carried_alone() -> None:
    most, turns = await carry([3, 50, 3])
    assert (most, turns) == (50, [3, 50, 3])


async def test_who_is_cancelled_while_waiting_keeps_nobody_back() -> None:
    budget, gone = MemoryBudget(10), anyio.Event()

    async def wait() -> None:
        with anyio.move_on_after(0.01):
            async with budget.reserve(8):
                raise AssertionError
        gone.set()

    async with anyio.create_task_group() as tasks, budget.reserve(8):
        tasks.start_soon(wait)
        await gone.wait()
        async with budget.reserve(2):
            pass
