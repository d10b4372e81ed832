"""The door of one life of the bot: the real replies and interactions, in front of a board instead of Discord."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from app.actors.handle import Registry
from app.actors.interaction import InteractionActor
from app.backoff import Pauses
from app.discord.blocks import Card, Upload
from app.discord.card import render
from app.discord.place import TOKEN_LIFE, Place, Token, write
from app.discord.reply import MessageReply
from app.discord.traffic import Traffic
from app.discord.view import View, view_of
from app.events import Finished, JobId
from app.jobs import Job, Wish
from tests.simulation.board import CHANNEL, Board, Message


class Door:
    """What `app.discord.studio.Studio` is in Discord; also the `World` of its replies."""

    def __init__(self, registry: Registry, board: Board, tasks: TaskGroup, pauses: Pauses) -> None:
        self.registry = registry
        self.post = board
        self.traffic = Traffic()
        self._tasks = tasks
        self._pauses = pauses

    @asynccontextmanager
    async def fit(self, files: Sequence[str], limit: int) -> AsyncGenerator[tuple[list[Upload], list[str]]]:
        await anyio.lowlevel.checkpoint()
        yield uploads(files), []

    def now(self) -> float:
        return 0.0

    def estimate(self, position: int) -> float | None:
        return None

    async def moved(self, job: JobId, place: str) -> None:
        await self.registry.place(job, place)

    def begin(self, wish: Wish, message: Message) -> None:
        """Have a wish made, and show what becomes of it there."""
        place = Place(channel=CHANNEL, user="42", message=str(message.number))
        token = Token(str(message.number), anyio.current_time() + TOKEN_LIFE)
        reply = MessageReply(view(wish), place, self, token)
        actor = InteractionActor(wish, self.registry, reply, place=write(place), pauses=self._pauses)
        self._tasks.start_soon(self._live, reply, actor, name=f"interaction {wish.job}")

    def resume(self, job: Job, place: Place) -> None:
        """Go on with a job of an earlier life."""
        reply = MessageReply(view(job.wish), place, self)
        actor = InteractionActor(job.id, self.registry, reply, pauses=self._pauses)
        self._tasks.start_soon(self._live, reply, actor, name=f"interaction {job.id}")

    async def _live(self, reply: MessageReply, actor: InteractionActor) -> None:
        channel = reply.place.channel
        self.traffic.join(channel)
        try:
            await actor.run()
        finally:
            self.traffic.leave(channel)


def view(wish: Wish) -> View:
    """What is shown of a wish before there is any news."""
    return view_of(wish, None, (), spoiler=False)


def uploads(files: Sequence[str]) -> list[Upload]:
    """Every file is small enough here."""
    return [Upload(Path(file).name, file) for file in files]


def last_card(job: Job) -> Card:
    """What a job's message must say in the end."""
    shown, last_word = view(job.wish), job.last_word
    shown.last_word = last_word
    return render(shown, uploads(last_word.files) if isinstance(last_word, Finished) else ())[0]
