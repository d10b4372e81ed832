"""Hikari behind the crossing, on both backends: it starts, hears, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypeAlias

import anyio
import anyio.abc
import hikari
import lightbulb
import pytest

from app.discord.bridge import CrossLoopCall, cancel_stray_tasks, loop_bridge
from tests.discord.fake import FakeDiscord, Payload
from tests.discord.peers import make_bot

COMMAND: Payload = {"name": "imagine", "description": "Make a picture", "options": []}


Receives: TypeAlias = anyio.abc.ObjectReceiveStream[str]


class Door:
    """A bot that acknowledges and hands on to the core."""

    def __init__(self, fake: FakeDiscord, into_core: CrossLoopCall, inbox: anyio.abc.ObjectSendStream[str]) -> None:
        self._fake, self._into_core, self._inbox = fake, into_core, inbox
        self.reported: list[BaseException | None] = []
        self.left: int | None = None

    async def serve(self) -> None:
        """Run until the gateway is lost or we are cancelled."""
        before = asyncio.all_tasks()
        bot = make_bot(self._fake)
        bot.subscribe(hikari.CommandInteractionCreateEvent, self._hear)
        try:
            async with cancel_stray_tasks(lambda _, error, __: self.reported.append(error), hikari, lightbulb):
                try:
                    await bot.start(check_for_updates=False)
                    await bot.join()
                finally:
                    with anyio.CancelScope(shield=True):
                        if bot.is_alive:
                            await bot.close()
        finally:
            self.left = len(asyncio.all_tasks() - before)

    async def _hear(self, event: hikari.CommandInteractionCreateEvent) -> None:
        await event.interaction.create_initial_response(hikari.ResponseType.DEFERRED_MESSAGE_CREATE)
        await self._into_core(self._inbox.send, event.interaction.command_name)


@asynccontextmanager
async def serving(fake: FakeDiscord) -> AsyncGenerator[tuple[Door, Receives]]:
    """A bot over there whose inbox holds nothing: who puts something in waits until it is taken out."""
    fake.state.do(fake.state.commands.replace, None, [COMMAND])
    send, receive = anyio.create_memory_object_stream[str]()
    async with send, receive, loop_bridge() as (into_asyncio, into_core), anyio.create_task_group() as tasks:
        door = Door(fake, into_core, send)
        tasks.start_soon(into_asyncio, door.serve)
        yield door, receive
        tasks.cancel_scope.cancel()


async def test_what_hikari_hears_arrives_in_the_core(fake: FakeDiscord) -> None:
    async with serving(fake) as (_, receive):
        await fake.until(lambda: fake.gateway.connected)
        interaction = fake.slash("imagine")
        with anyio.fail_after(60):
            assert await receive.receive() == "imagine"
    assert interaction.response == 5


async def test_a_handler_that_waits_for_the_core_is_ended_with_the_bot(fake: FakeDiscord) -> None:
    async with serving(fake) as (door, _):
        await fake.until(lambda: fake.gateway.connected)
        interaction = fake.slash("imagine")
        await fake.until(lambda: interaction.response)
    assert door.left == 0


async def test_a_bot_that_is_cancelled_while_it_asks_for_the_gateway_leaves_nothing_behind(fake: FakeDiscord) -> None:
    fake.fail("GET", "/gateway/bot", hold=True)
    async with serving(fake) as (door, _):
        await fake.until(lambda: fake.requests)
    assert door.left == 0


async def test_a_bot_that_is_cancelled_during_the_handshake_leaves_nothing_behind(fake: FakeDiscord) -> None:
    fake.gateway.mute = True
    async with serving(fake) as (door, _):
        await fake.until(lambda: fake.gateway.count(2))
    assert door.left == 0


async def test_a_fatal_close_comes_out_as_it_is(fake: FakeDiscord) -> None:
    async def lose() -> None:
        async with serving(fake):
            await fake.until(lambda: fake.gateway.connected)
            fake.gateway.close(4004)
            await anyio.sleep_forever()

    with pytest.raises(ExceptionGroup) as raised:
        await lose()
    [error] = raised.value.exceptions
    assert isinstance(error, hikari.GatewayServerClosedConnectionError)
