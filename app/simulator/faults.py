"""What can go wrong, on request: in tests directly, over HTTP by POST /simulator/faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from app.simulator.engine import Simulator


class FailPrompt(Struct, forbid_unknown_fields=True):
    """Answer the next POSTs of prompts with an error; with `effect`, take them all the same (T19)."""

    count: int = 1
    status: int = 500
    effect: bool = False


class Request(Struct, forbid_unknown_fields=True):
    """The faults one can ask for. Times are in seconds."""

    drop_sockets: bool = False
    deaf: bool = False
    refuse_sockets: float | None = None
    refuse_all: float | None = None
    restart: float | None = None
    fail_prompt: FailPrompt | None = None
    delay_http: float | None = None
    forget: str | None = None
    garbage: bool = False
    stall: float | None = None
    hold: bool | None = None


class Faults:
    """Owns what is wrong with the simulator at the moment."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._no_sockets_until = float("-inf")
        self._down_until = float("-inf")
        self._held: anyio.Event | None = None
        self.delay = 0.0
        self.fail_prompt = FailPrompt(count=0)

    @property
    def refusing_sockets(self) -> bool:
        """Whether new websockets are refused."""
        return anyio.current_time() < self._no_sockets_until

    @property
    def down(self) -> bool:
        """Whether nothing is answered at all."""
        return anyio.current_time() < self._down_until

    def ask(self, request: Request) -> None:
        """Bring about what was asked for."""
        now, simulator = anyio.current_time(), self._simulator
        if request.refuse_sockets is not None:
            self._no_sockets_until = now + request.refuse_sockets
        if request.refuse_all is not None:
            self._down_until = now + request.refuse_all
        if request.refuse_sockets is not None or request.refuse_all is not None or request.drop_sockets:
            simulator.sockets.drop()
        if request.restart is not None:
            self._down_until = now + request.restart
            simulator.forget()
        if request.deaf:
            simulator.sockets.deafen()
        if request.stall is not None:
            simulator.sockets.stalled_until = now + request.stall
        if request.garbage:
            simulator.sockets.junk()
        if request.fail_prompt is not None:
            self.fail_prompt = request.fail_prompt
        if request.delay_http is not None:
            self.delay = request.delay_http
        if request.hold is not None:
            self.release()
            self._held = anyio.Event() if request.hold else None
        self._forget(request.forget)

    def release(self) -> None:
        """Let a held worker go on."""
        if self._held is not None:
            self._held.set()

    async def held(self) -> None:
        """Wait while the worker is held."""
        if self._held is not None:
            await self._held.wait()

    def _forget(self, what: str | None) -> None:
        """Somebody else at the server deletes or clears."""
        if what == "pending":
            self._simulator.clear()
        elif what == "history":
            self._simulator.history.clear()
        elif what is not None:
            self._simulator.delete({what})
            self._simulator.history.pop(what, None)


def parse(body: bytes) -> Request:
    """Read a request. Raises `ValueError` with a sentence."""
    try:
        return msgspec.json.decode(body, type=Request)
    except msgspec.MsgspecError as error:
        known = ", ".join(Request.__struct_fields__)
        raise ValueError(f"No such fault: {error}. Known are {known}.") from error
