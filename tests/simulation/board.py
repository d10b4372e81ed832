"""Discord, as the port `Post`: messages that outlive the bot; out of reach, forgetful, slow, or deleted at times."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import anyio
from msgspec import Struct, field

from app.discord import custom_id
from app.discord.blocks import Button, Card, Line, Row
from app.discord.place import Seen
from app.discord.post import Away, Expired, Gone
from app.events import JobId

NONCES = 300.0
"""Seconds for which a second message with the nonce of a first one is that first one."""

EXPIRES = 15 * 60.0
"""Seconds for which a token is good."""

CHANNEL = "channel"


class Message(Struct):
    """A message: its token, whose job it is about, everything it ever said, and whether it is still there."""

    number: int
    job: JobId
    nonce: str
    born: float
    said: list[Card] = field(default_factory=list[Card])
    deleted: bool = False
    expired: bool = False

    @property
    def last_words(self) -> list[Card]:
        """All that it said after its job had ended."""
        return [card for card in self.said if "cancel" not in verbs(card)]

    @property
    def ended(self) -> bool:
        """Whether it shows how its job ended."""
        return bool(self.said) and "cancel" not in verbs(self.said[-1])


class Board:
    """See `app.discord.post.Post`. Owns the messages.

    `saw` is called before anything is shown: of which job, and whether it is a last word.
    """

    def __init__(self, rng: random.Random, saw: Callable[[JobId, bool], None]) -> None:
        self._rng = rng
        self.messages: list[Message] = []
        self._saw = saw
        self.calm()

    def calm(self) -> None:
        """From now on all is well."""
        self.away_until = self.forgetful_until = self.limited_until = float("-inf")

    async def begin(self, job: JobId) -> Message:
        """Somebody gives a command, and sees that the bot thinks. Its token is its number."""
        await self._reach()
        return self._new(job, "")

    async def answer(self, token: str, card: Card) -> Seen:
        await self._reach()
        message = self.messages[int(token)]
        if message.expired or anyio.current_time() > message.born + EXPIRES:
            raise Expired("The interaction is over.")
        return self._show(message, card)

    async def edit(self, channel: str, message: str, card: Card) -> None:
        await self._reach()
        self._show(self.messages[int(message)], card)

    async def create(self, channel: str, card: Card, nonce: str) -> Seen:
        await self._reach()
        now = anyio.current_time()
        same = (m for m in self.messages if m.nonce == nonce and now - m.born < NONCES and not m.deleted)
        if (message := next(same, None)) is None:
            return self._show(self._new(about(card), nonce), card)
        self._answer()
        return Seen(CHANNEL, str(message.number))

    async def write_to(self, user: str, card: Card, nonce: str) -> Seen:
        return await self.create(CHANNEL, card, nonce)

    async def whisper(self, token: str, card: Card) -> None:
        raise AssertionError(card)

    async def add(self, token: str, card: Card) -> Seen:
        raise AssertionError(card)

    async def withdraw(self, token: str) -> None:
        raise AssertionError(token)

    async def delete(self, channel: str, message: str) -> None:
        raise AssertionError(message)

    def _new(self, job: JobId, nonce: str) -> Message:
        self.messages.append(message := Message(len(self.messages), job, nonce, anyio.current_time()))
        return message

    def _show(self, message: Message, card: Card) -> Seen:
        if message.deleted:
            raise Gone("Discord says: Unknown Message.")
        self._saw(message.job, "cancel" not in verbs(card))
        message.said.append(card)
        self._answer()
        return Seen(CHANNEL, str(message.number))

    async def _reach(self) -> None:
        await anyio.sleep(self._rng.uniform(0.02, 0.2))
        # hikari waits for the end of a 429 by itself; whoever called it may not.
        if anyio.current_time() < self.limited_until:
            await anyio.sleep_until(self.limited_until)
        if anyio.current_time() < self.away_until:
            raise Away("Discord does not answer.")

    def _answer(self) -> None:
        if anyio.current_time() < self.forgetful_until:
            raise Away("Discord did not answer.")


def _buttons(card: Card) -> Iterator[Button]:
    for block in card.blocks:
        match block:
            case Row(buttons=buttons):
                yield from buttons
            case Line(button=button):
                yield button
            case _:
                pass


def verbs(card: Card) -> set[str]:
    """What one can do with it."""
    return {press.verb for button in _buttons(card) if (press := custom_id.read(button.custom_id)) is not None}


def about(card: Card) -> JobId:
    """Whose job it shows."""
    return next(press.job for button in _buttons(card) if (press := custom_id.read(button.custom_id)) is not None)
