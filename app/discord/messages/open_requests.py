"""The people who were told that the bot thinks, and wait: if this process dies, another one answers them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog
from msgspec import Struct

from app.core.jobs.job import Job
from app.discord.message_ref import Seen
from app.discord.messages.ports import SendError
from app.discord.ui.components import Card
from app.discord.ui.pages import refusal
from app.discord.user_request import Caller
from app.entry_points import run_loop
from app.events import JobId
from app.ports import OpenRequest, OpenRequestStore
from app.texts.discord.answers import NOT_TAKEN_BEFORE

LOOK = 15.0
"""Seconds between two looks for what other processes have left."""

logger = structlog.stdlib.get_logger(__name__)


class Answers(Protocol):
    """What is needed of Discord to answer somebody whom another process has told that the bot thinks."""

    async def is_unanswered(self, token: str) -> bool:
        """Whether the answer to an interaction still says that the bot thinks. Raises `SendError`."""
        ...

    async def edit_original(self, token: str, card: Card) -> Seen:
        """See `app.discord.messages.ports.MessageSender`."""
        ...


class _Open(Struct):
    """A request that waits for an answer, for as long as something has hold of it."""

    request: OpenRequest
    holds: int = 0


class OpenRequests:
    """Keeps in the store who waits for an answer. Without a store nothing is kept: nobody could answer them later."""

    def __init__(self, store: OpenRequestStore | None = None) -> None:
        self._store = store
        self._open: dict[str, _Open] = {}
        """By the token that answers them."""

    def begin(self, caller: Caller, typed: str = "", job: JobId | None = None) -> Callable[[], None]:
        """Keep somebody who waits until the returned function was called, as often as this one was for them.

        `typed` is given back if nothing comes of the request; `job` is what becomes of it.
        """
        store, token = self._store, caller.token
        if store is None or not caller.fresh:
            return lambda: None
        known = self._open.setdefault(token, _Open(OpenRequest(token, typed)))
        known.holds += 1
        if job is not None:
            known.request = OpenRequest(token, known.request.typed, job)
        store.put(known.request)
        over = False

        def end() -> None:
            nonlocal over
            if not over:
                over = True
                known.holds -= 1
                if not known.holds:
                    del self._open[token]
                    store.remove(token)

        return end

    async def watch(self, answers: Answers, find: Callable[[JobId], Awaitable[Job | None]]) -> None:
        """Answer what other processes have left, until cancelled; one that was cut off may leave something late.

        `find` returns a job of the journal.
        """
        if self._store is not None:

            async def step() -> float:
                await self._answer_left(answers, find)
                return LOOK

            await run_loop(step, "requests that another front has left could not be answered")

    async def _answer_left(self, answers: Answers, find: Callable[[JobId], Awaitable[Job | None]]) -> None:
        """Tell everybody whom another process has left without an answer, and of whose request nothing became."""
        for request in await self._store.take_left() if self._store is not None else ():
            if request.job and await find(request.job) is not None:
                continue
            try:
                if await answers.is_unanswered(request.token):
                    await answers.edit_original(request.token, refusal(NOT_TAKEN_BEFORE, request.typed))
            except SendError as error:
                logger.info("a request that was not taken could not be answered", reason=str(error))
