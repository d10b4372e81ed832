"""The conflating stream."""

from __future__ import annotations

from collections.abc import Hashable

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailbox import Mailbox


def _slot(item: str) -> Hashable | None:
    """Lower-case items are volatile, each letter a kind of its own; upper-case ones are milestones."""
    return item[0] if item[0].islower() else None


async def _read_all(box: Mailbox[str]) -> list[str]:
    return [item async for item in box]


async def test_a_newer_item_takes_its_predecessors_place() -> None:
    async with Mailbox(_slot) as box:
        for item in ("a1", "B1", "c1", "a2", "B2"):
            box.put(item)
        box.end()
        assert await _read_all(box) == ["a2", "B1", "c1", "B2"]


async def test_a_reader_who_waits_is_woken_by_the_next_item() -> None:
    async with Mailbox(_slot) as box, anyio.create_task_group() as tasks:
        read: list[str] = []

        async def reader() -> None:
            read.extend(await _read_all(box))

        tasks.start_soon(reader)
        await anyio.wait_all_tasks_blocked()
        box.put("A")
        await anyio.wait_all_tasks_blocked()
        assert read == []
        box.end()
        await anyio.wait_all_tasks_blocked()
        assert read == ["A"]


async def test_a_reader_without_hurry_is_woken_by_milestones_alone() -> None:
    async with Mailbox(_slot) as box, anyio.create_task_group() as tasks:
        woken: list[list[str]] = []

        async def reader() -> None:
            for _ in range(2):
                await box.milestone()
                woken.append(box.drain())

        tasks.start_soon(reader)
        for item in ("a1", "b1", "a2"):
            box.put(item)
            await anyio.wait_all_tasks_blocked()
        assert woken == []
        box.put("A")
        # Before the reader runs again: it must not miss it.
        box.put("B")
        await anyio.wait_all_tasks_blocked()
        assert woken == [["a2", "b1", "A", "B"]]
        box.put("C")
        await anyio.wait_all_tasks_blocked()
        assert woken[1:] == [["C"]]


async def test_the_end_wakes_a_reader_without_hurry() -> None:
    async with Mailbox(_slot) as box:
        box.put("a1")
        box.end()
        await box.milestone()
        assert box.drain() == ["a1"]


async def test_who_waits_for_the_end_is_not_let_go_by_an_item() -> None:
    over = False
    async with Mailbox(_slot) as box, anyio.create_task_group() as tasks:

        async def wait() -> None:
            nonlocal over
            await box.ended()
            over = True

        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        for item in ("a1", "A"):
            box.put(item)
            await anyio.wait_all_tasks_blocked()
        assert not over
        box.end()
    assert over


async def test_an_item_can_be_awaited_and_left_there() -> None:
    found: list[bool] = []
    async with Mailbox(_slot) as box, anyio.create_task_group() as tasks:

        async def reader() -> None:
            found.append(await box.filled())
            found.append(await box.filled())
            assert box.drain() == ["a2"]
            found.append(await box.filled())

        tasks.start_soon(reader)
        await anyio.wait_all_tasks_blocked()
        assert found == []
        for item in ("a1", "a2"):
            box.put(item)
        assert box.size == 1
        await anyio.wait_all_tasks_blocked()
        assert found == [True, True]
        box.end()
    assert found == [True, True, False]


async def test_nothing_is_taken_after_the_last_word() -> None:
    async with Mailbox(_slot) as box:
        assert box.put("A")
        box.end()
        assert not box.put("B")
        assert await _read_all(box) == ["A"]


async def test_the_writer_learns_that_the_reader_has_left() -> None:
    async with Mailbox(_slot) as box:
        assert box.put("A")
    assert not box.put("B")
    with pytest.raises(anyio.ClosedResourceError):
        await box.receive()


async def test_one_can_wait_for_the_last_word_without_reading() -> None:
    async with Mailbox(_slot) as box:
        box.put("A")
        with anyio.move_on_after(0.01) as waited:
            await box.ended()
        assert waited.cancelled_caught
        box.end()
        await box.ended()


@given(st.lists(st.sampled_from(["a", "b", "A", "B"])))
async def test_milestones_all_arrive_in_order_and_of_the_volatile_only_the_newest(kinds: list[str]) -> None:
    items = [f"{kind}{number}" for number, kind in enumerate(kinds)]
    async with Mailbox(_slot) as box:
        for item in items:
            box.put(item)
        box.end()
        read = await _read_all(box)
    assert [item for item in read if item[0].isupper()] == [item for item in items if item[0].isupper()]
    for kind in "ab":
        of_kind = [item for item in items if item[0] == kind]
        assert [item for item in read if item[0] == kind] == of_kind[-1:]
