"""The owner of a job is notified of its result: once, whatever happens, and nobody else is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import anyio
import anyio.lowlevel
import pytest

from app.discord import message_ref
from app.discord.message_ref import MessageRef, Seen, write
from app.discord.messages.channel_pacing import ChannelPacing
from app.discord.messages.notification import NONCE_LIFE, notification_text
from app.discord.messages.ports import Away, CannotReply, Deleted, Gone, NoDirectMessages, Notice, SendError
from app.discord.messages.reply import MessageReply
from app.discord.ui.components import Card, Upload
from app.discord.ui.job_view import JobView
from app.events import Cancelled, Failed, Finished, JobId, Lost, ServerName, TerminalUpdate
from app.reasons.files import PostingNote
from app.reasons.jobs import ForgottenByServer, StoppedOnServer
from app.service.people.notifications import SAVED_AS, Notifications
from tests.conftest import virtual
from tests.discord.messages.no_preferences import NoPreferences

JOB = JobId("0b7a3f0e-7c1d-4a53-9d0c-3d6f0a1b2c3d")
DONE = Finished(ServerName("studio"), ("a.png",), job=JOB)
LINK = "https://discord.com/channels/guild/channel/original"
SAME_NONCE = 300.0


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(request.param)


class Killed(BaseException):
    """The bot ends here, as by kill -9."""


class Posted(NamedTuple):
    """A notification in Discord."""

    channel: str
    notice: Notice
    nonce: str
    at: float


class Discord:
    """Discord, and the journal's record of one place: what outlives the bot. It is the context of every life.

    `broken` are the errors with which each channel answers; those in `unheard` are raised after the message was posted.
    The bot is killed at the moment that `killed_at` names: "before" or "after" a post, or when "recorded".
    """

    def __init__(self, way: str = "mention") -> None:
        self.notifications = Notifications(NoPreferences(), way)
        self.posted: list[Posted] = []
        self.broken: dict[str, list[SendError]] = {}
        self.unheard: list[SendError] = []
        self.killed_at = ""
        self.edits: list[SendError] = []
        self.place = MessageRef(channel="channel", user="42", message="original", guild="guild", asked=1.0)
        self.pacing = ChannelPacing()
        self.looked = 0
        self.hidden: list[JobId] = []

    @property
    def sender(self) -> Discord:
        return self

    def now(self) -> float:
        return 1000.0 + anyio.current_time()

    async def refuse(self, token: str, card: Card) -> None:
        raise AssertionError

    async def left_channel(self, job: JobId) -> None:
        await anyio.lowlevel.checkpoint()
        self.hidden.append(job)

    async def place_changed(self, job: JobId, place: str) -> None:
        await anyio.lowlevel.checkpoint()
        written = message_ref.read(place)
        assert written is not None
        if self.killed_at == "recorded" and written.notice:
            self.killed_at = ""
            raise Killed
        self.place = written

    @asynccontextmanager
    async def prepare_files(
        self, files: Sequence[str], limit: int, person: str, *, made: bool = True
    ) -> AsyncGenerator[tuple[list[Upload], list[PostingNote]]]:
        await anyio.lowlevel.checkpoint()
        yield [Upload(file, data=b"png") for file in files], []

    async def edit_original(self, token: str, card: Card) -> Seen:
        raise AssertionError

    async def edit(self, channel: str, message: str, card: Card) -> None:
        await anyio.lowlevel.checkpoint()
        if self.edits and channel != "dm":
            raise self.edits[0]

    async def goes_on(self, channel: str, message: str, job: JobId) -> bool:
        raise AssertionError

    async def create(self, channel: str, card: Card, nonce: str) -> Seen:
        raise Gone("")

    async def direct_message(self, user: str, card: Card, nonce: str) -> Seen:
        await anyio.lowlevel.checkpoint()
        return Seen("dm", "letter")

    async def ephemeral_followup(self, token: str, card: Card) -> None:
        raise AssertionError

    async def followup(self, token: str, card: Card) -> Seen:
        raise AssertionError

    async def delete_original(self, token: str) -> None:
        raise AssertionError

    async def delete(self, channel: str, message: str) -> None:
        raise AssertionError

    async def direct_channel(self, user: str) -> str:
        await anyio.lowlevel.checkpoint()
        return "dm"

    async def notify(self, channel: str, notice: Notice, nonce: str) -> Seen:
        await anyio.lowlevel.checkpoint()
        if self.killed_at == "before":
            self.killed_at = ""
            raise Killed
        if failures := self.broken.get(channel):
            raise failures.pop(0) if len(failures) > 1 else failures[0]
        known = [one for one in self.posted if one.nonce == nonce and self.now() < one.at + SAME_NONCE]
        if not known:
            self.posted.append(Posted(channel, notice, nonce, self.now()))
        if self.unheard:
            raise self.unheard.pop(0)
        if self.killed_at == "after":
            self.killed_at = ""
            raise Killed
        return Seen(channel, f"notice {len(self.posted)}", new=True)

    async def find_notice(self, channel: str, notice: Notice, since: float) -> Seen | None:
        await anyio.lowlevel.checkpoint()
        self.looked += 1
        posted = [one for one in self.posted if (one.channel, one.notice) == (channel, notice) and one.at >= since]
        return Seen(channel, "notice 1") if posted else None

    async def life(self, update: TerminalUpdate = DONE) -> None:
        """A life of the bot from the job's end on: it delivers the result and notifies, until that is over."""
        reply = MessageReply(JobView(job=JOB, owner="42", title="Paint"), self.place, self)
        await reply.show(update)
        while True:
            try:
                await reply.notify(update)
            except Away:
                await anyio.sleep(10)
            else:
                return

    @property
    def notices(self) -> list[tuple[str, Notice]]:
        return [(one.channel, one.notice) for one in self.posted]


MENTION = ("channel", Notice("<@42> Your picture is ready.", "42", "original"))
LETTER = ("dm", Notice(f"Your picture is ready. {LINK}"))


async def test_the_owner_is_mentioned_in_a_reply_to_the_result_and_the_journal_knows_it() -> None:
    discord = Discord()
    await discord.life()
    assert discord.notices == [MENTION]
    assert discord.place.notice == ("channel", "notice 1")
    await discord.life()
    assert discord.notices == [MENTION], "the next life does not repeat it"


async def test_a_result_that_was_there_soon_needs_no_notification() -> None:
    discord = Discord()
    discord.place = MessageRef(channel="channel", user="42", message="original", guild="guild", asked=975.0)
    await discord.life()
    assert not discord.posted
    await anyio.sleep(10)
    await discord.life()
    assert discord.notices == [MENTION], "it was shown again after a restart, 35 seconds after it was asked for"


@pytest.mark.parametrize("moment", ["before", "after", "recorded"])
@pytest.mark.parametrize("down", [1.0, NONCE_LIFE + 1, 2 * SAME_NONCE, 86_400.0])
@pytest.mark.parametrize("way", ["mention", "dm"])
async def test_it_is_sent_once_if_the_bot_is_killed_at_any_moment(moment: str, down: float, way: str) -> None:
    discord = Discord(way)
    discord.killed_at = moment
    with pytest.raises(Killed):
        await discord.life()
    await anyio.sleep(down)
    await discord.life()
    assert discord.notices == [MENTION if way == "mention" else LETTER]
    assert discord.place.notice is not None
    assert bool(discord.looked) == (down > NONCE_LIFE)


@pytest.mark.parametrize("answers_after", [1, 10, 100])
async def test_it_is_sent_once_if_discord_took_it_and_did_not_answer_for_long(answers_after: int) -> None:
    discord = Discord()
    discord.unheard = [Away("")]
    discord.broken["channel"] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(discord.life)
        await anyio.sleep(5)
        discord.broken["channel"] = [Away("")] * (answers_after + 1)
        await anyio.sleep(10 * answers_after)
        discord.broken.clear()
    assert discord.notices == [MENTION]


async def test_it_is_not_lost_if_discord_is_away_longer_than_a_nonce_lives() -> None:
    discord = Discord()
    discord.broken["channel"] = [Away("")] * 100
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(discord.life)
        await anyio.sleep(2 * SAME_NONCE)
        discord.broken.clear()
    assert discord.notices == [MENTION]


async def test_who_wants_a_direct_message_gets_one_with_a_link_that_mentions_nobody() -> None:
    discord = Discord("dm")
    await discord.life()
    assert discord.notices == [LETTER]


async def test_a_refused_direct_message_becomes_a_mention_and_is_not_tried_again_for_a_day() -> None:
    discord = Discord("dm")
    discord.broken["dm"] = [NoDirectMessages("")]
    await discord.life()
    assert discord.notices == [MENTION]
    discord.broken.clear()
    discord.place = MessageRef(channel="channel", user="42", message="original", guild="guild")
    await anyio.sleep(SAME_NONCE)
    await discord.life()
    assert discord.notices == [MENTION, MENTION]
    await anyio.sleep(86_400)
    discord.place = MessageRef(channel="channel", user="42", message="original", guild="guild")
    await discord.life()
    assert discord.notices == [MENTION, MENTION, LETTER]


async def test_where_the_bot_may_not_write_it_writes_directly_and_else_nothing_happens() -> None:
    discord = Discord()
    discord.broken["channel"] = [Gone("")]
    await discord.life()
    assert discord.notices == [LETTER]
    discord = Discord()
    discord.broken = {"channel": [Gone("")], "dm": [NoDirectMessages("")]}
    await discord.life()
    assert not discord.posted


async def test_where_it_may_not_reply_the_mention_has_a_link() -> None:
    discord = Discord()
    discord.broken["channel"] = [CannotReply("")]
    usual = discord.notify

    async def notify(channel: str, notice: Notice, nonce: str) -> Seen:
        if not notice.reply_to:
            discord.broken.clear()
        return await usual(channel, notice, nonce)

    discord.notify = notify
    await discord.life()
    assert discord.notices == [("channel", Notice(f"<@42> Your picture is ready. {LINK}", "42"))]


async def test_nobody_is_notified_of_a_result_that_was_deleted() -> None:
    discord = Discord()
    discord.broken["channel"] = [Deleted("")]
    await discord.life()
    assert not discord.posted


async def test_a_result_that_went_to_its_owner_directly_notifies_by_itself() -> None:
    discord = Discord()
    discord.edits = [Deleted("")]
    await discord.life()
    assert not discord.posted
    assert discord.place.notice == ("dm", "letter")
    await discord.life()
    assert not discord.posted, "nor after a restart, which edits that message"


async def test_in_direct_messages_with_the_bot_the_edit_of_a_message_is_followed_by_a_new_one() -> None:
    discord = Discord()
    discord.place = MessageRef(channel="dm", user="42", message="original")
    await discord.life()
    assert discord.notices == [("dm", Notice("Your picture is ready.", "", "original"))]


async def test_who_wants_no_notification_gets_none() -> None:
    discord = Discord("never")
    await discord.life()
    assert not discord.posted
    assert not discord.place.notifying


async def test_what_a_person_wants_counts_at_the_moment_of_the_result() -> None:
    class Chosen(NoPreferences):
        async def preferences(self, owner: str) -> dict[str, dict[str, str]]:  # pyright: ignore[reportIncompatibleMethodOverride]
            await anyio.lowlevel.checkpoint()
            return {SAVED_AS: {"way": "never"}} if owner == "42" else {}

    discord = Discord()
    discord.notifications = Notifications(Chosen(), "mention")
    await discord.life()
    assert not discord.posted


@pytest.mark.parametrize(
    ("update", "text"),
    [
        (Failed(job=JOB, reason="It broke."), "Failed: It broke."),
        (Failed(job=JOB, reason="Ask @everyone *now*."), "Failed: Ask \\@everyone \\*now\\*."),
        (Lost(job=JOB, reason=ForgottenByServer(ServerName("studio"), 2)), "Lost: "),
        (Cancelled(job=JOB, reason=StoppedOnServer()), "Cancelled: "),
        (DONE, "Your picture is ready."),
        (Finished(ServerName("s"), ("a.png", "b.webp", "c.jpg", "d.png"), job=JOB), "Your 4 pictures are ready."),
        (Finished(ServerName("s"), ("a.mp4",), job=JOB), "Your video is ready."),
        (Finished(ServerName("s"), ("a.mp4", "a.png"), job=JOB), "Your 2 results are ready."),
        (Finished(ServerName("s"), texts=("words",), job=JOB), "Your result is ready."),
    ],
)
async def test_it_says_what_became_of_the_job(update: TerminalUpdate, text: str) -> None:
    assert notification_text(update).startswith(text)
    discord = Discord()
    await discord.life(update)
    ((_, notice),) = discord.notices
    assert notice.text == f"<@42> {notification_text(update)}"


async def test_who_cancelled_a_job_is_not_notified_of_that() -> None:
    discord = Discord()
    await discord.life(Cancelled(job=JOB))
    assert not discord.posted


def test_a_place_of_the_previous_version_can_be_read_and_what_is_new_is_kept() -> None:
    old = message_ref.read('{"channel":"1","user":"2","message":"3"}')
    assert old == MessageRef(channel="1", user="2", message="3")
    new = MessageRef(channel="1", user="2", asked=5.5, notifying=6.5, notice=("1", "9"))
    assert message_ref.read(write(new)) == new
