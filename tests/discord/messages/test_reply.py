"""One message, through all that may become of it, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import TaskGroup
from msgspec.structs import replace

from app.actors.handle import Command, Registry
from app.core.jobs.job import Job, JobRequest
from app.core.reconciler import Message
from app.discord import message_ref
from app.discord.message_ref import TOKEN_LIFE, MessageRef, Seen, Token
from app.discord.messages.channel_pacing import ChannelPacing
from app.discord.messages.delivery import nonce
from app.discord.messages.live_messages import LiveMessages
from app.discord.messages.ports import Away, Deleted, Expired, Gone, Notice, SendError, TooLarge, Unacceptable
from app.discord.messages.reply import MessageReply
from app.discord.ui.components import Card, Text, Upload
from app.discord.ui.job_view import JobView
from app.events import AnyUpdate, Cancelled, Edited, Finished, JobId, Previewed, Progressed, Queued, ServerName
from app.ports import ConnectionLost, NoPlace
from app.reasons.files import PostingNote
from app.service.people.notifications import Notifications
from app.texts.discord.answers import FAREWELL
from tests.conftest import virtual
from tests.discord.messages.no_preferences import NoPreferences

if TYPE_CHECKING:
    from app.service.offers.catalog import Catalog

JOB = JobId("0b7a3f0e-7c1d-4a53-9d0c-3d6f0a1b2c3d")
DONE = Finished(ServerName("studio"), ("a.png",), job=JOB)


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(request.param)


class Room:
    """A channel in memory: what was said how, and what is out of order."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.broken: dict[str, list[SendError]] = {}
        self.largest = 10_000
        self.nonces: dict[str, str] = {}
        self.moves: list[str] = []
        self.hidden: list[JobId] = []
        self.pacing = ChannelPacing()
        self.sizes: list[int] = []
        self.picky = self.stale = False
        self.refuses_pictures: set[str] = set()
        self.slow: dict[str, float] = {}
        self.notifications = Notifications(NoPreferences(), "never")
        self.posted: Callable[[], None] = lambda: None
        """Called when a new message was posted."""

    async def _say(self, road: str, card: Card, message: str) -> Seen:
        await anyio.sleep(self.slow.get(message, 0))
        if failures := self.broken.get(road):
            raise failures.pop(0) if len(failures) > 1 else failures[0]
        if (self.picky or road in self.refuses_pictures) and card.uploads:
            raise Unacceptable("")
        if any(one.size > self.largest for one in card.uploads):
            raise TooLarge("")
        self.said.append((road, "\n".join(block.text for block in card.blocks if isinstance(block, Text))))
        self.sizes = [one.size or len(one.data) for one in card.uploads]
        return Seen("dm" if road == "hand" else "channel", message)

    async def edit_original(self, token: str, card: Card) -> Seen:
        return await self._say("token", card, "original")

    async def edit(self, channel: str, message: str, card: Card) -> None:
        await self._say("message", card, message)

    async def goes_on(self, channel: str, message: str, job: JobId) -> bool:
        raise AssertionError

    async def create(self, channel: str, card: Card, nonce: str) -> Seen:
        seen = await self._say("channel", card, f"new {len(self.nonces)}")
        self.nonces[nonce] = seen.message
        self.posted()
        return replace(seen, stale=self.stale)

    async def direct_message(self, user: str, card: Card, nonce: str) -> Seen:
        return await self._say("hand", card, "letter")

    async def ephemeral_followup(self, token: str, card: Card) -> None:
        raise AssertionError

    async def direct_channel(self, user: str) -> str:
        raise AssertionError

    async def notify(self, channel: str, notice: Notice, nonce: str) -> Seen:
        raise AssertionError

    async def find_notice(self, channel: str, notice: Notice, since: float) -> Seen | None:
        raise AssertionError

    async def followup(self, token: str, card: Card) -> Seen:
        return await self._say("add", card, "added")

    async def delete_original(self, token: str) -> None:
        raise AssertionError

    async def delete(self, channel: str, message: str) -> None:
        raise AssertionError

    async def refuse(self, token: str, card: Card) -> None:
        raise AssertionError

    @property
    def sender(self) -> Room:
        return self

    @asynccontextmanager
    async def prepare_files(
        self, files: Sequence[str], limit: int, person: str, *, made: bool = True
    ) -> AsyncGenerator[tuple[list[Upload], list[PostingNote]]]:
        await anyio.lowlevel.checkpoint()
        yield [Upload(file, path=file, size=min(5_000, limit)) for file in files], []

    def now(self) -> float:
        return anyio.current_time()

    async def left_channel(self, job: JobId) -> None:
        await anyio.lowlevel.checkpoint()
        self.hidden.append(job)

    async def place_changed(self, job: JobId, place: str) -> None:
        await anyio.lowlevel.checkpoint()
        self.moves.append(place)

    @property
    def roads(self) -> list[str]:
        return [road for road, _ in self.said]

    def break_(self, *routes: str, error: SendError | None = None) -> None:
        self.broken |= {road: [error or Gone("")] for road in routes}

    def live_messages(self, tasks: TaskGroup) -> LiveMessages:
        nothing = cast("Registry", None), cast("Catalog", None)
        return LiveMessages(tasks, *nothing, self, self.prepare_files, notifications=self.notifications)

    def reply(self, *, token: bool = True, message: str = "original", from_page: bool = False) -> MessageReply:
        place = MessageRef(channel="channel", user="42", message=message, from_page=from_page)
        view = JobView(job=JOB, owner="42", title="Paint")
        good = Token("token", anyio.current_time() + TOKEN_LIFE) if token else None
        return MessageReply(view, place, self, good)


async def test_the_token_is_used_until_minute_14_and_then_the_bots_own_right() -> None:
    room = Room()
    reply = room.reply()
    for minute in range(20):
        await reply.show(Progressed(job=JOB, fraction=minute / 20))
        await anyio.sleep(60)
    await reply.show(DONE)
    assert room.roads == ["token"] * 14 + ["message"] * 7
    assert reply.receipt == "original"


async def test_a_token_that_is_refused_is_not_used_again() -> None:
    room = Room()
    room.break_("token", error=Expired(""))
    reply = room.reply()
    await reply.show(Queued(job=JOB, position=1))
    await anyio.sleep(5)
    await reply.show(Queued(job=JOB, position=0))
    assert room.roads == ["message"]


async def test_what_looks_the_same_is_not_said_twice() -> None:
    room = Room()
    reply = room.reply()
    for elapsed in range(5):
        await reply.show(Progressed(job=JOB, fraction=0.5, elapsed=elapsed))
        await anyio.sleep(2)
    assert len(room.said) == 1


async def test_a_job_of_the_page_gets_a_message_at_once_which_shows_the_result_too() -> None:
    room = Room()
    reply = room.reply(token=False, message="", from_page=True)
    for elapsed in range(3):
        await reply.show(Progressed(job=JOB, fraction=elapsed / 3, elapsed=elapsed))
        await anyio.sleep(5)
    await reply.show(DONE)
    assert room.roads == ["channel", "message", "message", "message"]
    assert reply.place.notice is None, "the message says only that it waits: its person is notified of the result"


async def test_a_job_of_the_page_whose_message_cannot_be_posted_sends_the_result_to_its_person() -> None:
    room = Room()
    room.break_("channel")
    reply = room.reply(token=False, message="", from_page=True)
    for elapsed in range(3):
        await reply.show(Progressed(job=JOB, fraction=elapsed / 3, elapsed=elapsed))
        await anyio.sleep(5)
    assert not room.said
    await reply.show(DONE)
    assert room.roads == ["hand"]


async def test_a_preview_waits_for_the_next_news_and_costs_no_pause() -> None:
    room = Room()
    reply = room.reply()
    await reply.show(Previewed(job=JOB, image=b"jpeg", media_type="image/jpeg"))
    assert (room.said, reply.pause) == ([], 0.0)
    await reply.show(Progressed(job=JOB, fraction=0.1))
    assert room.sizes == [4]
    assert reply.pause >= 1.1


async def test_a_message_out_of_reach_is_left_alone_until_the_last_word() -> None:
    room = Room()
    room.break_("token", "message")
    reply = room.reply()
    for minute in range(10):
        await reply.show(Progressed(job=JOB, fraction=minute / 10))
        await anyio.sleep(60)
    assert not room.said
    await reply.show(DONE)
    assert room.roads == ["channel"]
    assert room.nonces == {nonce(JOB): reply.receipt}
    assert '"message":"new 0"' in room.moves[-1]


async def test_a_new_message_that_shows_what_was_true_earlier_is_edited() -> None:
    """Discord returns the earlier message for the same nonce, and leaves it as it is."""
    room = Room()
    room.break_("token", "message")
    room.break_("channel", error=Away(""))
    reply = room.reply()
    with pytest.raises(ConnectionLost):
        await reply.show(DONE)
    room.broken.clear()
    room.stale = True
    await reply.show(Cancelled(job=JOB))
    assert [road for road, text in room.said if "Cancelled" in text] == ["channel", "message"]


async def test_a_result_that_may_be_in_a_new_message_is_not_shown_in_the_old_one_too() -> None:
    room = Room()
    room.break_("token", "message")
    room.break_("channel", error=Away(""))
    with pytest.raises(ConnectionLost):
        await room.reply().show(DONE)
    room.broken.clear()
    place = message_ref.read(room.moves[-1])
    assert place is not None
    assert (place.message, place.left) == ("", "original")
    restarted = MessageReply(JobView(job=JOB, owner="42", title="Paint"), place, room)
    await restarted.show(DONE)
    assert room.roads == ["channel", "message"]
    assert "another message" in room.said[-1][1], "the old one only says where it is"


async def test_a_message_takes_the_result_again_if_no_other_place_did() -> None:
    room = Room()
    room.break_("token", "message", "channel", "add", "hand")
    reply = room.reply()
    with pytest.raises(NoPlace):
        await reply.show(DONE)
    room.broken.pop("message")
    await reply.show(DONE)
    assert room.roads == ["message"]


async def test_the_last_road_leads_to_its_owner_alone() -> None:
    room = Room()
    room.break_("token", "message", "channel", "add")
    reply = room.reply()
    await reply.show(DONE)
    assert (room.roads, reply.receipt) == (["hand"], "letter")
    assert '"channel":"dm"' in room.moves[-1]


async def test_a_result_that_every_place_refuses_is_kept_for_another_attempt() -> None:
    room = Room()
    room.break_("token", "message", "channel", "add", "hand")
    reply = room.reply()
    with pytest.raises(NoPlace):
        await reply.show(DONE)
    assert (room.said, reply.receipt) == ([], "")
    room.broken.clear()
    await reply.show(DONE)
    assert (room.roads, reply.receipt) == (["token"], "original")


async def test_what_is_not_in_its_channel_any_more_is_hidden_from_others() -> None:
    room = Room()
    await room.reply().show(DONE)
    assert room.hidden == []
    room.break_("token", "message", error=Deleted(""))
    await room.reply().show(DONE)
    assert set(room.hidden) == {JOB}, "its message was deleted"
    room = Room()
    room.break_("message", "channel")
    await room.reply(token=False).show(DONE)
    assert (room.roads, room.hidden) == (["hand"], [JOB])


@pytest.mark.parametrize("deleted_before_the_end", [True, False])
async def test_what_a_moderator_deleted_is_not_posted_again_in_that_channel(deleted_before_the_end: bool) -> None:
    room = Room()
    room.break_("token", "message", error=Deleted(""))
    reply = room.reply()
    if deleted_before_the_end:
        await reply.show(Progressed(job=JOB, fraction=0.5))
    await reply.show(DONE)
    assert room.roads == ["hand"]
    place = message_ref.read(room.moves[0])
    assert place is not None
    restarted = MessageReply(JobView(job=JOB, owner="42", title="Paint"), place, room)
    await restarted.show(DONE)
    assert room.roads == ["hand", "hand"], "the journal knows it"


async def test_a_result_that_its_message_refuses_is_posted_as_a_new_one_and_the_message_says_where() -> None:
    """A deferred answer may refuse a new gallery (discord-api-docs#7529)."""
    room = Room()
    room.break_("token", error=Unacceptable(""))
    room.refuses_pictures = {"message"}
    reply = room.reply()
    await reply.show(DONE)
    assert room.roads == ["channel", "message"]
    assert reply.receipt == "new 0"
    assert "Your result is in another message: https://discord.com/channels/@me/channel/new 0" in room.said[-1][1]


async def test_a_message_says_where_its_result_is_although_discord_did_not_answer_at_first() -> None:
    room = Room()
    room.break_("token", error=Unacceptable(""))
    room.broken["message"] = [Unacceptable(""), Away(""), Away(""), Unacceptable("")]
    reply = room.reply()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reply.show, DONE)
        await anyio.sleep(3)
        room.broken.clear()
    assert room.roads == ["channel", "message"]
    assert "Your result is in another message" in room.said[-1][1]


async def test_a_message_says_where_its_result_is_although_the_bot_was_killed_before_it_did() -> None:
    room = Room()
    room.break_("token", error=Unacceptable(""))
    room.refuses_pictures = {"message"}
    reply = room.reply()
    with anyio.CancelScope() as life:
        reply = room.reply()
        room.posted = partial(room.slow.update, original=100.0)
        life.deadline = anyio.current_time() + 1
        await reply.show(DONE)
    assert room.roads == ["channel"]
    room.slow.clear()
    room.broken.clear()
    room.refuses_pictures = set()
    place = message_ref.read(room.moves[-1])
    assert place is not None
    adopted = MessageReply(JobView(job=JOB, owner="42", title="Paint"), place, room)
    await adopted.show(DONE)
    assert room.roads == ["channel", "message", "message"]
    assert "Your result is in another message: https://discord.com/channels/@me/channel/new 0" in room.said[-1][1]
    await adopted.show(DONE)
    assert room.roads[3:] == ["message"], "that is said once"


async def test_a_follow_up_that_may_have_arrived_is_not_sent_a_second_time() -> None:
    room = Room()
    room.break_("token", "message", "channel")
    room.break_("add", error=Away(""))
    reply = room.reply()
    with pytest.raises(ConnectionLost):
        await reply.show(DONE)
    room.broken.pop("add")
    await reply.show(DONE)
    assert room.roads == ["hand"]


async def test_a_token_that_died_before_its_time_does_not_lose_the_message() -> None:
    room = Room()
    room.break_("token", error=Gone(""))
    reply = room.reply()
    await reply.show(Progressed(job=JOB, fraction=0.5))
    await anyio.sleep(5)
    await reply.show(Progressed(job=JOB, fraction=0.6))
    await reply.show(DONE)
    assert room.roads == ["message", "message"]


async def test_while_discord_is_away_the_last_word_is_kept_back_and_no_other_road_is_taken() -> None:
    room = Room()
    room.break_("token", error=Away(""))
    reply = room.reply()
    await reply.show(Progressed(job=JOB, fraction=0.5))
    with pytest.raises(ConnectionLost):
        await reply.show(DONE)
    assert not room.said
    room.broken.clear()
    await reply.show(DONE)
    assert room.roads == ["token"]


async def test_files_shrink_until_discord_takes_them() -> None:
    room = Room()
    room.largest = 700
    await room.reply().show(DONE)
    assert room.sizes == [625]


async def test_further_messages_are_sent_once_even_if_the_way_is_interrupted() -> None:
    room = Room()
    reply = room.reply()
    many = Finished(ServerName("studio"), tuple(f"{number}.png" for number in range(25)), job=JOB)
    room.broken["channel"] = [Away(""), Gone("")]
    room.broken["add"] = [Gone("")]
    with pytest.raises(ConnectionLost):
        await reply.show(many)
    room.broken.clear()
    await reply.show(many)
    assert room.roads == ["token", "token", "channel", "channel"]
    assert list(room.nonces) == [nonce(JOB, 1), nonce(JOB, 2)]
    assert len(reply.place.more) == 2
    await reply.show(many)
    assert room.roads[4:] == ["token"]
    place = message_ref.read(room.moves[-1])
    assert place is not None
    await MessageReply(JobView(job=JOB, owner="42", title="Paint"), place, room).show(many)
    assert room.roads[5:] == ["message"], "the next start knows them, too"


async def test_messages_that_continue_a_result_are_known_wherever_they_are() -> None:
    room = Room()
    many = Finished(ServerName("studio"), tuple(f"{number}.png" for number in range(35)), job=JOB)
    room.broken["channel"] = [SendError(""), Away("")]
    reply = room.reply(token=False)
    with pytest.raises(ConnectionLost):
        await reply.show(many)
    room.broken.clear()
    await reply.show(many)
    assert reply.place.channel == "channel"
    assert reply.place.continuations == [("dm", "letter"), ("channel", "new 0"), ("channel", "new 1")]
    # The message is gone, so its result goes to the owner: what continues it stays where it is.
    room.break_("message", error=Deleted(""))
    await reply.show(many)
    assert reply.place.channel == "dm"
    assert reply.place.continuations == [("dm", "letter"), ("channel", "new 0"), ("channel", "new 1")]


async def test_where_the_bot_may_not_speak_further_messages_answer_the_interaction() -> None:
    room = Room()
    room.break_("channel")
    many = Finished(ServerName("studio"), tuple(f"{number}.png" for number in range(12)), job=JOB)
    await room.reply().show(many)
    assert room.roads == ["token", "add"]


async def test_an_upload_that_takes_long_delays_no_other_result_in_its_channel() -> None:
    room = Room()
    first, second = room.reply(token=False, message="first"), room.reply(token=False, message="second")
    room.slow["first"] = 300.0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first.show, DONE)
        await anyio.wait_all_tasks_blocked()
        began = anyio.current_time()
        await second.show(Progressed(job=JOB, fraction=0.5))
        await second.show(DONE)
        assert anyio.current_time() - began < 1
        assert (first.receipt, second.receipt) == ("", "second")
    assert first.receipt == "first"


async def test_with_two_uploads_under_way_the_rest_of_the_limit_is_for_results() -> None:
    room = Room()
    room.slow |= {"a": 300.0, "b": 300.0}
    third = room.reply(token=False, message="third")
    async with anyio.create_task_group() as tasks:
        for message in ("a", "b"):
            tasks.start_soon(room.reply(token=False, message=message).show, DONE)
        await anyio.wait_all_tasks_blocked()
        await third.show(Progressed(job=JOB, fraction=0.5))
        assert not room.said
        await third.show(DONE)
        assert room.roads == ["message"]


async def test_many_messages_of_one_channel_share_its_limit() -> None:
    pacing = ChannelPacing()
    for _ in range(16):
        pacing.join("channel")
    assert pacing.pause("channel", as_bot=True) == pytest.approx(16 * 1.1)
    assert pacing.pause("channel", as_bot=False) == pytest.approx(2 * 1.1)
    assert pacing.pause("elsewhere", as_bot=True) == pytest.approx(1.1)


def test_a_nonce_is_short_enough_and_tells_pages_apart() -> None:
    found = {nonce(JOB, page) for page in range(12)}
    assert len(found) == 12
    assert all(len(one) <= 25 for one in found)


async def test_a_farewell_waits_for_the_edit_that_is_under_way() -> None:
    room = Room()
    reply = room.reply()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reply.show, Queued(job=JOB, position=2))
        reply.view.farewell = "Goodbye."
        tasks.start_soon(reply.refresh)
    assert room.said[-1][1].endswith("Goodbye.")


async def test_the_person_of_a_job_from_before_a_restart_reads_at_the_next_one_that_it_is_safe() -> None:
    room, place = Room(), MessageRef(channel="channel", user="42", message="original")
    sender, receiver = anyio.create_memory_object_stream[Command | Message](10)
    catalog = cast("Catalog", SimpleNamespace(readable={}, workflows={}))
    job = Job(request=JobRequest(job=JOB, workflow="paint", graph={}, folder=""), place=message_ref.write(place))
    async with anyio.create_task_group() as tasks, sender, receiver:
        parts = catalog, room, room.prepare_files
        live_messages = LiveMessages(tasks, Registry(sender), *parts, notifications=room.notifications)
        await live_messages.resume_all([job])
        await receiver.receive()
        await live_messages.say_goodbye()
        assert FAREWELL in room.said[-1][1]
        tasks.cancel_scope.cancel()


async def test_the_terminal_update_waits_for_the_edit_that_is_under_way() -> None:
    class Slow(Room):
        """Discord takes its time for the first edit."""

        def __init__(self) -> None:
            super().__init__()
            self.begun, self.proceed = anyio.Event(), anyio.Event()

        async def edit_original(self, token: str, card: Card) -> Seen:
            if not self.begun.is_set():
                self.begun.set()
                await self.proceed.wait()
            return await super().edit_original(token, card)

    room = Slow()
    reply = room.reply()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reply.show, Queued(job=JOB, position=2))
        await room.begun.wait()
        tasks.start_soon(reply.show, DONE)
        await anyio.sleep(5)
        assert room.said == []
        room.proceed.set()
    (_, first), (_, last) = room.said
    assert "2 ahead" in first
    assert "2 ahead" not in last


async def test_a_result_that_discord_does_not_take_ends_in_a_plain_message() -> None:
    room = Room()
    room.picky = True
    reply = room.reply()
    await reply.show(DONE)
    ((road, said),) = room.said
    assert (road, reply.receipt) == ("token", "original")
    assert "Discord did not take the result. It is kept" in said


async def test_a_refresh_that_comes_after_the_end_does_not_take_the_files_away() -> None:
    room = Room()
    reply = room.reply()
    await reply.show(Progressed(job=JOB, fraction=0.5))
    await reply.show(DONE)
    await anyio.sleep(5)
    await reply.refresh()
    assert len(room.said) == 2
    assert room.sizes, "the last message has its file"


@pytest.mark.parametrize(
    "update",
    [Progressed(job=JOB, fraction=0.5, remaining=60.0), Queued(job=JOB, position=1, starts_in=60.0)],
    ids=["end", "start"],
)
async def test_an_expected_time_that_has_passed_is_removed(update: AnyUpdate) -> None:
    """Discord would count it on as “a minute ago”."""
    room = Room()
    reply = room.reply()
    async with anyio.create_task_group() as tasks:
        live_messages = room.live_messages(tasks)
        live_messages.now = room.now
        live_messages.living[JOB] = reply
        tasks.start_soon(live_messages.drop_past_times)
        await reply.show(update)
        await anyio.sleep(50)
        assert f"<t:{reply.view.expected}:R>" in room.said[-1][1]
        assert len(room.said) == 1
        await anyio.sleep(20)
        assert "<t:" not in room.said[-1][1]
        assert len(room.said) == 2
        tasks.cancel_scope.cancel()


async def test_an_expected_time_that_has_passed_is_not_shown_again_by_the_next_update() -> None:
    room = Room()
    reply = room.reply()
    await reply.show(Queued(job=JOB, position=1, starts_in=60.0))
    assert "<t:" in room.said[-1][1]
    await anyio.sleep(70)
    await reply.show(Edited(job=JOB, values={"prompt": "a dog"}))
    assert "a dog" in room.said[-1][1]
    assert "<t:" not in room.said[-1][1]


async def test_an_edit_that_hangs_delays_no_other_message() -> None:
    room = Room()
    hanging, other = room.reply(token=False, message="hanging"), room.reply(token=False, message="other")
    async with anyio.create_task_group() as tasks:
        live_messages = room.live_messages(tasks)
        live_messages.now = room.now
        live_messages.living |= {JobId("a"): hanging, JobId("b"): other}
        for reply, seconds in ((hanging, 60.0), (other, 90.0)):
            await reply.show(Progressed(job=JOB, fraction=0.5, remaining=seconds))
        room.slow["hanging"] = 1000.0
        tasks.start_soon(live_messages.drop_past_times)
        await anyio.sleep(100)
        assert "<t:" not in room.said[-1][1], "the message of the other job"
        assert len(room.said) == 3
        tasks.cancel_scope.cancel()


async def test_an_edit_that_was_left_out_is_made_up_for_although_nothing_else_happens() -> None:
    room = Room()
    reply = room.reply()
    async with anyio.create_task_group() as tasks:
        live_messages = room.live_messages(tasks)
        live_messages.now = room.now
        live_messages.living[JOB] = reply
        tasks.start_soon(live_messages.drop_past_times)
        await reply.show(Queued(job=JOB, position=1))
        await reply.show(Edited(job=JOB, values={"prompt": "a dog"}))
        assert "a dog" not in room.said[-1][1], "that is too soon"
        await anyio.sleep(10)
        assert "a dog" in room.said[-1][1]
        assert len(room.said) == 2
        tasks.cancel_scope.cancel()


async def test_a_message_that_is_there_after_all_shows_the_result() -> None:
    """Discord may say once that it does not know a message, while something is wrong there."""
    room = Room()
    place = MessageRef(channel="channel", user="42", message="original", deleted=True)
    reply = MessageReply(JobView(job=JOB, owner="42", title="Paint"), place, room)
    await reply.show(Progressed(job=JOB, fraction=0.5))
    await reply.show(DONE)
    assert room.roads == ["message", "message"]
