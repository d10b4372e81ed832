"""The loop bridge between the core, on either backend, and Discord's libraries, which support asyncio only."""

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
"""Takes a sentence, the exception if there is one, and the gateway payload that it is about, or `NO_PAYLOAD`."""

NO_PAYLOAD = object()

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class CrossLoopCall(Protocol):
    """Calls a function on the other side of the bridge and waits for it, from any task of this side."""

    async def __call__(self, function: Callable[[*Ts], Awaitable[T]], /, *args: *Ts) -> T:
        """Return its result and raise its exceptions; if the caller is cancelled, cancel it and wait for its end.

        On trio it raises `ClosedResourceError` when the other side has ended, or ends before the function does.
        """
        ...


async def _stay(function: Callable[[*Ts], Awaitable[T]], /, *args: *Ts) -> T:
    return await function(*args)


class _PortalCall:
    """Calls into the event loop of a portal, which runs in another thread."""

    def __init__(self, portal: BlockingPortal) -> None:
        self._portal = portal
        self._closed = False

    async def __call__(self, function: Callable[[*Ts], Awaitable[T]], /, *args: *Ts) -> T:
        if self._closed:
            raise anyio.ClosedResourceError
        try:
            return await self._portal.call_async(function, *args)
        except CancelledError as error:
            # Nothing was cancelled on this side: all tasks on the other side were, because its loop has ended.
            raise anyio.ClosedResourceError from error

    async def close(self) -> None:
        """Cancel everything that runs in the portal, and refuse further calls."""
        self._closed = True
        # Nothing else ends the other thread's loop, so this must run even in a cancelled task.
        # The portal raises RuntimeError if it has already stopped.
        with anyio.CancelScope(shield=True), suppress(RuntimeError):
            await self._portal.call_async(partial(self._portal.stop, cancel_remaining=True))


@asynccontextmanager
async def loop_bridge(*, apart: bool = False) -> AsyncGenerator[tuple[CrossLoopCall, CrossLoopCall]]:
    """Yield the calls into asyncio and into the core, valid within the block.

    On asyncio both are a plain await on the same loop, unless they are to be `apart`. On trio, asyncio gets its own
    loop in one worker thread, and at the end of the block what still runs there is cancelled and waited for. Its
    cleanup may call the core until then, unless the core itself is cancelled. Exceptions of the block are raised
    unwrapped.
    """
    if current_async_library() == "asyncio" and not apart:
        yield _stay, _stay
        return
    alone: BaseException | None = None
    try:
        async with BlockingPortal() as core, anyio.create_task_group() as tasks:
            # Cancelling during the start would leave behind a loop that nothing stops.
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

    # The thread is in use for the whole run of the application: it must not count against the shared limiter.
    await anyio.to_thread.run_sync(partial(anyio.run, main, backend="asyncio"), limiter=anyio.CapacityLimiter(1))


def _alone(group: BaseExceptionGroup) -> BaseException | None:
    """The single exception that both task groups of `loop_bridge` have wrapped, or None."""
    match group.exceptions:
        case [BaseExceptionGroup(exceptions=[error])]:
            return error
        case _:
            return None


@asynccontextmanager
async def cancel_stray_tasks(report: Report, *libraries: ModuleType) -> AsyncGenerator[None]:
    """Contain libraries that start tasks and wait for none of them. Must be entered in asyncio.

    Within the block, unhandled errors of the loop go to `report`. At the end the tasks whose code is in one of the
    libraries are cancelled and waited for.
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
async def ending_tasks_of(*modules: ModuleType, named: str = "") -> AsyncGenerator[None]:
    """At the end of the block, cancel the tasks whose code is in these modules or packages, and wait for them.

    Only those whose names have `named` in them.
    """
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            others = asyncio.all_tasks() - {asyncio.current_task()}
            left = [task for task in others if named in task.get_name() and _is_of(task, modules)]
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
