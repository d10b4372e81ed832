"""The crossing between the core, on either backend, and Discord's libraries, which know asyncio only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from types import CodeType, CoroutineType, ModuleType
from typing import Protocol, TypeAlias, TypeVar, TypeVarTuple

import anyio
import anyio.to_thread
from anyio.abc import TaskStatus
from anyio.from_thread import BlockingPortal
from sniffio import current_async_library

LONGEST_FAREWELL = 3.0
"""Seconds that tasks have to end after they were cancelled."""

Report: TypeAlias = Callable[[str, BaseException | None, object], None]
"""Takes a sentence, the exception if there is one, and the gateway's payload that it is about, or `NO_PAYLOAD`."""

NO_PAYLOAD = object()

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class CrossLoopCall(Protocol):
    """Call a function of the other side and wait for it, from any task of this side."""

    async def __call__(self, function: Callable[[*Ts], Awaitable[T]], /, *args: *Ts) -> T:
        """Return what it returns and raise what it raises; to be cancelled is to cancel it, and to wait for its end.

        On trio it raises `ClosedResourceError` when the other side has ended, or ends before the function does.
        """
        ...


async def _stay(function: Callable[[*Ts], Awaitable[T]], /, *args: *Ts) -> T:
    return await function(*args)


class _PortalCall:
    """Calls into the loop of a portal, which is another thread's."""

    def __init__(self, portal: BlockingPortal) -> None:
        self._portal = portal
        self._closed = False

    async def __call__(self, function: Callable[[*Ts], Awaitable[T]], /, *args: *Ts) -> T:
        if self._closed:
            raise anyio.ClosedResourceError
        try:
            return await self._portal.call_async(function, *args)
        except CancelledError as error:
            # Nobody over here was cancelled: over there everybody was, because that side has come to its end.
            raise anyio.ClosedResourceError from error

    async def close(self) -> None:
        """Cancel all that runs over there, and let nobody in any more."""
        self._closed = True
        # Nothing else ends the other thread's loop, so this has to happen even to those who are cancelled.
        # The portal says with a RuntimeError that it has ended by itself.
        with anyio.CancelScope(shield=True), suppress(RuntimeError):
            await self._portal.call_async(partial(self._portal.stop, cancel_remaining=True))


@asynccontextmanager
async def loop_bridge() -> AsyncGenerator[tuple[CrossLoopCall, CrossLoopCall]]:
    """The way into asyncio and the way into the core, for the length of the block.

    On asyncio both are a plain await on the same loop. On trio, asyncio gets a loop of its own in one worker
    thread, and at the end of the block what still runs there is cancelled and waited for. Its cleanup may
    call the core until then, unless the core itself is cancelled. What the block raises comes out as it is.
    """
    if current_async_library() == "asyncio":
        yield _stay, _stay
        return
    alone: BaseException | None = None
    try:
        async with BlockingPortal() as core, anyio.create_task_group() as tasks:
            # Whoever is cancelled while it starts would leave a loop behind that nobody stops.
            with anyio.CancelScope(shield=True) as starting:
                there: _PortalCall = await tasks.start(_asyncio_thread, core)
                starting.shield = False
                try:
                    yield there, _PortalCall(core)
                finally:
                    await there.close()
    except BaseExceptionGroup as group:
        alone = _alone(group)
        if alone is None:
            raise
    if alone is not None:
        raise alone


async def _asyncio_thread(core: BlockingPortal, *, task_status: TaskStatus[_PortalCall]) -> None:
    async def main() -> None:
        async with BlockingPortal() as portal:
            await core.call_async(task_status.started, _PortalCall(portal))
            await portal.sleep_until_stopped()

    # The thread is taken for as long as the house stands: it must not count among those that everybody shares.
    await anyio.to_thread.run_sync(partial(anyio.run, main, backend="asyncio"), limiter=anyio.CapacityLimiter(1))


def _alone(group: BaseExceptionGroup) -> BaseException | None:
    """The one exception that both task groups of ours have wrapped."""
    match group.exceptions:
        case [BaseExceptionGroup(exceptions=[error])]:
            return error
        case _:
            return None


@asynccontextmanager
async def cancel_stray_tasks(report: Report, *libraries: ModuleType) -> AsyncGenerator[None]:
    """Host libraries that start tasks and wait for none of them. To be entered in asyncio.

    Within the block, errors that nobody waits for go to `report`. At the end the tasks whose code is in one
    of the libraries are cancelled and waited for.
    """
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()

    def on_error(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        report(
            str(context.get("message")),
            error if isinstance(error, BaseException) else None,
            context.get("payload", NO_PAYLOAD),
        )

    loop.set_exception_handler(on_error)
    try:
        async with ending_tasks_of(*libraries):
            yield
    finally:
        loop.set_exception_handler(before)


@asynccontextmanager
async def ending_tasks_of(*modules: ModuleType) -> AsyncGenerator[None]:
    """At the end of the block, cancel the tasks whose code is in these modules or packages, and wait for them."""
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            left = [task for task in asyncio.all_tasks() - {asyncio.current_task()} if _is_of(task, modules)]
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left, timeout=LONGEST_FAREWELL)


def _is_of(task: asyncio.Task[object], modules: Iterable[ModuleType]) -> bool:
    coroutine = task.get_coro()
    if not isinstance(coroutine, CoroutineType):
        return False
    code: CodeType = coroutine.cr_code
    roots = [root for module in modules for root in getattr(module, "__path__", [module.__file__])]
    return any(Path(code.co_filename).is_relative_to(root) for root in roots)
