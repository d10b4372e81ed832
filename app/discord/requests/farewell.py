"""The end of a bot: everybody who waits for an answer gets one, and every live message says what happens to its job."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from app.discord.messages.live_messages import LiveMessages
from app.discord.requests.dispatcher import RequestDispatcher

ANSWERING = 0.5
"""Seconds at the end for what is under way, out of the 1.5 that frontends have to shut down."""

REFUSING = 0.9
"""Seconds at the end for refusing the rest. Whoever reads nothing until then is left to the front that takes over."""

ANSWERED = 0.01
"""Seconds between two looks whether it is over."""


async def say_farewell(is_idle: Callable[[], bool], dispatcher: RequestDispatcher, live_messages: LiveMessages) -> None:
    """Answer everybody who was acknowledged, and say goodbye in the live messages.

    `is_idle` says whether nobody who was acknowledged waits for an answer; nobody else is acknowledged any more.
    """

    async def refuse_rest() -> None:
        with anyio.move_on_after(REFUSING):
            await dispatcher.refuse_rest()
            # What was being acknowledged until now.
            while not is_idle():
                await anyio.sleep(ANSWERED)
                await dispatcher.refuse_rest()

    with anyio.move_on_after(ANSWERING):
        while not is_idle():  # noqa: ASYNC110  those who acknowledge have another loop
            await anyio.sleep(ANSWERED)
    async with anyio.create_task_group() as goodbyes:
        goodbyes.start_soon(refuse_rest, name="refusals")
        goodbyes.start_soon(live_messages.say_goodbye, name="farewells")
