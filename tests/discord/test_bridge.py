"""The crossing: calls between the core and asyncio, on both backends."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

import anyio
import anyio.lowlevel
import pytest
from sniffio import current_async_library

from app.discord.bridge import CrossLoopCall, loop_bridge
from app.discord.request_deadline import begins_within, may_begin


class Broken(Exception):
    pass


async def twice(number: int) -> int:
    await anyio.lowlevel.checkpoint()
    return 2 * number


async def breaks() -> None:
    await anyio.lowlevel.checkpoint()
    raise Broken("a reason")


class Hanging:
    """A call that never ends, and tells what becomes of it."""

    ended = False

    async def __call__(self, begun: anyio.Event | None = None) -> None:
        if begun:
            begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                for _ in range(3):
                    await anyio.lowlevel.checkpoint()
            self.ended = True


async def test_a_call_into_asyncio_returns_what_it_returns() -> None:
    async with loop_bridge() as (into_asyncio, _):
        assert await into_asyncio(twice, 21) == 42


async def test_until_when_a_request_may_begin_is_known_over_there() -> None:
    async def ask() -> bool:
        await anyio.lowlevel.checkpoint()
        return may_begin()

    async with loop_bridge() as (into_asyncio, _):
        assert await into_asyncio(ask)
        with begins_within(60.0):
            assert await into_asyncio(ask)
        with begins_within(0.0):
            assert not await into_asyncio(ask)
        assert await into_asyncio(ask)


async def test_over_there_is_asyncio_and_back_here_is_the_core() -> None:
    here = current_async_library()

    async def library() -> str:
        return current_async_library()

    async with loop_bridge() as (into_asyncio, into_core):
        assert await into_asyncio(library) == "asyncio"

        async def there_and_back() -> str:
            return await into_core(library)

        assert await into_asyncio(there_and_back) == here


async def test_exceptions_come_across_in_both_directions() -> None:
    async with loop_bridge() as (into_asyncio, into_core):
        with pytest.raises(Broken, match="a reason"):
            await into_asyncio(breaks)

        async def asks() -> str:
            try:
                await into_core(breaks)
            except Broken as error:
                return f"caught {error}"
            return "nothing"

        assert await into_asyncio(asks) == "caught a reason"
        assert await into_asyncio(twice, 1) == 2


async def test_a_cancelled_caller_cancels_asyncio_and_waits_for_its_end() -> None:
    hanging = Hanging()
    async with loop_bridge() as (into_asyncio, into_core), anyio.create_task_group() as tasks:
        begun = anyio.Event()
        tasks.start_soon(into_asyncio, _hang_there, into_core, hanging, begun)
        await begun.wait()
        tasks.cancel_scope.cancel()
    assert hanging.ended


async def _hang_there(into_core: CrossLoopCall, hanging: Hanging, begun: anyio.Event) -> None:
    async def begin() -> None:
        begun.set()

    await into_core(begin)
    await hanging()


async def test_a_cancelled_caller_in_asyncio_cancels_the_core() -> None:
    hanging = Hanging()
    async with loop_bridge() as (into_asyncio, into_core):
        begun = anyio.Event()
        wait_until_begun = begun.wait

        async def gives_up() -> str:
            call = asyncio.ensure_future(into_core(hanging, begun))
            await into_core(wait_until_begun)
            call.cancel()
            with suppress(asyncio.CancelledError):
                await call
            return f"cancelled: {call.cancelled()}"

        assert await into_asyncio(gives_up) == "cancelled: True"
        assert hanging.ended


async def test_a_task_of_asyncio_that_belongs_to_nobody_can_call_the_core() -> None:
    """So are hikari's: no scope of ours is around them."""
    async with loop_bridge() as (into_asyncio, into_core):

        async def detached() -> int:
            return await asyncio.get_running_loop().create_task(_ask(into_core))

        assert await into_asyncio(detached) == 42


async def _ask(into_core: CrossLoopCall) -> int:
    return await into_core(twice, 21)


async def test_a_full_inbox_makes_asyncio_wait() -> None:
    send, receive = anyio.create_memory_object_stream[int](1)
    sent: list[int] = []
    async with send, receive, loop_bridge() as (into_asyncio, into_core), anyio.create_task_group() as tasks:

        async def produce() -> None:
            for number in range(4):
                await into_core(send.send, number)
                sent.append(number)

        async def done() -> None:
            await into_asyncio(produce)
            await send.aclose()

        tasks.start_soon(done)
        assert await receive.receive() == 0
        # Number 1 fits into the buffer; 2 is let in only when 1 has been taken out.
        assert len(sent) <= 2
        assert [number async for number in receive] == [1, 2, 3]
    assert sent == [0, 1, 2, 3]


async def test_many_calls_at_once_in_both_directions() -> None:
    async with loop_bridge() as (into_asyncio, into_core):
        answers: list[int] = []

        async def there_and_back(number: int) -> int:
            return await into_core(twice, await into_core(twice, number))

        async def call(number: int) -> None:
            answers.append(await into_asyncio(there_and_back, number))

        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(call, number)
    assert sorted(answers) == [4 * number for number in range(50)]


async def test_the_other_loop_ends_when_the_core_is_cancelled() -> None:
    hanging = Hanging()
    with anyio.CancelScope() as scope:
        async with loop_bridge() as (into_asyncio, into_core), anyio.create_task_group() as tasks:
            begun = anyio.Event()
            tasks.start_soon(into_asyncio, _hang_there, into_core, hanging, begun)
            await begun.wait()
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert hanging.ended


async def test_one_who_is_cancelled_before_he_enters_leaves_nothing_behind() -> None:
    async with loop_bridge():
        pass  # trio keeps the threads that it starts here for other work
    before = threading.active_count()
    with anyio.CancelScope() as scope:
        scope.cancel()
        async with loop_bridge():
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert threading.active_count() <= before + 1  # an idle worker thread waits for other work


@pytest.mark.parametrize("over_there", [True, False])
async def test_what_the_block_raises_comes_out_as_it_is(over_there: bool) -> None:
    async def block() -> None:
        async with loop_bridge() as (into_asyncio, _):
            await (into_asyncio(breaks) if over_there else breaks())

    with pytest.raises(Broken):
        await block()


async def test_a_group_that_the_block_raises_comes_out_as_it_is() -> None:
    with pytest.raises(ExceptionGroup) as raised:
        async with loop_bridge() as (into_asyncio, _), anyio.create_task_group() as tasks:
            tasks.start_soon(into_asyncio, breaks)
    [error] = raised.value.exceptions
    assert isinstance(error, Broken)


async def test_cleanup_over_there_can_still_speak_to_the_core_at_the_end() -> None:
    heard: list[str] = []

    async def hear(word: str) -> None:
        heard.append(word)

    async with loop_bridge() as (into_asyncio, into_core), anyio.create_task_group() as tasks:
        begun = anyio.Event()

        async def begin() -> None:
            begun.set()

        async def leaves() -> None:
            await into_core(begin)
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await into_core(hear, "goodbye")

        tasks.start_soon(into_asyncio, leaves)
        await begun.wait()
        tasks.cancel_scope.cancel()
    assert heard == ["goodbye"]


async def test_a_call_that_outlives_the_other_side_is_told_so() -> None:
    """On asyncio there is only one side, which ends with the program."""
    if current_async_library() == "asyncio":
        return
    lost: list[str] = []

    async def call(into_asyncio: CrossLoopCall, into_core: CrossLoopCall, begun: anyio.Event) -> None:
        try:
            await into_asyncio(_hang_there, into_core, Hanging(), begun)
        except anyio.ClosedResourceError:
            lost.append("while it ran")
        try:
            await into_asyncio(twice, 1)
        except anyio.ClosedResourceError:
            lost.append("afterwards")

    async with anyio.create_task_group() as tasks, loop_bridge() as (into_asyncio, into_core):
        begun = anyio.Event()
        tasks.start_soon(call, into_asyncio, into_core, begun)
        await begun.wait()
    assert lost == ["while it ran", "afterwards"]


async def test_it_can_be_crossed_again_after_the_end() -> None:
    for _ in range(2):
        async with loop_bridge() as (into_asyncio, _):
            assert await into_asyncio(twice, 2) == 4
