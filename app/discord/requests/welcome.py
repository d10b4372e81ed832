"""Welcomes a Discord server that added the bot: once, to the person who added it, or in its system channel."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import partial

import anyio
import structlog

from app.backoff import Pauses, backoff
from app.core.journal_port import JobHistory
from app.discord.messages.ports import Away, MessageSender, SendError
from app.discord.ui import help_page
from app.discord.ui.help_page import Commands
from app.discord.user_request import Arrival

logger = structlog.stdlib.get_logger(__name__)

TRIES = 5
"""Attempts to say it while Discord does not answer."""

pauses = partial(backoff, 1.0, 60.0)
"""Pauses between them."""


class Welcome:
    """Says the welcome. `guilds` are the only Discord servers that have the commands; all have them if it is empty.

    `first_command` returns the name of the command for a first picture, "" if there is none; `clickable` returns the
    commands of a Discord server, to be clicked.
    """

    def __init__(
        self,
        job_history: JobHistory,
        sender: MessageSender,
        first_command: Callable[[], str],
        clickable: Callable[[str], Commands],
        guilds: Collection[str] = (),
        pauses: Pauses = pauses,
    ) -> None:
        self._job_history = job_history
        self._sender = sender
        self._first_command = first_command
        self._clickable = clickable
        self._guilds = guilds
        self._pauses = pauses

    async def say(self, arrival: Arrival) -> None:
        """Welcome a server, unless that was done before or is impossible. Raises `JournalError`."""
        if self._guilds and arrival.guild not in self._guilds:
            return
        # Before it is said: rather no welcome than two.
        if not await self._job_history.say_once("welcome", arrival.guild):
            return
        command = self._first_command()
        clickable = self._clickable(arrival.guild)
        nonce = f"welcome{arrival.guild}"[: help_page.LONGEST_NONCE]
        if arrival.adder:
            card = help_page.welcome(arrival.name, clickable, command)
            if await self._try(lambda: self._sender.direct_message(arrival.adder, card, nonce)):
                return
        if arrival.system_channel:
            greeting = help_page.welcome("", clickable, command)
            await self._try(lambda: self._sender.create(arrival.system_channel, greeting, nonce))

    async def _try(self, send: Callable[[], Awaitable[object]]) -> bool:
        """Send something, also if Discord does not answer at first; whether it was sent."""
        for _, pause in zip(range(TRIES), self._pauses(), strict=False):
            try:
                await send()
            except Away:
                await anyio.sleep(pause)
            except SendError as error:
                logger.info("a welcome found nobody", reason=str(error))
                return False
            else:
                return True
        return False
