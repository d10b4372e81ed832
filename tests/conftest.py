"""Both backends, and virtual time for whoever asks for it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple, Unpack

import anyio.lowlevel
import pytest
from trio.testing import MockClock

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _Selector(selectors.SelectSelector):
    """Never waits: where nothing is ready, it moves the clock instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("deadlock: every task waits, and nothing is scheduled")
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose clock jumps to the next timer when all tasks wait."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def virtual(backend: str) -> tuple[str, dict[str, Any]]:
    """Backend options under which an hour of waiting costs a millisecond. No threads, no sockets inside."""
    if backend == "trio":
        return "trio", {"clock": MockClock(autojump_threshold=0)}
    return "asyncio", {"loop_factory": VirtualLoop}


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Real time by default; a module on virtual time overrides this with `virtual(request.param)`."""
    return request.param


async def inline(function: Callable[[Unpack[Ts]], T], /, *args: *Ts) -> T:
    """Run a blocking function on the spot: under virtual time a thread would let the clock run away."""
    await anyio.lowlevel.checkpoint()
    return function(*args)
