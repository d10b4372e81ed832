"""Notifications in the simulated Discord, and who wants them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import anyio
import anyio.lowlevel
from msgspec import Struct

from app.discord.messages.ports import Notice
from app.events import JobId
from app.ports import Json
from app.service.people.notifications import SAVED_AS


def way_of(person: str, default: str) -> str:
    """How somebody wants to be notified: some have chosen something, the others get the default."""
    number = int(person) if person.isdecimal() else 0
    return {3: "never", 4: "dm", 5: "mention"}.get(number % 6, default)


def refuses_direct_messages(person: str) -> bool:
    """Whether somebody takes no direct messages from the bot."""
    return person.isdecimal() and int(person) % 3 == 1


class ChosenWays:
    """See `app.service.people.notifications.Preferences`."""

    async def preferences(self, owner: str) -> Mapping[str, Mapping[str, Json]]:
        await anyio.lowlevel.checkpoint()
        way = way_of(owner, "")
        return {SAVED_AS: {"way": way}} if way else {}

    async def prefer(self, owner: str, workflow: str, values: Mapping[str, Json]) -> None:
        raise AssertionError


class Posted(Struct, frozen=True):
    """A notification, and when it was posted, in the loop's clock."""

    job: JobId
    channel: str
    notice: Notice
    nonce: str
    at: float


class Notices:
    """Owns the notifications, by their ids."""

    def __init__(self) -> None:
        self.posted: dict[str, Posted] = {}
        self.oddities: Counter[JobId] = Counter()
        """How often a notification of a job was answered with an error that it did not deserve."""
        self._began = anyio.current_time()

    def post(self, job: JobId, channel: str, notice: Notice, nonce: str, same: float) -> str:
        """Post a notification, unless one with its nonce was within `same` seconds; return the id of the one there."""
        now = anyio.current_time()
        for number, earlier in self.posted.items():
            if earlier.nonce == nonce and now - earlier.at < same:
                return number
        number = f"notice {len(self.posted)}"
        self.posted[number] = Posted(job, channel, notice, nonce, now)
        return number

    def find(self, channel: str, notice: Notice, since: float) -> str | None:
        """The id of such a notification, posted after so many seconds of the world; None if there is none."""
        for number, earlier in self.posted.items():
            if (earlier.channel, earlier.notice) == (channel, notice) and earlier.at - self._began >= since:
                return number
        return None

    def of(self, job: JobId) -> list[Posted]:
        """All notifications of a job."""
        return [one for one in self.posted.values() if one.job == job]
