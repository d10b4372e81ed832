"""The Dial port over a websocket in memory, which is a port of ours with a script behind it."""

from __future__ import annotations

import struct
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import msgspec
import pytest
from anyio.streams.memory import MemoryObjectReceiveStream

from app.comfy.websocket import connect as connect_module
from app.comfy.websocket.connect import connect
from app.events import ExecutionEnded, ExecutionFailed, ImageStreamed, QueueChanged, ServerEvent
from app.ports import ConnectionLost, OpenWebSocket, WebSocket
from app.reasons.servers import HungUp
from tests.comfy import recorded

STATUS = '{"type":"status","data":{"status":{"exec_info":{"queue_remaining":2}},"sid":"me"}}'


class Scripted:
    """Says what is in the stream, and is lost when it is closed."""

    def __init__(self, script: MemoryObjectReceiveStream[str | bytes]) -> None:
        self._script = script
        self.heard: list[str] = []
        self.left = False

    async def send(self, message: str) -> None:
        await anyio.lowlevel.checkpoint()
        self.heard.append(message)

    async def receive(self) -> str | bytes:
        try:
            return await self._script.receive()
        except anyio.EndOfStream:
            raise ConnectionLost(HungUp(1006)) from None


@asynccontextmanager
async def scripted(*script: str | bytes, silent: bool = False) -> AsyncGenerator[tuple[Scripted, OpenWebSocket]]:
    send, receive = anyio.create_memory_object_stream[str | bytes](len(script) + 1)
    with send, receive:
        for frame in script:
            send.send_nowait(frame)
        if not silent:
            send.close()
        socket = Scripted(receive)

        @asynccontextmanager
        async def opened() -> AsyncGenerator[WebSocket]:
            try:
                yield socket
            finally:
                socket.left = True

        yield socket, opened


async def test_flags_are_sent_first_and_the_first_status_is_passed_on() -> None:
    async with scripted(STATUS) as (socket, opened), connect(opened) as spoken:
        assert [msgspec.json.decode(text) for text in socket.heard] == [
            {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
        ]
        assert await anext(spoken) == QueueChanged(remaining=2)
        with pytest.raises(ConnectionLost, match="HungUp"):
            await anext(spoken)


async def test_what_other_nodes_say_before_the_status_neither_hurts_nor_is_lost() -> None:
    ended = '{"type":"executing","data":{"node":null,"prompt_id":"p"}}'
    chatter = '{"type":"crystools.monitor","data":{"gpus":[]}}'
    async with scripted(chatter, ended, chatter, STATUS) as (_, opened), connect(opened) as spoken:
        first, second = await anext(spoken), await anext(spoken)
    assert isinstance(first, ExecutionEnded)
    assert isinstance(second, QueueChanged)


@pytest.mark.parametrize("name", ["06_raise", "02b_txt2img_full_preview_metadata"])
async def test_a_recorded_run_comes_through_in_order(name: str) -> None:
    heard: list[object] = []

    async def listen(spoken: AsyncIterator[ServerEvent]) -> None:
        async for what in spoken:
            heard.append(what)  # noqa: PERF401  the loss would take a comprehension's list with it

    async with scripted(*recorded.frames(name)) as (_, opened), connect(opened) as spoken:
        with pytest.raises(ConnectionLost):
            await listen(spoken)
    assert isinstance(heard[0], QueueChanged)
    assert any(isinstance(what, ExecutionEnded) for what in heard)
    assert any(isinstance(what, ExecutionFailed) for what in heard) == (name == "06_raise")


@pytest.mark.parametrize(
    "script",
    [["hello"], ["[1]"], ['{"hello":"world"}'], ['{"type":"tick"}'] * (connect_module.MAX_FRAMES_BEFORE_STATUS + 1)],
)
async def test_one_that_talks_otherwise_is_no_comfyui(script: list[str]) -> None:
    async with scripted(*script) as (socket, opened):
        with pytest.raises(ConnectionLost, match="NotComfyUI"):
            async with connect(opened):
                pass
        assert socket.left


async def test_one_that_says_much_before_its_greeting_is_no_comfyui(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect_module, "SMALL_TALK_BYTES", 1000)
    head = b'{"prompt_id":"p","node_id":"1","image_type":"image/png"}'
    picture = struct.pack(">II", 4, len(head)) + head + bytes(300)
    async with scripted(picture, picture, picture, STATUS) as (socket, opened):
        with pytest.raises(ConnectionLost, match="NotComfyUI"):
            async with connect(opened):
                pass
        assert socket.left
    async with scripted(picture, picture, STATUS) as (_, opened), connect(opened) as spoken:
        assert isinstance(await anext(spoken), ImageStreamed)


async def test_one_that_says_nothing_is_no_comfyui(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect_module, "FIRST_FRAME_TIMEOUT", 0.05)
    async with scripted(silent=True) as (socket, opened):
        with pytest.raises(ConnectionLost, match="NotComfyUI"):
            async with connect(opened):
                pass
        assert socket.left


async def test_leaving_the_block_leaves_the_socket() -> None:
    async with scripted(STATUS, silent=True) as (socket, opened):
        async with connect(opened) as spoken:
            await anext(spoken)
        assert socket.left
