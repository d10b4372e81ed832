"""Discord, as the port `Post`: messages that outlive the bot; out of reach, forgetful, odd, or deleted at times."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import anyio
from msgspec import Struct, field

from app.discord import custom_id
from app.discord.custom_id import Press
from app.discord.message_ref import Seen
from app.discord.messages.delivery import nonce as nonce_of
from app.discord.messages.ports import Away, Deleted, Expired, Gone, Notice, SendError, Unacceptable
from app.discord.ui.components import Button, Card, Line, Row
from app.discord.user_request import Caller
from app.events import JobId
from tests.simulation.answers import FINE, NO_ANSWER, NO_DIRECT_MESSAGES, REMOVED, Answers, Verdict, error_of, fail_with
from tests.simulation.notices import Notices, refuses_direct_messages

NONCES = 300.0
"""Seconds for which a second message with the nonce of a first one is that first one."""

EXPIRES = 15 * 60.0
"""Seconds for which a token is good."""

CHANNEL, DIRECT = "channel", "direct"

GUILD = "guild"
"""The server that the channel belongs to."""


DEPART: ContextVar[Callable[[], Awaitable[None]] | None] = ContextVar("DEPART", default=None)
"""Lets a request leave the process that makes it, after its turn has come. Raises `Away` if it must not."""


class Message(Struct):
    """A message: whose command it answers ("" for one that the bot sent), everything it ever said, whether it is there.

    `job` is the job that it showed last. It is `stuck` if Discord refused the last call about it, but
    for the files.
    """

    number: int
    person: str
    nonce: str
    born: float
    channel: str = CHANNEL
    job: JobId = JobId("")
    said: list[Card] = field(default_factory=list[Card])
    deleted_at: float = float("inf")
    heard_at: float = float("inf")
    """When the bot heard that it is deleted."""
    stuck: bool = False

    @property
    def deleted(self) -> bool:
        """Whether somebody deleted it."""
        return self.deleted_at < float("inf")

    @property
    def page(self) -> int:
        """Which of the messages of a result it is, counted from 0."""
        return int(self.nonce[-2:] or 0)

    def delete(self) -> None:
        """Delete it now."""
        self.deleted_at = anyio.current_time()

    @property
    def ended(self) -> bool:
        """Whether it shows how its job ended."""
        return bool(self.said) and is_last_word(self.said[-1])

    def said_of(self, job: JobId) -> list[Card]:
        """What it said about a job; farewells are about none."""
        return [card for card in self.said if about(card) == job]


class Interaction(Struct):
    """What a person did: until it expires, its token is the leave to edit this message."""

    message: int
    born: float
    expired: bool = False


class Board:
    """See `app.discord.messages.ports.MessageSender`. Owns the messages.

    `saw` is called before anything is shown: where, and what. `broke` is called for the job whose message
    cannot be shown because of an unexpected exception. How it answers has dice of its own, `odd`, so that it changes
    nothing else.
    """

    def __init__(
        self,
        rng: random.Random,
        odd: random.Random,
        saw: Callable[[Message, Card], None],
        broke: Callable[[JobId], None],
    ) -> None:
        self._rng = rng
        self.answers = Answers(odd)
        self.notices = Notices()
        self.reached_notice: Callable[[], None] = lambda: None
        """Called when a notification was posted, before the bot knows it."""
        self.removed = False
        """Whether the channel is removed, with all that it shows; people go on in direct messages."""
        self.oddities: Counter[JobId] = Counter()
        """How often a call about a job was answered with an error that it did not deserve."""
        self.simplified: set[JobId] = set()
        self.picky_about: set[JobId] = set()
        """Jobs of which an edit with pictures was refused: they have to be sent anew."""
        """Jobs of which Discord refused a content, so that a plain message is what they may end with."""
        self.messages: list[Message] = []
        self.interactions: list[Interaction] = []
        self.followed_up: set[str] = set()
        """Tokens with which the bot told one person something that nobody else saw, or tried to."""
        self._saw = saw
        self._broke = broke
        self.calm()

    def calm(self) -> None:
        """From now on all is well; but a channel that was removed does not come back."""
        self.answers.calm()
        self.away_until = self.forgetful_until = self.limited_until = float("-inf")
        self.closed_until = self.nowhere_until = self.picky_until = float("-inf")
        """Until when the channel takes nothing, no place takes anything, and no message takes new pictures."""
        self.failures = 0
        """How many of the next cards about a job raise what no port may raise."""

    @property
    def is_prompt(self) -> bool:
        """Whether every call of the last half minute was carried out at once."""
        answers = self.answers
        slow = max(answers.slow_until, answers.hangs_until, answers.odd_until, self.limited_until, self.away_until)
        return anyio.current_time() > slow + 2 * NO_ANSWER

    def bot_died(self, knows_deleted: Callable[[JobId], bool]) -> None:
        """The bot has forgotten which messages are deleted, but for those whose jobs are recorded as such."""
        for message in self.messages:
            if message.heard_at < float("inf") and not knows_deleted(message.job):
                message.heard_at = float("inf")

    async def command(self, person: str) -> Caller:
        """Somebody gives a command or presses a button that makes something new, and sees that the bot thinks.

        Raises `Away`.
        """
        await self._reach()
        message = self._new(person, "", DIRECT if self.removed else CHANNEL)
        return self._caller(message, person, fresh=True)

    async def press(self, message: Message, person: str) -> Caller:
        """Somebody presses a button of a message that stays. Raises `Away`."""
        await self._reach()
        return self._caller(message, person, fresh=False)

    def _caller(self, message: Message, person: str, *, fresh: bool) -> Caller:
        self.interactions.append(Interaction(message.number, anyio.current_time()))
        token = str(len(self.interactions) - 1)
        guild = GUILD if message.channel == CHANNEL else ""
        shown = str(message.number)
        return Caller(user=person, channel=message.channel, guild=guild, token=token, message=shown, fresh=fresh)

    def is_there(self, message: Message) -> bool:
        """Whether people see it."""
        return not message.deleted and not (self.removed and message.channel == CHANNEL)

    async def edit_original(self, token: str, card: Card) -> Seen:
        message = self.messages[self.interactions[int(token)].message]
        verdict = await self._call(message.channel, message)
        with self._about(verdict, message, about(card) or message.job, card):
            self._valid(token)
            self._take_edit(message, card)
            return self._show(message, card, verdict)

    async def edit(self, channel: str, message: str, card: Card) -> None:
        edited = self.messages[int(message)]
        verdict = await self._call(channel, edited)
        with self._about(verdict, edited, about(card) or edited.job or self._job_of(edited.nonce), card):
            self._take_edit(edited, card)
            self._show(edited, card, verdict)

    async def is_unanswered(self, token: str) -> bool:
        """See `app.discord.messages.open_requests.Answers`."""
        await self._reach()
        self._valid(token)
        message = self.messages[self.interactions[int(token)].message]
        if not self.is_there(message):
            raise Deleted("Discord says: Unknown Message.")
        return not message.said

    async def goes_on(self, channel: str, message: str, job: JobId) -> bool:
        shown = self.messages[int(message)]
        await self._reach()
        if not self.is_there(shown):
            raise Deleted("Discord says: Unknown Message.")
        return bool(shown.said) and any(press == Press("cancel", job) for press in presses(shown.said[-1]))

    async def create(self, channel: str, card: Card, nonce: str) -> Seen:
        verdict = await self._call(channel, None)
        with self._about(verdict, None, about(card) or self._job_of(nonce)):
            self._take(channel)
            now = anyio.current_time()
            # One that says nothing never reached Discord: the library broke before.
            there = (m for m in self.messages if m.said and self.is_there(m))
            same = (m for m in there if m.nonce == nonce and now - m.born < NONCES)
            if (message := next(same, None)) is None:
                return self._show(self._new("", nonce, channel), card, verdict)
            self._answer(verdict)
            return Seen(message.channel, str(message.number), stale=message.said[-1] != card)

    async def direct_message(self, user: str, card: Card, nonce: str) -> Seen:
        return await self.create(DIRECT, card, nonce)

    async def direct_channel(self, user: str) -> str:
        await self._reach()
        return f"{DIRECT} {user}"

    async def notify(self, channel: str, notice: Notice, nonce: str) -> Seen:
        replied_to = self.messages[int(notice.reply_to)] if notice.reply_to else None
        job = replied_to.job if replied_to is not None else self._job_of(nonce)
        verdict = await self._call(channel, None)
        self.notices.oddities[job] += verdict.odd
        if verdict.refused is not None:
            fail_with(verdict.refused)
        self._take(channel)
        if channel != CHANNEL and refuses_direct_messages(channel.removeprefix(f"{DIRECT} ")):
            fail_with(error_of(*NO_DIRECT_MESSAGES))
        if replied_to is not None and not self.is_there(replied_to):
            raise Deleted("Discord says: Unknown Message.")
        number = self.notices.post(job, channel, notice, nonce, NONCES)
        self.reached_notice()
        self._answer(verdict)
        return Seen(channel, number, new=True)

    async def find_notice(self, channel: str, notice: Notice, since: float) -> Seen | None:
        await self._reach()
        self._take(channel)
        number = self.notices.find(channel, notice, since)
        return Seen(channel, number) if number is not None else None

    async def ephemeral_followup(self, token: str, card: Card) -> None:
        self.followed_up.add(token)
        message = self.messages[self.interactions[int(token)].message]
        verdict = await self._call(message.channel, None)
        with self._about(verdict, None, about(card)):
            self._valid(token)
            self._answer(verdict, forgets=False)

    async def followup(self, token: str, card: Card) -> Seen:
        message = self.messages[self.interactions[int(token)].message]
        verdict = await self._call(message.channel, None)
        with self._about(verdict, None, about(card) or message.job):
            self._valid(token)
            raise Gone("Discord says: Thread is archived.")

    async def delete_original(self, token: str) -> None:
        message = self.messages[self.interactions[int(token)].message]
        verdict = await self._call(message.channel, message)
        with self._about(verdict, message, message.job):
            self._opened(token).delete()
            self._answer(verdict)

    async def delete(self, channel: str, message: str) -> None:
        if message in self.notices.posted:
            await self._reach()
            return
        deleted = self.messages[int(message)]
        verdict = await self._call(channel, deleted)
        with self._about(verdict, deleted, deleted.job):
            deleted.delete()
            self._answer(verdict)

    async def _call(self, channel: str, message: Message | None) -> Verdict:
        """Reach Discord with a call of the bot. Raises `Away`."""
        await self._reach()
        await self.answers.wait(channel, message.number if message is not None else None)
        return self.answers.verdict()

    @contextmanager
    def _about(
        self, verdict: Verdict, message: Message | None, job: JobId, card: Card | None = None
    ) -> Generator[None]:
        """Carry out a call about this message and job, unless Discord refuses it, and note what came of it.

        A message that does not take the files of a card may take words.
        """
        self.oddities[job] += verdict.odd
        if verdict.content:
            self.simplified.add(job)
        try:
            if verdict.refused is not None:
                fail_with(verdict.refused)
            yield
        except SendError as error:
            if message is not None:
                takes_words = isinstance(error, Unacceptable) and card is not None and card.uploads
                message.stuck = not isinstance(error, Away) and not takes_words
            raise
        if message is not None:
            message.stuck = False

    def may_be_plain(self, job: JobId) -> bool:
        """Whether Discord took a result nowhere: it refused the content, or an edit with it and then other routes."""
        return job in self.simplified or (job in self.picky_about and self.oddities[job] > 0)

    def _job_of(self, nonce: str) -> JobId:
        """The job whose result a message with this nonce shows."""
        return next((m.job for m in self.messages if m.job and nonce_of(m.job)[:-2] == nonce[:-2]), JobId(""))

    def _valid(self, token: str) -> Interaction:
        interaction = self.interactions[int(token)]
        if interaction.expired or anyio.current_time() > interaction.born + EXPIRES:
            raise Expired("The interaction is over.")
        return interaction

    def _opened(self, token: str) -> Message:
        return self.messages[self._valid(token).message]

    def _new(self, person: str, nonce: str, channel: str = CHANNEL) -> Message:
        self.messages.append(message := Message(len(self.messages), person, nonce, anyio.current_time(), channel))
        return message

    def _take(self, channel: str) -> None:
        """Refuse what is sent to a channel that takes nothing at the moment."""
        if self.removed and channel == CHANNEL:
            fail_with(error_of(*REMOVED))
        if anyio.current_time() < (self.closed_until if channel == CHANNEL else self.nowhere_until):
            raise Gone("Discord says: Thread is archived.")

    def _take_edit(self, message: Message, card: Card) -> None:
        if message.deleted:
            message.heard_at = min(message.heard_at, anyio.current_time())
            raise Deleted("Discord says: Unknown Message.")
        self._take(message.channel)
        if card.uploads and anyio.current_time() < self.picky_until:
            self.picky_about.add(about(card) or message.job)
            raise Unacceptable("Discord says: Invalid form body.")

    def _show(self, message: Message, card: Card, verdict: Verdict) -> Seen:
        job = about(card)
        if job and self.failures:
            self.failures -= 1
            self._broke(job)
            raise RuntimeError("something in Discord's library broke")
        message.job = job or message.job
        self._saw(message, card)
        message.said.append(card)
        self._answer(verdict)
        return Seen(message.channel, str(message.number))

    async def _reach(self) -> None:
        if (depart := DEPART.get()) is not None:
            await self._wait_for_turn()
            await depart()
        await anyio.sleep(self._rng.uniform(0.02, 0.2))
        await self._wait_for_turn()
        if anyio.current_time() < self.away_until:
            raise Away("Discord does not answer.")

    async def _wait_for_turn(self) -> None:
        # hikari waits for the end of a 429 by itself; whoever called it may not.
        if anyio.current_time() < self.limited_until:
            await anyio.sleep_until(self.limited_until)

    def _answer(self, verdict: Verdict = FINE, *, forgets: bool = True) -> None:
        if verdict.unanswered is not None:
            fail_with(verdict.unanswered)
        if forgets and anyio.current_time() < self.forgetful_until:
            raise Away("Discord did not answer.")


def presses(card: Card) -> Iterator[Press]:
    """Its buttons, as what they do."""
    for button in _buttons(card):
        if (press := custom_id.read(button.custom_id)) is not None:
            yield press


def _buttons(card: Card) -> Iterator[Button]:
    for block in card.blocks:
        match block:
            case Row(buttons=buttons):
                yield from buttons
            case Line(button=button):
                yield button
            case _:
                pass


def is_last_word(card: Card) -> bool:
    """Whether it says how a job ended: only then can its settings be looked at."""
    return any(press.verb == "settings" for press in presses(card))


def about(card: Card) -> JobId:
    """Whose job it shows; "" if it has no buttons."""
    return next((press.job for press in presses(card)), JobId(""))
