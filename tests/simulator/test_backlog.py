"""Readers that do not read: they stall the others, as in ComfyUI, and are cut off when too much waits for them."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from app.ports import ConnectionLost, WebSocket
from app.simulator.engine import clients
from app.simulator.engine.simulator import Simulator
from app.simulator.http import memory_socket
from tests.conftest import virtual
from tests.simulator.replay import living

MIB = 2**20


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


def push(simulator: Simulator, size: int) -> None:
    """Frames for "sloth", so many bytes of them; then one for "me"."""
    for _ in range(size // MIB):
        simulator.sockets.push(bytes(MIB), "sloth")
    simulator.sockets.push("after", "me")


async def heard_within(socket: WebSocket, seconds: float) -> bool:
    with anyio.move_on_after(seconds):
        return await socket.receive() == "after"
    return False


async def test_who_does_not_read_stalls_everybody(tmp_path: Path) -> None:
    async with living(tmp_path) as sim, sim.connect("sloth") as sloth, sim.connect("me") as me:
        await me.receive()
        push(sim, memory_socket.ROOM + 40 * MIB)
        assert not await heard_within(me, 3600)
        await sloth.receive()
        for _ in range((memory_socket.ROOM + 40 * MIB) // MIB):
            await sloth.receive()
        assert await heard_within(me, 1)


async def test_who_leaves_too_much_unread_is_cut_off_and_the_others_go_on(tmp_path: Path) -> None:
    async with living(tmp_path) as sim, sim.connect("sloth") as sloth, sim.connect("me") as me:
        await me.receive()
        push(sim, memory_socket.ROOM + MIB)
        await anyio.sleep(1)
        push(sim, clients.BACKLOG)
        assert await heard_within(me, 1)
        with pytest.raises(ConnectionLost):
            await sloth.receive()


async def test_small_frames_count_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "BACKLOG", 4 * MIB)
    async with living(tmp_path) as sim, sim.connect("me") as me:
        await me.receive()
        sim.faults.stall()
        for _ in range(clients.BACKLOG // clients.OVERHEAD + 1):
            sim.sockets.push("", "nobody")
        sim.sockets.push("after", "me")
        assert await heard_within(me, 1), "the reader that stalled us should have been cut off"
