"""Where people see their jobs: messages that outlive the bot, and may be out of reach, forgetful or deleted."""

from __future__ import annotations

import random
from collections.abc import Callable

import anyio
from msgspec import Struct, field

from app.actors.handle import Registry
from app.events import LAST_WORDS, AnyUpdate, JobId
from app.ports import ConnectionLost

NONCES = 300.0
"""Seconds for which a second message with the nonce of a first one is that first one."""


class Message(Struct):
    """A message: whose job it is about, everything it ever said, and whether it is still there."""

    number: int
    job: JobId
    nonce: str
    born: float
    said: list[AnyUpdate] = field(default_factory=list[AnyUpdate])
    deleted: bool = False


class Board:
    """Owns the messages. `saw` is called with each update before it is shown."""

    def __init__(self, rng: random.Random, saw: Callable[[AnyUpdate], None]) -> None:
        self._rng = rng
        self.messages: list[Message] = []
        self.away_until = self.forgetful_until = float("-inf")
        self._saw = saw

    async def create(self, job: JobId, nonce: str, update: AnyUpdate | None = None) -> Message:
        """Post a message; with a nonce that was just used, get that message instead."""
        await self._reach()
        now = anyio.current_time()
        same = (m for m in self.messages if m.nonce == nonce and now - m.born < NONCES and not m.deleted)
        if (message := next(same, None)) is None:
            message = Message(len(self.messages), job, nonce, now)
            self.messages.append(message)
            if update is not None:
                self._show(message, update)
        self._answer()
        return message

    async def edit(self, number: int, update: AnyUpdate) -> bool:
        """Have a message say something else; False if it is gone."""
        await self._reach()
        message = self.messages[number]
        if not message.deleted:
            self._show(message, update)
        self._answer()
        return not message.deleted

    def _show(self, message: Message, update: AnyUpdate) -> None:
        self._saw(update)
        message.said.append(update)

    async def _reach(self) -> None:
        await anyio.sleep(self._rng.uniform(0, 0.2))
        if anyio.current_time() < self.away_until:
            raise ConnectionLost("the board is away")

    def _answer(self) -> None:
        if anyio.current_time() < self.forgetful_until:
            raise ConnectionLost("the board did not answer")


class Post:
    """The Reply port of one job's message."""

    pause = 1.1

    def __init__(self, board: Board, registry: Registry, job: JobId, number: int) -> None:
        self._board = board
        self._registry = registry
        self._job = job
        self._number = number

    @property
    def receipt(self) -> str:
        return str(self._number)

    async def show(self, update: AnyUpdate) -> None:
        """Edit; a last word whose message is gone gets a new one."""
        if await self._board.edit(self._number, update) or not isinstance(update, LAST_WORDS):
            return
        message = await self._board.create(self._job, f"result {self._job}", update)
        self._number = message.number
        await self._registry.place(self._job, str(message.number))
