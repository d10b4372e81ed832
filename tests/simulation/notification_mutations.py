"""Changes of notifications that break a promise; see `tests.simulation.mutations`."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from itertools import count
from unittest.mock import patch

import anyio.lowlevel

from app.discord.messages.location import MessageLocation
from app.discord.messages.notification import Notification
from app.discord.messages.ports import Notice
from app.events import TerminalUpdate
from app.ports import Json
from app.service.people.notifications import Notifications, Way
from tests.simulation.mutations import Mutation

# pyright: reportPrivateUsage=false


@contextmanager
def nobody_is_notified() -> Generator[None]:
    """Send nothing."""

    async def send(self: Notification, update: TerminalUpdate) -> None:
        del self, update
        await anyio.lowlevel.checkpoint()

    with patch.object(Notification, "send", send):
        yield


@contextmanager
def each_attempt_is_a_new_notification() -> Generator[None]:
    """Give each attempt a nonce of its own."""
    numbers = count()

    def new(job: str, page: int = 0) -> str:
        return f"{job.replace('-', '')[:20]}{next(numbers):03d}{page:02d}"

    with patch("app.discord.messages.notification.nonce", new):
        yield


@contextmanager
def a_restart_notifies_again() -> Generator[None]:
    """Record neither that a notification is sent nor that it was; Discord soon forgets its nonce."""

    async def begin_to_notify(self: MessageLocation, now: float) -> None:
        del self, now
        await anyio.lowlevel.checkpoint()

    async def notified(self: MessageLocation, channel: str, message: str) -> None:
        del self, channel, message
        await anyio.lowlevel.checkpoint()

    recorded = patch.multiple(MessageLocation, begin_to_notify=begin_to_notify, notified=notified)
    with recorded, patch("tests.simulation.board.NONCES", 20.0):
        yield


@contextmanager
def the_previous_person_is_mentioned() -> Generator[None]:
    """Mention whose result came before."""
    people = list[str]()

    def late(text: str, person: str = "", reply_to: str = "") -> Notice:
        people.append(person)
        return Notice(text, people[max(0, len(people) - 2)], reply_to)

    with patch("app.discord.messages.notification.Notice", late):
        yield


@contextmanager
def nobody_is_asked() -> Generator[None]:
    """Mention everybody, whatever they have chosen."""

    def chosen(self: Notifications, saved: Mapping[str, Mapping[str, Json]]) -> Way:
        del self, saved
        return "mention"

    with patch.object(Notifications, "chosen", chosen):
        yield


@contextmanager
def every_result_notifies() -> Generator[None]:
    """Notify also of what came soon."""
    init = Notifications.__init__

    def at_once(self: Notifications, *args: object, **options: object) -> None:
        init(self, *args, **options)  # pyright: ignore[reportArgumentType]
        self.after = 0.0

    with patch.object(Notifications, "__init__", at_once):
        yield


@contextmanager
def a_notification_that_must_wait_is_forgotten() -> Generator[None]:
    """Give up at the first error."""
    with patch("app.actors.interaction.NOTIFYING", 0.0):
        yield


MENTION, DM = "mention", "dm"

NOTIFICATION_MUTATIONS = (
    Mutation(nobody_is_notified, "was not notified", notify=MENTION),
    Mutation(each_attempt_is_a_new_notification, "notifications", ("board_forgets",), ("notified",), notify=MENTION),
    Mutation(a_restart_notifies_again, "notifications", ("kill",), ("notified",), seconds=60.0, notify=DM),
    Mutation(the_previous_person_is_mentioned, "and its owner is", notify=MENTION),
    Mutation(nobody_is_asked, "wants no notifications", first=8, notify=MENTION),
    Mutation(every_result_notifies, "was notified of", notify=DM),
    Mutation(
        a_notification_that_must_wait_is_forgotten,
        "was not notified",
        ("board_away",),
        ("shown",),
        seconds=20.0,
        notify=MENTION,
    ),
)
