"""The people who were told that the bot thinks, and wait: each gets an answer, whatever fails and whatever ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Protocol

import anyio
import structlog
from msgspec import Struct

from app.core.jobs.job import Job
from app.discord.message_ref import Seen
from app.discord.messages.ports import Away, Deleted, SendError
from app.discord.ui.components import Card
from app.discord.ui.pages import refusal
from app.discord.user_request import Caller
from app.entry_points import run_loop
from app.events import JobId
from app.ports import OpenRequest, OpenRequestStore
from app.texts.discord.answers import NOT_ANSWERED, NOT_TAKEN_BEFORE

LOOK = 15.0
"""Seconds between two looks for those who have no answer yet."""

MOST = 1_000
"""People whose answer could not be sent, and waits for the next look; the oldest ones are left out."""

AT_ONCE = 8
"""People who are answered at the same time, so that the bot's other calls to Discord wait no longer than a moment."""

logger = structlog.stdlib.get_logger(__name__)


class Answers(Protocol):
    """What is needed of Discord to answer somebody later, who was told that the bot thinks."""

    async def is_unanswered(self, token: str) -> bool:
        """Whether the answer to an interaction still says that the bot thinks. Raises `SendError`."""
        ...

    async def edit_original(self, token: str, card: Card) -> Seen:
        """See `app.discord.messages.ports.MessageSender`."""
        ...

    async def ephemeral_followup(self, token: str, card: Card) -> None:
        """See `app.discord.messages.ports.MessageSender`."""
        ...


class _Open(Struct):
    """A request that waits for an answer, for as long as something has hold of it."""

    request: OpenRequest
    holds: int = 0


class OpenRequests:
    """Knows who waits for an answer, and whom none could be sent to, which is tried again.

    A store keeps who waits, so that another process answers them if this one ends. Without one nobody could.
    """

    def __init__(self, store: OpenRequestStore | None = None) -> None:
        self._store = store
        self._open: dict[str, _Open] = {}
        """By the token that answers them."""
        self._unsent: dict[str, Card] = {}
        """The answers that could not be sent, by token."""

    @property
    def is_shared(self) -> bool:
        """Whether another process answers those who wait if this one ends."""
        return self._store is not None

    async def expect(self, token: str, typed: str) -> None:
        """Keep somebody who is told next that the bot thinks; `begin` or `doubt` must follow."""
        if (store := self._store) is not None:
            store.put(OpenRequest(token, typed))
            await store.kept(token)

    async def doubt(self, token: str, typed: str) -> None:
        """Answer somebody later of whom it is not known whether they were told that the bot thinks."""
        self._answer_later(token, refusal(NOT_ANSWERED, typed))

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
                    self._forget(token)

        return end

    def _forget(self, token: str) -> None:
        """Forget somebody who was answered, unless that failed."""
        if self._store is not None and token not in self._unsent:
            self._store.remove(token)

    @contextmanager
    def answering(self, token: str, card: Card, *, fresh: bool) -> Generator[None]:
        """Answer somebody within the block, which raises `Away` if that must be tried again.

        They get this card later then, if they were told that the bot thinks, so that the message is `fresh`; so they do
        if the block is cancelled or fails. Discord's refusals are final.
        """
        try:
            yield
        except BaseException as error:
            is_final = isinstance(error, SendError) and not isinstance(error, Away)
            if fresh and not is_final:
                self._answer_later(token, card)
            raise
        else:
            self._unsent.pop(token, None)

    def _answer_later(self, token: str, card: Card) -> None:
        self._unsent[token] = card
        while len(self._unsent) > MOST:
            del self._unsent[next(iter(self._unsent))]

    async def watch(self, answers: Answers, find: Callable[[JobId], Awaitable[Job | None]]) -> None:
        """Answer those who have no answer yet, until cancelled; one that was cut off may leave something late.

        `find` returns a job of the journal.
        """

        async def step() -> float:
            await self._answer_rest(answers, find)
            return LOOK

        await run_loop(step, "requests without an answer could not be answered")

    async def _answer_rest(self, answers: Answers, find: Callable[[JobId], Awaitable[Job | None]]) -> None:
        left = await self._store.left() if self._store is not None else ()
        limiter = anyio.CapacityLimiter(AT_ONCE)

        async def answer(token: str, card: Card, job: JobId) -> None:
            async with limiter:
                # A job of the journal is shown as one.
                if job and await find(job) is not None:
                    self._forget(token)
                else:
                    await self._answer(answers, token, card)

        async with anyio.create_task_group() as tasks:
            for token, card in self._unsent.items():
                tasks.start_soon(answer, token, card, JobId(""), name="answer")
            for request in left:
                card = refusal(NOT_TAKEN_BEFORE, request.typed)
                tasks.start_soon(answer, request.token, card, request.job, name="answer")

    async def _answer(self, answers: Answers, token: str, card: Card) -> None:
        """Answer somebody who may still wait; if Discord cannot be reached, the next look does."""
        try:
            try:
                if await answers.is_unanswered(token):
                    await answers.edit_original(token, card)
            except Deleted:
                # To refuse the request, and it is not known whether its person read the refusal.
                await answers.ephemeral_followup(token, card)
        except Away as error:
            logger.info("somebody waits for an answer, because Discord cannot be reached", reason=str(error))
            return
        except SendError as error:
            logger.info("a request that was not taken could not be answered", reason=str(error))
        self._unsent.pop(token, None)
        self._forget(token)
