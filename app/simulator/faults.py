"""Faults on request, for tests and over HTTP at POST /simulator/faults. Times are in seconds."""

from __future__ import annotations

import math
from collections.abc import Callable

import anyio
from msgspec import Struct

from app.ports import ConnectionLost
from app.reasons.servers import RefusedConnection


class FailPrompt(Struct, frozen=True, forbid_unknown_fields=True):
    """Answer the next `count` POSTs of a prompt with `status`; with `effect`, the prompt is queued nonetheless."""

    count: int = 1
    status: int = 500
    effect: bool = False


class Request(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /simulator/faults, with any of these fields."""

    drop_sockets: bool = False
    keep_sockets: bool = False
    """Keep open websockets with `refuse_sockets` or `refuse_all`, which otherwise drop them."""
    deaf: bool = False
    refuse_sockets: float | None = None
    refuse_all: float | None = None
    restart: float | None = None
    fail_prompt: FailPrompt | None = None
    delay_http: float | None = None
    history_gap: float | None = None
    forget: str | None = None
    stall: bool | float | None = None
    garbage: bool = False
    hold: bool | None = None


class Faults:
    """Owns the active faults. One method for each fault; all take effect at once.

    `refuse_*`, `restart` and `stall` last for the given time; `hold` until it is lifted or the prompt is interrupted.
    """

    def __init__(self, *, history_gap: float, actions: Actions) -> None:
        self.history_gap = history_gap
        """Seconds between `execution_success` and the history entry; up to 0.27 s were seen (T14)."""
        self.http_delay = 0.0
        self.failing = FailPrompt(count=0)
        self._actions = actions
        self._away_until = -math.inf
        self._door_shut_until = -math.inf
        self._change = anyio.Event()
        self._going_on = anyio.Event()
        self._going_on.set()

    def drop_sockets(self) -> None:
        """Cut every websocket without a close frame."""
        self._actions.drop()

    def deaf(self) -> None:
        """Send nothing more to open websockets, which still answer pings; new ones work (ComfyUI#16010)."""
        self._actions.deafen()

    def refuse_sockets(self, seconds: float) -> None:
        """Refuse new websockets with status 502 before the handshake; open ones stay."""
        self._door_shut_until = anyio.current_time() + seconds

    def refuse_all(self, seconds: float) -> None:
        """Be unreachable: the real port is closed, and HTTP in memory answers 502. Open websockets stay."""
        self._away_until = anyio.current_time() + seconds
        self._change.set()
        self._change = anyio.Event()

    def restart(self, seconds: float) -> None:
        """Restart: queue, running prompt, history, counter, cache and temporary files are lost (T18)."""
        self.refuse_all(seconds)
        self._actions.restart()

    def fail_prompt(self, count: int = 1, *, status: int = 500, effect: bool = False) -> None:
        """Fail the next POSTs of a prompt; with `effect`, the prompt is queued nonetheless (T19)."""
        self.failing = FailPrompt(count, status, effect)

    def forget(self, what: str) -> None:
        """Delete a prompt (pending or in the history) or clear "pending" or "history", as another client would."""
        self._actions.forget(what)

    def stall(self, seconds: float = math.inf) -> None:
        """Act as if one client stopped reading: no client gets anything until it is gone (T15); 0 ends the stall."""
        self._actions.stall(seconds)

    def garbage(self) -> None:
        """Send frames that clients cannot understand, and must survive."""
        self._actions.garbage()

    def hold(self, *, lifted: bool = False) -> None:
        """Stop the worker before its next node or step, or let it continue."""
        if lifted:
            self._going_on.set()
        elif self._going_on.is_set():
            self._going_on = anyio.Event()

    def ask(self, request: Request) -> None:
        """Apply the faults of a request."""
        if request.delay_http is not None:
            self.http_delay = request.delay_http
        if request.history_gap is not None:
            self.history_gap = request.history_gap
        if request.fail_prompt is not None:
            self.failing = request.fail_prompt
        if request.hold is not None:
            self.hold(lifted=not request.hold)
        if request.stall is not None:
            # JSON has no infinity, so `true` stands for it.
            self.stall(math.inf if request.stall is True else request.stall)
        if request.forget is not None:
            self.forget(request.forget)
        refusing = request.refuse_sockets is not None or request.refuse_all is not None
        if request.refuse_sockets is not None:
            self.refuse_sockets(request.refuse_sockets)
        if request.refuse_all is not None:
            self.refuse_all(request.refuse_all)
        for requested, act in (
            (request.garbage, self.garbage),
            (request.deaf, self.deaf),
            (request.drop_sockets or (refusing and not request.keep_sockets), self.drop_sockets),
        ):
            if requested:
                act()
        if request.restart is not None:
            self.restart(request.restart)

    @property
    def away(self) -> float:
        """The number of seconds for which the server is still unreachable."""
        return max(0.0, self._away_until - anyio.current_time())

    async def wait_until_away(self) -> None:
        """Wait until the server is unreachable."""
        while not self.away:
            await self._change.wait()

    async def back(self) -> None:
        """Wait until the server is reachable again, because the time is over or `refuse_all(0)` ends it."""
        while self.away:
            with anyio.move_on_after(self.away):
                await self._change.wait()

    def admit_socket(self) -> None:
        """Raise `ConnectionLost` if new websockets are refused."""
        if self.away or anyio.current_time() < self._door_shut_until:
            raise ConnectionLost(RefusedConnection())

    def fail_next(self) -> FailPrompt | None:
        """Take one of the failures that were requested for POST /prompt; None if there are none."""
        if not self.failing.count:
            return None
        failing = self.failing
        self.failing = FailPrompt(failing.count - 1, failing.status, failing.effect)
        return failing

    async def held(self) -> None:
        """Wait while the worker is held."""
        await self._going_on.wait()


class Actions(Struct, frozen=True):
    """The effects of faults on the rest of the simulator."""

    drop: Callable[[], None]
    deafen: Callable[[], None]
    restart: Callable[[], None]
    forget: Callable[[str], None]
    stall: Callable[[float], None]
    garbage: Callable[[], None]
